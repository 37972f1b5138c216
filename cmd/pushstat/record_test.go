package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/stats"
)

// linesOf reads a recording, each line as what it is: the event of a marker, "reading" or "broken".
func linesOf(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var kinds []string
	for s := bufio.NewScanner(f); s.Scan(); {
		var l recordLine
		switch err := json.Unmarshal(s.Bytes(), &l); {
		case err != nil:
			kinds = append(kinds, "broken")
		case l.Event != "":
			kinds = append(kinds, l.Event)
		case l.Connections != nil:
			kinds = append(kinds, "reading")
		}
	}
	return kinds
}

func TestRecordAppends(t *testing.T) {
	f := newFake(t, sample)
	path := filepath.Join(t.TempDir(), "r.ndjson")
	for range 2 {
		code, stdout, stderr := pushstat(t, "record", path, "--interval", "10ms", "--count", "2", "--socket", f.path)
		if want := "pushstat: 2 readings recorded in " + path + "\n"; code != app.OK || stdout != "" || stderr != want {
			t.Fatalf("exit %d, stdout %q, stderr %q, want %q", code, stdout, stderr, want)
		}
	}
	if got, want := linesOf(t, path), []string{"start", "reading", "reading", "start", "reading", "reading"}; !slices.Equal(got, want) {
		t.Errorf("lines %v, want %v", got, want)
	}
	r, err := readRecording(path, func(news string) { t.Error(news) })
	if err != nil {
		t.Fatal(err)
	}
	var again []bool
	for _, m := range r.moments {
		again = append(again, m.again)
	}
	if want := []bool{true, false, true, false}; !slices.Equal(again, want) {
		t.Errorf("nothing is known before the readings %v, want %v", again, want)
	}
	if m := r.moments[1]; m.rates == nil || m.rates.Delivered != 125000 || m.conns.Events != 100000 || m.rss != 64<<20 {
		t.Errorf("second reading %+v, rates %+v", m, m.rates)
	}
}

func TestRecordDuration(t *testing.T) {
	f := newFake(t, sample)
	path := filepath.Join(t.TempDir(), "r.ndjson")
	begin := time.Now()
	code, _, stderr := pushstat(t, "record", path, "--interval", "20ms", "--duration", "200ms", "--socket", f.path)
	if took := time.Since(begin); code != app.OK || took < 200*time.Millisecond || took > 5*time.Second {
		t.Errorf("exit %d after %v, %q", code, took, stderr)
	}
	if n := len(linesOf(t, path)); n < 3 {
		t.Errorf("%d lines", n)
	}
}

// A recording goes on when pushd is restarted, and says so; plot marks it.
func TestRecordSurvivesARestart(t *testing.T) {
	var pid atomic.Int64
	pid.Store(77)
	f := newFake(t, func(n int) *stats.Snapshot {
		s := sample(n)
		s.PID = int(pid.Load())
		return s
	})
	path := filepath.Join(t.TempDir(), "r.ndjson")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, stderr, exit := pipes(t, ctx, "record", path, "--interval", "10ms", "--socket", f.path)
	has := func(kind string) bool {
		b, _ := os.ReadFile(path)
		return strings.Contains(string(b), kind)
	}
	await := func(kind string) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !has(kind); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no %s in the recording", kind)
			}
		}
	}
	await(`"connections"`)
	f.stop()
	if !stderr.Scan() || !strings.Contains(stderr.Text(), "went away") {
		t.Errorf("stderr %q, want that it went away", stderr.Text())
	}
	await(`"event":"gone"`)
	pid.Store(78)
	f.start(t)
	if !stderr.Scan() || !strings.Contains(stderr.Text(), "is back") {
		t.Errorf("stderr %q, want that it is back", stderr.Text())
	}
	await(`"event":"restart"`)
	n := len(linesOf(t, path))
	for end := time.Now().Add(10 * time.Second); len(linesOf(t, path)) < n+3 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	if !stderr.Scan() || !strings.Contains(stderr.Text(), "recorded in") {
		t.Errorf("stderr %q, want the end", stderr.Text())
	}
	if code := <-exit; code != app.OK {
		t.Errorf("exit %d", code)
	}
	kinds := slices.Compact(linesOf(t, path))
	if want := []string{"start", "reading", "gone", "restart", "reading"}; !slices.Equal(kinds, want) {
		t.Errorf("lines %v, want %v", kinds, want)
	}
	code, svg, stderrText := pushstat(t, "plot", path)
	if code != app.OK || stderrText != "" || !strings.Contains(svg, ">restart</text>") {
		t.Errorf("plot: exit %d, %q, restart marked: %v", code, stderrText, strings.Contains(svg, ">restart</text>"))
	}
}

