package pushpinconf

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// first suggests the first candidate that shares three letters with the word.
func first(word string, candidates []string) string {
	for _, c := range candidates {
		if len(word) > 2 && strings.HasPrefix(c, word[:3]) {
			return c
		}
	}
	return ""
}

// shown is the options as lines of option=value from setting:line.
func shown(c *Config) (lines []string) {
	for _, s := range c.Settings {
		lines = append(lines, fmt.Sprintf("%s=%v %s:%d", s.Option, s.Value, s.Name, s.Line))
	}
	slices.Sort(lines)
	return lines
}

func names(notes []Note) (all []string) {
	for _, n := range notes {
		all = append(all, n.Name)
	}
	return all
}

func TestPackagedFilesAreTakenUnchanged(t *testing.T) {
	tests := []struct {
		file string
		want []string
	}{
		{"debian.conf", []string{
			"accept-pushpin-route=false accept_pushpin_route:27",
			"accept-x-forwarded-protocol=false accept_x_forwarded_protocol:22", "auto-cross-origin=false auto_cross_origin:21",
			"backend-concurrency=50000 client_maxconn:13", "backend-open=50000 client_maxconn:13", "backend-timeout=30m stream-timeout:0",
			"debug=false debug:20", "id-cache-ttl=60s id_cache_ttl:49",
			"listen=[:7999] http_port:9", "log-level=info log_level:11", "max-connections=50000 client_maxconn:13",
			"max-header=8192 client_buffer_size:12", "max-message=1000000 push_in_http_max_body_size:43",
			"max-subscriptions=20 connection_subscription_max:50", "publish-listen=127.0.0.1:5561 push_in_http_addr:40",
			"routes=/etc/pushpin/routes routesfile:19", "set-x-forwarded-protocol=proto-only set_x_forwarded_protocol:23", "sig-iss=pushpin sig_iss:30", "sig-key=changeme sig_key:31",
		}},
		{"one-million.conf", []string{
			"accept-x-forwarded-protocol=false accept_x_forwarded_protocol:22", "auto-cross-origin=false auto_cross_origin:21",
			"backend-concurrency=1010000 client_maxconn:13", "backend-open=1010000 client_maxconn:13", "backend-timeout=30m stream-timeout:0",
			"debug=false debug:20", "id-cache-ttl=60s id_cache_ttl:48",
			"listen=[:8000 :8001 :8002 :8003 :8004 :8005 :8006 :8007] http_port:9", "log-level=info log_level:11",
			"max-connections=1010000 client_maxconn:13", "max-header=4096 client_buffer_size:12",
			"max-message=1000000 push_in_http_max_body_size:42", "max-subscriptions=20 connection_subscription_max:49",
			"publish-listen=127.0.0.1:5561 push_in_http_addr:39", "routes=/etc/pushpin/routes routesfile:19",
			"set-x-forwarded-protocol=proto-only set_x_forwarded_protocol:23", "sig-iss=pushpin sig_iss:29", "sig-key=changeme sig_key:30",
		}},
	}
	for _, tt := range tests {
		c, err := Parse("/etc/pushpin", read(t, "testdata/"+tt.file), nil)
		if err != nil {
			t.Errorf("%s: %v", tt.file, err)
			continue
		}
		if got := shown(c); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", tt.file, got, tt.want)
		}
		want := []string{"push_in_spec", "push_in_sub_specs", "stats_spec", "command_spec"}
		if got := names(c.ZeroMQ); !slices.Equal(got, want) {
			t.Errorf("%s: ZeroMQ = %q, want %q", tt.file, got, want)
		}
		if len(c.Unserved) != 0 {
			t.Errorf("%s: Unserved = %v, want none", tt.file, c.Unserved)
		}
		if len(c.Tuning) != 17 || !slices.Contains(c.Tuning, "message_hwm") {
			t.Errorf("%s: %d without a meaning, %q", tt.file, len(c.Tuning), c.Tuning)
		}
	}
}

