package loadgen

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"holdfast/pkg/stats"
)

// Report is what a run measured. Its JSON form is the output of `pushpub bench --json`. Latencies are in microseconds.
type Report struct {
	Connections Connections `json:"connections"`
	Messages    Messages    `json:"messages"`
	Deliveries  Deliveries  `json:"deliveries"`
	Daemon      Daemon      `json:"pushd"`
	Interrupted bool        `json:"interrupted"` // the figures are those until then
	TimedOut    bool        `json:"timed_out"`
}

// Connections is about opening connections and keeping them.
type Connections struct {
	Wanted      int            `json:"wanted"`
	Held        int            `json:"held"`
	Failed      map[string]int `json:"failed"`            // not held, by reason
	Problem     string         `json:"problem,omitempty"` // why the first of them failed
	Seconds     float64        `json:"seconds"`           // from the first call to connect to the last hold
	PerSecond   float64        `json:"per_second"`        // held in these seconds
	Latency     stats.Latency  `json:"latency_us"`        // from the call to connect to the opening of the response
	Disconnects int            `json:"disconnects"`       // held connections that ended
	Checked     int            `json:"checked"`           // messages read in full, on one connection of each worker
	Broken      int            `json:"broken"`            // such connections whose stream was wrong
	Fault       string         `json:"fault,omitempty"`   // what was wrong with the first of them
	Workers     int            `json:"workers"`           // processes
}

// Messages is about publishing.
type Messages struct {
	Wanted         int     `json:"wanted"`
	Published      int     `json:"published"`
	Accepted       int     `json:"accepted"`
	Refused        int     `json:"refused"`
	Refusal        string  `json:"refusal,omitempty"` // the first one's reason
	Receivers      int     `json:"receivers"`         // that pushd acknowledged
	Size           int     `json:"size"`              // bytes of one
	Seconds        float64 `json:"seconds"`
	PerSecond      float64 `json:"per_second"`
	Blocked        int     `json:"blocked"`      // publishes that back-pressure held up
	BlockedSeconds float64 `json:"blocked_s"`    // for how long together
	BehindSeconds  float64 `json:"behind_max_s"` // the most that a message was behind the rate's schedule
}

// Deliveries is about what arrived.
type Deliveries struct {
	Expected   int           `json:"expected"`
	Received   int           `json:"received"` // duplicates included
	Lost       int           `json:"lost"`
	Duplicated int           `json:"duplicated"` // received again, or out of order
	Seconds    float64       `json:"seconds"`    // from the first publish to the last arrival
	PerSecond  float64       `json:"per_second"`
	Latency    stats.Latency `json:"latency_us"` // from publish to receive
	FanOut     stats.Latency `json:"fan_out_us"` // from publish to the last arrival, of messages that reached everybody
}

// Daemon is what the run cost pushd. A figure is null when it could not be measured.
type Daemon struct {
	BeforeBytes          int64    `json:"rss_anon_before_bytes"`
	HeldBytes            int64    `json:"rss_anon_held_bytes"`
	BytesPerConnection   *float64 `json:"bytes_per_connection"`
	CPUSeconds           *float64 `json:"cpu_seconds"` // from the first publish to the last arrival
	CPUSecondsPerMillion *float64 `json:"cpu_seconds_per_million_deliveries"`
}

