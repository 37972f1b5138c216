package metrics

import (
	"bytes"
	"flag"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"holdfast/pkg/stats"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// sample is a snapshot in which every number is another one.
func sample() stats.Snapshot {
	var latency, walk, lag stats.Timing
	latency.Add(15*time.Microsecond, 3)
	latency.Add(900*time.Microsecond, 5)
	walk.Add(2*time.Millisecond, 2)
	lag.Add(70*time.Second, 1)
	return stats.Snapshot{
		Connections:   stats.Connections{Total: 28, Events: 10, Stream: 8, Poll: 6, WS: 3, HTTP: 1},
		Accepted:      100,
		Closed:        map[string]uint64{"client": 60, "slow": 12},
		Channels:      7,
		Subscriptions: 27,
		Published:     41,
		Delivered:     1001,
		Dropped:       map[string]uint64{"queue-full": 2, stats.Repeat: 4},
		QueuedBytes:   4096,
		BytesOut:      1 << 40,
		RSSBytes:      50 << 20,
		RSSAnonBytes:  30 << 20,
		CPUSeconds:    12.25,
		FDs:           stats.FDs{Used: 55, Limit: 20000},
		UptimeSeconds: 99.5,
		Goroutines:    17,
		Version:       "v1.2.3",
		Backends: &stats.Backends{
			Requests: 90, Holds: 80, Errors: map[string]uint64{"timeout": 3, "dial": 2}, Retries: 1, Gone: 4, InFlight: 5, Waiting: 6, Connections: 7, ReloadFailures: 8,
		},
		Latency:   latency.Durations(),
		Walk:      walk.Durations(),
		Lag:       lag.Durations(),
		HeapBytes: 11 << 20,
		Limits:    stats.Limits{MaxConnections: 19000, QueueMemory: 1 << 30},
		Kernel:    stats.Kernel{TCPMemBytes: 8192, TCPMemPressure: 1 << 28, TCPMemLimit: 1 << 29, ListenOverflows: 13, ListenDrops: 14},
		Loops: []stats.LoopSnapshot{
			{Connections: 20, Delivered: 901, QueuedBytes: 4096, Batches: 500, Walks: 31, Lag: lag.Durations()},
			{Connections: 8, Delivered: 100, Batches: 50, Walks: 9},
		},
	}
}

var started = time.UnixMilli(1_790_000_000_250)

// scrape asks a handler once, and returns what it says without what the Go runtime says about itself.
func scrape(t *testing.T, snapshot func() stats.Snapshot) string {
	t.Helper()
	w := httptest.NewRecorder()
	NewHandler(HandlerOptions{Snapshot: snapshot, Started: started}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("status %d, %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	var own strings.Builder
	sawGo := false
	for line := range strings.Lines(w.Body.String()) {
		name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if strings.HasPrefix(name, "go_") {
			sawGo = true
			continue
		}
		if strings.HasPrefix(name, "pushd_build_info{") { // names the version of Go
			line = line[:strings.Index(line, `goversion="`)] + "…\n"
		}
		own.WriteString(line)
	}
	if !sawGo {
		t.Error("nothing about the Go runtime")
	}
	return own.String()
}

func TestScrapeIsAsReviewed(t *testing.T) {
	got := scrape(t, sample)
	const file = "testdata/metrics.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the scrape differs from %s (-update rewrites it):\n%s", file, got)
	}
}

// A reason that has not happened is there as 0, so that the rate of its first event is seen.
func TestEveryReasonIsThereFromTheStart(t *testing.T) {
	got := scrape(t, func() stats.Snapshot { return stats.Snapshot{} })
	for _, r := range stats.CloseReasons() {
		if want := `pushd_closed_total{reason="` + r + `"} 0`; !strings.Contains(got, want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	for _, r := range stats.DropReasons() {
		if want := `pushd_dropped_total{reason="` + r + `"} 0`; !strings.Contains(got, want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
}

func TestNamesFollowTheConventions(t *testing.T) {
	w := httptest.NewRecorder()
	NewHandler(HandlerOptions{Snapshot: sample, Started: started}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	problems, err := promlint.New(w.Body).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// The buckets of Prometheus are exact sums of those of pushd.
func TestBucketsLoseNothing(t *testing.T) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, seed))
	var timing stats.Timing
	var all []time.Duration
	for range 2000 {
		d := time.Duration(1) << r.IntN(37) // up to 68 s
		d += time.Duration(r.Int64N(int64(d)))
		timing.Add(d, 1)
		all = append(all, d.Truncate(time.Microsecond))
	}
	d := timing.Durations()
	below := cumulative(&d)
	want := make(map[float64]uint64)
	for k := firstBound; k <= lastBound; k++ {
		bound := time.Microsecond << k
		n := uint64(0)
		for _, one := range all {
			if one < bound {
				n++
			}
		}
		want[float64(uint64(1)<<k)/1e6] = n
	}
	if !maps.Equal(below, want) {
		t.Errorf("cumulative = %v, want %v", below, want)
	}
	if d.Count != 2000 {
		t.Errorf("count %d, want 2000", d.Count)
	}
}

// Each scrape takes one snapshot, and more than maxScrapes at a time are refused.
func TestConcurrentScrapesAreBounded(t *testing.T) {
	entered, leave := make(chan struct{}, 100), make(chan struct{})
	h := NewHandler(HandlerOptions{Started: started, Snapshot: func() stats.Snapshot {
		entered <- struct{}{}
		<-leave
		return sample()
	}})
	var wg sync.WaitGroup
	answers := make(chan int, maxScrapes)
	for range maxScrapes {
		wg.Go(func() {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
			answers <- w.Code
		})
	}
	for range maxScrapes {
		<-entered
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("scrape %d at a time: status %d, want 503", maxScrapes+1, w.Code)
	}
	close(leave)
	wg.Wait()
	close(answers)
	for code := range answers {
		if code != http.StatusOK {
			t.Errorf("status %d, want 200", code)
		}
	}
	if n := len(entered); n != 0 {
		t.Errorf("%d more snapshots than scrapes", n)
	}
}

func BenchmarkScrape(b *testing.B) {
	h := NewHandler(HandlerOptions{Snapshot: sample, Started: started})
	r := httptest.NewRequest("GET", "/metrics", nil)
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		w := httptest.NewRecorder()
		w.Body = new(bytes.Buffer)
		h.ServeHTTP(w, r)
		n, _ := io.Copy(io.Discard, w.Body)
		size = int(n)
	}
	b.ReportMetric(float64(size), "B/scrape")
}
