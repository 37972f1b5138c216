package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/cmd/internal/golden"
	"holdfast/pkg/loadgen"
	"holdfast/pkg/server"
	"holdfast/pkg/stats"
)

// startServer runs a real pushd and returns the options of bench that reach it.
func startServer(t *testing.T) (args []string, socket string) {
	t.Helper()
	o := server.NewOptions()
	o.Listen, o.PublishListen = []string{"127.0.0.1:0"}, ""
	o.Socket = filepath.Join(t.TempDir(), "pushd.sock")
	o.DrainTimeout = time.Second
	s, err := server.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return []string{"bench", "--socket", o.Socket, "--target", "http://" + s.Addrs()[0].String()}, o.Socket
}

// benchOut runs pushpub as a process, because it starts itself again for the clients.
func benchOut(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := process(t, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	code = exitCode(t, cmd.Run())
	return code, out.String(), errs.String()
}

func TestBenchMeasuresPushd(t *testing.T) {
	args, _ := startServer(t)
	for _, transport := range []string{"events", "stream"} {
		code, stdout, stderr := benchOut(t, append(args, "-n", "200", "--channels", "10", "--messages", "50", "--rate", "0",
			"--transport", transport, "--json")...)
		var r loadgen.Report
		if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != app.OK || stderr != "" {
			t.Fatalf("%s: exit %d, %v, stdout %q, stderr %q, want 0 and JSON", transport, code, err, stdout, stderr)
		}
		if r.Connections.Held != 200 || r.Deliveries.Received != 1000 || r.Messages.Receivers != 1000 || r.Connections.Checked != 5 {
			t.Errorf("%s: held %d, received %d, receivers %d, checked %d, want 200, 1000, 1000, 5", transport, r.Connections.Held,
				r.Deliveries.Received, r.Messages.Receivers, r.Connections.Checked)
		}
		if r.Daemon.CPUSecondsPerMillion == nil || r.Daemon.HeldBytes == 0 {
			t.Errorf("%s: pushd = %+v, want figures", transport, r.Daemon)
		}
		if fresh := transport == "events"; (r.Daemon.BytesPerConnection != nil) != fresh {
			t.Errorf("%s: memory per connection of pushd = %v, want it only while pushd is fresh", transport, r.Daemon.BytesPerConnection)
		}
	}
}

func TestBenchIsInterruptedInOrder(t *testing.T) {
	args, _ := startServer(t)
	var stdout, stderr bytes.Buffer
	cmd := process(t, append(args, "-n", "50", "--messages", "100000", "--rate", "200")...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(3*time.Second, func() { cmd.Process.Signal(os.Interrupt) })
	defer timer.Stop()
	code := exitCode(t, cmd.Wait())
	if code != app.Failed || stderr.String() != "pushpub: interrupted: the figures are those until then\n" {
		t.Errorf("exit %d, stderr %q, want 1 and that it was interrupted", code, stderr.String())
	}
	if !strings.Contains(stdout.String(), "50 of 50 held") || !strings.Contains(stdout.String(), "lost       0,") {
		t.Errorf("stdout %q, want a report without loss", stdout.String())
	}
}

func TestBenchFailsWhereConnectionsFail(t *testing.T) {
	args, socket := startServer(t)
	args = append(args[:3:3], "--target", "http://127.0.0.1:1", "-n", "5")
	code, stdout, stderr := benchOut(t, args...)
	if code != app.Failed || stdout != "" || !strings.Contains(stderr, "none of 5 connections was held: connect to 127.0.0.1:1") {
		t.Errorf("exit %d, stdout %q, stderr %q, want 1 and why", code, stdout, stderr)
	}
	code, _, stderr = benchOut(t, "bench", "--socket", socket+".not", "-n", "5")
	if code != app.NotThere || !strings.Contains(stderr, "no pushd answers") {
		t.Errorf("without pushd: exit %d, stderr %q, want 3", code, stderr)
	}
}

func TestBenchUsageErrors(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"hello", `unexpected argument "hello" (a channel called bench is published to with: pushpub -- bench ...)`},
		{"--connections|0", "--connections: 0 is not between 1 and 4194304"},
		{"--transport|poll", `--transport: "poll" is neither events nor stream`},
		{"--target|http://192.0.2.1:80", `--target: "http://192.0.2.1:80" is not a loopback address, 127.0.0.0/8, with a port`},
		{"--size|10", "--size: 10 is not between 35, for stamp and number, and 67108864"},
		{"--channels|2000", "--channels: 2000 is not between 1 and the number of connections, 1000"},
		{"--rate|-1", "--rate: -1 is not a number of messages a second"},
		{"--timeout|0s", "--timeout: 0s is not a time to wait"},
		{"--max-time|0s", "--max-time: 0s is not a time to wait"},
	} {
		args := append([]string{"bench"}, strings.Split(tt.args, "|")...)
		code, stdout, stderr := pushpub(t, terminal, args...)
		expect(t, strings.Join(args, " "), code, app.Usage, stdout, "", stderr, "pushpub: "+tt.want+"\n")
	}
}

func TestChannelCalledBench(t *testing.T) {
	f := startPushd(t, nil)
	for _, args := range [][]string{{"--socket", f.path, "--", "bench", "hello"}, {"--socket", f.path, "-c", "bench", "hello"}} {
		code, stdout, stderr := pushpub(t, terminal, args...)
		expect(t, strings.Join(args, " "), code, app.OK, stdout, "published to 1 connection\n", stderr, "")
		if it := f.await(t); it.Channel != "bench" {
			t.Errorf("%q published to %q, want bench", args, it.Channel)
		}
	}
}

func TestBenchTexts(t *testing.T) {
	_, help, _ := pushpub(t, terminal, "bench", "--help")
	golden.Check(t, "bench-help.txt", help)

	lat := stats.Latency{Count: 15000, P50: 812.4, P90: 1234.5, P99: 45678, P999: 999_999, Max: 1_234_567}
	bytes, cpu, million := 112.4, 1.5, 0.98765
	r := &loadgen.Report{
		Connections: loadgen.Connections{Wanted: 15000, Held: 14998, Failed: map[string]int{"status": 1, "connect": 1},
			Problem: "answer 503: \x1b[31mtoo many", Seconds: 0.5, PerSecond: 29996, Latency: lat, Disconnects: 3, Checked: 99, Workers: 2},
		Messages: loadgen.Messages{Wanted: 100, Published: 100, Accepted: 99, Refused: 1, Refusal: "too large", Size: 100, PerSecond: 10,
			Blocked: 12, BlockedSeconds: 0.25, BehindSeconds: 0.5},
		Deliveries: loadgen.Deliveries{Expected: 1_500_000, Received: 1_499_990, Lost: 10, PerSecond: 123456.7, Latency: lat},
		Daemon:     loadgen.Daemon{BeforeBytes: 4 << 20, HeldBytes: 6 << 20, BytesPerConnection: &bytes, CPUSeconds: &cpu, CPUSecondsPerMillion: &million},
	}
	var out strings.Builder
	if err := writeBenchReport(&out, r); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "bench-report.txt", out.String())
	for _, p := range []loadgen.Progress{
		{Stage: loadgen.Connecting, Connections: 15000, Held: 1200, Failed: 1},
		{Stage: loadgen.Publishing, Connections: 15000, Held: 15000, Messages: 1000, Published: 12, Expected: 180000, Received: 170000, Disconnects: 2},
	} {
		if got := progressText(p); len(got) > 100 || !strings.HasPrefix(got, string(p.Stage)) {
			t.Errorf("progressText(%+v) = %q", p, got)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, strconv.Quote(want))
		}
	}
}
