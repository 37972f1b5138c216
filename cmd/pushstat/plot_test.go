package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/cmd/internal/golden"
)

func TestHelpOfRecordAndPlot(t *testing.T) {
	for _, name := range []string{"record", "plot"} {
		code, stdout, stderr := pushstat(t, name, "--help")
		if code != app.OK || stderr != "" {
			t.Errorf("%s --help: exit %d, %q", name, code, stderr)
		}
		golden.Check(t, "help-"+name+".txt", stdout)
	}
}

func TestPlotRefuses(t *testing.T) {
	a, b := readingAt(1, ""), readingAt(5, "")
	two := recordingOf(t, a, b)
	dir := t.TempDir()
	long := strings.Repeat("x", maxRecordLine+1)
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"nothing", nil, app.Usage, "plot takes the files to draw, none is given"},
		{"empty", []string{recordingOf(t)}, app.Failed, "r.ndjson is empty"},
		{"missing", []string{filepath.Join(dir, "x")}, app.Failed, "no such file or directory"},
		{"directory", []string{dir}, app.Failed, "is a directory"},
		{"text", []string{recordingOf(t, "hello", "world")}, app.Failed, "r.ndjson is no recording: line 1 is no reading of a pushd"},
		{"JSON", []string{recordingOf(t, `{"a":1}`)}, app.Failed, "r.ndjson is no recording: line 1 is no reading of a pushd"},
		{"other JSON", []string{recordingOf(t, `[1]`, `null`)}, app.Failed, "r.ndjson is no recording: line 1 is no reading of a pushd"},
		{"binary", []string{recordingOf(t, "\x00\xff\x1b[2J"+long)}, app.Failed, "r.ndjson is no recording: line 1 is too long"},
		{"one", []string{recordingOf(t, a)}, app.Failed, "r.ndjson has one reading, and a picture takes two"},
		{"one moment", []string{recordingOf(t, a, a)}, app.Failed, "has no two readings of different times"},
		{"markers", []string{recordingOf(t, `{"time":"2026-11-22T10:00:00Z","event":"start","format":1}`)}, app.Failed, "r.ndjson has no reading"},
		{"newer", []string{recordingOf(t, `{"time":"2026-11-22T10:00:00Z","event":"start","format":2,"program":"pushstat 9"}`, a, b)}, app.Failed,
			"r.ndjson, line 1: recorded by pushstat 9 in format 2, and this pushstat reads up to 1"},
		{"several", []string{recordingOf(t, readingAt(1, `,"socket":"/a"`), readingAt(1, `,"socket":"/b"`))}, app.Failed, "r.ndjson has readings of 2 pushd and no total"},
		{"same time", []string{two, recordingOf(t, readingAt(3, ""), readingAt(7, ""))}, app.Failed,
			"are of the same time: record several pushd in one file, with --socket for each"},
		{"output", []string{two, "-o", filepath.Join(dir, "no", "x.svg")}, app.Failed, "no such file or directory"},
		{"itself", []string{two, "-o", two}, app.Usage, "is the recording itself"},
		{"socket", []string{two, "--socket", "x"}, app.Usage, "--socket is not an option of pushstat plot"},
	} {
		code, stdout, stderr := pushstat(t, append([]string{"plot"}, tt.args...)...)
		if code != tt.code || stdout != "" || !strings.HasSuffix(stderr, tt.want+"\n") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, stdout of %d bytes, %.300q, want %d, %q", tt.name, code, len(stdout), stderr, tt.code, tt.want)
		}
	}
	if b, err := os.ReadFile(two); err != nil || !strings.HasPrefix(string(b), `{"time"`) {
		t.Errorf("the recording is now %q, %v", b, err)
	}
}

// A line that is cut in the middle, or is no reading, costs itself only, and is said.
func TestPlotLeavesOutWhatWasCut(t *testing.T) {
	a, b, c := readingAt(1, ""), readingAt(2, ""), readingAt(9, "")
	path := recordingOf(t, a, b[:40]+a, "", `{"time":"yesterday","connections":{}}`, c[:60], c)
	out := filepath.Join(t.TempDir(), "o.svg")
	code, stdout, stderr := pushstat(t, "plot", path, "-o", out)
	if want := "pushstat: " + path + ": 3 lines (the first is line 2) are cut, and left out\n"; code != app.OK || stdout != "" || stderr != want {
		t.Errorf("exit %d, %q, %q, want %q", code, stdout, stderr, want)
	}
	if b, err := os.ReadFile(out); err != nil || !strings.Contains(string(b), "max 90<") {
		t.Errorf("the picture: %v, without the highest value of the last reading", err)
	}
}

