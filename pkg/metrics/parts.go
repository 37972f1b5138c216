package metrics

import (
	"iter"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/pkg/stats"
)

// kinds are what connections do, by the names that a snapshot has for them.
var kinds = []struct {
	name   string
	number func(*stats.Connections) int
}{
	{"events", func(c *stats.Connections) int { return c.Events }},
	{"stream", func(c *stats.Connections) int { return c.Stream }},
	{"poll", func(c *stats.Connections) int { return c.Poll }},
	{"ws", func(c *stats.Connections) int { return c.WS }},
	{"http", func(c *stats.Connections) int { return c.HTTP }},
}

// reasons goes over all known reasons, also those that have not happened yet: a series that begins with its first event has no
// rate for it.
func reasons(known []string, counts map[string]uint64) iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for _, r := range known {
			if !yield(r, counts[r]) {
				return
			}
		}
	}
}

// histograms are the durations of a snapshot.
var histograms = []struct {
	desc *prometheus.Desc
	name string // for statsd
	of   func(*stats.Snapshot) *stats.Durations
}{
	{describe("pushd_publish_to_write_seconds", "From an item's arrival to the write to a client, or to its queue."), "publish_to_write", func(s *stats.Snapshot) *stats.Durations { return &s.Latency }},
	{describe("pushd_walk_seconds", "Walks over the subscribers of a channel in one loop."), "walk", func(s *stats.Snapshot) *stats.Durations { return &s.Walk }},
	{describe("pushd_loop_lag_seconds", "Batches of events of a loop: what comes meanwhile waits as long at most."), "loop_lag", func(s *stats.Snapshot) *stats.Durations { return &s.Lag }},
}

// The bounds of the buckets that Prometheus gets are powers of two, in microseconds from 16 µs to 33 s: they are bounds in a
// Durations as well, so that no count is guessed.
const (
	firstBound = 4
	lastBound  = 25
)

// cumulative is the number of durations below each bound, in seconds.
func cumulative(d *stats.Durations) map[float64]uint64 {
	below := make(map[float64]uint64, lastBound-firstBound+1)
	i, n := 0, uint64(0)
	for k := firstBound; k <= lastBound; k++ {
		bound := uint64(1) << k
		for ; i < len(d.Buckets) && d.Buckets[i][0] <= bound; i++ {
			n += d.Buckets[i][1]
		}
		below[float64(bound)/1e6] = n
	}
	return below
}
