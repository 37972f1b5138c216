package netloop

import (
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/stats"
)

// pattern returns n bytes of which every stretch tells where it belongs.
func pattern(seed uint64, n int) string {
	rnd := rand.New(rand.NewPCG(seed, 4))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + rnd.IntN(26))
	}
	return string(b)
}

// queued returns the cost of what waits for the connection. It runs on the loop.
func (r *recorder) queued(c uint32) int {
	s := r.loop.slots.At(c)
	if s.queue == 0 {
		return 0
	}
	return r.loop.queues.all.At(s.queue).cost
}

// stuff sends to the connection until something waits in its queue, and returns what was sent. It runs on the loop.
func (r *recorder) stuff(c uint32) string {
	var all strings.Builder
	for i := uint64(0); r.queued(c) == 0; i++ {
		b := pattern(i, 64<<10)
		all.WriteString(b)
		r.loop.Send(c, []byte(b))
	}
	return all.String()
}

// The client reads only when everything is written or queued, and gets every byte in order, whatever the sizes and
// whether shared or not.
func TestQueueKeepsOrder(t *testing.T) {
	r, addr := startLoop(t, nil)
	conn := dialSlow(t, addr)
	c := r.connection(t, 0)
	rnd := rand.New(rand.NewPCG(1, 5))
	var want strings.Builder
	r.call(func() {
		want.WriteString(r.stuff(c))
		for i := range uint64(3000) {
			size := 1 + rnd.IntN(300)
			if i%100 == 0 {
				size = 1 + rnd.IntN(200<<10) // beyond the scratch in which small pieces are gathered
			}
			b := pattern(i, size)
			want.WriteString(b)
			if rnd.IntN(2) == 0 {
				r.loop.Send(c, []byte(b))
				continue
			}
			if written, _, leftOut := r.loop.SendShared(i+1, []uint32{c}, []byte(b)); written != 1 || leftOut != 0 {
				t.Errorf("SendShared = %d, %d, want 1, 0", written, leftOut)
			}
		}
		if r.queued(c) < 1<<20 {
			t.Errorf("only %d wait, want more than the socket takes", r.queued(c))
		}
		r.loop.Finish(c, stats.CloseDone)
	})
	if got := readAll(t, conn); got != want.String() {
		t.Errorf("read %d bytes, want the %d sent, in order", len(got), want.Len())
	}
	r.call(func() {
		if n := r.loop.stats.Queued.Load(); n != 0 {
			t.Errorf("%d bytes are counted as queued, want 0", n)
		}
		if r.loop.queues.all.Len() != 0 || len(r.loop.queues.shared) != 0 || r.loop.cfg.Queue.used.Load() != 0 {
			t.Errorf("%d queues, %d shared blocks, %d bytes of the budget are left, want none",
				r.loop.queues.all.Len(), len(r.loop.queues.shared), r.loop.cfg.Queue.used.Load())
		}
	})
}

// A queue that is drained while more is added keeps its order as well.
func TestQueueKeepsOrderUnderWay(t *testing.T) {
	r, addr := startLoop(t, nil)
	conn := dialSlow(t, addr)
	c := r.connection(t, 0)
	const pieces = 2000
	sent := make(chan string)
	go func() {
		var want strings.Builder
		for i := range uint64(pieces) {
			b := pattern(i, 1+int(i*7919%6000))
			want.WriteString(b)
			r.call(func() { r.loop.SendShared(i+1, []uint32{c}, []byte(b)) })
		}
		r.call(func() { r.loop.Finish(c, stats.CloseDone) })
		sent <- want.String()
	}()
	got := readAll(t, conn)
	if want := <-sent; got != want {
		t.Errorf("read %d bytes, want the %d sent, in order", len(got), len(want))
	}
}

