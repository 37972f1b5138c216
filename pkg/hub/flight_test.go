package hub

import (
	"math/rand/v2"
	"testing"
)

// Numbers end in any order, and some are left out; the lowest under way is always that of a plain
// set.
func TestFlightKnowsTheLowest(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		var f flight
		pages := map[uint64]*seqPage{} // of the numbers under way
		next, most := uint64(1), 1+rnd.IntN(3*pageLen)
		for range 20_000 {
			if len(pages) < most && rnd.IntN(2) == 0 || len(pages) == 0 {
				if seed%2 > 0 &&
					rnd.IntN(20) == 0 { // another gives the numbers: some are never seen here
					next += uint64(1) << rnd.IntN(40)
				}
				pages[next] = f.add(next)
				next++
			} else {
				for seq, p := range pages { // any of them
					p.end(seq)
					delete(pages, seq)
					break
				}
			}
			if rnd.IntN(10) > 0 {
				continue
			}
			want := next
			for seq := range pages {
				want = min(want, seq)
			}
			if got := f.lowest(next); got != want {
				t.Fatalf(
					"seed %d: lowest = %d of %d under way, want %d",
					seed,
					got,
					len(pages),
					want,
				)
			}
			if n := uint64(len(f.pages)); seed%2 == 0 && n > (next-want)/pageLen+2 || n > 20_000 {
				t.Fatalf("seed %d: %d pages for %d numbers", seed, n, next-want)
			}
		}
	}
}

// A jump over many numbers takes no memory for those that are left out.
func TestFlightOverAJump(t *testing.T) {
	var f flight
	first := f.add(1)
	last := f.add(1 << 60)
	if got := f.lowest(1<<60 + 1); got != 1 {
		t.Errorf("lowest = %d, want 1", got)
	}
	first.end(1)
	if got := f.lowest(1<<60 + 1); got != 1<<60 {
		t.Errorf("lowest = %d, want 1<<60", got)
	}
	last.end(1 << 60)
	if got := f.lowest(1<<60 + 1); got != 1<<60+1 || len(f.pages) != 1 {
		t.Errorf("lowest = %d with %d pages, want the next and one page", got, len(f.pages))
	}
}
