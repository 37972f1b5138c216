package hub

import (
	"cmp"
	"slices"
	"strings"

	"holdfast/pkg/publish"
)

// From says where a connection goes on.
type From struct {
	LastID []byte // id of the last item that it has seen; empty: none
	Latest int    // without a LastID: so many of the newest kept items of each channel
}

// resumed is a channel of a connection that resumes.
type resumed struct {
	kept    bool   // its rule keeps items
	channel uint32 // in the log; 0: there is no record of it
	name    string
	after   uint64 // its newest item, when that may still be on its way to a loop; else 0
}

// keptEntry is what Resume takes from an entry while it holds the order lock.
type keptEntry struct {
	seq    uint64
	name   string // of the channel
	packed string
	given  bool
}

// Resume subscribes a connection that has no subscriptions yet to the channels called names, and appends to dst, in the
// order of their publication, the kept items that the connection has to get before anything that a walk brings it. They are
// the caller's. With the walks that makes every item that the connection has not had since from, and in the channel of
// from.LastID none twice. Of its other channels it may get again what was on its way together with the item of that id: order
// across channels is not promised, so nobody knows how much of that it has had. (When several of the channels have an item of
// that id, it is the oldest one: what a channel repeats has its id as before.)
//
// gap says that something may be missing, because it is not kept any more, or never was, or because no item of that id is
// known: then the connection gets all that is kept, and gapEncoder is the one for its later items. subs is the first
// subscription. ok is false when a channel would be one too many; then nothing has changed.
func (m *Members) Resume(conn uint32, names [][]byte, encoder, gapEncoder uint8, from From, dst []*publish.Item) (
	subs uint32, items []*publish.Item, gap, ok bool,
) {
	h := m.dir.history
	if h == nil || len(from.LastID) == 0 && from.Latest <= 0 {
		if gap = len(from.LastID) > 0; gap {
			encoder = gapEncoder
		}
		subs, ok = m.joinAll(conn, names, encoder)
		return subs, dst, ok && gap, ok
	}
	h.mu.Lock()
	m.list(names)
	if len(from.LastID) > 0 {
		gap = m.collectSince(from.LastID)
	} else {
		m.collectLatest(from.Latest)
	}
	if gap {
		encoder = gapEncoder
	}
	subs, ok = m.joinListed(conn, encoder)
	h.mu.Unlock()
	if !ok {
		m.Leave(subs)
		m.forgetKept()
		return 0, dst, false, false
	}
	return subs, m.unpackKept(dst), gap, true
}

func (m *Members) joinAll(conn uint32, names [][]byte, encoder uint8) (subs uint32, ok bool) {
	for _, name := range names {
		if subs, ok = m.Join(conn, name, encoder, subs); !ok {
			m.Leave(subs)
			return 0, false
		}
	}
	return subs, true
}

// list puts the channels called names into m.resumed, each once. The caller holds the order lock until they are joined: all
// earlier items are kept or dropped, all later ones will be posted to this loop.
func (m *Members) list(names [][]byte) {
	h := m.dir.history
	m.resumed = m.resumed[:0]
	now, low := h.now(), h.flight.lowest(h.seq+1)
	for _, name := range names {
		r := resumed{name: string(name)}
		if slices.ContainsFunc(m.resumed, func(other resumed) bool { return other.name == r.name }) {
			continue
		}
		if r.kept = h.rule(r.name) != nil; r.kept {
			var ok bool
			if r.channel, ok = h.names.get(r.name); ok {
				h.dropExpired(r.channel, now)
				r.after = h.channels.At(r.channel).last
			} else {
				r.after = h.untold
			}
			if r.after < low { // nothing of the channel is on its way to any loop
				r.after = 0
			}
		}
		m.resumed = append(m.resumed, r)
	}
}

// joinListed subscribes the connection to each channel of m.resumed, for what comes after its newest item.
func (m *Members) joinListed(conn uint32, encoder uint8) (subs uint32, ok bool) {
	for i := range m.resumed {
		r := &m.resumed[i]
		if subs, ok = m.join(conn, []byte(r.name), encoder, subs, r.after); !ok {
			return subs, false
		}
	}
	return subs, true
}