func TestInstalledFileIsTakenUnchanged(t *testing.T) {
	text, err := os.ReadFile("/etc/pushpin/pushpin.conf")
	if err != nil {
		t.Skip("Debian's pushpin is not installed")
	}
	if _, err := Parse("/etc/pushpin", text, nil); err != nil {
		t.Error(err)
	}
}

func TestSettingsBecomeOptions(t *testing.T) {
	const none = "publish-listen=off push_in_http_port:0"
	const routes = "routes=/d/routes routesfile:0"
	const proto, ttl = "set-x-forwarded-protocol=off set_x_forwarded_protocol:0", "id-cache-ttl=0s id_cache_ttl:0"
	const time = "backend-timeout=30m stream-timeout:0"
	sessions := func(from string) []string { return []string{"backend-concurrency=" + from, "backend-open=" + from} }
	tests := []struct {
		text string
		want []string // besides what is always there, unless named here
	}{
		{"", nil},
		{"\ufeff[runner]\r\n http_port = 80 \r\n", []string{"listen=[:80] http_port:2"}},
		{"[runner]\nhttp_port=127.0.0.1:80, [::1]:81,82", []string{"listen=[127.0.0.1:80 [::1]:81 :82] http_port:2"}},
		{"[global]\nport_offset=10\n[runner]\nhttp_port=80\n[handler]\npush_in_http_port=5561",
			[]string{"listen=[:80] http_port:4", "publish-listen=127.0.0.1:5571 push_in_http_port:6"}},
		{"[handler]\npush_in_http_addr=::\npush_in_http_port=5561", []string{"publish-listen=[::]:5561 push_in_http_addr:2"}},
		{"[handler]\npush_in_http_addr=10.0.0.1\npush_in_http_port=", []string{"publish-listen=off push_in_http_port:3"}},
		{"[proxy]\nroutesfile=/x/y", []string{"routes=/x/y routesfile:2"}},
		{"[proxy]\nroutesfile=a/b", []string{"routes=/d/a/b routesfile:2"}},
		{"[proxy]\nroutesfile=", []string{"routes=/d/routes routesfile:2"}},
		{"[proxy]\nroutesfile={rundir}/{ipc_prefix}r", []string{"routes=/d/run/pushpin-r routesfile:2"}},
		{"[proxy]\nroutesfile={rundir}/{libdir}/{x}\n[global]\nrundir=/v/{libdir}", []string{"routes=/v/{libdir}/{libdir}/{x} routesfile:2"}},
		{"[proxy]\nsig_key=file:k.pem\nupstream_key=file:/k.pem\nsig_iss=me", []string{
			"sig-iss=me sig_iss:4", "sig-key=file:/d/k.pem sig_key:2", "upstream-key=file:/k.pem upstream_key:3"}},
		{"[proxy]\nsig_key=\"a;b\\\\c\\\" d\" ; why\nsig_iss=", []string{`sig-key=a;b\c" d sig_key:2`}},
		{"[proxy]\nsig_key=base64:aGFsbG8=\n", []string{`sig-key=base64:aGFsbG8= sig_key:2`}},
		{"[runner]\nlog_level=condure:4,1,pushpin-proxy:3", []string{"log-level=warn log_level:2"}},
		{"[runner]\nlog_level=condure:0,pushpin-proxy:4", []string{"log-level=debug log_level:2"}},
		{"[runner]\nclient_maxconn=\nclient_buffer_size=4096\n",
			append(sessions("50000 client_maxconn:2"), "max-header=4096 client_buffer_size:3")},
		{"[runner]\nclient_maxconn=70", append(sessions("70 client_maxconn:2"), "max-connections=70 client_maxconn:2")},
		{"[runner]\nclient_maxconn=70\n[proxy]\nmax_open_requests=9",
			append(sessions("9 max_open_requests:4"), "max-connections=70 client_maxconn:2")},
		{"[proxy]\nmax_open_requests=-1", nil},
		{"[runner]\nclient_maxconn=9999999", append(sessions("1048576 client_maxconn:2"), "max-connections=9999999 client_maxconn:2")},
		{"[handler]\n# a\n; b\n\nconnection_subscription_max=5", []string{"max-subscriptions=5 connection_subscription_max:5"}},
		{"[global]\ninclude=/opt/lib/internal.conf", nil},
		{"[proxy]\ndebug=1\nauto_cross_origin=true\naccept_pushpin_route=0\naccept_x_forwarded_protocol=1\ncdn_loop=push.example", []string{
			"accept-pushpin-route=false accept_pushpin_route:4", "accept-x-forwarded-protocol=true accept_x_forwarded_protocol:5",
			"auto-cross-origin=true auto_cross_origin:3", "cdn-loop=push.example cdn_loop:6", "debug=true debug:2"}},
		{"[proxy]\nx_forwarded_for=\"truncate:0,append\"\nx_forwarded_for_trusted=append\nset_x_forwarded_protocol=true\n[handler]\nid_cache_ttl=5", []string{
			"id-cache-ttl=5s id_cache_ttl:6", "set-x-forwarded-protocol=true set_x_forwarded_protocol:4",
			"x-forwarded-for-trusted=append x_forwarded_for_trusted:3", "x-forwarded-for=truncate:0,append x_forwarded_for:2"}},
		{"[proxy]\nset_x_forwarded_protocol=yes\n[handler]\nid_cache_ttl=\n", []string{
			"id-cache-ttl=0s id_cache_ttl:4", "set-x-forwarded-protocol=off set_x_forwarded_protocol:2"}},
	}
	for _, tt := range tests {
		c, err := Parse("/d", []byte(tt.text), nil)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		want := slices.Clone(tt.want)
		for _, always := range append(sessions("50000 client_maxconn:0"), none, routes, proto, ttl, time) {
			option, _, _ := strings.Cut(always, "=")
			if !slices.ContainsFunc(want, func(line string) bool { return strings.HasPrefix(line, option+"=") }) {
				want = append(want, always)
			}
		}
		slices.Sort(want)
		if got := shown(c); !slices.Equal(got, want) {
			t.Errorf("%q:\ngot  %q\nwant %q", tt.text, got, want)
		}
	}
}

