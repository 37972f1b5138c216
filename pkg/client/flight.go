package client

// flight holds the items that wait for their acks, by request id. Ids are consecutive, acks come in any order.
type flight struct {
	slots       []slot // a ring whose length is a power of two
	first, next uint64 // ids first to next-1 are in the ring; first waits, unless the ring is empty
}

// slot is one item under way. Its pub is nil once the item is acknowledged.
type slot struct {
	pub  *Publisher
	seq  uint64
	size int // bytes charged to the window of pub
}

// span is the number of slots in use, among them the acknowledged ones behind one that still waits.
func (f *flight) span() int { return int(f.next - f.first) }

// add gives s the id next.
func (f *flight) add(s slot) {
	if f.span() == len(f.slots) {
		f.grow()
	}
	f.slots[f.next&uint64(len(f.slots)-1)] = s
	f.next++
}

// take removes the item with this id, and reports false when no item of this id waits.
func (f *flight) take(id uint64) (slot, bool) {
	if id < f.first || id >= f.next {
		return slot{}, false
	}
	mask := uint64(len(f.slots) - 1)
	s := f.slots[id&mask]
	if s.pub == nil {
		return slot{}, false
	}
	f.slots[id&mask] = slot{}
	for f.first < f.next && f.slots[f.first&mask].pub == nil {
		f.first++
	}
	return s, true
}

func (f *flight) grow() {
	bigger := make([]slot, max(64, 2*len(f.slots)))
	for id := f.first; id < f.next; id++ {
		bigger[id&uint64(len(bigger)-1)] = f.slots[id&uint64(len(f.slots)-1)]
	}
	f.slots = bigger
}
