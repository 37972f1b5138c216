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
	s, pid := *n.last.snap, r.PID
	if m.reset != nil {
		if b := m.reset.base[n]; b != nil && sameProcess(b, &s) {
			s = s.Since(b)
		}
	}
	r.Add(&s)
	if r.of == 1 {
		r.PID = max(pid, s.PID)
	}
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
