package route

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
)

func mustParse(t testing.TB, text string) *Table {
	t.Helper()
	table, err := Parse("routes", []byte(text), Options{})
	if err != nil {
		t.Fatalf("Parse(%q) = %v", text, err)
	}
	return table
}

// parseLine returns the only route of text.
func parseLine(t testing.TB, text string) *Route {
	t.Helper()
	routes := mustParse(t, text).Routes()
	if len(routes) != 1 {
		t.Fatalf("Parse(%q) has %d routes, want 1", text, len(routes))
	}
	return routes[0]
}

func TestEveryParameterOfACondition(t *testing.T) {
	backend := []Target{{Addr: "b:80", Host: "b"}}
	for _, tt := range []struct {
		text string
		want Route
	}{
		{"* b:80", Route{ID: "*", Host: "*"}},
		{"Chat.Example b:80", Route{ID: "chat.example", Host: "chat.example"}},
		{"a.example. b:80", Route{ID: "a.example.", Host: "a.example."}},
		{"127.0.0.1 b:80", Route{ID: "127.0.0.1", Host: "127.0.0.1"}},
		{"[2001:DB8:0::1] b:80", Route{ID: "2001:db8::1", Host: "2001:db8::1"}},
		{"::1 b:80", Route{ID: "::1", Host: "::1"}},
		{"*,proto=http b:80", Route{ID: "*,proto=http", Host: "*", Protocol: HTTP}},
		{"*,proto=ws b:80", Route{ID: "*,proto=ws", Host: "*", Protocol: WebSocket}},
		{"*,ssl=yes b:80", Route{ID: "*,ssl=yes", Host: "*", TLS: WithTLS}},
		{"*,ssl=no b:80", Route{ID: "*,ssl=no", Host: "*", TLS: WithoutTLS}},
		{"*,path_beg=/x b:80", Route{ID: "*,path_beg=/x", Host: "*", PathBeg: "/x"}},
		{"*,path_beg=/%7ea%2f%65 b:80", Route{ID: "*,path_beg=/~a%2fe", Host: "*", PathBeg: "/~a%2fe"}},
		{"*,path_beg=/%C3%A9,ssl=no b:80", Route{ID: "*,ssl=no,path_beg=/%C3%A9", Host: "*", TLS: WithoutTLS, PathBeg: "/%C3%A9"}},
		{"*,id=one b:80", Route{ID: "one", Named: true, Host: "*"}},
		{"id=one b:80", Route{ID: "one", Named: true}},
		{",id=one b:80", Route{ID: "one", Named: true}},
		{"path_beg=/x,id=one b:80", Route{ID: "one", Named: true, PathBeg: "/x"}},
		{"*,path_rem=3 b:80", Route{ID: "*", Host: "*", PathRem: 3}},
		{"*,path_beg=/x,replace_beg=/y b:80", Route{ID: "*,path_beg=/x", Host: "*", PathBeg: "/x", Replace: true, ReplaceBeg: "/y"}},
		{"*,path_beg=/x,replace_beg= b:80", Route{ID: "*,path_beg=/x", Host: "*", PathBeg: "/x", Replace: true}},
		{"*,path_rem=3,replace_beg=/y b:80", Route{ID: "*", Host: "*", Replace: true, ReplaceBeg: "/y"}},
		{"*,as_host=app.example:81 b:80", Route{ID: "*", Host: "*", AsHost: "app.example:81"}},
		{"*,as_host=[::1]:81 b:80", Route{ID: "*", Host: "*", AsHost: "[::1]:81"}},
		{"*,sig_iss=me,sig_key=base64:AAEC b:80", Route{ID: "*", Host: "*", SigIss: "me", SigKey: "base64:AAEC"}},
		{"*,sig_key=file:keys/a.pem b:80", Route{ID: "*", Host: "*", SigKey: "file:keys/a.pem"}},
		{"*,prefix=ws- b:80", Route{ID: "*", Host: "*", Prefix: "ws-"}},
		{"*,prefix= b:80", Route{ID: "*", Host: "*"}},
		{"*,header=A:1,header=B:2,header=a:3,header=C: b:80",
			Route{ID: "*", Host: "*", Headers: []Header{{"C", ""}, {"B", "2"}, {"A", "1"}}}},
		{`*,"header=X-Env: a, b#\"\\" b:80`, Route{ID: "*", Host: "*", Headers: []Header{{"X-Env", `a, b#"\`}}}},
		{"*,no_grip,debug,aco b:80", Route{ID: "*", Host: "*", NoGRIP: true, Debug: true, AutoCORS: true}},
		{"*,log_level=3 b:80", Route{ID: "*", Host: "*"}},
	} {
		tt.want.Line, tt.want.Targets = 1, backend
		if got := parseLine(t, tt.text); !reflect.DeepEqual(*got, tt.want) {
			t.Errorf("Parse(%q) = %+v, want %+v", tt.text, *got, tt.want)
		}
	}
}

func TestEveryParameterOfATarget(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []Target
	}{
		{"localhost:80", []Target{{Addr: "localhost:80", Host: "localhost"}}},
		{"10.0.0.5:8000", []Target{{Addr: "10.0.0.5:8000", Host: "10.0.0.5"}}},
		{"[2001:DB8::1]:65535", []Target{{Addr: "[2001:db8::1]:65535", Host: "2001:db8::1"}}},
		{"[fe80::1%eth0]:80", []Target{{Addr: "[fe80::1%eth0]:80", Host: "fe80::1%eth0"}}},
		{"my_app.Internal:1", []Target{{Addr: "my_app.internal:1", Host: "my_app.internal"}}},
		{"b:80 c:80 b:81", []Target{{Addr: "b:80", Host: "b"}, {Addr: "c:80", Host: "c"}, {Addr: "b:81", Host: "b"}}},
		{"b:443,ssl,insecure,trust_connect_host,host=x:1", []Target{{Addr: "b:443", Host: "b", TLS: true, Insecure: true, TrustConnectHost: true, AsHost: "x:1"}}},
		{"b:443,ssl,client_cert=c.pem,client_key=k.pem", []Target{{Addr: "b:443", Host: "b", TLS: true, ClientCert: "c.pem", ClientKey: "k.pem"}}},
		{"b:80,untrusted", []Target{{Addr: "b:80", Host: "b", Untrusted: true}}},
		{"b:80,trusted", []Target{{Addr: "b:80", Host: "b"}}},
		{"b:80,over_http,one_event", []Target{{Addr: "b:80", Host: "b", OverHTTP: true, OneEvent: true}}},
		{`b:80,sub=a,sub="b c"`, []Target{{Addr: "b:80", Host: "b", Subs: []string{"a", "b c"}}}},
		{"test", []Target{{Kind: Test}}},
		{"test,over_http,sub=a", []Target{{Kind: Test, Subs: []string{"a"}}}},
		{"b:80 test", []Target{{Addr: "b:80", Host: "b"}, {Kind: Test}}},
		{"direct", []Target{{Kind: Direct}}},
		{"direct,channel=a,channel=b", []Target{{Kind: Direct, Channels: []string{"a", "b"}}}},
	} {
		if got := parseLine(t, "* "+tt.text).Targets; !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Parse(%q) has targets %+v, want %+v", tt.text, got, tt.want)
		}
	}
}

func TestLinesWithoutARoute(t *testing.T) {
	const text = "\ufeff# first\r\n\r\n   \n \t # tab before a comment, and \xff in it\n  *  b:80  # one\n*,path_beg=/x b:80#two\n"
	routes := mustParse(t, text).Routes()
	if len(routes) != 2 || routes[0].Line != 5 || routes[1].Line != 6 || routes[1].Targets[0].Addr != "b:80" {
		t.Errorf("Parse(%q) = %v", text, routes)
	}
}

// TestExamplesOfTheReference has the examples of GRIP's reference, but for the line with SockJS.
func TestExamplesOfTheReference(t *testing.T) {
	table := mustParse(t, `# everything to one app, WebSockets over HTTP
* 127.0.0.1:8000,over_http
chat.example,path_beg=/v2/,replace_beg=/api/ backend1:8080 backend2:8080
*,proto=ws,id=wsroute,prefix=ws- 10.0.0.5:443,ssl,host=app.internal,untrusted
`)
	want := []Route{
		{Line: 2, ID: "*", Host: "*", Targets: []Target{{Addr: "127.0.0.1:8000", Host: "127.0.0.1", OverHTTP: true}}},
		{Line: 3, ID: "chat.example,path_beg=/v2/", Host: "chat.example", PathBeg: "/v2/", Replace: true, ReplaceBeg: "/api/",
			Targets: []Target{{Addr: "backend1:8080", Host: "backend1"}, {Addr: "backend2:8080", Host: "backend2"}}},
		{Line: 4, ID: "wsroute", Named: true, Host: "*", Protocol: WebSocket, Prefix: "ws-",
			Targets: []Target{{Addr: "10.0.0.5:443", Host: "10.0.0.5", TLS: true, AsHost: "app.internal", Untrusted: true}}},
	}
	for i, r := range table.Routes() {
		if !reflect.DeepEqual(*r, want[i]) {
			t.Errorf("route %d = %+v, want %+v", i, *r, want[i])
		}
	}
	if got, want := strings.Join(table.Hosts(), " "), "10.0.0.5 127.0.0.1 backend1 backend2"; got != want {
		t.Errorf("Hosts() = %s, want %s", got, want)
	}
	if got := string(table.Routes()[1].AppendPath(nil, []byte("/v2/rooms"))); got != "/api/rooms" {
		t.Errorf("AppendPath = %s, want /api/rooms", got)
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		// what the sections are made of
		{"*\tb:80", `1:2: a tab is no separator; write spaces, or put it in quotes`},
		{"* b:80\t", `1:7: a tab is no separator; write spaces, or put it in quotes`},
		{"*,path_beg=/x, b:80", `1:15: no parameter follows the comma`},
		{"* b:80,", `1:8: no parameter follows the comma`},
		{"*,=x b:80", `1:3: the parameter has no name before its =`},
		{`*,"prefix=a b:80`, `1:3: this quote is not closed`},
		{`*,prefix="a\n" b:80`, `1:12: within quotes a backslash comes before " or \ only; write \\ for a backslash`},
		{`*,prefix="a\`, `1:12: within quotes a backslash comes before " or \ only; write \\ for a backslash`},
		{"*,prefix=\xff b:80", `1:10: this is not UTF-8`},
		{"*,prefix=\"\x01\" b:80", `1:11: this is a control character`},
		{"* b:80\rc:80", `1:7: this is a control character`},
		{"*", `1:1: there is no target; a target follows the condition after a space`},
		{"  *,debug # b:80", `1:3: there is no target; a target follows the condition after a space`},
		// hosts
		{"*.example b:80", `1:1: "*.example": there are no wildcards within a host; name each host on its own line, or use * alone for all others`},
		{"a.example:80 b:80", `1:1: "a.example:80": a condition has a host without a port; write a.example`},
		{"http://a.example/ b:80", `1:1: "http://a.example/": a condition has a host, not a URL`},
		{"a..example b:80", `1:1: host "a..example" is no host name: letters, digits, - and _ between dots`},
		{"-a b:80", `1:1: host "-a" is no host name: letters, digits, - and _ between dots`},
		{"münchen.example b:80", `1:1: host "münchen.example" is not in ASCII: write its xn-- form`},
		{"[::1 b:80", `1:1: host "[::1" has [ without ]`},
		{"[a] b:80", `1:1: host "[a]" is no IPv6 address`},
		{"300.1.1.1 b:80", `1:1: host "300.1.1.1" ends in a number and is no IPv4 address`},
		{strings.Repeat("a", 64) + " b:80", `1:1: host "` + strings.Repeat("a", 64) + `" is too long for a host name`},
		{"path_beg=/x b:80", `1:1: the condition has neither a host nor an id; begin the line with a host, or with * for any host`},
		{strings.Repeat("a.", 128) + "a b:80", `1:1: host "` + strings.Repeat("a.", 128) + `a" is too long for a host name`},
		{`"::1%a,b" b:80`, `1:1: host "::1%a,b" is no host name: letters, digits, - and _ between dots`},
		// parameters of a condition
		{"*,path_begin=/x b:80", `1:3: unknown parameter "path_begin" of a condition; did you mean "path_beg"?`},
		{"*,Path_beg=/x b:80", `1:3: unknown parameter "Path_beg" of a condition; did you mean "path_beg"?`},
		{"*,nogrip b:80", `1:3: unknown parameter "nogrip" of a condition; did you mean "no_grip"?`},
		{"*,overhttp b:80", `1:3: unknown parameter "overhttp" of a condition; did you mean "over_http"?`},
		{"*,zzz b:80", `1:3: unknown parameter "zzz" of a condition`},
		{"*,sub=a b:80", `1:3: sub is no parameter of a condition; put it after a target`},
		{"*,path_beg=/x,debug,path_beg=/y b:80", `1:21: path_beg is given twice`},
		{"*,path_beg b:80", `1:3: path_beg needs a value: path_beg=...`},
		{"*,path_beg= b:80", `1:3: the value of path_beg is empty`},
		{"*,path_beg=x b:80", `1:3: path_beg "x" does not begin with /, as every path does; write path_beg=/x`},
		{"*,path_beg=/x?y b:80", `1:3: path_beg "/x?y" has a ? or #, with which a path ends`},
		{"*,path_beg=/é b:80", `1:3: path_beg "/é" has a character that stands percent-encoded in a path`},
		{"*,debug=yes b:80", `1:3: debug has no value here; write just debug`},
		{"*,proto=https b:80", `1:3: proto "https" is neither http nor ws; did you mean "http"?`},
		{"*,ssl=true b:80", `1:3: ssl "true" is neither yes nor no`},
		{"*,ssl b:80", `1:3: ssl needs a value: ssl=...`},
		{"*,path_rem=-1 b:80", `1:3: path_rem "-1" is no number of bytes up to 65535`},
		{"*,as_host=a:b b:80", `1:3: as_host "a:b" has no port from 1 to 65535`},
		{"*,as_host=[::1 b:80", `1:3: as_host "[::1" has [ without ]`},
		{"*,as_host=a/b b:80", `1:3: as_host "a/b" is no host name: letters, digits, - and _ between dots`},
		{"*,header=X b:80", `1:3: header "X" is not NAME:VALUE`},
		{"*,header=:x b:80", `1:3: header ":x" is not NAME:VALUE`},
		{`*,"header=X Y:1" b:80`, `1:3: header "X Y:1" has a name that is no token`},
		{"*,header=host:x b:80", `1:3: header "host:x" is for the proxy to set; as_host sets it`},
		{"*,sig_key=base64:secret b:80", `1:3: sig_key is not base64 as its prefix says`},
		{"*,sig_key=file: b:80", `1:3: sig_key names no file`},
		{"*,prefix=" + strings.Repeat("p", 255) + " b:80", `1:3: prefix "` + strings.Repeat("p", 255) + `" leaves no room for a channel's name`},
		{"*,log_level=5 b:80", `1:3: log_level "5" is no number from 0 to 4`},
		// targets
		{"* ,ssl", `1:3: a target begins with HOST:PORT, test or direct, and has its parameters after a comma`},
		{"* over_http=1", `1:3: a target begins with HOST:PORT, test or direct, and has its parameters after a comma|1:3: over_http has no value here; write just over_http`},
		{"* localhost", `1:3: target "localhost" has no port; write localhost:80`},
		{"* tset", `1:3: target "tset" has no port; did you mean "test"?`},
		{"* Direct", `1:3: target "Direct" has no port; did you mean "direct"?`},
		{"* b:", `1:3: target "b:" has no port from 1 to 65535`},
		{"* b:0", `1:3: target "b:0" has no port from 1 to 65535`},
		{"* b:65536", `1:3: target "b:65536" has no port from 1 to 65535`},
		{"* b:http", `1:3: target "b:http" has no port from 1 to 65535`},
		{"* b:+80", `1:3: target "b:+80" has no port from 1 to 65535`},
		{"* :80", `1:3: target ":80" is no host name: letters, digits, - and _ between dots`},
		{"* b_/:80", `1:3: target "b_/:80" is no host name: letters, digits, - and _ between dots`},
		{"* ::1:80", `1:3: target "::1:80" is not HOST:PORT; an IPv6 address is written [2001:db8::1]:80`},
		{`* "[::1%a,b]:80"`, `1:3: target "[::1%a,b]:80" is no IPv6 address`},
		{"* [::1]80", `1:3: target "[::1]80" has no port from 1 to 65535`},
		{"* https://b:443", `1:3: target "https://b:443" is a URL, not an address; write HOST:PORT,ssl`},
		{"* b:80,debug", `1:8: debug is no parameter of a target; put it in the condition, before the targets`},
		{"* b:80,ssl=no", `1:8: ssl has no value here; write just ssl`},
		{"* b:80,unsecure", `1:8: unknown parameter "unsecure" of a target; did you mean "insecure"?`},
		{"* b:80,sub=", `1:8: the value of sub is empty`},
		{"* b:80,sub=" + strings.Repeat("s", 256), `1:8: sub "` + strings.Repeat("s", 256) + `" names no channel: channel name "` +
			strings.Repeat("s", 64) + `"... is 256 bytes long, at most 255 are allowed`},
		{"* b:80,trusted,untrusted", `1:8: the target is both trusted and untrusted`},
		{"* b:443,ssl,client_cert=x", `1:3: client_cert and client_key go together`},
		{"* b:80,channel=x", `1:8: channel is for the target direct only; sub=... subscribes to a channel as well`},
		{"* direct,over_http", `1:10: over_http means nothing for the target direct`},
		{"*,aco,prefix=x direct", `1:3: aco means nothing for the target direct|1:7: prefix means nothing for the target direct`},
		{"* direct b:80", `1:3: direct is the only target of its line`},
		{"* b:80 direct", `1:8: direct is the only target of its line`},
		// what pushd does not serve
		{"*,sockjs=/x b:80", `1:3: pushd does not serve sockjs; --skip-unserved-routes leaves the line out`},
		{"*,path_beg=/sjs,sockjs=/sjs,sockjs_as_path=/ws,\"header=X-Env:a, b\" 127.0.0.1:8000,over_http",
			`1:17: pushd does not serve sockjs; --skip-unserved-routes leaves the line out|1:29: pushd does not serve sockjs_as_path; --skip-unserved-routes leaves the line out`},
		{"* b:80,session", `1:8: pushd does not serve session; --skip-unserved-routes leaves the line out`},
		{"* zhttp/tcp://127.0.0.1:1", `1:3: pushd does not serve zhttp targets; --skip-unserved-routes leaves the line out`},
		{"* b:80 zhttpreq/ipc://x,ipc_file_mode=600", `1:8: pushd does not serve zhttpreq targets; --skip-unserved-routes leaves the line out|1:25: pushd does not serve ipc_file_mode; --skip-unserved-routes leaves the line out`},
		// several in one line
		{"a..b,dbug,proto=x c", `1:1: host "a..b" is no host name: letters, digits, - and _ between dots|1:6: unknown parameter "dbug" of a condition; did you mean "debug"?|1:11: proto "x" is neither http nor ws|1:19: target "c" has no port; write c:80`},
		// the file
		{"", `there is no route`},
		{"# nothing", `there is no route`},
	} {
		table, err := Parse("f", []byte(tt.line), Options{})
		want := "f:" + strings.ReplaceAll(tt.want, "|", "\nf:")
		if strings.HasPrefix(tt.want, "there is no route") {
			want = "f: " + tt.want
		}
		if table != nil || err == nil || err.Error() != want {
			t.Errorf("Parse(%q) = %v, error\n%v\nwant\n%s", tt.line, table, err, want)
		}
	}
}

func TestAllMistakesOfAFile(t *testing.T) {
	_, err := Parse("f", []byte("* b:80,sll\n# fine\na b:81\n*,ssl=maybe b:80\n\"\n"), Options{})
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 3 {
		t.Fatalf("Parse = %v, want 3 mistakes", err)
	}
	for i, want := range []Problem{
		{"f", 1, 8, `unknown parameter "sll" of a target`, `did you mean "ssl"?`},
		{"f", 4, 3, `ssl "maybe" is neither yes nor no`, ""},
		{"f", 5, 1, "this quote is not closed", ""},
	} {
		if *errs[i] != want {
			t.Errorf("mistake %d = %+v, want %+v", i, *errs[i], want)
		}
	}
	var p *Problem
	if !errors.As(err, &p) || p != errs[0] {
		t.Errorf("errors.As finds %v, want the first mistake", p)
	}
}

func TestFileThatIsNotForRoutes(t *testing.T) {
	_, err := Parse("f", []byte(strings.Repeat("\x00\n", 10*maxMistakes)), Options{})
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != maxMistakes+1 {
		t.Fatalf("%d mistakes, want %d", len(errs), maxMistakes+1)
	}
	if got, want := errs[maxMistakes].Error(), "f: there are more mistakes, which are not listed"; got != want {
		t.Errorf("the last is %q, want %q", got, want)
	}
}

func TestKeysAreNotShownInErrors(t *testing.T) {
	_, err := Parse("f", []byte("*,sig_key=base64:top-secret,sig_key=top-secret b:80"), Options{})
	if err == nil || strings.Contains(err.Error(), "top-secret") {
		t.Errorf("Parse = %v", err)
	}
}

func TestTooLargeFile(t *testing.T) {
	_, err := Parse("f", make([]byte, maxFileBytes+1), Options{})
	if err == nil || err.Error() != "f: the file is larger than 16 MiB" {
		t.Errorf("Parse = %v", err)
	}
}

func TestSkippedLines(t *testing.T) {
	table, err := Parse("f", []byte("* b:80\na,sockjs=/x,dbug b:80,over_http\nb,session b:80 zhttp/x\n"), Options{SkipUnserved: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(table.Routes()); n != 1 {
		t.Errorf("%d routes, want 1", n)
	}
	checkWarnings(t, table, `2:3: line left out, because pushd does not serve sockjs; other routes may match its requests
3:3: line left out, because pushd does not serve session; other routes may match its requests
3:16: line left out, because pushd does not serve zhttp targets; other routes may match its requests`)
	if r := table.Match(Request{Host: []byte("a"), Path: []byte("/")}); r != table.Routes()[0] {
		t.Errorf("Match = %v", r)
	}
	if _, err := Parse("f", []byte("a,sockjs=/x b:80"), Options{SkipUnserved: true}); err == nil {
		t.Error("a file of which nothing is left passes")
	}
}

func checkWarnings(t *testing.T, table *Table, want string) {
	t.Helper()
	var got []string
	for _, p := range table.Warnings() {
		got = append(got, strings.TrimPrefix(p.Error(), "f:"))
	}
	if strings.Join(got, "\n") != want {
		t.Errorf("warnings of %q are\n%s\nwant\n%s", table, strings.Join(got, "\n"), want)
	}
}

func TestWarnings(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"* b:80", ""},
		{"* b:80\na b:80", ""},
		{"* b:80\na,path_beg=/ b:80", ""},
		{"* b:80\na,ssl=yes b:80\na,ssl=no b:80", ""},
		{"a,path_beg=/x b:80", ""},
		{"a,path_beg=/x b:80\na,path_beg=/y b:80\n* b:80", "1: requests for a that match none of its routes get 502: they do not fall back to those of *"},
		{"a,ssl=yes b:80\n* b:80", "1: requests for a that match none of its routes get 502: they do not fall back to those of *"},
		{"*,proto=ws b:80", "1:3: WebSocket requests on proxied routes are not served yet: they get 501"},
		{"*,proto=ws b:80,over_http", "1:3: WebSocket requests on proxied routes are not served yet: they get 501"},
		{"*,proto=ws direct", ""},
		{"* b:80,over_http c:80,over_http", "1:3: over_http is not served yet: WebSocket requests get 501"},
		{"* b:80\n*,debug b:81\nA b:80\na b:80", "2: line left out: line 1 has the same condition\n4: line left out: line 3 has the same condition"},
		{"*,id=x b:80\na,id=x b:80\nb,id=x b:80", "1: id x is given to other routes too: none of them is found by it"},
		{"*,log_level=1 b:80", "1:3: log_level is not served: the route logs as all others do"},
		{"*,sig_key=changeme b:80", "1:3: sig_key is changeme, which everybody knows"},
		{"*,path_rem=1,replace_beg=/ b:80", "1:1: path_rem means nothing beside replace_beg"},
		{"*,header=X:1,header=x:2 b:80", "1:1: header x is given twice: the first counts"},
		{"* test b:80", "1:8: the targets after test are never tried"},
		{"* test,over_http,ssl", "1:8: over_http means nothing for the target test\n1:18: ssl means nothing for the target test"},
		{"* b:80,insecure,trust_connect_host", "1:8: insecure means nothing without ssl\n1:17: trust_connect_host means nothing without ssl"},
		{"*,path_beg=/ab b:80\n*,path_beg=/a,ssl=yes b:81",
			"1: line 2 takes requests in spite of the longer path_beg here, as in Pushpin: an ssl that comes later counts more"},
		{"*,path_beg=/a,ssl=yes b:81\n*,path_beg=/ab b:80", ""},
	} {
		table, err := Parse("f", []byte(tt.text), Options{})
		if err != nil {
			t.Errorf("Parse(%q) = %v", tt.text, err)
			continue
		}
		checkWarnings(t, table, tt.want)
	}
}

func TestDidYouMean(t *testing.T) {
	all := []string{"path_beg", "proto", "no_grip"}
	for word, want := range map[string]string{
		"path_beg": `did you mean "path_beg"?`, "pathbeg": `did you mean "path_beg"?`, "ptah_beg": `did you mean "path_beg"?`,
		"prot": `did you mean "proto"?`, "no_": `did you mean "no_grip"?`, "": "", "x": "", "po": "", "something": "",
		strings.Repeat("path_beg", 1000): "",
	} {
		if got := didYouMean(word, all); got != want {
			t.Errorf("didYouMean(%.20q) = %q, want %q", word, got, want)
		}
	}
}

// The page for backend developers names each parameter.
func TestPageNamesEveryParameter(t *testing.T) {
	page, err := os.ReadFile("../../docs/grip.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]parameter{conditionParameters, targetParameters} {
		for _, p := range list {
			if !strings.Contains(string(page), "`"+p.name+"`") && !strings.Contains(string(page), "`"+p.name+"=") && !strings.HasPrefix(p.name, "jsonp_") {
				t.Errorf("docs/grip.md does not name %s", p.name)
			}
		}
	}
}
