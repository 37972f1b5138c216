package hub

import (
	"time"

	"holdfast/pkg/publish"
	"holdfast/pkg/slab"
	"holdfast/pkg/stats"
)

// Effect says what an item is to a kind of subscriber.
type Effect uint8

// The effects.
const (
	Nothing Effect = iota // the item has nothing for it
	Deliver               // it gets the encoded bytes
	End                   // it gets the encoded bytes, if any, and its connection ends
)

// Encoder appends to dst what an item looks like to one kind of subscriber. A kind without an Encoder (nil) gets its items one by
// one, by Sink.DeliverEach.
type Encoder func(dst []byte, it *publish.Item) ([]byte, Effect)

// Sink takes what a walk hands out.
type Sink interface {
	// Deliver writes b, which holds a number of items, to each of the connections. Equal keys mean
	// equal bytes. It returns to how many connections b was written or queued, and how many of
	// those are behind: much of what was sent to them waits to be taken, and has for no longer than
	// longPark.
	Deliver(key uint64, conns []uint32, b []byte, items int) (handed, behind int)
	// DeliverEach takes the items, in their order, to each of the connections as they are for that one. Items that are nil are
	// not for them. It adds to handed, by item, how many got it, and returns how many of the connections are behind.
	DeliverEach(conns []uint32, items []*Delivery, handed []int) (behind int)
	// End ends each of the connections in good order.
	End(conns []uint32)
}

// Members keeps the subscriptions of one loop's connections, and the items that wait for them. It belongs to the loop's
// goroutine.
type Members struct {
	dir      *Directory
	loop     int
	encoders []Encoder
	sink     Sink
	stats    *stats.Loop

	byChannel compactMap[uint32, uint32] // channel number to number in locals
	locals    slab.Slab[local]
	groups    slab.Slab[group]
	subs      slab.Slab[subscription]
	late      compactMap[uint32, uint64] // group to the number after which it gets items

	walks       turns    // channels that have items waiting
	parkedShort parkings // walks that wait for some of their subscribers
	parkedLong  parkings // walks of which no subscriber keeps up
	parkings    uint64   // so far

	spare      []*walk
	spareBytes int // of those
	walkKey    uint64
	conns      []uint32      // scratch: one slice of a walk
	each       []*Delivery   // scratch: the items for one slice
	handed     []int         // scratch: to how many they were handed before it
	watcher    Watcher       // nil: nobody wants to know
	meters     []*Meter      // that count the deliveries of single channels; seldom any
	stepAt     time.Duration // the Directory's clock, when it was read last
	stepped    time.Time     // the same time
	walking    *walk         // whose items are being handed out
	resumed    []resumed     // scratch of Resume
	kept       []keptEntry   // the same
	heap       []*resumed    // the same
}

// local is a channel with subscribers in this loop.
type local struct {
	channel channel
	groups  uint32 // first of its groups
	subs    uint32 // how many subscriptions they have
	split   bool   // two of its groups may have the same encoder
	walk    *walk  // nil: nothing waits
}

// group is the subscribers of a channel whose connections take the same encoding.
type group struct {
	local   uint32
	next    uint32 // group of the same channel
	first   uint32 // subscription
	encoder uint8
	late    bool // it gets only what comes after a certain number (see resume.go)
}

// subscription is one connection in one group. It stands in two lists: of its group, and of its connection.
type subscription struct {
	conn       uint32
	group      uint32
	prev, next uint32 // of its group
	more       uint32 // of its connection
}

// NewMembers returns the Members of the directory's loop of that number. A group's encoder is an index into encoders.
func NewMembers(dir *Directory, loop int, encoders []Encoder, sink Sink, st *stats.Loop) *Members {
	return &Members{dir: dir, loop: loop, encoders: encoders, sink: sink, stats: st}
}

// Join subscribes a connection to the channel called name. subs is the first of the connection's subscriptions, 0 when it
// has none; Join returns the first one from now on. A connection joins a channel once: a second time changes nothing. Join
// reports false when the channel would be one too many; then nothing has changed.
func (m *Members) Join(conn uint32, name []byte, encoder uint8, subs uint32) (uint32, bool) {
	first, ok := m.join(conn, name, encoder, subs, 0)
	if m.watcher != nil && first != subs {
		m.watcher.Joined(conn, name, encoder)
	}
	return first, ok
}

// announce tells the watcher of all subscriptions of a connection, of which subs is the first, in
// the order in which they came.
func (m *Members) announce(subs uint32) {
	if m.watcher == nil || subs == 0 {
		return
	}
	s := m.subs.At(subs)
	m.announce(s.more)
	g := m.groups.At(s.group)
	m.watcher.Joined(s.conn, []byte(m.dir.nameOf(m.locals.At(g.local).channel.number)), g.encoder)
}