// Readings of several pushd are recorded with their total, which plot draws.
func TestRecordSeveralPushd(t *testing.T) {
	a, b := newFake(t, sample), newFake(t, sample)
	path := filepath.Join(t.TempDir(), "r.ndjson")
	code, _, stderr := pushstat(t, "record", path, "--interval", "10ms", "--count", "2", "--socket", a.path, "--socket", b.path)
	if code != app.OK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	r, err := readRecording(path, func(news string) { t.Error(news) })
	if err != nil {
		t.Fatal(err)
	}
	if len(r.moments) != 2 || r.moments[1].conns.Total != 2*123456 || r.moments[1].rates == nil || r.moments[1].rates.Delivered != 250000 {
		t.Errorf("%d moments, the last %+v", len(r.moments), r.moments[len(r.moments)-1])
	}
}

// What was cut is a line of its own, and everything else is there.
func TestRecordAfterACutLine(t *testing.T) {
	f := newFake(t, sample)
	path := filepath.Join(t.TempDir(), "r.ndjson")
	record := func() {
		t.Helper()
		if code, _, stderr := pushstat(t, "record", path, "--interval", "10ms", "--count", "2", "--socket", f.path); code != app.OK {
			t.Fatalf("exit %d: %s", code, stderr)
		}
	}
	record()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(whole) - 1; cut > len(whole)-400; cut -= 50 {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		record()
		var said []string
		r, err := readRecording(path, func(news string) { said = append(said, news) })
		if err != nil {
			t.Fatalf("cut at byte %d: %v", cut, err)
		}
		want := []string{path + ": line 3 is cut, and left out"}
		moments := 3
		if cut == len(whole)-1 { // only the end of the line was missing
			want, moments = nil, 4
		}
		if !slices.Equal(said, want) || len(r.moments) != moments {
			t.Errorf("cut at byte %d: %d readings, %q, want %d, %q", cut, len(r.moments), said, moments, want)
		}
	}
}

func TestRecordRefuses(t *testing.T) {
	f := newFake(t, sample)
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("my diary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	busy := filepath.Join(dir, "busy")
	rec, err := openRecording(busy)
	if err != nil {
		t.Fatal(err)
	}
	defer rec.file.Close()
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{other}, app.Failed, other + " is no recording, and is left as it is"},
		{[]string{busy}, app.Failed, "another pushstat records to " + busy},
		{[]string{dir}, app.Failed, "open " + dir + ": is a directory"},
		{[]string{filepath.Join(dir, "no", "x")}, app.Failed, "no such file or directory"},
		{nil, app.Usage, "record takes one file, 0 are given"},
		{[]string{"a", "b"}, app.Usage, "record takes one file, 2 are given"},
		{[]string{"a", "--once"}, app.Usage, "record goes without --once"},
		{[]string{"a", "--duration", "1s", "--count", "2"}, app.Usage, "record takes --count or --duration, not both"},
		{[]string{"a", "--duration", "-1s"}, app.Usage, "--duration: -1s is out of range, more than 0 is allowed"},
	} {
		code, stdout, stderr := pushstat(t, append([]string{"record", "--socket", f.path}, tt.args...)...)
		if code != tt.code || stdout != "" || !strings.HasSuffix(stderr, tt.want+"\n") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("record %v: exit %d, %q, want %d, %q", tt.args, code, stderr, tt.code, tt.want)
		}
	}
	if b, _ := os.ReadFile(other); string(b) != "my diary\n" {
		t.Errorf("the file that is no recording is now %q", b)
	}
	nobody, path := filepath.Join(dir, "nobody.sock"), filepath.Join(dir, "new")
	if code, _, stderr := pushstat(t, "record", path, "--socket", nobody); code != app.NotThere {
		t.Errorf("no pushd: exit %d, %q", code, stderr)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was made although no pushd is there")
	}
}

// recordingOf writes a recording with the lines given, and returns its path.
func recordingOf(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "r.ndjson")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readingAt is a line of report --json at a second of a minute, with what is added.
func readingAt(second int, more string) string {
	return fmt.Sprintf(`{"time":"2026-11-22T10:00:%02dZ","rates":null,"connections":{"total":%d},"pid":1,"uptime_s":%d%s}`, second, second*10, second, more)
}
