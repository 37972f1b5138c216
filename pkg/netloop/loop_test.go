package netloop

import (
	"os"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"holdfast/pkg/stats"
)

func TestSlotIs32Bytes(t *testing.T) {
	if n := unsafe.Sizeof(slot{}); n != 32 {
		t.Errorf("a slot takes %d bytes, want 32", n)
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	var dues []uint32
	r, addr := startLoop(t, func(_ *Config, r *recorder) {
		r.due = func(c uint32) { dues = append(dues, c) }
	})
	var ids []uint32
	for i := range 4 {
		dial(t, addr)
		ids = append(ids, r.connection(t, i))
	}
	start := time.Now()
	const d = 4 * tickLength
	r.call(func() {
		r.loop.Arm(ids[0], 2*d)
		r.loop.Arm(ids[1], d)
		r.loop.Arm(ids[2], d)
		r.loop.Disarm(ids[2])
		r.loop.Arm(ids[3], 100*d)
		r.loop.Arm(ids[3], 3*d) // in place of the other
	})
	eventually(t, "three deadlines came", func() (ok bool) {
		r.call(func() { ok = len(dues) >= 3 })
		return ok
	})
	if took := time.Since(start); took < 3*d-2*tickLength {
		t.Errorf("the last deadline, of %v, came after %v", 3*d, took)
	}
	r.call(func() {
		if want := []uint32{ids[1], ids[0], ids[3]}; !slices.Equal(dues, want) {
			t.Errorf("deadlines came for %v, want %v", dues, want)
		}
	})
}

// A loop with nothing to do does nothing, also when its only deadline is more than a turn of the wheel away.
func TestIdleLoopRests(t *testing.T) {
	t.Parallel()
	r, addr := startLoop(t, nil)
	dial(t, addr)
	c := r.connection(t, 0)
	r.call(func() { r.loop.Arm(c, 1000*time.Second) })
	before := r.loop.stats.Batches.Load()
	<-time.After(10 * tickLength)
	if n := r.loop.stats.Batches.Load() - before; n > 4 {
		t.Errorf("%d batches in %v of rest, want hardly any", n, 10*tickLength)
	}
}

func TestQuiet(t *testing.T) {
	t.Parallel()
	r, addr := startLoop(t, nil)
	dialSlow(t, addr)
	c := r.connection(t, 0)
	quiet := func() (d time.Duration) {
		r.call(func() { d = r.loop.Quiet(c) })
		return d
	}
	for _, send := range []func(){
		func() { r.loop.Send(c, []byte("x")) },
		func() { r.loop.SendShared(1, []uint32{c}, []byte("x")) },
	} {
		eventually(t, "it is quiet", func() bool { return quiet() >= 3*tickLength })
		r.call(func() {
			send()
			if d := r.loop.Quiet(c); d != 0 {
				t.Errorf("Quiet = %v just after something was written, want 0", d)
			}
		})
	}
	// A keep-alive for one that does not take what is there already would be pointless, and could fill its queue.
	r.call(func() { r.stuff(c) })
	<-time.After(4 * tickLength)
	if d := quiet(); d != 0 {
		t.Errorf("Quiet = %v while something is queued, want 0", d)
	}
}

func TestPostFromManyGoroutines(t *testing.T) {
	const posters, each = 8, 5000
	r, _ := startLoop(t, nil)
	var last [posters]int
	var done, posting sync.WaitGroup
	done.Add(posters * each)
	for p := range posters {
		posting.Go(func() {
			for i := 1; i <= each; i++ {
				r.loop.Post(func() {
					if last[p] != i-1 {
						t.Errorf("task %d of poster %d came after task %d", i, p, last[p])
					}
					last[p] = i
					done.Done()
				})
			}
		})
	}
	posting.Wait()
	done.Wait()
}

// A task posted while the loop works off more than it takes in one batch is not forgotten.
func TestPostDuringABurst(t *testing.T) {
	r, _ := startLoop(t, nil)
	blocked, done := make(chan struct{}), make(chan struct{})
	r.loop.Post(func() { <-blocked })
	for i := range batchTasks + 100 {
		r.loop.Post(func() {
			if i == 10 {
				r.loop.Post(func() { close(done) })
			}
		})
	}
	close(blocked)
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("the task was not taken in 5 s")
	}
}