func TestMistakesAreNamedWithTheirLines(t *testing.T) {
	tests := []struct{ text, want string }{
		{"[runner]\nhttps_ports=443", "line 2: https_ports is not served: put a TLS server in front of http_port, and remove the line"},
		{"[runner]\nlocal_ports={rundir}/s", "line 2: local_ports is not served: have the server in front connect to http_port, and remove the line"},
		{"[handler]\nprometheus_port=9100", "line 2: prometheus_port is not served: set --metrics-listen, and remove the line"},
		{"[runner]\nservices=zurl,proxy, handler", "line 2: services leaves out condure or connmgr or mongrel2," +
			" and pushd would serve clients all the same: remove the line if that is right"},
		{"[runner]\nservices=condure,pushpin-proxy", "line 2: services leaves out pushpin-handler or handler," +
			" and pushd would take what is published all the same: remove the line if that is right"},
		{"[global]\ninclude=more.conf", "line 2: include is not followed: copy the settings of that file into this one"},
		{"[runner]\nhttp_prot=80", "line 2: unknown setting http_prot (did you mean http_port?)"},
		{"[runer]\nhttp_port=80", "line 2: unknown section [runer] (did you mean runner?)"},
		{"[runner]\nsig_key=secret", "line 2: sig_key belongs in section [proxy]"},
		{"[runner]\nhttp_port=80\nhttp_port=81", "line 3: http_port stands in line 2 too"},
		{"[runner]\nhttp_port=", "line 2: http_port is empty: there would be nowhere to serve clients"},
		{"[runner]\nhttp_port=80,", `line 2: http_port: "" is not PORT, ADDRESS:PORT or [IPV6]:PORT`},
		{"[runner]\nhttp_port=65536", `line 2: http_port: "65536" is not PORT, ADDRESS:PORT or [IPV6]:PORT`},
		{"[runner]\nhttp_port=80-90", `line 2: http_port: "80-90" is not PORT, ADDRESS:PORT or [IPV6]:PORT`},
		{"[runner]\nhttp_port=0", `line 2: http_port: "0" is not PORT, ADDRESS:PORT or [IPV6]:PORT`},
		{"[runner]\nclient_maxconn=many", `line 2: client_maxconn: "many" is not a number from 0 to 1099511627776`},
		{"[runner]\nlog_level=5", `line 2: log_level: "5" is not a number from 0 to 4`},
		{"[proxy]\nmax_open_requests=-2", `line 2: max_open_requests: "-2" is not a number from -1 to 1099511627776`},
		{"[proxy]\ndebug=maybe", `line 2: debug: "maybe" is neither true nor false`},
		{"[handler]\nid_cache_ttl=-1", `line 2: id_cache_ttl: "-1" is not a number from 0 to 86400`},
		{"[runner]\nlog_level=info", `line 2: log_level: "info" is not a number from 0 to 4`},
		{"[global]\nport_offset=65000\n[handler]\npush_in_http_port=5561", "line 4: push_in_http_port: with port_offset it is 70561, which is no port"},
		{"[global]\nport_offset=-1", `line 2: port_offset: "-1" is not a number from 0 to 65535`},
		{"http_port=80", "line 1: http_port stands before the first [SECTION]"},
		{"[runner", "line 1: want a section as [NAME]"},
		{"[]\nx=1", "line 1: want a section as [NAME]"},
		{"[runner]\nhttp_port 80", "line 2: want NAME=VALUE, [SECTION] or a comment"},
		{"[proxy]\nsig_key: dG9wc2VjcmV0=", "line 2: want NAME=VALUE, [SECTION] or a comment"},
		{"[proxy]\nsig_key secret = x", "line 2: want NAME=VALUE, [SECTION] or a comment"},
		{"[runner]\n=80", "line 2: want NAME=VALUE, [SECTION] or a comment"},
		{"[proxy]\nsig_key=top;secret", `line 2: sig_key: put the value in double quotes: it has a ; or \ or "`},
		{"[proxy]\nsig_key=\"top", "line 2: sig_key: the closing quote is missing"},
		{"[proxy]\nsig_key=\"top\" secret", "line 2: sig_key: there is text after the closing quote"},
		{"[proxy]\nsig_key=\"\\x41\"", `line 2: sig_key: after a \ in quotes only " or \ may come`},
		{"[proxy]\nsig_key=\"\\", `line 2: sig_key: after a \ in quotes only " or \ may come`},
		{"[proxy]\nsig_key=a\x01", "line 2: the line is no text: it has a control character, or is not UTF-8"},
		{"[proxy]\nsig_key=a\xff", "line 2: the line is no text: it has a control character, or is not UTF-8"},
		{strings.Repeat("\n", maxFileBytes+1), "line 0: the file is larger than 1 MiB"},
		{"[runner]\nhttp_port=\nhttps_ports=1\nx=1", "line 2: http_port is empty: there would be nowhere to serve clients\n" +
			"line 3: https_ports is not served: " + behind + "\nline 4: unknown setting x"},
	}
	for _, tt := range tests {
		c, err := Parse("/d", []byte(tt.text), first)
		if c != nil || err == nil || err.Error() != tt.want {
			t.Errorf("%.60q: err = %v\nwant %s", tt.text, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), "top") || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "dG9w")) {
			t.Errorf("%q: the error shows the key: %v", tt.text, err)
		}
	}
}