// A block that waits for many is kept once, charged once, and released with the last.
func TestSharedBlockIsKeptOnce(t *testing.T) {
	r, addr := startLoop(t, nil)
	const conns, size = 10, 100 << 10
	var ids []uint32
	for i := range conns {
		dialSlow(t, addr)
		ids = append(ids, r.connection(t, i))
	}
	r.call(func() {
		for _, c := range ids {
			r.stuff(c)
		}
		before := r.loop.cfg.Queue.used.Load()
		block := []byte(pattern(1, size))
		if written, _, _ := r.loop.SendShared(7, ids, block); written != conns {
			t.Errorf("written to %d, want %d", written, conns)
		}
		clear(block) // the caller's again
		if charged := r.loop.cfg.Queue.used.Load() - before; charged < size || charged > size+conns*2*pieceCost {
			t.Errorf("a block for %d connections is charged %d, want about %d", conns, charged, size)
		}
		for i, c := range ids {
			if blk := r.loop.queues.shared[7]; blk == nil || blk.refs != conns-i || string(blk.bytes) != pattern(1, size) {
				t.Fatalf("with %d connections left the block is %v", conns-i, blk)
			}
			r.loop.Close(c, stats.CloseDone)
		}
		if len(r.loop.queues.shared) != 0 || r.loop.cfg.Queue.used.Load() != 0 {
			t.Errorf("%d shared blocks and %d bytes of the budget are left, want none",
				len(r.loop.queues.shared), r.loop.cfg.Queue.used.Load())
		}
	})
}

// Many small pieces take more memory than their bytes, and the budget must know.
func TestBudgetCountsPieces(t *testing.T) {
	r, addr := startLoop(t, nil)
	const pieces = 1000
	dialSlow(t, addr)
	c := r.connection(t, 0)
	r.call(func() {
		r.stuff(c)
		before := r.loop.cfg.Queue.used.Load()
		for i := range uint64(pieces) {
			r.loop.SendShared(i+1, []uint32{c}, []byte("x"))
		}
		if charged := r.loop.cfg.Queue.used.Load() - before; charged < pieces*pieceCost {
			t.Errorf("%d queued pieces of a byte are charged %d bytes, want at least %d", pieces, charged, pieces*pieceCost)
		}
	})
}

func TestOverflow(t *testing.T) {
	for _, drop := range []bool{false, true} {
		r, addr := startLoop(t, func(cfg *Config, _ *recorder) { cfg.Drop, cfg.MaxQueued = drop, 1<<20 })
		conn := dialSlow(t, addr)
		c := r.connection(t, 0)
		healthy := dial(t, addr)
		c2 := r.connection(t, 1)
		var want strings.Builder
		var left, healthyGot int
		r.call(func() {
			want.WriteString(r.stuff(c))
			for i := range uint64(200) {
				b := pattern(i, 16<<10)
				_, _, n := r.loop.SendShared(i+1, []uint32{c}, []byte(b))
				if left += n; n == 0 && r.loop.slots.At(c).fd >= 0 {
					want.WriteString(b)
				}
			}
			written, _, _ := r.loop.SendShared(1000, []uint32{c, c2}, []byte("x"))
			healthyGot = written
			r.loop.Finish(c, stats.CloseDone)
		})
		slow := r.loop.stats.Closed[stats.CloseSlow].Load()
		if !drop {
			if slow != 1 || left != 0 || healthyGot != 1 {
				t.Errorf("close: %d closed as slow, %d left out, %d got the next; want 1, 0, 1", slow, left, healthyGot)
			}
			continue
		}
		// The last byte may fit where a block did not.
		if healthyGot == 2 {
			want.WriteString("x")
		}
		if slow != 0 || left < 100 {
			t.Errorf("drop: %d closed as slow, %d left out; want 0 and most of 200", slow, left)
		}
		if got := readAll(t, conn); got != want.String() {
			t.Errorf("drop: read %d bytes, want the %d of the blocks that were queued", len(got), want.Len())
		}
		healthy.Close()
	}
}

// An answer is never left out: where it does not fit the connection is closed, whatever the overflow rule.
func TestAnswerThatDoesNotFitClosesTheConnection(t *testing.T) {
	r, addr := startLoop(t, func(cfg *Config, _ *recorder) { cfg.Drop, cfg.MaxQueued = true, 100<<10 })
	dialSlow(t, addr)
	c := r.connection(t, 0)
	r.call(func() {
		r.stuff(c)
		r.loop.Send(c, make([]byte, 100<<10))
		if r.loop.slots.At(c).fd >= 0 {
			t.Error("the connection is open")
		}
	})
	if n := r.loop.stats.Closed[stats.CloseSlow].Load(); n != 1 {
		t.Errorf("%d closed as slow, want 1", n)
	}
}

