package hub

import (
	"math/bits"
	"sync/atomic"
)

// pageLen is the count of sequence numbers in a page of a flight.
const pageLen = 1024

// flight knows which sequence numbers are under way: given to an item that some loop has not ended
// yet. The order lock guards it. Numbers rise, and may leave any out. It takes a bit for each
// number of the pages that have one under way.
type flight struct {
	low   uint64     // every number below it has ended, or was left out
	pages []*seqPage // in the order of their numbers; the last one may have more to come
}

// seqPage holds the bits of pageLen sequence numbers. Loops set them without a lock.
type seqPage struct {
	first uint64
	ended [pageLen / 64]atomic.Uint64 // or not there
}

// end notes that all loops are done with the item of that number.
func (p *seqPage) end(seq uint64) { p.ended[seq%pageLen/64].Or(1 << (seq % 64)) }

// add puts seq under way, which is higher than all numbers added before, and returns its page.
func (f *flight) add(seq uint64) *seqPage {
	first := seq - seq%pageLen
	if n := len(f.pages); n > 0 && f.pages[n-1].first == first {
		p := f.pages[n-1]
		p.ended[seq%pageLen/64].And(^(uint64(1) << (seq % 64)))
		return p
	}
	p := &seqPage{first: first}
	for i := range p.ended {
		p.ended[i].Store(^uint64(0))
	}
	p.ended[seq%pageLen/64].And(^(uint64(1) << (seq % 64)))
	f.pages = append(f.pages, p)
	return p
}

// lowest returns the lowest number under way, next when there is none below it. Every number below
// next that is to come has been added.
func (f *flight) lowest(next uint64) uint64 {
	for len(f.pages) > 0 {
		p := f.pages[0]
		for seq := max(f.low, p.first); seq < p.first+pageLen && seq < next; {
			running := ^p.ended[seq%pageLen/64].Load() >> (seq % 64)
			if running != 0 {
				f.low = seq + uint64(bits.TrailingZeros64(running))
				return f.low
			}
			seq += 64 - seq%64
			f.low = min(seq, next)
		}
		if p.first+pageLen > next { // more of its numbers may come
			break
		}
		f.pages[0] = nil
		f.pages = f.pages[1:]
	}
	f.low = max(f.low, next)
	return f.low
}
