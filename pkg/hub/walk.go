package hub

import (
	"slices"
	"time"
)

const (
	sliceConns   = 64       // connections that a walk is handed to before other walks have their turn
	walkBytes    = 64 << 10 // encoded bytes after which a walk takes no further item
	walkItems    = 1024     // items of one walk
	sliceWork    = 128      // work of one call of Step: a connection is one, and so are itemsPerWork encoded items
	itemsPerWork = 8
	spareMemory  = 1 << 20 // bytes of walks kept for later use
)

// walk takes the items that wait in one channel to its subscribers. Its items are encoded once for each group and
// concatenated, and each subscriber gets them in one send. Later items wait for the next walk.
type walk struct {
	local   uint32 // 0: nobody is left
	waiting []*Delivery

	// The walk under way.
	items   []*Delivery
	handed  []int  // to how many subscriptions each item was handed
	next    uint32 // group to take up after this one
	group   uint32 // group being walked, 0 between two groups
	cursor  uint32 // subscription that is next
	key     uint64 // names the block
	block   []byte // the items as the group sees them
	inBlock []bool // which items are in the block
	count   int    // how many are
	end     bool   // the last of them ends the connections
	each    bool   // the group has no encoder: inBlock says which items it gets

	began   time.Duration // when the walk under way did, by the Directory's clock
	reached int           // subscribers of this walk, so far
	behind  int           // those of them that are behind
	pace
}

// Add has the item wait for the next walk of its channel.
func (m *Members) Add(d *Delivery) {
	li, ok := m.byChannel.get(d.channel.number)
	if !ok || m.locals.At(li).channel != d.channel {
		d.end(0) // the last subscriber left while the item was on its way
		return
	}
	l := m.locals.At(li)
	if l.walk == nil {
		l.walk = m.newWalk()
		l.walk.local = li
		m.walks.push(l.walk)
	}
	l.walk.waiting = append(l.walk.waiting, d)
}

func (m *Members) newWalk() *walk {
	if n := len(m.spare); n > 0 {
		w := m.spare[n-1]
		m.spare = m.spare[:n-1]
		m.spareBytes -= w.size()
		return w
	}
	return &walk{}
}

// size is about what the walk's buffers take, in bytes.
func (w *walk) size() int {
	const item = 8 + 8 + 8 + 1 // in waiting, items, handed, inBlock
	return cap(w.block) + item*max(cap(w.waiting), cap(w.items)) + 256
}

// Step does a slice of the walks' work, each in turn. It reports whether some is left, and when it wants to be called
// again for a walk that is parked: in wait, if that is not 0.
func (m *Members) Step(now time.Time) (more bool, wait time.Duration) {
	m.stepped, m.stepAt = now, now.Sub(m.dir.started)
	m.unparkDue(now)
	for work := sliceWork; work > 0 && m.walks.len() > 0; {
		w := m.walks.pop()
		if work -= m.step(w); len(w.items) > 0 {
			m.walks.push(w)
			continue
		}
		if d := m.wait(w); d > 0 {
			m.park(w, now, d)
			continue
		}
		if w.bytes = 0; len(w.waiting) > 0 {
			m.walks.push(w)
		} else {
			m.endWalk(w)
		}
	}
	return m.walks.len() > 0, m.parkedFor(now)
}

// endWalk takes the walk off its channel, which has nothing waiting, and keeps it for another.
func (m *Members) endWalk(w *walk) {
	if w.local != 0 {
		m.locals.At(w.local).walk = nil
		w.local = 0
	}
	w.reached, w.behind, w.bytes = 0, 0, 0 // it may serve another channel next
	if n := w.size(); m.spareBytes+n <= spareMemory {
		m.spare = append(m.spare, w)
		m.spareBytes += n
	}
}

// step hands the walk's items to the next slice of subscribers and returns how much work that was.
func (m *Members) step(w *walk) (work int) {
	if len(w.items) == 0 {
		m.begin(w)
	}
	for w.group == 0 {
		if w.next == 0 {
			m.finish(w)
			return work + 1
		}
		m.enter(w, w.next)
		work += 1 + len(w.items)/itemsPerWork
	}
	m.conns = m.conns[:0]
	slice := sliceConns
	if w.each { // each costs as much as a walk for one
		slice = max(1, sliceConns/len(w.items))
	}
	for w.cursor != 0 && len(m.conns) < slice {
		s := m.subs.At(w.cursor)
		m.conns = append(m.conns, s.conn)
		w.cursor = s.next
	}
	// From here on connections may leave, these and others: Leave moves the cursor, groupGone ends the group.
	w.reached += len(m.conns)
	m.walking = w
	if w.each {
		w.behind += m.deliverEach(w)
		work += len(w.items) * len(m.conns)
	} else {
		w.behind += m.deliver(w)
		work += len(m.conns)
	}
	m.walking = nil
	if w.cursor == 0 {
		w.group = 0
	}
	return work
}