func TestVeryManyMistakesAreNotAllListed(t *testing.T) {
	_, err := Parse("/d", []byte(strings.Repeat("x\n", 10_000)), nil)
	var all Errors
	if !errors.As(err, &all) || len(all) != maxProblems {
		t.Errorf("%d mistakes, want %d", len(all), maxProblems)
	}
}

func TestWishesThatAreNotServed(t *testing.T) {
	text := "[proxy]\nlog_from=true\nlog_user_agent=0\norig_headers_need_mark=X-A\n" +
		"[handler]\nstate_spec=x\npush_in_sub_connect=false\npush_in_spec=\nmessage_rate=1\n[runner]\nhttps_ports=\n"
	c, err := Parse("/d", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range c.Unserved {
		got = append(got, n.String())
	}
	want := []string{
		"log_from (line 2): requests are not logged one by one",
		"orig_headers_need_mark (line 4): orig_headers is not served",
		"state_spec (line 6): sessions are not served",
	}
	if !slices.Equal(got, want) {
		t.Errorf("Unserved =\n%q, want\n%q", got, want)
	}
	if len(c.ZeroMQ) != 0 || !slices.Equal(c.Tuning, []string{"message_rate"}) {
		t.Errorf("ZeroMQ = %v, Tuning = %q", c.ZeroMQ, c.Tuning)
	}
}

// A ZeroMQ socket that another program may use is listed whatever its value. One between Pushpin's
// processes is not.
func TestZeroMQSocketsAreListed(t *testing.T) {
	tests := []struct{ text, want string }{
		{"[handler]\npush_in_spec=tcp://127.0.0.1:5560", "push_in_spec (line 2): " + lost},
		{"[handler]\npush_in_spec=tcp://*:5560", "push_in_spec (line 2): " + lost},
		{"[handler]\npush_in_spec=ipc://x", "push_in_spec (line 2): " + lost},
		{"[handler]\npush_in_sub_specs=tcp://127.0.0.1:5562,tcp://a:1", "push_in_sub_specs (line 2): " + lost},
		{"[handler]\npush_in_sub_spec=tcp://a:1", "push_in_sub_spec (line 2): " + lost},
		{"[handler]\npush_in_sub_connect=true", "push_in_sub_connect (line 2): pushd connects to no publisher," +
			" and what they publish is lost"},
		{"[handler]\nstats_spec=ipc://{rundir}/{ipc_prefix}stats", "stats_spec (line 2): " + noFigures},
		{"[handler]\ncommand_spec=ipc://x", "command_spec (line 2): " + noAnswer},
		{"[proxy]\nm2a_in_specs=ipc://{rundir}/a, tcp://front:1", "m2a_in_specs (line 2): " + notReached},
		{"[proxy]\nm2a_in_specs=ipc://{rundir}/a,ipc://b\nstats_spec=inproc://c\ncommand_spec=", ""},
		{"[handler]\npush_in_spec=\npush_in_sub_connect=0", ""},
	}
	for _, tt := range tests {
		c, err := Parse("/d", []byte(tt.text), nil)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		var got []string
		for _, n := range c.ZeroMQ {
			got = append(got, n.String())
		}
		if strings.Join(got, "; ") != tt.want {
			t.Errorf("%q: ZeroMQ = %q, want %q", tt.text, got, tt.want)
		}
	}
}

// The page for those who come from Pushpin names each setting that is not internal to Pushpin.
func TestEverySettingIsDocumented(t *testing.T) {
	page := string(read(t, "../../docs/migrating-from-pushpin.md"))
	for _, s := range sections {
		for _, k := range s.keys {
			hidden := k.class == internal || k.class == tuning && strings.HasSuffix(k.name, "_bin")
			if !hidden && !strings.Contains(page, "`"+k.name+"`") {
				t.Errorf("docs/migrating-from-pushpin.md does not name %s of [%s]", k.name, s.name)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, path := range []string{"testdata/debian.conf", "testdata/one-million.conf"} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("[proxy]\nsig_key=\"a\\\"\" ; c\nroutesfile={rundir}{libdir}\n[runner]\nlog_level=a:1,2\nhttp_port=[::1]:5,6"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("/d", text, first)
		lines := strings.Count(string(text), "\n") + 1
		if err != nil {
			var all Errors
			if !errors.As(err, &all) || len(all) == 0 || c != nil {
				t.Fatalf("Parse = %v, %v, want Errors only", c, err)
			}
			for _, p := range all {
				if p.Line < 0 || p.Line > lines || p.Text == "" {
					t.Errorf("%+v in a file of %d lines", p, lines)
				}
			}
			return
		}
		options := map[string]bool{}
		for _, s := range c.Settings {
			if options[s.Option] || s.Line > lines || s.Name == "" || s.Value == "" {
				t.Errorf("%+v: twice, empty or not from the file", s)
			}
			options[s.Option] = true
		}
		if !options["routes"] || !options["publish-listen"] {
			t.Errorf("options = %v, want routes and publish-listen always", options)
		}
	})
}
