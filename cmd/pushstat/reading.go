package main

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"holdfast/pkg/stats"
)

// labels says whose numbers they are. Both are left out for a single pushd in its usual place.
type labels struct {
	Socket  string `json:"socket,omitempty"`
	Sockets int    `json:"sockets,omitempty"` // in a sum: how many it adds up
}

// reading is one snapshot and what happened since the one before. Its JSON form is a line of report --json.
type reading struct {
	Time string `json:"time"` // RFC 3339, in UTC
	labels
	Rates *rates `json:"rates"` // nil in the first reading
	*stats.Snapshot
}

// rates are events per second between two snapshots.
type rates struct {
	Interval  float64 `json:"interval_s"` // seconds between the snapshots
	Accepted  float64 `json:"accepted_per_s"`
	Closed    float64 `json:"closed_per_s"`
	Published float64 `json:"published_per_s"`
	Delivered float64 `json:"delivered_per_s"`
	Dropped   float64 `json:"dropped_per_s"`
	BytesOut  float64 `json:"bytes_out_per_s"`
}

// ratesBetween is nil when there is nothing before, or another process.
func ratesBetween(before, now *stats.Snapshot) *rates {
	if before == nil || before.PID != now.PID {
		return nil
	}
	seconds := now.UptimeSeconds - before.UptimeSeconds
	if seconds <= 0 {
		return nil
	}
	per := func(a, b uint64) float64 { return max(0, float64(b)-float64(a)) / seconds }
	return &rates{
		Interval:  seconds,
		Accepted:  per(before.Accepted, now.Accepted),
		Closed:    per(stats.Total(before.Closed), stats.Total(now.Closed)),
		Published: per(before.Published, now.Published),
		Delivered: per(before.Delivered, now.Delivered),
		Dropped:   per(stats.Total(before.Dropped), stats.Total(now.Dropped)),
		BytesOut:  per(before.BytesOut, now.BytesOut),
	}
}

// sum adds up readings of several pushd. A channel that two of them have counts twice. It has no PID, its uptime is that
// of the oldest, and it has rates as soon as one of them has. What the kernel says is about the host, and not added up.
func sum(readings []*reading) *reading {
	out := &reading{labels: labels{Sockets: len(readings)},
		Snapshot: new(stats.Snapshot)}
	for _, r := range readings {
		out.Add(r.Snapshot)
		if r.Rates == nil {
			continue
		}
		if out.Rates == nil {
			out.Rates = new(rates)
		}
		out.Rates.add(r.Rates)
	}
	return out
}

func (t *rates) add(r *rates) {
	t.Interval = max(t.Interval, r.Interval)
	t.Accepted += r.Accepted
	t.Closed += r.Closed
	t.Published += r.Published
	t.Delivered += r.Delivered
	t.Dropped += r.Dropped
	t.BytesOut += r.BytesOut
}

// reasons lists the keys of a map of counters, the most frequent first.
func reasons(m map[string]uint64) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