func TestPostUsesItsListsAgain(t *testing.T) {
	r, _ := startLoop(t, nil)
	step := make(chan struct{})
	task := func() { step <- struct{}{} }
	run := func() {
		for range 10 {
			r.loop.Post(task)
		}
		for range 10 {
			<-step
		}
	}
	for range 100 {
		run()
	}
	if n := testing.AllocsPerRun(200, run); n != 0 {
		t.Errorf("posting 10 tasks allocates %v times, want the lists of tasks to be used again", n)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestStopLeavesNothing(t *testing.T) {
	before := openFiles(t)
	t.Run("loop", func(t *testing.T) {
		r, addr := startLoop(t, nil) // stopped by Cleanup
		listen(t, r.loop)
		for i := range 20 {
			conn := dialSlow(t, addr)
			c := r.connection(t, i)
			switch i % 4 {
			case 1:
				r.call(func() { r.stuff(c) })
			case 2:
				r.call(func() { r.stuff(c); r.loop.Finish(c, stats.CloseDone) })
			case 3:
				write(t, conn, "unused")
			}
		}
		r.call(func() { r.loop.Arm(r.opened[0], time.Hour) })
	})
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open after Stop, %d were before", after, before)
	}
	if left := loopGoroutines(5 * time.Second); left != "" {
		t.Errorf("goroutines are left:\n%s", left)
	}
}

// Clients that wait to be accepted when the listeners close are accepted, not reset.
func TestStopListeningAcceptsWhatWaits(t *testing.T) {
	r, addr := startLoop(t, nil)
	blocked := make(chan struct{})
	r.loop.Post(func() { <-blocked })
	const clients = 3 * batchAccepts
	for range clients {
		dial(t, addr)
	}
	stopped := make(chan struct{})
	go func() { r.loop.StopListening(); close(stopped) }()
	close(blocked)
	<-stopped
	r.connection(t, clients-1)
	r.call(func() {
		if n := r.loop.cfg.Limit.Connections(); n != clients {
			t.Errorf("%d connections, want %d", n, clients)
		}
	})
}

// easygo may still call for a listener that was closed in the same batch of its events. Its descriptor may name
// something else by then.
func TestClosedListenerIsLeftAlone(t *testing.T) {
	r, _ := startLoop(t, nil)
	var ln *listener
	r.call(func() { ln = r.loop.listeners[0] })
	r.loop.StopListening()
	other := listen(t, r.loop) // takes the lowest free descriptor, that of the closed one
	r.call(func() {
		dial(t, other)
		r.loop.onAccept(ln)
		if n := r.loop.cfg.Limit.Connections(); n != 0 {
			t.Errorf("the closed listener accepted %d connections of another", n)
		}
	})
}

// A deadline may come late, by up to two ticks, and never early, wherever in a tick it was armed.
func TestDeadlinesAreNeverEarly(t *testing.T) {
	t.Parallel()
	r, addr := startLoop(t, nil)
	dial(t, addr)
	c := r.connection(t, 0)
	fired := make(chan time.Time, 1)
	r.call(func() { r.due = func(uint32) { fired <- time.Now() } })
	const after = tickLength + tickLength/5
	for i := range 15 {
		<-time.After(time.Duration(i) * tickLength / 15) // another place in the tick
		var armed time.Time
		r.call(func() { armed = time.Now(); r.loop.Arm(c, after) })
		select {
		case at := <-fired:
			if took := at.Sub(armed); took < after {
				t.Fatalf("a deadline in %v came after %v", after, took)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the deadline has not come in 10 s")
		}
	}
}

// A connection that is to be read again is, although Again was called in the last step of a batch.
func TestAgainAtTheEndOfABatch(t *testing.T) {
	asked, heard := false, make(chan struct{})
	r, addr := startLoop(t, func(_ *Config, r *recorder) {
		r.data = func(_ uint32, b []byte, _ int) int {
			if !asked {
				return 0
			}
			close(heard)
			return len(b)
		}
	})
	conn := dial(t, addr)
	write(t, conn, "x")
	c := r.connection(t, 0)
	eventually(t, "the byte is kept", func() (ok bool) {
		r.call(func() { ok = r.loop.slots.At(c).input != 0 })
		return ok
	})
	r.call(func() {
		r.end = func() bool {
			if !asked {
				asked = true
				r.loop.Again(c)
			}
			return false
		}
	})
	select {
	case <-heard:
	case <-time.After(5 * time.Second):
		t.Error("the connection was not read again in 5 s, while nothing else happened")
	}
}
