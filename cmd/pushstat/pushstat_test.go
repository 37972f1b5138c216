package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/cmd/internal/golden"
	"holdfast/pkg/stats"
)

// pushstat runs the command line and returns its exit code and output.
func pushstat(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := newApp()
	a.Writer, a.ErrWriter = &out, &errs
	code = app.Run(t.Context(), a, append([]string{"pushstat"}, args...))
	return code, out.String(), errs.String()
}

func TestHelpTexts(t *testing.T) {
	for name, args := range map[string][]string{
		"help.txt": {"--help"}, "help-report.txt": {"report", "-h"}, "help-connections.txt": {"connections", "-h"},
		"help-channels.txt": {"channels", "-h"}, "help-routes.txt": {"routes", "-h"}, "help-close.txt": {"close", "-h"},
		"help-events.txt": {"events", "-h"},
	} {
		code, stdout, stderr := pushstat(t, args...)
		if code != app.OK || stderr != "" {
			t.Errorf("%v: exit %d, stderr %q", args, code, stderr)
		}
		golden.Check(t, name, stdout)
	}
}

func TestReportLines(t *testing.T) {
	f := newFake(t, sample)
	for _, args := range [][]string{
		{"report", "--interval", "10ms", "--count", "25", "--socket", f.path},
		{"--socket", f.path, "-n", "25", "-i10ms"},
	} {
		f.mu.Lock()
		f.n = 0
		f.mu.Unlock()
		code, stdout, stderr := pushstat(t, args...)
		if code != app.OK || stderr != "" {
			t.Fatalf("%v: exit %d, stderr %q", args, code, stderr)
		}
		golden.Check(t, "report.txt", stdout)
	}
}

func TestReportJSONHasRatesAndTotals(t *testing.T) {
	f := newFake(t, sample)
	code, stdout, stderr := pushstat(t, "report", "--json", "--interval", "10ms", "--count", "2", "--socket", f.path)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != app.OK || stderr != "" || len(lines) != 2 {
		t.Fatalf("exit %d, stderr %q, stdout\n%s", code, stderr, stdout)
	}
	if !strings.Contains(lines[0], `"rates":null`) {
		t.Errorf("first line has rates: %s", lines[0])
	}
	var r reading
	if err := json.Unmarshal([]byte(lines[1]), &r); err != nil {
		t.Fatal(err)
	}
	if want := (rates{Interval: 2, Accepted: 10, Closed: 1, Published: 0.5, Delivered: 125000, Dropped: 3.5}); r.Rates == nil || *r.Rates != want {
		t.Errorf("rates = %+v, want %+v", r.Rates, want)
	}
	if r.Accepted != 200020 || r.Socket != f.path || r.Closed["drain"] != 6544 {
		t.Errorf("second line: %s", lines[1])
	}
	if _, err := time.Parse(time.RFC3339, r.Time); err != nil {
		t.Errorf("time: %v", err)
	}
}

func TestOnceJSONIsTheSnapshot(t *testing.T) {
	f := newFake(t, sample)
	code, stdout, stderr := pushstat(t, "--once", "--json", "--socket", f.path)
	want, err := json.Marshal(sample(0))
	if err != nil {
		t.Fatal(err)
	}
	if code != app.OK || stderr != "" || stdout != string(want)+"\n" {
		t.Errorf("exit %d, stderr %q, stdout\n%swant\n%s", code, stderr, stdout, want)
	}
}

func TestOnceBlock(t *testing.T) {
	f := newFake(t, sample)
	code, stdout, stderr := pushstat(t, "--once", "--socket", f.path)
	if code != app.OK || stderr != "" {
		t.Fatalf("exit %d, stderr %q", code, stderr)
	}
	golden.Check(t, "once.txt", stdout)
}

func TestSeveralSocketsAreNamedAndSummed(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a.sock", "longer\x1b.sock"} {
		f := &fakePushd{path: name, snapshot: sample}
		f.start(t)
		t.Cleanup(f.stop)
	}
	code, stdout, stderr := pushstat(t, "report", "--interval", "10ms", "--count", "2", "--socket", "*.sock", "--socket", "a.sock")
	if code != app.OK || stderr != "" {
		t.Fatalf("exit %d, stderr %q", code, stderr)
	}
	lines := strings.Split(stdout, "\n")
	for i, want := range []string{"socket ", "a.sock ", "longer\ufffd.sock ", "total ", "a.sock ", "longer\ufffd.sock ", "total ", ""} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Fatalf("line %d does not begin with %q:\n%s", i+1, want, stdout)
		}
	}
	if fields := strings.Fields(lines[3]); fields[1] != "247k" || fields[2] != "200k" || fields[6] != "-" {
		t.Errorf("first total: %s", lines[3])
	}
	if fields := strings.Fields(lines[6]); fields[6] != "20" || fields[10] != "7" {
		t.Errorf("second total: %s", lines[6])
	}

	_, stdout, _ = pushstat(t, "--once", "--json", "--socket", "*.sock")
	lines = strings.Split(strings.TrimSpace(stdout), "\n")
	var last labelled
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(lines) != 3 {
		t.Fatalf("%d lines, %v:\n%s", len(lines), err, stdout)
	}
	if last.Sockets != 2 || last.Connections.Total != 2*123456 || last.Closed["client"] != 140008 || len(last.Loops) != 4 || last.Version != "1.2.3" {
		t.Errorf("sum: %s", lines[2])
	}
	_, stdout, _ = pushstat(t, "--once", "--socket", "*.sock")
	for _, want := range []string{"socket         a.sock\n", "total          of 2\n", "connections    246912 ("} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
}