// collectSince puts into m.kept what the channels have since the item of that id, and reports whether something may be
// missing.
func (m *Members) collectSince(id []byte) (gap bool) {
	h := m.dir.history
	var seen place
	seq := h.number(id)
	for _, r := range m.resumed {
		if p, ok := h.find(r.channel, id, seq); ok && (seen.channel == 0 || p.seq < seen.seq) {
			seen = p
		}
	}
	for _, r := range m.resumed {
		first := seen.since
		switch {
		case seen.channel == 0 || !r.kept:
			gap = true
		case r.channel == seen.channel:
			first = seen.seq + 1
		case r.channel == 0:
			gap = gap || h.forgotten >= seen.since
		default:
			gap = gap || h.channels.At(r.channel).mark.seq >= seen.since
		}
		if r.channel != 0 {
			m.collect(r, first, ^uint32(0))
		}
	}
	return gap
}

func (m *Members) collectLatest(n int) {
	for _, r := range m.resumed {
		if r.channel != 0 {
			m.collect(r, 0, uint32(min(n, int(^uint32(0)>>1))))
		}
	}
}

// collect puts into m.kept the channel's newest entries, at most so many, from the number first on.
func (m *Members) collect(r resumed, first uint64, most uint32) {
	h := m.dir.history
	c := h.channels.At(r.channel)
	for id := c.newest; id != 0 && most > 0; most-- {
		e := h.entries.At(id)
		if e.seq < first {
			return
		}
		m.kept = append(m.kept, keptEntry{e.seq, c.name, e.packed, e.given})
		id = e.older
	}
}

// unpackKept appends the items of m.kept to dst, in the order of their numbers, and empties it.
func (m *Members) unpackKept(dst []*publish.Item) []*publish.Item {
	if len(m.kept) == 0 {
		return dst
	}
	slices.SortFunc(m.kept, func(a, b keptEntry) int { return cmp.Compare(a.seq, b.seq) })
	items := make([]publish.Item, len(m.kept))
	var ids strings.Builder
	ids.Grow(len(m.kept) * maxIDBytes)
	for i, k := range m.kept {
		it := &items[i]
		it.Channel = k.name
		unpack(k.packed, it)
		if !k.given {
			it.ID = m.dir.history.writeID(&ids, k.seq)
		}
		dst = append(dst, it)
	}
	m.forgetKept()
	return dst
}

// forgetKept empties m.kept, which holds contents that the history may drop.
func (m *Members) forgetKept() {
	clear(m.kept)
	m.kept = m.kept[:0]
	if cap(m.kept) > maxScratch {
		m.kept = nil
	}
}

const maxScratch = 1024 // entries kept between two calls of Resume

// place is where an item stands in the log, or stood.
type place struct {
	channel    uint32
	seq, since uint64
}

// find returns the place of the channel's newest item that goes by that id, if it is kept or marked. seq is the number in the
// id, when the history gave it.
func (h *history) find(channel uint32, id []byte, seq uint64) (p place, ok bool) {
	if channel == 0 {
		return place{}, false
	}
	c := h.channels.At(channel)
	for ei := c.newest; ei != 0; {
		e := h.entries.At(ei)
		if !e.given && e.seq == seq || e.named && hasID(e.packed, id) {
			return place{channel, e.seq, e.since}, true
		}
		ei = e.older
	}
	k := &c.mark
	if k.item && (!k.given && k.seq == seq || k.named && hasID(string(k.ids), id)) {
		return place{channel, k.seq, k.since}, true
	}
	return place{}, false
}

// A connection that resumes has had, from the history, every item of its channels up to the newest. Some of these may still be
// on their way to its loop. It stands in a late group, which leaves them out, until a walk has brought them to the others, or
// one begins with a later item: then the group becomes one with the channel's others.

// after returns the number after which the group gets items, 0 when it gets all.
func (m *Members) after(gi uint32, g *group) uint64 {
	if !g.late {
		return 0
	}
	return m.late.m[gi]
}

// mergeLate makes ordinary groups of the channel's late ones that get everything from the item numbered seq on. No walk of the
// channel is under way.
func (m *Members) mergeLate(li uint32, seq uint64) {
	if len(m.late.m) == 0 {
		return
	}
	var ordinary [1 << 8]uint32 // by encoder
	first := m.locals.At(li).groups
	for gi := first; gi != 0; gi = m.groups.At(gi).next {
		if g := m.groups.At(gi); !g.late {
			ordinary[g.encoder] = gi
		}
	}
	for gi := first; gi != 0; {
		g := m.groups.At(gi)
		next, to := g.next, &ordinary[g.encoder]
		switch {
		case !g.late || m.late.m[gi] >= seq:
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
