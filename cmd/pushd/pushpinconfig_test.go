package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/server"
)

// pushpinTestdata are the files that people have: Debian's, and the one of the published set-up for a million connections.
const pushpinTestdata = "../../pkg/pushpinconf/testdata/"

const skipZeroMQHint = "publish over HTTP (push_in_http_port) or with pushpub, and remove these lines;" +
	" or start without these sockets (--skip-zeromq)"

func writePushpinConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pushpin.conf")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPackagedPushpinConfigsStart(t *testing.T) {
	dir, err := filepath.Abs(pushpinTestdata)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		file      string
		listen    []string
		maxHeader int
		maxConn   int
	}{
		{"debian.conf", []string{":7999"}, 8192, 50_000},
		{"one-million.conf", []string{":8000", ":8001", ":8002", ":8003", ":8004", ":8005", ":8006", ":8007"}, 4096, 1_010_000},
	}
	for _, tt := range tests {
		o, code, stdout, stderr := start(t, "--pushpin-config", pushpinTestdata+tt.file, "--skip-zeromq")
		if code != app.OK || stdout != "" {
			t.Errorf("%s: exit %d: %s", tt.file, code, stderr)
			continue
		}
		if !slices.Equal(o.Listen, tt.listen) || o.PublishListen != "127.0.0.1:5561" || o.Routes != dir+"/routes" || o.MaxHeader != tt.maxHeader ||
			o.MaxMessage != 1_000_000 || o.MaxSubscriptions != 20 || o.SigIssuer != "pushpin" || o.SigKey == nil || o.UpstreamKey != nil {
			t.Errorf("%s: options = %+v", tt.file, o)
		}
		if b := o.Backends; o.BackendTimeout != 30*time.Minute || o.BackendConcurrency != (b.Connections+1)/2 || b.Open < minOpen {
			t.Errorf("%s: backends have %d of %d places for %v, and %d answers are open", tt.file, o.BackendConcurrency, b.Connections, o.BackendTimeout, b.Open)
		}
		most := server.FileLimit() - server.SpareFiles(o.Loops, len(o.Listen)) - o.Backends.Files()
		if want := min(tt.maxConn, most); o.MaxConnections != want {
			t.Errorf("%s: max-connections = %d, want %d", tt.file, o.MaxConnections, want)
		}
		if got := strings.Contains(stderr, "client_maxconn is more than"); got != (most < tt.maxConn) {
			t.Errorf("%s: warns of too few open files: %t, with room for %d: %s", tt.file, got, most, stderr)
		}
		for _, want := range []string{
			`level=WARN msg="the file has ZeroMQ sockets, which are not opened: messages published to them are lost" file=` + pushpinTestdata + tt.file +
				` settings="[push_in_spec push_in_sub_specs stats_spec command_spec]"`,
			`level=INFO msg="the file has settings without a meaning here"`,
			`level=WARN msg="sig-key: it is \"changeme\"`,
		} {
			if strings.Count(stderr, want) != 1 {
				t.Errorf("%s: the log has %q %d times, want once:\n%s", tt.file, want, strings.Count(stderr, want), stderr)
			}
		}
	}
}