// Err is nil when every connection was held and every message arrived, once, and else says what did not.
func (r *Report) Err() error {
	var faults []string
	note := func(n int, format string, args ...any) {
		if n > 0 {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	failed := 0
	for _, n := range r.Connections.Failed {
		failed += n
	}
	note(failed, "%d of %d connections failed: %s", failed, r.Connections.Wanted, r.Connections.Problem)
	note(r.Connections.Disconnects, "%d held connections ended", r.Connections.Disconnects)
	note(r.Connections.Broken, "broken stream: %s", r.Connections.Fault)
	note(r.Messages.Refused, "%d messages were refused: %s", r.Messages.Refused, r.Messages.Refusal)
	note(r.Deliveries.Lost, "%d of %d deliveries were lost", r.Deliveries.Lost, r.Deliveries.Expected)
	note(r.Deliveries.Duplicated, "%d deliveries came twice or out of order", r.Deliveries.Duplicated)
	if r.TimedOut {
		faults = append(faults, "the time was up before the end")
	}
	if len(faults) == 0 {
		return nil
	}
	return errors.New(strings.Join(faults, "; "))
}

// report sums up.
func (r *run) report(counts tally, results []*result) *Report {
	connect, latency := stats.NewHistogram(), stats.NewHistogram()
	for _, w := range results {
		connect.Merge(w.Connect)
		latency.Merge(w.Latency)
	}
	rep := &Report{}
	rep.Connections = connections(&counts, connect)
	rep.Connections.Wanted, rep.Connections.Workers = r.o.Connections, len(results)
	rep.Messages = Messages{Wanted: r.o.Messages, Size: r.o.Size}
	rep.Deliveries = Deliveries{Received: counts.Received, Duplicated: counts.Duplicates, Latency: latency.Latency()}
	if r.send != nil {
		r.send.sum(&rep.Messages)
		d := &rep.Deliveries
		d.Expected = r.send.expected()
		d.Lost = max(0, d.Expected-(d.Received-d.Duplicated))
		d.Seconds, d.PerSecond = perSecond(counts.Received, counts.LastArrival-counts.FirstStamp)
		d.FanOut = fanOut(results, r.send.perChannel).Latency()
	}
	rep.Daemon = r.cost(&counts)
	return rep
}

func connections(t *tally, latency *stats.Histogram) Connections {
	c := Connections{
		Held: t.Held, Failed: map[string]int{}, Problem: t.Problem, Latency: latency.Latency(),
		Disconnects: t.Disconnects, Checked: t.Checked, Broken: t.Broken, Fault: t.Fault,
	}
	for why, n := range t.Failed {
		if n > 0 {
			c.Failed[failures[why]] = n
		}
	}
	c.Seconds, c.PerSecond = perSecond(t.Held, t.LastHeld-t.FirstDial)
	return c
}

// sum fills in what the sender counted.
func (s *sender) sum(m *Messages) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.Published, m.Accepted, m.Refused, m.Receivers = int(s.published.Load()), s.accepted, s.refused, s.receivers
	if s.refusal != nil {
		m.Refusal = s.refusal.Error()
	}
	m.Seconds, m.PerSecond = perSecond(m.Published, int64(s.ended.Sub(s.began)))
	m.Blocked, m.BlockedSeconds, m.BehindSeconds = s.blocks, s.blocked.Seconds(), s.behind.Seconds()
}

// perSecond is a time in seconds, and n over it. Both are 0 where nothing was timed.
func perSecond(n int, nanoseconds int64) (seconds, rate float64) {
	if nanoseconds <= 0 {
		return 0, 0
	}
	seconds = float64(nanoseconds) / float64(time.Second)
	return seconds, float64(n) / seconds
}

// fanOut is the time from publish to the last arrival, of the messages that reached all subscribers of their channel.
func fanOut(results []*result, perChannel []uint32) *stats.Histogram {
	h := stats.NewHistogram()
	for i := range results[0].Slowest {
		var arrivals uint32
		var slowest int64
		for _, w := range results {
			arrivals += w.Arrivals[i]
			slowest = max(slowest, w.Slowest[i])
		}
		if want := perChannel[i%len(perChannel)]; want > 0 && arrivals == want {
			h.Record(time.Duration(slowest))
		}
	}
	return h
}

// cost is what the snapshots of pushd say.
func (r *run) cost(t *tally) Daemon {
	d := Daemon{BeforeBytes: r.before.RSSAnonBytes}
	if r.held == nil {
		return d
	}
	d.HeldBytes = r.held.RSSAnonBytes
	if t.Held > 0 && r.before.Accepted == 0 { // of one that was used before, the heap's past says more than its clients
		per := float64(d.HeldBytes-d.BeforeBytes) / float64(t.Held)
		d.BytesPerConnection = &per
	}
	if t.Received > 0 {
		cpu := r.after.CPUSeconds - r.held.CPUSeconds
		million := cpu / float64(t.Received) * 1e6
		d.CPUSeconds, d.CPUSecondsPerMillion = &cpu, &million
	}
	return d
}
