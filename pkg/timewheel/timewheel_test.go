package timewheel

import (
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func newWheel(n int) (*Wheel, []Node) {
	nodes := make([]Node, n+1)
	return New(func(id uint32) *Node { return &nodes[id] }), nodes
}

func TestAgainstMap(t *testing.T) {
	const slots = 500
	w, _ := newWheel(slots)
	model := map[uint32]Tick{}
	rnd := rand.New(rand.NewPCG(3, 4))
	now := Tick(0)
	for range 100_000 {
		id := uint32(1 + rnd.IntN(slots))
		switch rnd.IntN(10) {
		case 0, 1, 2, 3:
			due := now + Tick(rnd.IntN(3*buckets)) // some more than a turn away
			w.Arm(id, due)
			model[id] = max(due, now+1)
		case 4:
			w.Disarm(id)
			delete(model, id)
		default:
			if next, ok := w.Next(); ok != (len(model) > 0) {
				t.Fatalf("Next says %v with %d armed", ok, len(model))
			} else if ok {
				for id, due := range model {
					if due < next {
						t.Fatalf("Next = %d, but slot %d is due at %d", next, id, due)
					}
				}
			}
			now += Tick(rnd.IntN(200))
			for w.Advance(now, 3, func(id uint32) {
				due, armed := model[id]
				if !armed || due > now {
					t.Fatalf("at %d slot %d fired, armed %v for %d", now, id, armed, due)
				}
				delete(model, id)
			}) {
			}
			for id, due := range model {
				if due <= now {
					t.Fatalf("at %d slot %d, due at %d, has not fired", now, id, due)
				}
			}
		}
	}
}

func TestDisarmWhileFiring(t *testing.T) {
	w, nodes := newWheel(3)
	for id := uint32(1); id <= 3; id++ {
		w.Arm(id, 5)
	}
	var fired []uint32
	w.Advance(5, 10, func(id uint32) {
		fired = append(fired, id)
		for other := uint32(1); other <= 3; other++ {
			if other != id {
				w.Disarm(other)
			}
		}
	})
	if len(fired) != 1 {
		t.Errorf("fired %v, want one: it disarmed the others", fired)
	}
	for id := range nodes {
		if nodes[id].Armed() {
			t.Errorf("slot %d is still armed", id)
		}
	}
}

func TestRearmWhileFiring(t *testing.T) {
	w, _ := newWheel(2)
	w.Arm(1, 5)
	w.Arm(2, 5)
	n := 0
	w.Advance(5, 10, func(uint32) { n++; w.Arm(1, 9); w.Arm(2, 9) })
	if n != 1 {
		t.Errorf("%d fired at 5, want 1: the first call armed both for later", n)
	}
	if next, ok := w.Next(); !ok || next != 9 {
		t.Errorf("Next = %d, %v, want 9", next, ok)
	}
}

func TestArmDoesNotAllocate(t *testing.T) {
	w, _ := newWheel(10)
	if n := testing.AllocsPerRun(100, func() { w.Arm(1, 7); w.Arm(2, 7); w.Disarm(1); w.Disarm(2) }); n != 0 {
		t.Errorf("Arm and Disarm allocate %v times, want 0", n)
	}
}

func BenchmarkArm(b *testing.B) {
	w, _ := newWheel(10_000)
	i := uint32(0)
	for b.Loop() {
		w.Arm(1+i%10_000, Tick(1+i%1500))
		i++
	}
}

// One call looks at a bounded number of slots, however many are due at the same time or stand in
// the same bucket, and all are told in the end.
func TestAdvanceIsBounded(t *testing.T) {
	const slots, limit = 100_000, 100
	for name, due := range map[string]Tick{"all due": 5, "none due for another turn": 5 + buckets} {
		nodes := make([]Node, slots+1)
		looks := 0
		w := New(func(id uint32) *Node { looks++; return &nodes[id] })
		for id := range uint32(slots) {
			w.Arm(1+id, due)
		}
		told, calls := 0, 0
		advance := func(now Tick) {
			for more := true; more; calls++ {
				looks = 0
				before := told
				more = w.Advance(now, limit, func(uint32) { told++ })
				if told-before > limit || looks > 4*limit*looksPerCall {
					t.Fatalf("%s: a call told %d and looked %d times, want at most %d and %d",
						name, told-before, looks, limit, 4*limit*looksPerCall)
				}
			}
		}
		if advance(5); (told == slots) != (due == 5) {
			t.Errorf("%s: %d of %d told at 5", name, told, slots)
		}
		if advance(due); told != slots {
			t.Errorf("%s: %d of %d told in the end", name, told, slots)
		}
		if next, ok := w.Next(); ok {
			t.Errorf("%s: Next = %d with nothing armed", name, next)
		}
	}
}

// What is armed and disarmed while the slots of a tick are told over several calls neither gets
// lost nor comes twice.
func TestArmBetweenCalls(t *testing.T) {
	w, nodes := newWheel(1000)
	for id := uint32(1); id <= 500; id++ {
		w.Arm(id, 5)
	}
	told := map[uint32]int{}
	fn := func(id uint32) { told[id]++ }
	w.Advance(5, 10, fn)
	for id := uint32(1); id <= 500; id += 2 {
		if nodes[id].Armed() {
			w.Disarm(id)
		}
		w.Arm(id+500, 5+buckets) // the same bucket
		w.Arm(id+501, 1)         // past: with the next tick
	}
	for w.Advance(5, 10, fn) {
	}
	for id := uint32(2); id <= 500; id += 2 {
		if told[id] != 1 {
			t.Errorf("slot %d told %d times at 5, want once", id, told[id])
		}
	}
	for w.Advance(6, 10, fn) {
	}
	for id := uint32(502); id <= 1000; id += 2 {
		if told[id] != 1 {
			t.Errorf("slot %d told %d times at 6, want once", id, told[id])
		}
	}
	for w.Advance(5+buckets, 10, fn) {
	}
	for id := uint32(501); id <= 1000; id++ {
		if told[id] != 1 {
			t.Errorf("slot %d told %d times in the end, want once", id, told[id])
		}
	}
}

// BenchmarkAdvance is one call of Advance in a tick in which a million slots are due, and the
// longest one.
func BenchmarkAdvance(b *testing.B) {
	const slots = 1_000_000
	w, _ := newWheel(slots)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	longest, more, now := time.Duration(0), false, Tick(0)
	for b.Loop() {
		if !more {
			b.StopTimer()
			now += 10
			for id := range uint32(slots) {
				w.Arm(1+id, now)
			}
			b.StartTimer()
		}
		began := cpu(b)
		more = w.Advance(now, 256, func(uint32) {})
		longest = max(longest, cpu(b)-began)
	}
	b.ReportMetric(float64(longest.Microseconds()), "us-longest")
}

// cpu returns the processor time of this thread: what others do on the machine does not count.
func cpu(b *testing.B) time.Duration {
	const threadCPU = 3 // CLOCK_THREAD_CPUTIME_ID
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadCPU, uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		b.Fatal(errno)
	}
	return time.Duration(ts.Nano())
}
