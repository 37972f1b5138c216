package tui

import (
	"math"
	"time"

	"holdfast/pkg/stats"
)

// reading is the figures of what is shown: of one pushd, or of the sum of several.
type reading struct {
	stats.Snapshot
	tick   *delta // since the snapshot before; nil when there is none
	recent *delta // in the last latencySpan
	minute *delta // in the last minute
	stale  bool   // pushd does not answer: these are its last figures
	at     time.Time
	of     int // how many pushd it adds up
}

// mark is the moment from which totals count.
type mark struct {
	at   time.Time
	base map[*node]*stats.Snapshot
}

func (m *model) resetTotals() {
	m.reset = &mark{at: m.now, base: make(map[*node]*stats.Snapshot)}
	for _, n := range m.nodes {
		if n.last.snap != nil {
			m.reset.base[n] = n.last.snap
		}
	}
	m.say(plain, "Totals count from now on (R: from the start of pushd again)")
}

// reading adds up what is in scope. The dead are left out, unless all are; it is nil when there is nothing at all.
// It is made once for each message and frame.
func (m *model) reading() *reading {
	if !m.added {
		m.sum, m.added = m.read(m.inScope()), true
	}
	return m.sum
}

func (m *model) read(nodes []*node) *reading {
	var chosen []*node
	for _, n := range nodes {
		if n.alive() {
			chosen = append(chosen, n)
		}
	}
	stale := len(chosen) == 0
	if stale {
		for _, n := range nodes {
			if n.last.snap != nil {
				chosen = append(chosen, n)
			}
		}
	}
	if len(chosen) == 0 {
		return nil
	}
	r := &reading{stale: stale, of: len(chosen)}
	for _, n := range chosen {
		m.addTo(r, n)
	}
	return r
}

// addTo adds the figures of n to r.
func (m *model) addTo(r *reading, n *node) {
	r.at = later(r.at, n.last.at)
	base := (*stats.Snapshot)(nil)
	if m.reset != nil {
		if b := m.reset.base[n]; b != nil && sameProcess(b, n.last.snap) {
			base = b
		}
	}
	addSnapshot(&r.Snapshot, n.last.snap, base)
	addDelta(&r.tick, between(n.before.snap, n.last.snap))
	addDelta(&r.recent, between(n.since(latencySpan).snap, n.last.snap))
	addDelta(&r.minute, between(n.since(minute).snap, n.last.snap))
}

func addDelta(to **delta, d *delta) {
	if d == nil {
		return
	}
	if *to == nil {
		*to = new(delta)
	}
	(*to).add(d)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// addSnapshot adds s to t. Counters count from base, unless it is nil.
func addSnapshot(t, s, base *stats.Snapshot) {
	if base == nil {
		base = new(stats.Snapshot)
	}
	t.Connections.Total += s.Connections.Total
	t.Connections.Stream += s.Connections.Stream
	t.Connections.Events += s.Connections.Events
	t.Connections.Poll += s.Connections.Poll
	t.Connections.WS += s.Connections.WS
	t.Connections.HTTP += s.Connections.HTTP
	t.Accepted += less(s.Accepted, base.Accepted)
	addCounts(&t.Closed, grown(base.Closed, s.Closed))
	t.Channels += s.Channels
	t.Subscriptions += s.Subscriptions
	t.Published += less(s.Published, base.Published)
	t.Delivered += less(s.Delivered, base.Delivered)
	addCounts(&t.Dropped, grown(base.Dropped, s.Dropped))
	t.QueuedBytes += s.QueuedBytes
	t.BytesOut += less(s.BytesOut, base.BytesOut)
	t.RSSBytes += s.RSSBytes
	t.RSSAnonBytes += s.RSSAnonBytes
	t.CPUSeconds += s.CPUSeconds - base.CPUSeconds
	t.FDs.Used += s.FDs.Used
	t.FDs.Limit += s.FDs.Limit
	t.UptimeSeconds = max(t.UptimeSeconds, s.UptimeSeconds)
	t.Goroutines += s.Goroutines
	t.Version, t.PID = s.Version, s.PID
	t.HeapBytes += s.HeapBytes
	t.HeapGoalBytes += s.HeapGoalBytes
	t.Limits.MaxConnections += s.Limits.MaxConnections
	t.Limits.QueueMemory += s.Limits.QueueMemory
	t.GC.Cycles += less(s.GC.Cycles, base.GC.Cycles)
	t.Latency.Merge(s.Latency.Since(base.Latency))
	t.Kernel = largerKernel(t.Kernel, s.Kernel)
	t.Loops = append(t.Loops, s.Loops...)
}

// largerKernel joins what two pushd say about their kernel: mostly it is the same one, so nothing is added up.
func largerKernel(a, b stats.Kernel) stats.Kernel {
	if a.TCPMemLimit == 0 || b.TCPMemLimit > 0 && b.TCPMemBytes > a.TCPMemBytes { // one that does not know has no limit
		a, b = b, a
	}
	a.ListenOverflows = max(a.ListenOverflows, b.ListenOverflows)
	a.ListenDrops = max(a.ListenDrops, b.ListenDrops)
	return a
}

// curves are the figures that are drawn over time.
type curves struct {
	at                                          series // when, in seconds since 1970
	connections, events, stream, poll, ws, http series
	accepted, closed                            series
	published, delivered, dropped               series
	queued, p99                                 series
}

// add appends the figures of r; nil leaves a gap.
func (c *curves) add(r *reading, at time.Time) {
	c.at.add(float64(at.UnixMilli()) / 1000)
	gap := math.NaN()
	if r == nil || r.stale {
		for _, s := range c.all() {
			s.add(gap)
		}
		return
	}
	c.connections.add(float64(r.Connections.Total))
	c.events.add(float64(r.Connections.Events))
	c.stream.add(float64(r.Connections.Stream))
	c.poll.add(float64(r.Connections.Poll))
	c.ws.add(float64(r.Connections.WS))
	c.http.add(float64(r.Connections.HTTP))
	c.queued.add(float64(r.QueuedBytes))
	var t rates
	p99 := gap
	if r.tick != nil {
		t = r.tick.rates
		if r.tick.latency.Count > 0 {
			p99 = float64(r.tick.latency.P99)
		}
	} else {
		t = rates{gap, gap, gap, gap, gap, gap}
	}
	c.accepted.add(t.accepted)
	c.closed.add(t.closed)
	c.published.add(t.published)
	c.delivered.add(t.delivered)
	c.dropped.add(t.dropped)
	c.p99.add(p99)
}

func (c *curves) all() []*series {
	return []*series{&c.connections, &c.events, &c.stream, &c.poll, &c.ws, &c.http, &c.accepted, &c.closed,
		&c.published, &c.delivered, &c.dropped, &c.queued, &c.p99}
}

// addToCurves appends the figures of every scope to its curves.
func (m *model) addToCurves() {
	m.curves[0].add(m.read(m.nodes), m.now)
	for i := range m.nodes {
		if len(m.nodes) > 1 {
			m.curves[i+1].add(m.read(m.nodes[i:i+1]), m.now)
		}
	}
}

// curvesInScope is those of what is shown.
func (m *model) curvesInScope() *curves {
	if len(m.nodes) == 1 {
		return &m.curves[0]
	}
	return &m.curves[m.scope+1]
}
