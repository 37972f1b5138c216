package hub

// A connection that resumes has had, from the history, every item of its channels up to the newest.
// Some of these may still be on their way to its loop. It stands in a late group, which leaves them
// out, until a walk has brought them to the others, or one begins with a later item: then the group
// becomes one with the channel's others.

// after returns the number after which the group gets items, 0 when it gets all.
func (m *Members) after(gi uint32, g *group) uint64 {
	if !g.late {
		return 0
	}
	after, _ := m.late.get(gi)
	return after
}

// mergeLate makes ordinary groups of the channel's late ones that get everything from the item
// numbered seq on, and one of those that have the same encoder. No walk of the channel is under
// way.
func (m *Members) mergeLate(li uint32, seq uint64) {
	l := m.locals.At(li)
	if m.late.len() == 0 && !l.split {
		return
	}
	l.split = false
	var ordinary [1 << 8]uint32 // by encoder
	first := l.groups
	for gi := first; gi != 0; gi = m.groups.At(gi).next {
		if g := m.groups.At(gi); !g.late {
			ordinary[g.encoder] = gi
		}
	}
	for gi := first; gi != 0; {
		g := m.groups.At(gi)
		next, to := g.next, &ordinary[g.encoder]
		switch {
		case !g.late && *to == gi || g.late && m.after(gi, g) >= seq:
		case *to == 0:
			g.late = false
			m.late.delete(gi)
			*to = gi
		default:
			m.merge(gi, *to)
		}
		gi = next
	}
}

// merge moves all subscriptions of a group to another, and ends it.
func (m *Members) merge(gi, to uint32) {
	from, into := m.groups.At(gi), m.groups.At(to)
	last := from.first
	for id := from.first; id != 0; id = m.subs.At(id).next {
		m.subs.At(id).group = to
		last = id
	}
	m.subs.At(last).next = into.first
	m.subs.At(into.first).prev = last
	into.first, from.first = from.first, 0
	m.dropGroup(gi)
}

// maxLate is the number of a channel's late groups above which who resumes has to share one: each
// group has its items encoded anew.
const maxLate = 64

// shareLate has the connection join the channels with too many late groups at the number of one
// that is there already, where no walk has come to what is later: the walks will bring that. When
// it has seen later items already it gets them again, and there is a gap.
func (m *Members) shareLate(to *Resumed) (gap bool) {
	for i := range m.resumed {
		r := &m.resumed[i]
		if r.after == 0 {
			continue
		}
		best, groups := m.latest(r)
		if best == 0 || groups < maxLate {
			continue
		}
		gap = gap || best+1 < r.first
		to.Had = min(to.Had, best)
		for r.after = best; r.next != 0 && m.dir.history.entries.At(r.next).seq > best; {
			r.next = m.dir.history.entries.At(r.next).older
		}
	}
	return gap
}

// latest returns the highest number of a late group of the channel that no walk has come past, 0
// when there is none, and how many late groups the channel has.
func (m *Members) latest(r *resumed) (best uint64, groups int) {
	ch, ok := m.dir.find(r.name)
	if !ok {
		return 0, 0
	}
	li, ok := m.byChannel.get(ch.number)
	if !ok {
		return 0, 0
	}
	l := m.locals.At(li)
	walked := uint64(0)
	if l.walk != nil && len(l.walk.items) > 0 {
		walked = l.walk.items[len(l.walk.items)-1].seq
	}
	for gi := l.groups; gi != 0; gi = m.groups.At(gi).next {
		after := m.after(gi, m.groups.At(gi))
		if after > 0 {
			groups++
		}
		if after > walked && after <= r.after {
			best = max(best, after)
		}
	}
	return best, groups
}