func TestNoPushdIsExit3(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.sock")
	for _, args := range [][]string{{"--once", "--json"}, {"--once"}, {"report"}, {"--json"}, nil} {
		code, stdout, stderr := pushstat(t, append(args, "--socket", none)...)
		if code != app.NotThere || stdout != "" || !strings.HasPrefix(stderr, "pushstat: no pushd answers") || !strings.Contains(stderr, none) {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
	code, _, stderr := pushstat(t, "--socket", none+"*")
	if want := "pushstat: no pushd: no socket matches " + none + "*\n"; code != app.NotThere || stderr != want {
		t.Errorf("exit %d, stderr %q, want %q", code, stderr, want)
	}
}

func TestUsageErrors(t *testing.T) {
	tests := []struct{ line, want string }{
		{"--interval 1ms", "--interval: 1ms is out of range, 10ms to 1h are allowed"},
		{"--interval 2h", "--interval: 2h0m0s is out of range, 10ms to 1h are allowed"},
		{"--count 0", "--count: 0 is out of range, 1 or more is allowed"},
		{"report --count -3", "--count: -3 is out of range, 1 or more is allowed"},
		{"report -n x", `--count: "x" is not a whole number`},
		{"--timeout 0s", "--timeout: 0s is out of range, more than 0 is allowed"},
		{"--once --count 3", "--once goes without --count and --interval"},
		{"--socket=", "--socket: the path is empty"},
		{"--socket [a", `--socket: bad pattern "[a"`},
		{"reprot", `unknown argument "reprot" (did you mean report?)`},
		{"report x", `unknown argument "x"`},
		{"--jsn", "unknown option --jsn (did you mean --json?)"},
	}
	for _, tt := range tests {
		code, stdout, stderr := pushstat(t, strings.Fields(tt.line)...)
		if want := "pushstat: " + tt.want + "\n"; code != app.Usage || stdout != "" || stderr != want {
			t.Errorf("%s: exit %d, stdout %q, stderr %q, want %q", tt.line, code, stdout, stderr, want)
		}
	}
}

func TestSilentPushdEndsWithTimeout(t *testing.T) {
	f := newFake(t, func(int) *stats.Snapshot { return nil })
	code, stdout, stderr := pushstat(t, "--once", "--timeout", "50ms", "--socket", f.path)
	if want := "pushstat: no answer within 50ms\n"; code != app.Failed || stdout != "" || stderr != want {
		t.Errorf("exit %d, stdout %q, stderr %q, want %q", code, stdout, stderr, want)
	}
}

// pipes runs pushstat in the background with its output to be read line by line.
func pipes(t *testing.T, ctx context.Context, args ...string) (stdout, stderr *bufio.Scanner, exit chan int) {
	t.Helper()
	outR, outW := io.Pipe()
	errR, errW := io.Pipe()
	a := newApp()
	a.Writer, a.ErrWriter = outW, errW
	exit = make(chan int, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		code := app.Run(ctx, a, append([]string{"pushstat"}, args...))
		outW.Close()
		errW.Close()
		exit <- code
	})
	t.Cleanup(wg.Wait)
	return bufio.NewScanner(outR), bufio.NewScanner(errR), exit
}

func TestReportWaitsForAPushdThatWentAway(t *testing.T) {
	f := newFake(t, sample)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout, stderr, exit := pipes(t, ctx, "report", "--json", "--interval", "20ms", "--socket", f.path)
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for stdout.Scan() {
			lines <- stdout.Text()
		}
	}()
	<-lines
	f.stop()
	if !stderr.Scan() || !strings.HasPrefix(stderr.Text(), "pushstat: pushd on "+f.path+" went away (") || !strings.HasSuffix(stderr.Text(), "; trying again") {
		t.Fatalf("stderr %q", stderr.Text())
	}
	for len(lines) > 0 {
		<-lines
	}
	f.start(t)
	if !stderr.Scan() || stderr.Text() != "pushstat: pushd on "+f.path+" is back" {
		t.Fatalf("stderr %q", stderr.Text())
	}
	if line := <-lines; !strings.Contains(line, `"rates":null`) {
		t.Errorf("the first line of a new connection has rates: %s", line)
	}
	<-lines
	cancel() // what SIGINT does
	if code := <-exit; code != app.OK {
		t.Errorf("exit %d, want 0", code)
	}
	if stderr.Scan() {
		t.Errorf("stderr goes on: %q", stderr.Text())
	}
}

