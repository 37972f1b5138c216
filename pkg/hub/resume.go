package hub

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"holdfast/pkg/publish"
)

// From says where a connection goes on.
type From struct {
	LastID []byte // id of the last item that it has seen, or a position that Oldest returned; empty: none
	Latest int    // without a LastID: so many of the newest kept items of each channel
	Bytes  int    // bound of what the connection gets of kept items, about; 0: none
}

// resumed is a channel of a connection that resumes.
type resumed struct {
	kept    bool   // its rule keeps items
	channel uint32 // in the log; 0: there is no record of it
	name    string
	after   uint64 // what comes later is brought by walks; 0: nothing of the channel is on its way

	first uint64 // number from which on the connection gets items
	left  int    // of so many
	next  uint32 // entry that is looked at next, 0: no more
}

const (
	itemCost = 64   // charged to From.Bytes for an item besides what it takes
	maxFind  = 4096 // entries of a channel among which an id is looked for, from the newest on
)

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
		gap = m.since(from.LastID)
		gap = m.shareLate() || gap
		gap = m.collect(from.Bytes) || gap
	} else {
		for i := range m.resumed {
			m.resumed[i].left = from.Latest
		}
		m.shareLate()
		m.collect(from.Bytes)
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

// Oldest returns the oldest kept item, with content of the format, that a connection which polls the channels called names one item at
// a time has to get since from.LastID, and subscribes it to nothing. position stands for this item in the next LastID: all
// items of these channels up to it are had then. gap is as of Resume. found is false when there is none.
func (m *Members) Oldest(names [][]byte, from From, format publish.Format) (it *publish.Item, position string, gap, found bool) {
	h := m.dir.history
	if h == nil || len(from.LastID) == 0 && from.Latest <= 0 {
		return nil, "", false, false
	}
	h.mu.Lock()
	m.list(names)
	if len(from.LastID) > 0 {
		gap = m.since(from.LastID)
	} else {
		for i := range m.resumed {
			m.resumed[i].left = from.Latest
		}
	}
	var oldest keptEntry
	now := h.now()
	for i := range m.resumed {
		r := &m.resumed[i]
		for ; r.left > 0; r.left-- {
			e, ok, expired := h.peek(r, now)
			gap = gap || expired && len(from.LastID) > 0
			if !ok {
				break
			}
			if e.sends&format != 0 && (!found || e.seq < oldest.seq) {
				oldest, found = keptEntry{e.seq, r.name, e.packed, e.given}, true
			}
			r.next = e.older
		}
	}
	h.mu.Unlock()
	if !found {
		return nil, "", gap, false
	}
	m.kept = append(m.kept, oldest)
	return m.unpackKept(nil)[0], h.position(oldest.seq), gap, true
}

// Position returns what a connection may name as its LastID that subscribes to the channels called names from now on, as long as
// it has got nothing: all items up to there have been handed out. It is "" when none of the channels keeps items.
func (m *Members) Position(names [][]byte) string {
	h := m.dir.history
	if h == nil || !slices.ContainsFunc(names, func(name []byte) bool { return h.rule(string(name)) != nil }) {
		return ""
	}
	h.mu.Lock()
	settled := h.flight.lowest(h.seq+1) - 1
	h.mu.Unlock()
	return h.position(settled)
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

// list puts the channels called names into m.resumed, each once, with everything to be got. The caller holds the order lock until
// they are joined, if they are to be: all earlier items are kept or dropped, all later ones will be posted to this loop.
func (m *Members) list(names [][]byte) {
	h := m.dir.history
	m.resumed = m.resumed[:0]
	low := h.flight.lowest(h.seq + 1)
	for _, name := range names {
		r := resumed{name: string(name), left: math.MaxInt}
		if slices.ContainsFunc(m.resumed, func(other resumed) bool { return other.name == r.name }) {
			continue
		}
		if r.kept = h.rule(r.name) != nil; r.kept {
			var ok bool
			if r.channel, ok = h.names.get(r.name); ok {
				c := h.channels.At(r.channel)
				r.after, r.next = c.last, c.newest
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

// maxLate is the number of a channel's late groups above which who resumes has to share one: each group has its items encoded anew.
const maxLate = 64

// shareLate has the connection join the channels with too many late groups at the number of one that is there already, where no walk
// has come to what is later: the walks will bring that. When it has seen later items already it gets them again, and there is a
// gap.
func (m *Members) shareLate() (gap bool) {
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
		for r.after = best; r.next != 0 && m.dir.history.entries.At(r.next).seq > best; {
			r.next = m.dir.history.entries.At(r.next).older
		}
	}
	return gap
}

// latest returns the highest number of a late group of the channel that no walk has come past, 0 when there is none, and how many
// late groups the channel has.
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

// since sets from which number on each channel is to be got by somebody who has seen the item of that id, and reports whether
// something may be missing.
func (m *Members) since(id []byte) (gap bool) {
	h := m.dir.history
	if n, ok := h.parsePosition(id); ok {
		for i := range m.resumed {
			r := &m.resumed[i]
			r.first = n + 1
			gap = gap || !r.kept || h.lost(r.channel) > n
		}
		return gap
	}
	var seen place
	seq, now := h.number(id), h.now()
	for _, r := range m.resumed {
		if p, ok := h.find(r.channel, id, seq, now); ok && (seen.channel == 0 || p.seq < seen.seq) {
			seen = p
		}
	}
	for i := range m.resumed {
		r := &m.resumed[i]
		switch {
		case seen.channel == 0 || !r.kept:
			r.first, gap = seen.since, true
		case r.channel == seen.channel:
			r.first = seen.seq + 1
		default:
			r.first = seen.since
			gap = gap || h.lost(r.channel) >= seen.since
		}
	}
	return gap
}

// lost returns the highest number of an item of the channel that may have been dropped.
func (h *history) lost(channel uint32) uint64 {
	if channel == 0 {
		return h.forgotten
	}
	return h.channels.At(channel).mark.seq
}

// peek returns the channel's entry that is looked at next, if there is one to be got. expired says that there was, and is not
// any more.
func (h *history) peek(r *resumed, now int64) (e *entry, ok, expired bool) {
	if r.next == 0 {
		return nil, false, false
	}
	e = h.entries.At(r.next)
	if e.seq < r.first {
		return nil, false, false
	}
	if h.expired(r.next, h.channels.At(r.channel).keep, now) {
		return nil, false, true
	}
	return e, true, false
}

// collect puts into m.kept what the connection gets of the channels in m.resumed: the newest, as far as bytes allows. It reports
// whether that is not all.
func (m *Members) collect(bytes int) (short bool) {
	h := m.dir.history
	now := h.now()
	for spent := 0; ; {
		var newest *entry
		var from *resumed
		for i := range m.resumed {
			r := &m.resumed[i]
			if r.left == 0 {
				continue
			}
			e, ok, expired := h.peek(r, now)
			short = short || expired
			if ok && (newest == nil || e.seq > newest.seq) {
				newest, from = e, r
			}
		}
		if newest == nil {
			return short
		}
		if spent += len(newest.packed) + itemCost; bytes > 0 && spent > bytes && len(m.kept) > 0 {
			return true
		}
		m.kept = append(m.kept, keptEntry{newest.seq, from.name, newest.packed, newest.given})
		from.next = newest.older
		from.left--
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

// find returns the place of the channel's newest item that goes by that id, if it is marked, or one of the maxFind newest. seq is the number in the
// id, when the history gave it.
func (h *history) find(channel uint32, id []byte, seq uint64, now int64) (p place, ok bool) {
	if channel == 0 {
		return place{}, false
	}
	c := h.channels.At(channel)
	for ei, n := c.newest, 0; ei != 0 && n < maxFind; n++ {
		e := h.entries.At(ei)
		if !e.given && e.seq == seq || e.named && hasID(e.packed, id) {
			if e.newer != 0 && h.expired(e.newer, c.keep, now) { // what comes after it is not there any more either
				return place{}, false
			}
			return place{channel, e.seq, e.since}, true
		}
		ei = e.older
	}
	k := &c.mark
	if c.oldest != 0 && h.expired(c.oldest, c.keep, now) {
		return place{}, false
	}
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