func TestLongestQueuesAreShedFirst(t *testing.T) {
	const budget = 4 << 20
	r, addr := startLoop(t, func(cfg *Config, _ *recorder) { cfg.Queue = NewBudget(budget) })
	sizes := []int{100 << 10, 3 << 20, 200 << 10, 2 << 20, 0}
	var ids []uint32
	for i, size := range sizes {
		dialSlow(t, addr)
		c := r.connection(t, i)
		ids = append(ids, c)
		if size > 0 {
			r.loop.Post(func() { // the last of them goes over the budget
				r.stuff(c)
				r.loop.Send(c, make([]byte, size))
			})
		}
	}
	eventually(t, "the longest is gone", func() bool { return r.isGone(ids[1]) })
	r.call(func() {
		for _, i := range []int{0, 2, 3, 4} {
			if r.loop.slots.At(ids[i]).fd < 0 {
				t.Errorf("the connection with a queue of %d was closed as well", sizes[i])
			}
		}
		if used := r.loop.cfg.Queue.used.Load(); used > budget {
			t.Errorf("%d bytes are in use, want at most %d", used, budget)
		}
	})
	if n := r.loop.stats.Closed[stats.CloseMemory].Load(); n != 1 {
		t.Errorf("%d closed for memory, want 1", n)
	}
}

// A loop within its share does not pay for the slow clients of another.
func TestLoopShedsItsOwnShareOnly(t *testing.T) {
	const budget = 4 << 20
	r, addr := startLoop(t, func(cfg *Config, _ *recorder) { cfg.Queue = NewBudget(budget) })
	queue := r.loop.cfg.Queue
	queue.loops.Add(1)
	queue.used.Add(2 * budget) // the other loop's
	dialSlow(t, addr)
	c := r.connection(t, 0)
	for range 3 { // the end of each batch may shed
		if r.isGone(c) {
			t.Fatal("a connection of the loop within its share was closed")
		}
		r.call(func() {
			if r.queued(c) == 0 {
				r.stuff(c)
			}
		})
	}
	r.call(func() { r.loop.Send(c, make([]byte, budget)) })
	eventually(t, "the loop over its share sheds", func() bool { return r.isGone(c) })
	queue.loops.Add(-1)
	queue.used.Add(-2 * budget)
}

// What Finish leaves to be written is written, then our side ends, and a client that never closes is cut off.
func TestFinishWritesLingersAndCloses(t *testing.T) {
	t.Parallel()
	answer := pattern(1, 4<<20)
	r, addr := startLoop(t, nil)
	conn := dialSlow(t, addr)
	c := r.connection(t, 0)
	r.call(func() {
		r.loop.Send(c, []byte(answer))
		r.loop.Finish(c, stats.CloseDone)
		if !r.isGone(c) {
			t.Error("Gone was not called before Finish returned")
		}
		r.loop.Send(c, []byte("too late"))
		r.loop.Finish(c, stats.CloseDone)
	})
	write(t, conn, "this is thrown away")
	if got := readAll(t, conn); got != answer {
		t.Errorf("read %d bytes, want the %d of the answer", len(got), len(answer))
	}
	if n := r.loop.cfg.Limit.Connections(); n != 1 {
		t.Errorf("%d connections are counted while the client may still read, want 1", n)
	}
	start := time.Now()
	eventually(t, "the grace is over", func() bool { return r.loop.cfg.Limit.Connections() == 0 })
	if took := time.Since(start); took > lingerTime+time.Second {
		t.Errorf("the grace took %v, want about %v", took, lingerTime)
	}
	if n := r.loop.stats.Closed[stats.CloseDone].Load(); n != 1 {
		t.Errorf("counted %d times, want once", n)
	}
}

