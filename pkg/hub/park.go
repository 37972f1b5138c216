package hub

import (
	"slices"
	"time"
)

const (
	// maxPark is how long a walk waits while one of its subscribers keeps up: that one gets what is
	// published by so much later.
	maxPark = 10 * time.Millisecond

	// longPark is how long a walk waits while none does. A Sink counts nobody as behind for longer.
	longPark = 4 * time.Second

	few            = 8        // subscribers in a loop that make a small channel
	slowWalkBytes  = 16 << 10 // bytes of a walk when subscribers are behind after the one before
	leastWalkBytes = 64       // to which that sinks while those of a small channel do not catch up
	keptBlock      = 4 << 10  // bytes of a block that a walk may keep while it has nothing to hand out
)

// pace is how a walk waits for the subscribers who are behind.
type pace struct {
	parked uint64    // number of its entry in a list of parked walks; 0: it is in none
	until  time.Time // when it is unparked at the latest
	long   bool      // for longPark, else for maxPark
	small  bool      // its channel is small: it waits for all who are behind
	bytes  int       // of the next walk; 0: walkBytes
}

// parking is a walk that waits for its subscribers.
type parking struct {
	walk   *walk
	number uint64
}

// over reports whether the entry is stale: the walk was unparked, and perhaps parked again since.
func (p parking) over() bool { return p.walk.parked != p.number }

// parkings are the walks that are parked for equally long, in the order of parking.
type parkings struct {
	list []parking
	live int // entries that are not stale
}

// wait returns for how long the channel's next walk is to be parked, and 0 for not at all. After a
// walk that has left subscribers behind more is published than they take, and the publishers have
// to feel it (docs/decisions/0002). While none keeps up nobody has to wait who would not have to
// wait anyway. While some do, the walk waits for the majority, and where the channel is small for
// each.
func (m *Members) wait(w *walk) time.Duration {
	if w.behind == 0 || w.local == 0 {
		return 0
	}
	subs := int(m.locals.At(w.local).subs)
	w.small = subs <= few
	switch {
	case w.behind >= subs:
		return longPark
	case w.small, 2*w.behind > w.reached:
		return maxPark
	}
	return 0
}

// park has the walk wait for d, which is maxPark or longPark.
func (m *Members) park(w *walk, now time.Time, d time.Duration) {
	if w.bytes == 0 {
		w.bytes = slowWalkBytes
	}
	if len(w.waiting) == 0 && cap(w.block) > keptBlock {
		w.block = nil
	}
	m.parkings++
	w.parked, w.until, w.long = m.parkings, now.Add(d), d > maxPark
	p := m.parkedLike(w)
	if len(p.list) >= 2*p.live+64 {
		p.list = slices.DeleteFunc(p.list, parking.over)
	}
	p.list = append(p.list, parking{w, w.parked})
	p.live++
}

func (m *Members) parkedLike(w *walk) *parkings {
	if w.long {
		return &m.parkedLong
	}
	return &m.parkedShort
}

// unpark gives a parked walk its turns again, or ends it when nothing waits. Its entry in the list
// is stale then, and goes when it comes to the front.
func (m *Members) unpark(w *walk) {
	m.parkedLike(w).live--
	w.parked = 0
	if len(w.waiting) == 0 {
		m.endWalk(w)
		return
	}
	m.walks.push(w)
}

// unparkDue unparks what has waited long enough.
func (m *Members) unparkDue(now time.Time) {
	for _, p := range [...]*parkings{&m.parkedShort, &m.parkedLong} {
		for len(p.list) > 0 && (p.list[0].over() || !p.list[0].walk.until.After(now)) {
			if w := p.list[0].walk; !p.list[0].over() {
				if w.small && !w.long {
					w.bytes = max(w.bytes/2, leastWalkBytes)
				}
				m.unpark(w)
			}
			p.list[0] = parking{}
			p.list = p.list[1:]
		}
		if len(p.list) == 0 {
			p.list = nil
		}
	}
}

// parkedFor returns the time until the first parked walk is due, 0 when there is none.
func (m *Members) parkedFor(now time.Time) (wait time.Duration) {
	for _, p := range [...]*parkings{&m.parkedShort, &m.parkedLong} {
		if len(p.list) == 0 {
			continue
		}
		if d := max(p.list[0].walk.until.Sub(now), time.Microsecond); wait == 0 || d < wait {
			wait = d
		}
	}
	return wait
}

// CaughtUp tells that a connection, of which subs is the first subscription, is not behind any more.
func (m *Members) CaughtUp(subs uint32) {
	for id := subs; id != 0; id = m.subs.At(id).more {
		w := m.locals.At(m.groups.At(m.subs.At(id).group).local).walk
		if w == nil || w.parked == 0 {
			continue
		}
		if w.behind--; w.small && w.behind > 0 {
			m.keepsUp(w)
			continue
		}
		w.bytes = slowWalkBytes
		m.unpark(w)
	}
}

// keepsUp notes that a subscriber keeps up: a walk that is parked for longer does not wait for more
// than maxPark from now on.
func (m *Members) keepsUp(w *walk) {
	if w.parked != 0 && w.long {
		m.parkedLong.live--
		m.park(w, m.stepped, maxPark)
	}
}
