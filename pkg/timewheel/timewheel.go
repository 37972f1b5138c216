// Package timewheel keeps a deadline for each of very many slots: a hashed timing wheel (Varghese and Lauck, 1987) of
// linked lists whose links live in the slots themselves, so that a deadline costs 12 bytes and arming one costs no
// allocation.
//
// Time is counted in ticks whose length the user chooses. The package reads no clock, and a Wheel belongs to one
// goroutine.
package timewheel

import "math/bits"

// Tick is a point in time, in ticks since the user's start. Tick 0 means "never".
type Tick uint32

// Node is what the wheel keeps in each slot. The zero value is not armed.
type Node struct {
	next, prev uint32
	due        Tick // 0: not armed
}

// Armed reports whether the slot waits for a deadline.
func (n *Node) Armed() bool { return n.due != 0 }

const (
	buckets = 2048
	// firing stands in due while a node waits in the list of those whose time has come.
	firing = ^Tick(0)
)

// Wheel holds the deadlines of one loop's slots.
type Wheel struct {
	node     func(id uint32) *Node
	heads    [buckets]uint32
	occupied [buckets / 64]uint64
	now      Tick   // ticks up to here are done
	fired    uint32 // head of the list of slots taken off the wheel and not yet told; its links are the same ones
}

// New returns a wheel that begins at tick 0. node gives the Node of a slot; slot numbers are not 0.
func New(node func(id uint32) *Node) *Wheel { return &Wheel{node: node} }

// Arm sets the slot's deadline to due, in place of any that it had. A due that is past comes with the next tick.
func (w *Wheel) Arm(id uint32, due Tick) {
	n := w.node(id)
	w.unlink(n)
	n.due = max(due, w.now+1)
	b := n.due % buckets
	w.push(&w.heads[b], id, n)
	w.occupied[b/64] |= 1 << (b % 64)
}

// Disarm takes the slot's deadline away, if it has one.
func (w *Wheel) Disarm(id uint32) { w.unlink(w.node(id)) }

func (w *Wheel) push(head *uint32, id uint32, n *Node) {
	n.next, n.prev = *head, 0
	if n.next != 0 {
		w.node(n.next).prev = id
	}
	*head = id
}

func (w *Wheel) unlink(n *Node) {
	if n.due == 0 {
		return
	}
	b := n.due % buckets
	switch {
	case n.prev != 0:
		w.node(n.prev).next = n.next
	case n.due == firing:
		w.fired = n.next
	default:
		w.heads[b] = n.next
		if n.next == 0 {
			w.occupied[b/64] &^= 1 << (b % 64)
		}
	}
	if n.next != 0 {
		w.node(n.next).prev = n.prev
	}
	*n = Node{}
}

// Advance moves the wheel to now and calls fn for slots whose deadline has come, each disarmed first, at most limit of
// them. It reports whether more are waiting, for another call. fn may arm and disarm any slot.
func (w *Wheel) Advance(now Tick, limit int, fn func(id uint32)) (more bool) {
	w.collect(now)
	for ; w.fired != 0 && limit > 0; limit-- {
		id := w.fired
		w.unlink(w.node(id))
		fn(id)
	}
	return w.fired != 0
}

// collect moves every slot due by now from the wheel to the fired list.
func (w *Wheel) collect(now Tick) {
	if now <= w.now {
		return
	}
	for i := range min(uint32(now-w.now), buckets) {
		b := (w.now + 1 + Tick(i)) % buckets
		for id := w.heads[b]; id != 0; {
			n := w.node(id)
			next := n.next
			if n.due <= now {
				w.unlink(n)
				n.due = firing
				w.push(&w.fired, id, n)
			}
			id = next
		}
	}
	w.now = now
}

// Next returns the tick at which Advance should be called next. It reports false when no slot is armed. The tick may be
// early, when the only deadlines are more than a turn of the wheel away.
func (w *Wheel) Next() (Tick, bool) {
	if w.fired != 0 {
		return w.now, true
	}
	start := uint32(w.now+1) % buckets
	for i := uint32(0); i <= buckets/64; i++ {
		word := (start/64 + i) % (buckets / 64)
		set := w.occupied[word]
		if i == 0 {
			set &= ^uint64(0) << (start % 64)
		}
		if set != 0 {
			b := word*64 + uint32(bits.TrailingZeros64(set))
			return w.now + 1 + Tick((b-start)%buckets), true
		}
	}
	return 0, false
}