// Rates and latency are differences between readings; report --json without markers is a recording as well.
func TestRecordingKnowsRestartsWithoutMarkers(t *testing.T) {
	buckets := func(n string) string { return `,"latency":{"count":1,"buckets":[[1024,` + n + `],[2048,1]]}` }
	path := recordingOf(t, readingAt(10, buckets("5")), readingAt(11, buckets("9")), readingAt(12, buckets("9")),
		strings.Replace(readingAt(13, buckets("2")), `"pid":1`, `"pid":2`, 1), readingAt(14, buckets("3")))
	r, err := readRecording(path, func(news string) { t.Error(news) })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range r.moments {
		s := m.at.Format("05")
		if m.again {
			s += " again"
		}
		if m.restart {
			s += " restart"
		}
		if m.latency.Count > 0 {
			s += " latency"
		}
		got = append(got, s)
	}
	want := "10 again, 11 latency, 12, 13 again restart, 14 again restart"
	if strings.Join(got, ", ") != want {
		t.Errorf("moments: %s, want %s", strings.Join(got, ", "), want)
	}
	if all := r.latencies(); all.Count != 4 || all.P99 != 1024 {
		t.Errorf("all latencies: %+v, want 4 below 1024 µs", all)
	}
}

// Files are drawn in the order of their times.
func TestPlotPutsFilesTogether(t *testing.T) {
	first, second := recordingOf(t, readingAt(1, ""), readingAt(2, "")), recordingOf(t, readingAt(8, ""), readingAt(9, ""))
	whole, err := readRecordings([]string{second, first}, func(news string) { t.Error(news) })
	if err != nil {
		t.Fatal(err)
	}
	if n := len(whole.moments); n != 4 || whole.moments[0].at.Second() != 1 || whole.moments[3].at.Second() != 9 || !whole.moments[2].again {
		t.Errorf("%d moments: %+v", n, whole.moments)
	}
	code, svg, stderr := pushstat(t, "plot", "--title", "a <run> \x1b[2J", second, first)
	if code != app.OK || stderr != "" || !strings.Contains(svg, "a &lt;run&gt; ") || strings.Contains(svg, "\x1b") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

func TestPlotShowsLocalTimes(t *testing.T) {
	saved := time.Local
	defer func() { time.Local = saved }()
	time.Local = time.FixedZone("TEST", -3600)
	code, svg, stderr := pushstat(t, "plot", recordingOf(t, readingAt(1, ""), readingAt(59, "")))
	if code != app.OK || !strings.Contains(svg, ">09:00:30<") || !strings.Contains(svg, ">2026-11-22, TEST<") {
		t.Errorf("exit %d, %q, times are not those of the local clock", code, stderr)
	}
}

// Whatever a file holds, it is drawn as XML or refused.
func FuzzRecording(f *testing.F) {
	start := `{"time":"2026-11-22T10:00:00Z","event":"start","format":1}`
	f.Add(strings.Join([]string{start, readingAt(1, ""), readingAt(5, ""), `{"time":"2026-11-22T10:00:00Z","event":"restart"}`, readingAt(7, "")}, "\n"))
	f.Add(readingAt(1, `,"latency":{"count":2,"buckets":[[1024,1],[2048,1]]}`) + "\n" + readingAt(2, `,"latency":{"count":3,"buckets":[[1024,9],[512,1]]},"rss_bytes":-1`))
	f.Add(readingAt(1, `,"sockets":2`) + "\n" + strings.Replace(readingAt(2, `,"rates":{"delivered_per_s":1e300,"accepted_per_s":-5}`), "2026", "9999", 1))
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseRecording("r", strings.NewReader(text), func(string) {})
		if err != nil {
			return
		}
		var picture bytes.Buffer
		if err := chartOf(r, "r").Write(&picture); err != nil {
			return
		}
		d := xml.NewDecoder(&picture)
		for {
			if _, err := d.Token(); err == io.EOF {
				return
			} else if err != nil {
				t.Fatalf("the picture of %q is no XML: %v", text, err)
			}
		}
	})
}