// deliver hands the walk's block to m.conns, and returns how many of them are behind.
func (m *Members) deliver(w *walk) (behind int) {
	n := len(m.conns)
	if len(w.block) > 0 {
		n, behind = m.sink.Deliver(w.key, m.conns, w.block, w.count)
		m.timeBlock(w, n)
	}
	for i, in := range w.inBlock {
		if in {
			w.handed[i] += n
		}
	}
	if w.end {
		m.sink.End(m.conns)
	}
	return behind
}

// deliverEach hands the walk's items to m.conns one by one.
func (m *Members) deliverEach(w *walk) (behind int) {
	m.each = m.each[:0]
	for i, d := range w.items {
		if w.inBlock[i] {
			m.each = append(m.each, d)
		} else {
			m.each = append(m.each, nil)
		}
	}
	m.handed = append(m.handed[:0], w.handed...)
	behind = m.sink.DeliverEach(m.conns, m.each, w.handed)
	m.timeEach(w)
	clear(m.each)
	return behind
}

// begin makes a walk of the items that wait.
func (m *Members) begin(w *walk) {
	most := walkBytes
	if w.bytes > 0 { // what does not fit their sockets has to fit their queues
		most = w.bytes
	}
	bytes, n := 0, 0
	for n < len(w.waiting) && n < walkItems && (n == 0 || bytes+w.waiting[n].Item.ContentSize() <= most) {
		bytes += w.waiting[n].Item.ContentSize()
		n++
	}
	if n == len(w.waiting) {
		w.items, w.waiting = w.waiting, w.items[:0]
	} else {
		w.items = append(w.items[:0], w.waiting[:n]...)
		w.waiting = slices.Delete(w.waiting, 0, n)
	}
	w.handed = slices.Grow(w.handed[:0], n)[:n]
	clear(w.handed)
	w.group, w.cursor, w.next = 0, 0, 0
	w.reached, w.behind, w.began = 0, 0, m.stepAt
	if w.local != 0 {
		m.mergeLate(w.local, w.items[0].seq)
		w.next = m.locals.At(w.local).groups
	}
}

// enter encodes the walk's items for the group and sets the cursor to its first subscription.
func (m *Members) enter(w *walk, gi uint32) {
	g := m.groups.At(gi)
	w.group, w.next, w.cursor = gi, g.next, g.first
	w.block, w.inBlock, w.count, w.end = w.block[:0], w.inBlock[:0], 0, false
	m.walkKey++
	w.key = m.walkKey
	after := m.after(gi, g)
	encode := m.encoders[g.encoder]
	w.each = encode == nil
	for _, d := range w.items {
		var effect Effect
		late := after != 0 && d.seq <= after // it has had those
		switch {
		case late, w.end: // what comes after the end reaches nobody
		case w.each:
			effect = Deliver
		default:
			w.block, effect = encode(w.block, &d.Item)
		}
		w.inBlock = append(w.inBlock, effect != Nothing)
		if effect != Nothing {
			w.count++
		}
		w.end = w.end || effect == End
	}
	if w.count == 0 {
		w.group, w.cursor = 0, 0
	}
}

// finish ends the walk and tells each item how many had it.
func (m *Members) finish(w *walk) {
	if w.local != 0 {
		m.mergeLate(w.local, w.items[len(w.items)-1].seq+1)
	}
	for _, meter := range m.meters {
		meter.count(w)
	}
	for i, d := range w.items {
		d.end(w.handed[i])
		w.items[i] = nil
	}
	w.items = w.items[:0]
	m.stats.Walks.Add(1)
	m.stats.Walk.Add(m.stepAt-w.began, 1)
}

// groupGone notes that a group of the walk's channel is removed; after is the one behind it.
func (w *walk) groupGone(gi, after uint32) {
	if w.group == gi {
		w.group = 0
	}
	if w.next == gi {
		w.next = after
	}
}

// turns is a queue of walks.
type turns struct {
	walks []*walk
	head  int
}

func (t *turns) len() int { return len(t.walks) - t.head }

func (t *turns) push(w *walk) { t.walks = append(t.walks, w) }

func (t *turns) pop() *walk {
	w := t.walks[t.head]
	t.walks[t.head] = nil
	if t.head++; 2*t.head >= len(t.walks) {
		n := copy(t.walks, t.walks[t.head:])
		clear(t.walks[n:])
		t.walks, t.head = t.walks[:n], 0
	}
	return w
}
