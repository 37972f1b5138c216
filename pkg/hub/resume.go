package hub

import (
	"cmp"
	"slices"
	"strings"

	"holdfast/pkg/publish"
)

// From says where a connection goes on.
type From struct {
	LastID []byte // id of the last item that it has had, or a position; empty: none
	Latest int    // without a LastID: so many of the newest kept items of each channel
	Bytes  int    // bound of what the connection gets of kept items, about; 0: none
}

// Fresh says that the connection begins with what comes.
func (f *From) Fresh() bool { return len(f.LastID) == 0 && f.Latest <= 0 }

// Resumed is how a connection goes on.
type Resumed struct {
	Subs  uint32          // its first subscription; 0: it has none
	Items []*publish.Item // what it gets first, in the order of their publication; the caller's

	// Gap says that something may be missing between From and Items: it is not kept any more, or
	// never was, or nothing is known of that id. Then Items is all that is kept, and the encoder is
	// the one for a gap.
	Gap bool

	// Kept says that one of its channels keeps items. Then Had stands for all that it has had once
	// it has got Items, and comes back as a position (AppendPosition).
	Kept bool
	Had  uint64

	// Tell says that the ids of Items would not bring the connection back to Had: it needs the
	// position.
	Tell bool

	// Unnamed says that one of Items has no id of its publisher's that leads back to it: a client
	// which is not shown ids cannot know what to come back with.
	Unnamed bool
}

// resumed is a channel of a connection that resumes.
type resumed struct {
	kept    bool   // its rule keeps items
	channel uint32 // in the log; 0: there is no record of it
	name    string
	after   uint64 // what comes later is brought by walks; 0: nothing of the channel is on its way

	first uint64 // number from which on the connection gets items
	next  uint32 // entry that is looked at next, from the newest on; 0: no more
}

// itemCost is charged to From.Bytes for an item besides what it takes.
const itemCost = 64

// keptEntry is what Resume takes from an entry while it holds the order lock.
type keptEntry struct {
	seq     uint64
	name    string // of the channel
	packed  string
	given   bool
	aliased bool
}

func (e *entry) keep(name string) keptEntry {
	return keptEntry{e.seq, name, e.packed, e.given, e.aliased}
}

// Resume subscribes a connection that has no subscriptions yet to the channels called names, and
// gives it the kept items that it has to get before anything that a walk brings it, appended to
// dst. With the walks that makes every item that the connection has not had since from, and in the
// channel of from.LastID none twice. Of its other channels it may get again what was on its way
// together with the item of that id: order across channels is not promised, so nobody knows how
// much of that it has had. When several kept items go by that id, it goes on after the oldest.
//
// After a gap gapEncoder is the one for its later items. ok is false when a channel would be one
// too many; then nothing has changed.
func (m *Members) Resume(
	conn uint32,
	names [][]byte,
	encoder, gapEncoder uint8,
	from From,
	dst []*publish.Item,
) (r Resumed, ok bool) {
	if m.dir.history == nil || from.Fresh() {
		return m.beginNow(conn, names, encoder, gapEncoder, from, dst)
	}
	r = m.lookUp(names, from)
	r.Gap = m.shareLate(&r) || r.Gap
	short := m.collect(from.Bytes)
	r.Gap = r.Gap || short && len(from.LastID) > 0
	if !m.subscribeListed(conn, encoder, gapEncoder, &r) {
		m.forgetKept()
		return Resumed{Items: dst}, false
	}
	r.Unnamed = slices.ContainsFunc(
		m.kept,
		func(k keptEntry) bool { return !k.given || k.aliased },
	)
	r.Items = m.unpackKept(dst)
	r.Tell = r.Gap || len(from.LastID) == 0
	if len(r.Items) > 0 {
		r.Tell = r.Tell || len(m.resumed) > 1
	}
	return r, true
}

