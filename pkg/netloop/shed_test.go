package netloop

import (
	"math"
	"math/rand/v2"
	"testing"

	"holdfast/pkg/stats"
)

// queueUp makes a connection without a socket that has b in its queue. It runs on the loop.
func queueUp(l *Loop, b []byte) uint32 {
	c, s := l.slots.Alloc()
	s.fd, s.gen = math.MaxInt32, 1
	l.cfg.Limit.enter()
	if len(b) > 0 {
		l.queues.add(c, &s.queue, &block{bytes: b}, 0, l.now, l.stats)
	}
	return c
}

// first returns one of the longest queues, or one that is at most a quarter shorter, however they
// have come about.
func TestFirstIsAboutTheLongestQueue(t *testing.T) {
	q := queues{budget: NewBudget(math.MaxInt64)}
	var st stats.Loop
	rnd := rand.New(rand.NewPCG(1, 9))
	ids := map[uint32]*uint32{} // connection to its queue
	for step := range 20_000 {
		c := uint32(1 + rnd.IntN(200))
		if ids[c] == nil {
			ids[c] = new(uint32)
		}
		id := ids[c]
		switch {
		case step%5000 > 4500: // towards the end of a round queues get shorter
			if *id != 0 {
				q.drop(id, &st)
			}
		case *id != 0 && rnd.IntN(3) == 0:
			q.advance(id, min(rnd.IntN(100_000), q.all.At(*id).cost-pieceCost*len(q.all.At(*id).pieces)), &st)
		default:
			q.add(c, id, &block{bytes: make([]byte, 1+rnd.IntN(1<<(1+rnd.IntN(17))))}, 0, 1, &st)
		}
		longest := 0
		for _, id := range ids {
			if *id != 0 {
				longest = max(longest, q.all.At(*id).cost)
			}
		}
		first := q.first()
		switch {
		case first == nil && longest == 0:
		case first == nil:
			t.Fatalf("step %d: no queue is the first, the longest has %d", step, longest)
		case *ids[first.conn] == 0 || q.all.At(*ids[first.conn]) != first:
			t.Fatalf("step %d: the first is not that of its connection", step)
		case first.cost*5 < longest*4:
			t.Fatalf("step %d: the first has %d, the longest %d", step, first.cost, longest)
		}
	}
}

// One batch closes a bounded number of connections, and of pieces in their queues.
func TestShedIsBounded(t *testing.T) {
	r, _ := startLoop(t, func(cfg *Config, _ *recorder) { cfg.Queue = NewBudget(1) })
	r.call(func() {
		l := r.loop
		for range 3 * batchSheds {
			queueUp(l, make([]byte, 100))
		}
		if more := l.shed(); !more || len(r.gone) != batchSheds {
			t.Errorf("shed = %v after closing %d, want more after %d", more, len(r.gone), batchSheds)
		}
		for l.shed() {
		}
		r.gone = nil
		for range 4 {
			c := queueUp(l, make([]byte, 1<<20))
			s := l.slots.At(c)
			for range batchShedPieces {
				l.queues.add(c, &s.queue, &block{bytes: []byte("x")}, 0, l.now, l.stats)
			}
		}
		if more := l.shed(); !more || len(r.gone) != 1 {
			t.Errorf("shed = %v after closing %d with %d pieces each, want more after 1", more, len(r.gone), batchShedPieces)
		}
		for l.shed() {
			l.freeDead()
		}
		if l.shed() || l.queues.first() != nil {
			t.Error("there is more to close")
		}
	})
}

// BenchmarkShed is what it takes to find and close the longest of 1,000 queues among 500,000
// connections.
func BenchmarkShed(b *testing.B) {
	r, _ := startLoop(b, func(cfg *Config, _ *recorder) { cfg.Queue = NewBudget(1 << 30) })
	r.call(func() {
		l, long := r.loop, make([]byte, 1<<20)
		for i := range 500_000 {
			queueUp(l, long[:i%500/499*(1000+i)])
		}
		for b.Loop() {
			l.cfg.Queue.max = l.cfg.Queue.used.Load()
			queueUp(l, long)
			l.shed()
			l.freeDead()
			r.gone = r.gone[:0]
		}
		l.cfg.Queue.max = 1 << 40
	})
}
