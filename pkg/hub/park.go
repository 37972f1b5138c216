package hub

import "time"

const (
	maxPark       = 10 * time.Millisecond // for which a walk waits for its subscribers
	slowWalkBytes = 16 << 10              // encoded bytes of a walk when most subscribers are behind after the one before
)

// parking is a walk that waits for its subscribers, in the order of parking.
type parking struct {
	walk  *walk
	until time.Time
}

// over reports whether the walk does not wait here any more: it has caught up, and perhaps been parked again since.
func (p parking) over() bool { return p.walk.until != p.until }

// slow reports whether most of the subscribers whom the last walk has reached are behind. The channel's next walk is then
// parked until one of them has caught up, for maxPark at most: more is published than the channel's clients can take, and its
// publishers have to feel it, for nobody is made to wait who would not have to wait anyway. A few clients that are
// behind park nothing: their queues fill up, and they are closed (docs/decisions/0002).
func (w *walk) slow() bool { return 2*w.behind > w.reached }

func (m *Members) park(w *walk, now time.Time) {
	w.until = now.Add(maxPark)
	m.parked = append(m.parked, parking{w, w.until})
}

// unpark gives a parked walk its turns again. Its entry in the list is over now, and goes when it comes to the front.
func (m *Members) unpark(w *walk) {
	w.until = time.Time{}
	m.walks.push(w)
}

// unparkDue unparks what has waited long enough.
func (m *Members) unparkDue(now time.Time) {
	for len(m.parked) > 0 && (m.parked[0].over() || !m.parked[0].until.After(now)) {
		if p := m.parked[0]; !p.over() {
			m.unpark(p.walk)
		}
		m.parked[0] = parking{}
		m.parked = m.parked[1:]
	}
	if len(m.parked) == 0 {
		m.parked = nil
	}
}

// parkedFor returns the time until the first parked walk is due, 0 when there is none.
func (m *Members) parkedFor(now time.Time) time.Duration {
	if len(m.parked) == 0 {
		return 0
	}
	return max(m.parked[0].until.Sub(now), time.Microsecond)
}

// CaughtUp tells that a connection, of which subs is the first subscription, is not behind any more.
func (m *Members) CaughtUp(subs uint32) {
	for id := subs; id != 0; id = m.subs.At(id).more {
		l := m.locals.At(m.groups.At(m.subs.At(id).group).local)
		if l.walk != nil && !l.walk.until.IsZero() {
			m.unpark(l.walk)
		}
	}
}
