package hub

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// No change of a large map moves more than a few entries.
func TestCompactMapMovesInSlices(t *testing.T) {
	const n = 1 << 16
	var c compactMap[uint32, uint32]
	for i := range uint32(n) {
		c.set(i, i)
	}
	moving := 0
	for i := range uint32(n) {
		before := len(c.m)
		if c.old == nil {
			before = 0 // the map that begins is empty
		}
		c.delete(i)
		if c.old == nil {
			continue
		}
		if moving++; len(c.m)-before > compactRun {
			t.Fatalf("deleting %d moved %d entries, want %d at most", i, len(c.m)-before, compactRun)
		}
	}
	if moving < n/4/compactRun/2 {
		t.Errorf("entries were under way during %d changes, want more", moving)
	}
	if c.len() != 0 || c.old != nil || c.peak > compactMin {
		t.Errorf("len %d, peak %d, moving %v after all were deleted", c.len(), c.peak, c.old != nil)
	}
}

// A compactMap holds what a map does, also while entries move.
func TestCompactMapAgainstMap(t *testing.T) {
	var c compactMap[string, int]
	model := map[string]int{}
	rnd := rand.New(rand.NewPCG(5, 6))
	moved := 0
	for step := range 200_000 {
		grow := step%40_000 < 20_000
		k := fmt.Sprint(rnd.IntN(8000))
		if rnd.IntN(20) < 19 == grow {
			c.set(k, step)
			model[k] = step
		} else {
			c.delete(k)
			delete(model, k)
		}
		if c.old != nil {
			moved++
		}
		k = fmt.Sprint(rnd.IntN(8000))
		want, found := model[k]
		v, ok := c.get(k)
		b, okBytes := getBytes(&c, []byte(k))
		if v != want || ok != found || b != want || okBytes != found || c.len() != len(model) {
			t.Fatalf("step %d: get(%s) = %d, %v and %d, %v of %d, want %d, %v of %d",
				step, k, v, ok, b, okBytes, c.len(), want, found, len(model))
		}
	}
	if moved < 100 {
		t.Errorf("entries were under way after %d steps, want more", moved)
	}
}

// BenchmarkCompactMapLeave empties a map of that many channels, and reports the longest single
// change.
func BenchmarkCompactMapLeave(b *testing.B) {
	for _, n := range []int{500_000, 1_000_000} {
		b.Run(fmt.Sprintf("channels=%d", n), func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			longest := time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				var c compactMap[uint32, uint32]
				for i := range uint32(n) {
					c.set(i, i)
				}
				b.StartTimer()
				for i := range uint32(n) {
					began := cpu(b)
					c.delete(i)
					longest = max(longest, cpu(b)-began)
				}
			}
			b.ReportMetric(float64(longest.Microseconds()), "us-longest")
		})
	}
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
