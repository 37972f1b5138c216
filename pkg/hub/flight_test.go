package hub

import (
	"math/rand/v2"
	"testing"
)

// Numbers end in any order; the lowest under way is always that of a plain set.
func TestFlightKnowsTheLowest(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		var f flight
		legs := map[uint64]*leg{} // those under way
		next, most := uint64(1), 1+rnd.IntN(3*flightLen)
		for range 20_000 {
			if len(legs) < most && rnd.IntN(2) == 0 || len(legs) == 0 {
				legs[next] = f.add(next)
				next++
			} else {
				for seq, l := range legs { // any of them
					l.end(seq)
					delete(legs, seq)
					break
				}
			}
			if rnd.IntN(10) > 0 {
				continue
			}
			want := next
			for seq := range legs {
				want = min(want, seq)
			}
			if got := f.lowest(next); got != want {
				t.Fatalf("seed %d: lowest = %d of %d under way, want %d", seed, got, len(legs), want)
			}
			if n := uint64(len(f.legs)); n > (next-want)/flightLen+2 {
				t.Fatalf("seed %d: %d legs for %d numbers", seed, n, next-want)
			}
		}
	}
}