// Poll is Resume for a connection that takes one item of the format at a time. When one is kept for
// it, that is in Items, Had stands for it, and the connection is subscribed to nothing.
func (m *Members) Poll(
	conn uint32,
	names [][]byte,
	encoder, gapEncoder uint8,
	from From,
	format publish.Format,
) (r Resumed, ok bool) {
	h := m.dir.history
	if h == nil || from.Fresh() {
		had, kept := m.Settled(names)
		r, ok = m.beginNow(conn, names, encoder, gapEncoder, from, nil)
		r.Had, r.Kept = had, kept
		return r, ok
	}
	r = m.lookUp(names, from)
	oldest, found, short := m.oldest(format)
	r.Gap = r.Gap || short && len(from.LastID) > 0
	if found {
		h.mu.Unlock()
		r.Had = oldest.seq
		m.kept = append(m.kept, oldest)
		r.Items = m.unpackKept(nil)
		return r, true
	}
	r.Gap = m.shareLate(&r) || r.Gap
	if !m.subscribeListed(conn, encoder, gapEncoder, &r) {
		return Resumed{}, false
	}
	return r, true
}

// beginNow is Resume for a connection that gets nothing of what is kept.
func (m *Members) beginNow(
	conn uint32,
	names [][]byte,
	encoder, gapEncoder uint8,
	from From,
	dst []*publish.Item,
) (r Resumed, ok bool) {
	r.Items = dst
	if r.Gap = len(from.LastID) > 0; r.Gap {
		encoder = gapEncoder
	}
	for _, name := range names {
		if r.Subs, ok = m.Join(conn, name, encoder, r.Subs); !ok {
			m.Leave(r.Subs)
			return Resumed{Items: dst}, false
		}
	}
	return r, true
}

// lookUp takes the order lock and lists the channels, with what the connection has to get of each.
func (m *Members) lookUp(names [][]byte, from From) (r Resumed) {
	h := m.dir.history
	h.mu.Lock()
	m.list(names)
	r.Had, r.Kept = h.seq, slices.ContainsFunc(m.resumed, func(r resumed) bool { return r.kept })
	if len(from.LastID) > 0 {
		r.Gap = m.since(from.LastID)
		return r
	}
	for i := range m.resumed {
		if r := &m.resumed[i]; r.channel != 0 {
			r.first = h.latestFrom(h.channels.At(r.channel), from.Latest)
		}
	}
	return r
}

// subscribeListed subscribes the connection to the channels of m.resumed and gives the order lock
// back. When it reports false nothing has changed.
func (m *Members) subscribeListed(conn uint32, encoder, gapEncoder uint8, r *Resumed) (ok bool) {
	if r.Gap {
		encoder = gapEncoder
	}
	for i := range m.resumed {
		if r.Subs, ok = m.join(
			conn,
			[]byte(m.resumed[i].name),
			encoder,
			r.Subs,
			m.resumed[i].after,
		); !ok {
			break
		}
	}
	m.dir.history.mu.Unlock()
	m.announce(r.Subs) // without the lock: who listens asks the kernel for the client's address
	if !ok {
		m.Leave(r.Subs)
	}
	return ok
}