func TestPushpinConfigGivesWayToEverythingElse(t *testing.T) {
	conf := writePushpinConfig(t, "[runner]\nhttp_port=81\nclient_buffer_size=1000\nlog_level=1\n"+
		"[handler]\nconnection_subscription_max=1\npush_in_http_port=5000\n[proxy]\nsig_iss=pushpin.conf\n")
	t.Setenv("PUSHD_PUSHPIN_CONFIG", conf)
	t.Setenv("PUSHD_MAX_HEADER", "2000")
	t.Setenv("PUSHD_MAX_SUBSCRIPTIONS", "2")
	file := writeConfig(t, "max-header = 3000\nmax-subscriptions = 3\nsig-iss = \"toml\"\nidle-timeout = \"3s\"\n")
	args := []string{"--config", file, "--max-header", "1111"}
	o, code, _, stderr := start(t, args...)
	if code != app.OK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if o.MaxHeader != 1111 || o.MaxSubscriptions != 2 || o.SigIssuer != "toml" || !slices.Equal(o.Listen, []string{":81"}) ||
		o.PublishListen != "127.0.0.1:5000" || o.Routes != filepath.Dir(conf)+"/routes" {
		t.Errorf("options = %+v", o)
	}
	all := checked(t, args...)
	want := map[string]source{
		"max-header":        {Kind: fromFlag},
		"max-subscriptions": {Kind: fromEnvironment, Env: "PUSHD_MAX_SUBSCRIPTIONS"},
		"sig-iss":           {Kind: fromFile, File: file, Line: 3},
		"idle-timeout":      {Kind: fromFile, File: file, Line: 4},
		"listen":            {Kind: fromFile, File: conf, Line: 2},
		"log-level":         {Kind: fromFile, File: conf, Line: 4},
		"publish-listen":    {Kind: fromFile, File: conf, Line: 7},
		"routes":            {Kind: fromFile, File: conf},
		"ws-ping":           {Kind: fromDefault},
	}
	for name, source := range want {
		if all[name].source != source {
			t.Errorf("%s comes from %+v, want %+v", name, all[name].source, source)
		}
	}
	if _, _, stdout, _ := start(t, append(args, "check")...); !strings.Contains(stdout, "file "+conf+":2\n") {
		t.Errorf("check does not show the line of listen:\n%s", stdout)
	}
}

