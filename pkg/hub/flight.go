package hub

import (
	"math/bits"
	"sync/atomic"
)

// flightLen is the count of sequence numbers in a leg of a flight.
const flightLen = 1024

// flight knows which sequence numbers are under way: given to an item that some loop has not ended yet. The order lock
// guards it. It takes a bit for each number from the lowest one under way on.
type flight struct {
	low  uint64 // every number below it has ended
	base uint64 // first number of legs[0]
	legs []*leg
}

// leg holds the bits of flightLen sequence numbers. Loops set them without a lock.
type leg struct {
	ended [flightLen / 64]atomic.Uint64
}

// end notes that all loops are done with the item of that number.
func (l *leg) end(seq uint64) { l.ended[seq%flightLen/64].Or(1 << (seq % 64)) }

// add puts seq under way, which comes right after the number added before (the first one is 1), and returns its leg.
func (f *flight) add(seq uint64) *leg {
	i := (seq - f.base) / flightLen
	if i == uint64(len(f.legs)) {
		f.legs = append(f.legs, new(leg))
	}
	return f.legs[i]
}

// lowest returns the lowest number under way, next when there is none below it. Numbers up to next-1 have been added.
func (f *flight) lowest(next uint64) uint64 {
	f.low = max(f.low, 1) // there is no number 0
	for f.low < next {
		at := f.low % 64
		word := f.legs[0].ended[f.low%flightLen/64].Load() >> at
		n := uint64(bits.TrailingZeros64(^word)) // what was shifted in ends the run
		f.low += n
		if f.low-f.base == flightLen {
			f.base = f.low
			f.legs[0] = nil
			f.legs = f.legs[1:]
		}
		if n < 64-at {
			break
		}
	}
	return f.low
}