// Settled returns the number up to which all items have been handed out. kept is false when none of
// the channels called names keeps items: then the number stands for nothing. A connection that
// subscribes to them after the call, and gets nothing, comes back with that position.
func (m *Members) Settled(names [][]byte) (had uint64, kept bool) {
	h := m.dir.history
	if h == nil ||
		!slices.ContainsFunc(names, func(name []byte) bool { return h.rule(string(name)) != nil }) {
		return 0, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.flight.lowest(h.seq+1) - 1, true
}

// Had returns the number up to which a connection has had all items that is still subscribed, and
// had all up to had when it was.
func (m *Members) Had(had uint64) uint64 {
	h := m.dir.history
	if h == nil {
		return had
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(had, h.flight.lowest(h.seq+1)-1)
}

// AppendPosition appends what stands for all items up to that number in a From.LastID.
func (m *Members) AppendPosition(dst []byte, had uint64) []byte {
	return append(dst, m.dir.history.position(had)...)
}

// list puts the channels called names into m.resumed, each once, with everything to be got. The caller holds the order lock until
// they are joined, if they are to be: all earlier items are kept or dropped, all later ones will be posted to this loop.
func (m *Members) list(names [][]byte) {
	h := m.dir.history
	m.resumed = m.resumed[:0]
	low := h.flight.lowest(h.seq + 1)
	for _, name := range names {
		r := resumed{name: string(name)}
		if slices.ContainsFunc(
			m.resumed,
			func(other resumed) bool { return other.name == r.name },
		) {
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
	seen := m.seen(id)
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

// seen returns the place of the oldest item of the channels in m.resumed that goes by that id. It
// is nowhere when that is not sure: of one channel the client may have had an item that the others
// know nothing of.
func (m *Members) seen(id []byte) (seen place) {
	h := m.dir.history
	seq, now := h.number(id), h.now()
	for _, r := range m.resumed {
		switch p, known := h.find(r.channel, r.name, id, seq, now); {
		case known && p.channel == 0:
			return place{}
		case known && (seen.channel == 0 || p.seq < seen.seq):
			seen = p
		}
	}
	return seen
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

// oldest returns the oldest entry with content of the format that the connection has to get of the
// channels in m.resumed. short says that something older has expired.
func (m *Members) oldest(format publish.Format) (oldest keptEntry, found, short bool) {
	h := m.dir.history
	now := h.now()
	for i := range m.resumed {
		r := &m.resumed[i]
		if r.channel == 0 {
			continue
		}
		c := h.channels.At(r.channel)
		id := h.seek(c, func(e *entry) bool { return e.seq >= r.first })
		if id != 0 && h.expired(id, c.keep, now) {
			short = true
			id = h.seek(c, func(e *entry) bool { return now-e.at < c.keep.ttl })
		}
		if id = h.next(c, id, format); id == 0 {
			continue
		}
		if e := h.entries.At(id); !found || e.seq < oldest.seq {
			oldest, found = e.keep(r.name), true
		}
	}
	return oldest, found, short
}

// collect puts into m.kept what the connection gets of the channels in m.resumed: the newest, as
// far as bytes allows. It reports whether that is not all. It takes time for what it collects, and
// for the channels, however many entries they have.
func (m *Members) collect(bytes int) (short bool) {
	h := m.dir.history
	now := h.now()
	heap := m.heap[:0] // the channels that have something, the one with the newest entry in front
	for i := range m.resumed {
		r := &m.resumed[i]
		_, ok, expired := h.peek(r, now)
		short = short || expired
		if ok {
			heap = append(heap, r)
		}
	}
	m.heap = heap
	seq := func(i int) uint64 { return h.entries.At(heap[i].next).seq }
	for i := len(heap)/2 - 1; i >= 0; i-- {
		sift(heap, i, seq)
	}
	for spent := 0; len(heap) > 0; {
		r := heap[0]
		e := h.entries.At(r.next)
		if spent += len(e.packed) + itemCost; bytes > 0 && spent > bytes && len(m.kept) > 0 {
			return true
		}
		m.kept = append(m.kept, e.keep(r.name))
		r.next = e.older
		_, ok, expired := h.peek(r, now)
		short = short || expired
		if !ok {
			heap[0] = heap[len(heap)-1]
			heap = heap[:len(heap)-1]
		}
		sift(heap, 0, seq)
	}
	return short
}

// sift moves the element i of the heap down to its place.
func sift(heap []*resumed, i int, seq func(int) uint64) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && seq(child+1) > seq(child) {
			child++
		}
		if seq(i) >= seq(child) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
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
		if k.aliased {
			it.Alias = m.dir.history.alias(k.seq)
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