func TestKeyFileLiesBesidePushpinConfig(t *testing.T) {
	conf := writePushpinConfig(t, "[proxy]\nsig_key=file:key\n")
	if err := os.WriteFile(filepath.Dir(conf)+"/key", []byte(strings.Repeat("0f", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(filepath.Dir(conf))) // also when both names are relative, and there is another file
	o, code, _, stderr := start(t, "--pushpin-config", filepath.Join(filepath.Base(filepath.Dir(conf)), "pushpin.conf"),
		"--config", writeConfig(t, "loops = 1\n"))
	if code != app.OK || o.SigKey == nil {
		t.Errorf("exit %d, SigKey = %v: %s", code, o.SigKey, stderr)
	}
}

func TestBadPushpinConfigNamesTheLine(t *testing.T) {
	tests := []struct {
		conf string
		want []string // lines after "pushd: FILE"
	}{
		{"[runner]\nhtp_port=80\nhttps_ports=443\n", []string{
			":2: unknown setting htp_port (did you mean http_port?)",
			":3: https_ports is not served: put a TLS server in front of http_port, and remove the line"}},
		{"[runner]\nclient_buffer_size=100\n[handler]\npush_in_spec=tcp://*:5560\n", []string{
			":2: client_buffer_size: 100B is out of range, 256B to 1MiB are allowed",
			":4: push_in_spec: pushd has no ZeroMQ: messages published to it are lost, though publishers may see success",
			": " + skipZeroMQHint}},
		{"[handlers]\nmessage_rate=1\n", []string{":2: unknown section [handlers] (did you mean handler?)"}},
		{"[runner]\nclient_buffer_size=100\n[handler]\nconnection_subscription_max=1001\n", []string{
			":2: client_buffer_size: 100B is out of range, 256B to 1MiB are allowed",
			":4: connection_subscription_max: 1001 is out of range, 1 to 1000 are allowed"}},
		{"[runner]\nhttp_port=80,80\n", []string{":2: http_port: :80 is there twice"}},
		{"[runner]\nhttp_port=a_b:80\n", []string{`:2: http_port: "a_b:80" is not an address: bad host "a_b"`}},
		{"[proxy]\nsig_key=base64:?\n", []string{":2: sig_key: key for Grip-Sig: what follows base64: is not base64"}},
		{"[proxy]\nx_forwarded_for=prepend\ncdn_loop=a b\n", []string{
			`:3: cdn_loop: "a b" is not a token of CDN-Loop, such as a host name`,
			`:2: x_forwarded_for: rule for X-Forwarded-For: "prepend" is neither append nor truncate:N`}},
		{"[handler]\npush_in_http_addr=0.0.0.0\npush_in_http_port=5561\n", []string{
			`:2: push_in_http_addr: "0.0.0.0:5561" is not a loopback address: that needs --publish-token-file, or anybody could publish`}},
	}
	for _, tt := range tests {
		path := writePushpinConfig(t, tt.conf)
		_, code, stdout, stderr := start(t, "--pushpin-config", path)
		var want strings.Builder
		for _, line := range tt.want {
			want.WriteString("pushd: " + path + line + "\n")
		}
		if code != app.Usage || stdout != "" || stderr != want.String() {
			t.Errorf("%q: exit %d, stdout %q, stderr\n%swant\n%s", tt.conf, code, stdout, stderr, want.String())
		}
	}
	_, code, _, stderr := start(t, "--pushpin-config", writePushpinConfig(t, "[proxy]\nlog_from=true\n"))
	if code != app.OK || strings.Count(stderr, `level=WARN msg="the file has settings that are not served"`) != 1 {
		t.Errorf("log_from: exit %d, stderr %q", code, stderr)
	}
	_, code, _, stderr = start(t, "--pushpin-config", filepath.Join(t.TempDir(), "none.conf"))
	if code != app.Usage || !strings.Contains(stderr, "--pushpin-config: open ") {
		t.Errorf("no file: exit %d, stderr %q", code, stderr)
	}
}

// The files that people have name ZeroMQ sockets. Publishers that use them would see success while
// everything is lost.
func TestZeroMQSocketsAreRefused(t *testing.T) {
	const (
		lost = "pushd has no ZeroMQ: messages published to it are lost, though publishers may see success"
		none = "pushd has no ZeroMQ: programs that read figures from it get none"
		mute = "pushd has no ZeroMQ: commands sent to it get no answer"
	)
	for file, lines := range map[string][4]int{"debian.conf": {37, 38, 44, 45}, "one-million.conf": {36, 37, 43, 44}} {
		path := pushpinTestdata + file
		want := fmt.Sprintf("pushd: %s:%d: push_in_spec: %s\npushd: %s:%d: push_in_sub_specs: %s\n"+
			"pushd: %s:%d: stats_spec: %s\npushd: %s:%d: command_spec: %s\npushd: %s: %s\n",
			path, lines[0], lost, path, lines[1], lost, path, lines[2], none, path, lines[3], mute, path, skipZeroMQHint)
		for _, args := range [][]string{nil, {"check"}, {"check", "--json"}} {
			_, code, stdout, stderr := start(t, append(args, "--pushpin-config", path, "--max-connections=10")...)
			if code != app.Usage || stdout != "" || stderr != want {
				t.Errorf("%s %q: exit %d, stdout %q, stderr\n%swant\n%s", file, args, code, stdout, stderr, want)
			}
		}
	}
	conf := writePushpinConfig(t, "[handler]\npush_in_spec=tcp://127.0.0.1:5560\n")
	if err := os.WriteFile(filepath.Dir(conf)+"/routes", []byte("* direct\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	toml := writeConfig(t, "skip-zeromq = true\n")
	for _, args := range [][]string{{"--skip-zeromq"}, {"--config", toml}, {"check", "--skip-zeromq"}, {"check", "--config", toml}} {
		_, code, _, stderr := start(t, append(args, "--pushpin-config", conf)...)
		if code != app.OK || strings.Count(stderr, "ZeroMQ sockets, which are not opened") != 1 {
			t.Errorf("%q: exit %d, stderr %q, want a start with one warning", args, code, stderr)
		}
	}
}

func TestPublicPushpinListenersNeedRoutes(t *testing.T) {
	conf := writePushpinConfig(t, "[runner]\nhttp_port=80\n")
	if _, code, _, stderr := start(t, "--pushpin-config", conf); code != app.OK {
		t.Errorf("with its routes: exit %d: %s", code, stderr)
	}
	if _, code, _, stderr := start(t, "--pushpin-config", conf, "--routes="); code != app.Failed || !strings.Contains(stderr, "it is not a loopback address") {
		t.Errorf("without routes: exit %d: %s", code, stderr)
	}
}
