package slab

import (
	"iter"
	"math/bits"
)

// Slab is a Table that chooses the numbers itself: always the lowest page with room, so that records gather at the
// front and pages at the back become empty. It never gives the number 0, which is free to mean "none". The zero value
// is empty and ready.
type Slab[T any] struct {
	Table[T]
	free []bitmap // per page, a set bit for each number that is free
	low  int      // no page below this one has room
}

type bitmap [PageLen / 64]uint64

// Alloc takes a record into use and returns its number, which is never 0, and the record, zeroed.
func (s *Slab[T]) Alloc() (id uint32, rec *T) {
	for ; s.low < len(s.free); s.low++ {
		if bit, ok := s.free[s.low].take(); ok {
			id = uint32(s.low<<pageShift | bit)
			return id, s.Put(id)
		}
	}
	var all bitmap
	for i := range all {
		all[i] = ^uint64(0)
	}
	if s.low == 0 {
		all[0] &^= 1 // number 0
	}
	s.free = append(s.free, all)
	return s.Alloc()
}

// Free ends the use of the record numbered id.
func (s *Slab[T]) Free(id uint32) {
	p := int(id >> pageShift)
	s.free[p][id&pageMask/64] |= 1 << (id % 64)
	s.low = min(s.low, p)
	s.Drop(id)
	if n := len(s.pages); n < len(s.free) {
		s.free = shrink(s.free[:n])
		s.low = min(s.low, n)
	}
}

// All yields the numbers in use, in rising order. Records may be freed while it runs; those allocated meanwhile may
// or may not be yielded.
func (s *Slab[T]) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for p := 0; p < len(s.free); p++ {
			for w := 0; p < len(s.free) && w < len(bitmap{}); w++ {
				for used := ^s.free[p][w]; used != 0; used &= used - 1 {
					id := uint32(p<<pageShift | w<<6 | bits.TrailingZeros64(used))
					if id == 0 || p >= len(s.free) || s.free[p][w]&(1<<(id%64)) != 0 {
						continue
					}
					if !yield(id) {
						return
					}
				}
			}
		}
	}
}

// take clears the lowest set bit and returns its position.
func (b *bitmap) take() (int, bool) {
	for w := range b {
		if b[w] != 0 {
			i := bits.TrailingZeros64(b[w])
			b[w] &= b[w] - 1
			return w<<6 | i, true
		}
	}
	return 0, false
}
