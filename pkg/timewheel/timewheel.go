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

const buckets = 2048

// looksPerCall is how many slots Advance looks at for each that it may call for. Those of other
// turns of the wheel stand in the same buckets.
const looksPerCall = 8

// Wheel holds the deadlines of one loop's slots.
type Wheel struct {
	node     func(id uint32) *Node
	heads    [buckets]uint32
	occupied [buckets / 64]uint64
	now      Tick   // the time as Advance was told last
	done     Tick   // the buckets of ticks up to here have been taken off
	taken    uint32 // head of the list of those taken off last: slots that are not yet told, or put back
}

// New returns a wheel that begins at tick 0. node gives the Node of a slot; slot numbers are not 0.
func New(node func(id uint32) *Node) *Wheel { return &Wheel{node: node} }

// Arm sets the slot's deadline to due, in place of any that it had. A due that is past comes with the next tick.
func (w *Wheel) Arm(id uint32, due Tick) {
	n := w.node(id)
	w.unlink(id, n)
	w.put(id, n, max(due, w.now+1))
}

// Disarm takes the slot's deadline away, if it has one.
func (w *Wheel) Disarm(id uint32) { w.unlink(id, w.node(id)) }

func (w *Wheel) push(head *uint32, id uint32, n *Node) {
	n.next, n.prev = *head, 0
	if n.next != 0 {
		w.node(n.next).prev = id
	}
	*head = id
}

func (w *Wheel) unlink(id uint32, n *Node) {
	if n.due == 0 {
		return
	}
	switch b := n.due % buckets; {
	case n.prev != 0:
		w.node(n.prev).next = n.next
	case w.taken == id:
		w.taken = n.next
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

// Advance moves the wheel to now and calls fn for slots whose deadline has come, each disarmed
// first, at most limit of them, and looks at a multiple of that at most. It reports whether more
// are waiting, for another call. fn may arm and disarm any slot.
func (w *Wheel) Advance(now Tick, limit int, fn func(id uint32)) (more bool) {
	if now > w.now {
		w.now = now
		if now-w.done > buckets { // one turn passes all buckets
			w.done = now - buckets
		}
	}
	for looks := limit * looksPerCall; looks > 0 && limit > 0; looks-- {
		for w.taken == 0 {
			if w.done == w.now {
				return false
			}
			w.done++
			w.takeOff(w.done % buckets)
		}
		id := w.taken
		n := w.node(id)
		due := n.due
		if w.unlink(id, n); due > w.now {
			w.put(id, n, due)
			continue
		}
		limit--
		fn(id)
	}
	return w.taken != 0 || w.done != w.now
}

// takeOff makes a bucket's list that of the slots taken off, whatever its length.
func (w *Wheel) takeOff(b Tick) {
	w.taken, w.heads[b] = w.heads[b], 0
	w.occupied[b/64] &^= 1 << (b % 64)
}

// put arms a slot that is not.
func (w *Wheel) put(id uint32, n *Node, due Tick) {
	n.due = due
	b := due % buckets
	w.push(&w.heads[b], id, n)
	w.occupied[b/64] |= 1 << (b % 64)
}

// Next returns the tick at which Advance should be called next. It reports false when no slot is armed. The tick may be
// early, when the only deadlines are more than a turn of the wheel away.
func (w *Wheel) Next() (Tick, bool) {
	if w.taken != 0 || w.done != w.now {
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