// join is Join for what comes after the item numbered after: 0 for whatever comes. It tells no
// watcher.
func (m *Members) join(conn uint32, name []byte, encoder uint8, subs uint32, after uint64) (uint32, bool) {
	ch, ok := m.dir.enter(name, m.loop)
	if !ok {
		return subs, false
	}
	li, ok := m.byChannel.get(ch.number)
	if !ok {
		var l *local
		li, l = m.locals.Alloc()
		l.channel = ch
		m.byChannel.set(ch.number, li)
	}
	for id := subs; id != 0; id = m.subs.At(id).more {
		if m.groups.At(m.subs.At(id).group).local == li {
			return subs, true
		}
	}
	gi := m.group(li, encoder, after)
	g := m.groups.At(gi)
	id, s := m.subs.Alloc()
	*s = subscription{conn: conn, group: gi, next: g.first, more: subs}
	if g.first != 0 {
		m.subs.At(g.first).prev = id
	}
	g.first = id // in front: a walk that has entered the group has been there already
	m.locals.At(li).subs++
	m.stats.Subscriptions.Add(1)
	if w := m.locals.At(li).walk; w != nil {
		m.keepsUp(w)
	}
	return id, true
}

// LastID is that of the Directory.
func (m *Members) LastID(name string) (id string, known bool) { return m.dir.LastID(name) }

// ForgetLastID is that of the Directory.
func (m *Members) ForgetLastID(name string) { m.dir.ForgetLastID(name) }

// group returns the channel's group of that encoder for what comes after that number, making it
// when there is none. Who joins during a walk is not part of it: one that the walk has yet to come
// to is for those who came before. The next walk begins with joining those of the same encoder.
func (m *Members) group(li uint32, encoder uint8, after uint64) uint32 {
	l := m.locals.At(li)
	ahead := false // of the walk under way
	for gi := l.groups; gi != 0; gi = m.groups.At(gi).next {
		ahead = ahead || l.walk != nil && len(l.walk.items) > 0 && l.walk.next == gi
		if g := m.groups.At(gi); g.encoder == encoder && m.after(gi, g) == after {
			if !ahead || after != 0 { // a late group gets only what is later than the walk
				return gi
			}
			l.split = true
		}
	}
	gi, g := m.groups.Alloc()
	*g = group{local: li, next: l.groups, encoder: encoder, late: after != 0}
	l.groups = gi
	if g.late {
		m.late.set(gi, after)
	}
	return gi
}

// Leave ends all subscriptions of a connection, of which subs is the first.
func (m *Members) Leave(subs uint32) {
	for id := subs; id != 0; {
		s := *m.subs.At(id)
		g := m.groups.At(s.group)
		if m.watcher != nil {
			m.watcher.Left(s.conn, m.dir.nameOf(m.locals.At(g.local).channel.number), g.encoder)
		}
		m.locals.At(g.local).subs--
		if w := m.locals.At(g.local).walk; w != nil && w.cursor == id {
			if w.cursor = s.next; w.cursor == 0 {
				w.group = 0 // they were the last of the group whose turn had not come
			}
		}
		if s.prev != 0 {
			m.subs.At(s.prev).next = s.next
		} else {
			g.first = s.next
		}
		if s.next != 0 {
			m.subs.At(s.next).prev = s.prev
		}
		m.subs.Free(id)
		m.stats.Subscriptions.Add(-1)
		if g.first == 0 {
			m.dropGroup(s.group)
		}
		id = s.more
	}
}

// dropGroup removes an empty group, and its channel with the last one.
func (m *Members) dropGroup(gi uint32) {
	g := *m.groups.At(gi)
	l := m.locals.At(g.local)
	if l.walk != nil {
		l.walk.groupGone(gi, g.next)
	}
	if l.groups == gi {
		l.groups = g.next
	} else {
		prev := l.groups
		for m.groups.At(prev).next != gi {
			prev = m.groups.At(prev).next
		}
		m.groups.At(prev).next = g.next
	}
	if g.late {
		m.late.delete(gi)
	}
	m.groups.Free(gi)
	if l.groups != 0 {
		return
	}
	if l.walk != nil {
		w := l.walk
		if w.local = 0; w.parked != 0 { // it ends by itself, with nobody left to hand to
			m.unpark(w)
		}
	}
	m.byChannel.delete(l.channel.number)
	m.dir.exit(l.channel.number, m.loop)
	m.locals.Free(g.local)
}