// A client that goes on reading, however slowly, gets all of its answer: the grace begins anew with what it takes.
func TestFinishWaitsForAReaderThatGoesOn(t *testing.T) {
	t.Parallel()
	answer := pattern(1, 4<<20)
	r, addr := startLoop(t, nil)
	conn := dialSlow(t, addr)
	c := r.connection(t, 0)
	r.call(func() {
		r.loop.Send(c, []byte(answer))
		r.loop.Finish(c, stats.CloseDone)
	})
	pace := time.NewTicker(takeTime / 50)
	defer pace.Stop()
	var got strings.Builder
	for range 75 { // one and a half times the grace, at 40 kB/s: the socket has not room for more all the time
		<-pace.C
		if _, err := io.CopyN(&got, conn, 4<<10); err != nil {
			t.Fatalf("after %d bytes: %v", got.Len(), err)
		}
	}
	got.WriteString(readAll(t, conn))
	if got.String() != answer {
		t.Errorf("read %d bytes, want the %d of the answer", got.Len(), len(answer))
	}
}

// Finishing a connection whose client takes nothing ends with the grace, and frees what waited.
func TestFinishDoesNotWaitForAReaderThatStands(t *testing.T) {
	t.Parallel()
	r, addr := startLoop(t, nil)
	dialSlow(t, addr)
	c := r.connection(t, 0)
	r.call(func() {
		r.loop.Send(c, []byte(pattern(1, 4<<20)))
		r.loop.Finish(c, stats.CloseDone)
	})
	eventually(t, "the connection is closed", func() bool { return r.loop.cfg.Limit.Connections() == 0 })
	if n := r.loop.cfg.Queue.used.Load(); n != 0 {
		t.Errorf("%d bytes of the budget are in use, want 0", n)
	}
}

func TestSendsDoNotAllocate(t *testing.T) {
	r, addr := startLoop(t, nil)
	conn := dial(t, addr)
	go io.Copy(io.Discard, conn)
	ids := []uint32{r.connection(t, 0)}
	b := []byte("hello")
	r.call(func() {
		if n := testing.AllocsPerRun(100, func() { r.loop.SendShared(1, ids, b) }); n != 0 {
			t.Errorf("SendShared allocates %v times, want 0", n)
		}
		if n := testing.AllocsPerRun(100, func() { r.loop.Send(ids[0], b) }); n != 0 {
			t.Errorf("Send allocates %v times, want 0", n)
		}
	})
}

// Who is behind is counted, and told when it has caught up.
func TestBehindAndDrained(t *testing.T) {
	r, addr := startLoop(t, nil)
	conn := dialSlow(t, addr)
	c := r.connection(t, 0)
	r.call(func() {
		if _, behind, _ := r.loop.SendShared(1, []uint32{c}, []byte("x")); behind != 0 {
			t.Errorf("behind = %d after a small send, want 0", behind)
		}
		r.stuff(c)
		if _, behind, _ := r.loop.SendShared(2, []uint32{c}, []byte("x")); behind != 0 {
			t.Errorf("behind = %d while little waits, want 0", behind)
		}
		r.loop.Send(c, make([]byte, r.loop.cfg.MaxQueued/8))
		if _, behind, _ := r.loop.SendShared(3, []uint32{c}, []byte("x")); behind != 1 {
			t.Errorf("behind = %d after the socket took no more, want 1", behind)
		}
		r.loop.now += ticks(lagTime)
		if _, behind, _ := r.loop.SendShared(4, []uint32{c}, []byte("x")); behind != 0 {
			t.Errorf("behind = %d after %v, want 0: it is not waited for any more", behind, lagTime)
		}
		if len(r.drained) != 0 {
			t.Errorf("drained %v before anything was read", r.drained)
		}
	})
	go io.Copy(io.Discard, conn)
	eventually(t, "it has caught up", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Equal(r.drained, []uint32{c})
	})
}

func TestWakeIn(t *testing.T) {
	r, _ := startLoop(t, nil)
	ends := make(chan time.Time, 100)
	r.call(func() {
		r.end = func() bool {
			select {
			case ends <- time.Now():
			default:
			}
			return false
		}
	})
	for len(ends) > 0 {
		<-ends
	}
	start := time.Now()
	r.call(func() { r.loop.WakeIn(time.Hour); r.loop.WakeIn(20 * time.Millisecond) })
	for at := range ends {
		if at.Sub(start) >= 20*time.Millisecond {
			break // there was a batch at that time although nothing else happened
		}
	}
	r.call(func() {
		if !r.loop.wakeAt.IsZero() {
			t.Errorf("wakeAt is still set after its time")
		}
	})
}
