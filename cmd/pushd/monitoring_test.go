package main

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/server"
)

func TestBadMonitoringSettings(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"--metrics-listen=on", `--metrics-listen: "on" is not an address, want HOST:PORT, :PORT or HOST:FIRST-LAST (IPv6 in brackets); or off`},
		{"--metrics-listen=:1-2", `--metrics-listen: ":1-2" is not an address of one port; or off`},
		{"--metrics-listen=127.0.0.1:7999", "--metrics-listen: 127.0.0.1:7999 is an address of listen too"},
		{"--metrics-listen=127.0.0.1:5561", "--metrics-listen: 127.0.0.1:5561 is the address of publish-listen too"},
		{"--statsd=:8125", `--statsd: ":8125" is not an address to send to, want HOST:PORT (IPv6 in brackets)`},
		{"--statsd=localhost", `--statsd: "localhost" is not an address to send to, want HOST:PORT (IPv6 in brackets)`},
		{"--statsd=localhost:0", `--statsd: "localhost:0" is not an address to send to, want HOST:PORT (IPv6 in brackets)`},
		{"--statsd=a/b:8125", `--statsd: "a/b:8125" is not an address to send to, want HOST:PORT (IPv6 in brackets)`},
		{"--statsd=localhost:99999", `--statsd: "localhost:99999" is not an address to send to, want HOST:PORT (IPv6 in brackets)`},
		{"--statsd-interval=1ms", "--statsd-interval: 1ms is out of range, 100ms to 1h are allowed"},
		{"--statsd-prefix=a:b", `--statsd-prefix: "a:b" is not a prefix, want letters, digits, - and _, in parts joined by dots`},
	} {
		_, code, stdout, stderr := start(t, tt.args)
		if want := "pushd: " + tt.want + "\n"; code != app.Usage || stdout != "" || stderr != want {
			t.Errorf("%s: exit %d, stdout %q, stderr\n%swant\n%s", tt.args, code, stdout, stderr, want)
		}
	}
}

// Nothing is listened on or sent to unless it is asked for; the files of a metrics endpoint are not given to clients.
func TestMonitoringIsOffByDefault(t *testing.T) {
	o, code, _, stderr := start(t)
	if code != app.OK || o.MetricsListen != "" || o.Statsd != "" {
		t.Fatalf("exit %d, %q: metrics-listen %q, statsd %q; want none", code, stderr, o.MetricsListen, o.Statsd)
	}
	with, _, _, _ := start(t, "--metrics-listen", "127.0.0.1:9101")
	if with.MaxConnections != o.MaxConnections-server.MetricsFiles {
		t.Errorf("%d connections with a metrics endpoint, %d without, want %d fewer", with.MaxConnections, o.MaxConnections, server.MetricsFiles)
	}
	if none, code, _, _ := start(t, "--metrics-listen", "off", "--statsd", ""); code != app.OK || none.MetricsListen != "" || none.Statsd != "" {
		t.Errorf("off: exit %d, metrics-listen %q, statsd %q", code, none.MetricsListen, none.Statsd)
	}
}

// Whatever is in the way of the metrics endpoint ends the start with 1, and is named.
func TestMetricsAddressInUseIsExit1(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	saved := run
	defer func() { run = saved }()
	run = server.Run
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stderr strings.Builder
	code := pushd(ctx, []string{"pushd", "--listen", "127.0.0.1:0", "--publish-listen", "off", "--socket", filepath.Join(t.TempDir(), "s"),
		"--metrics-listen", l.Addr().String()}, &stderr, &stderr)
	want := "pushd: open the metrics endpoint: listen tcp " + l.Addr().String() + ": bind: address already in use\n"
	if code != app.Failed || stderr.String() != want {
		t.Errorf("exit %d, %q, want 1 and %q", code, stderr.String(), want)
	}
}