func TestRatesNeedTheSameProcess(t *testing.T) {
	a, b := sample(0), sample(1)
	if r := ratesBetween(a, b); r == nil || r.Accepted != 10 {
		t.Errorf("rates = %+v, want 10 accepted a second", r)
	}
	b.PID++
	for name, r := range map[string]*rates{"nothing before": ratesBetween(nil, a), "another process": ratesBetween(a, b), "no time": ratesBetween(a, a)} {
		if r != nil {
			t.Errorf("%s: rates = %+v, want none", name, r)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, tt := range []struct {
		n    float64
		want string
	}{{0, "0"}, {12, "12"}, {99999, "99999"}, {99999.7, "100k"}, {123456, "123k"}, {999499, "999k"}, {999500, "1.00M"},
		{1234567, "1.23M"}, {12345678, "12.3M"}, {99.96e6, "100M"}, {5e9, "5.00G"}, {7e15, "7000T"}} {
		if got := count(tt.n); got != tt.want || len(got) > 5 {
			t.Errorf("count(%v) = %q, want %q", tt.n, got, tt.want)
		}
	}
	for _, tt := range []struct {
		n    float64
		want string
	}{{0, "0"}, {0.04, "0.0"}, {0.5, "0.5"}, {3, "3"}, {9.96, "10"}, {10.4, "10"}, {250000, "250k"}} {
		if got := perSecond(tt.n); got != tt.want {
			t.Errorf("perSecond(%v) = %q, want %q", tt.n, got, tt.want)
		}
	}
	for _, tt := range []struct {
		n    int64
		want string
	}{{0, "0B"}, {999, "999B"}, {1000, "0.98K"}, {1024, "1.00K"}, {300 << 10, "300K"}, {64 << 20, "64.0M"}, {1023 << 20, "1.00G"}, {5 << 40, "5.00T"}} {
		if got := byteSize(tt.n); got != tt.want || len(got) > 5 {
			t.Errorf("byteSize(%d) = %q, want %q", tt.n, got, tt.want)
		}
	}
	for _, tt := range []struct {
		s    float64
		want string
	}{{0.4, "0s"}, {61, "1m1s"}, {93784.5, "1d2h3m4s"}, {86400, "1d0s"}} {
		if got := uptime(tt.s); got != tt.want {
			t.Errorf("uptime(%v) = %q, want %q", tt.s, got, tt.want)
		}
	}
}

// A line of report fits the narrowest terminal.
func TestReportFitsEightyColumns(t *testing.T) {
	if n := len((&table{}).head()); n > 80 {
		t.Errorf("a line has %d characters, want 80 at most", n)
	}
}

// What the help of a command offers, the command does not refuse.
func TestHelpOffersWhatTheCommandTakes(t *testing.T) {
	f := &fakePushd{path: filepath.Join(t.TempDir(), "s"), snapshot: sample}
	f.start(t)
	t.Cleanup(f.stop)
	shared := map[string][]string{
		"--interval": {"1s"}, "--count": {"1"}, "--once": nil, "--json": nil, "--timeout": {"1s"}, "--socket": {f.path},
	}
	for _, command := range []string{"connections", "channels", "routes", "close", "events", "record", "plot"} {
		_, help, _ := pushstat(t, command, "--help")
		for option, value := range shared {
			if strings.Contains(help, " "+option) {
				continue
			}
			args := append([]string{command, option}, value...)
			if command == "record" || command == "plot" {
				args = append(args, filepath.Join(t.TempDir(), "file"))
			}
			if code, _, stderr := pushstat(t, args...); code != app.Usage || !strings.Contains(stderr, option[2:]) {
				t.Errorf("%q: exit %d, stderr %q; its help does not offer %s, so that it is to be refused", args, code, stderr, option)
			}
		}
	}
	for _, command := range []string{"connections", "channels", "routes", "close"} {
		for _, option := range []string{"--interval", "--count", "--once"} {
			if _, help, _ := pushstat(t, command, "--help"); strings.Contains(help, option) {
				t.Errorf("the help of %s offers %s, which it refuses", command, option)
			}
		}
	}
}
