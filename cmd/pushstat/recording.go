package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"holdfast/pkg/stats"
)

// maxRecordLine bounds a line of a recording: a reading of as many loops as there can be takes less.
const maxRecordLine = 16 << 20

// recordLine is what plot looks at in a line of a recording: a marker, or a reading as report --json prints it.
type recordLine struct {
	marker
	Sockets     int                `json:"sockets"`
	Connections *stats.Connections `json:"connections"` // nil: this is no reading
	Rates       *rates             `json:"rates"`
	Uptime      float64            `json:"uptime_s"`
	RSS         int64              `json:"rss_bytes"`
	Heap        int64              `json:"heap_bytes"`
	Kernel      stats.Kernel       `json:"kernel"`
	Latency     stats.Durations    `json:"latency"`
}

// moment is one reading of a recording.
type moment struct {
	at      time.Time
	again   bool // before it nothing is known: the recording or pushd was interrupted
	restart bool // another pushd answers from here on
	conns   stats.Connections
	rates   *rates
	rss     int64
	heap    int64
	kernel  int64
	latency stats.Durations // since the moment before; without buckets
}

// recording is what the lines of one file say.
type recording struct {
	path    string
	moments []moment
	last    *recordLine       // the reading before
	total   bool              // there are totals of several pushd, and they alone count
	single  map[string]bool   // sockets of readings that are no totals
	latency map[uint64]uint64 // of all deliveries: counts by their bucket's bound
	lines   int
	broken  []int // numbers of lines that are none
	again   bool  // for the next moment
	restart bool  // for the next moment
}

// readRecording reads a file. A line that was cut is left out, and warn is told.
func readRecording(path string, warn func(string)) (*recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseRecording(path, f, warn)
}

func parseRecording(path string, in io.Reader, warn func(string)) (*recording, error) {
	r := &recording{path: path, again: true, single: make(map[string]bool), latency: make(map[uint64]uint64)}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxRecordLine)
	for lines.Scan() {
		r.lines++
		if err := r.line(lines.Bytes()); err != nil {
			return nil, err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("%s is no recording: line %d is too long", path, r.lines+1)
	case err != nil:
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if len(r.broken) > 0 {
		warn(fmt.Sprintf("%s: %s cut, and left out", path, lineNumbers(r.broken)))
	}
	return r, nil
}

// line takes one line. Its error is about a recording that this pushstat does not understand.
func (r *recording) line(b []byte) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	var l recordLine
	err := json.Unmarshal(b, &l)
	at, badTime := time.Parse(time.RFC3339Nano, l.Time)
	switch {
	case err != nil || badTime != nil || l.Event == "" && l.Connections == nil:
		r.broken = append(r.broken, r.lines)
	case l.Format > recordFormat:
		return fmt.Errorf("%s, line %d: recorded by %s in format %d, and this pushstat reads up to %d", r.path, r.lines, l.Program, l.Format, recordFormat)
	case l.Event != "":
		r.again, r.restart = true, r.restart || l.Event == "restart"
	default:
		r.reading(&l, at)
	}
	return nil
}

func (r *recording) reading(l *recordLine, at time.Time) {
	if l.Sockets > 0 && !r.total {
		r.total, r.moments, r.last, r.again = true, nil, nil, true
		clear(r.latency)
	}
	if l.Sockets == 0 {
		if r.total {
			return
		}
		r.single[l.Socket] = true
	}
	if last := r.last; last != nil && (last.PID != l.PID || l.Uptime < last.Uptime) {
		r.again, r.restart = true, true
	}
	m := moment{at: at, again: r.again, restart: r.restart, conns: *l.Connections, rates: l.Rates, rss: l.RSS, heap: l.Heap, kernel: l.Kernel.TCPMemBytes}
	if !r.again {
		m.latency = l.Latency.Since(r.last.Latency)
		for _, b := range m.latency.Buckets {
			r.latency[b[0]] += b[1]
		}
		m.latency.Buckets = nil
	}
	r.moments = append(r.moments, m)
	r.last, r.again, r.restart = l, false, false
}

// check says why there is nothing to draw.
func (r *recording) check() error {
	switch {
	case r.lines == 0:
		return fmt.Errorf("%s is empty", r.path)
	case len(r.moments) == 0 && len(r.broken) > 0:
		return fmt.Errorf("%s is no recording: line %d is no reading of a pushd", r.path, r.broken[0])
	case len(r.moments) == 0:
		return fmt.Errorf("%s has no reading", r.path)
	case !r.total && len(r.single) > 1:
		return fmt.Errorf("%s has readings of %d pushd and no total", r.path, len(r.single))
	}
	return nil
}

func lineNumbers(lines []int) string {
	if len(lines) == 1 {
		return fmt.Sprintf("line %d is", lines[0])
	}
	return fmt.Sprintf("%d lines (the first is line %d) are", len(lines), lines[0])
}

// readRecordings reads several files as one recording. They must not be of the same time.
func readRecordings(paths []string, warn func(string)) (*recording, error) {
	var all []*recording
	for _, path := range paths {
		r, err := readRecording(path, warn)
		if err != nil {
			return nil, err
		}
		slices.SortStableFunc(r.moments, func(a, b moment) int { return a.at.Compare(b.at) }) // the clock may have been set back
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b *recording) int { return a.moments[0].at.Compare(b.moments[0].at) })
	whole := all[0]
	for i, r := range all[1:] {
		if whole.moments[len(whole.moments)-1].at.After(r.moments[0].at) {
			return nil, fmt.Errorf("%s and %s are of the same time: record several pushd in one file, with --socket for each", all[i].path, r.path)
		}
		whole.moments = append(whole.moments, r.moments...)
		for bound, n := range r.latency {
			whole.latency[bound] += n
		}
	}
	return whole, nil
}

// latencies is the latency of all deliveries.
func (r *recording) latencies() stats.Durations {
	var d stats.Durations
	for bound, n := range r.latency {
		d.Merge(stats.Durations{Buckets: [][2]uint64{{bound, n}}})
	}
	return d
}
