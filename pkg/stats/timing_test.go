package stats

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestBucketsCoverAllDurations(t *testing.T) {
	last := -1
	for us := uint64(0); us < 1<<27; us += max(1, us/64) {
		i := bucket(time.Duration(us) * time.Microsecond)
		if i < last || i > last+1 {
			t.Fatalf("%d us is in bucket %d, after %d", us, i, last)
		}
		last = i
		if i == timingBuckets-1 {
			break
		}
		low := uint64(0)
		if i > 0 {
			low = bound(i - 1)
		}
		if us < low || us >= bound(i) {
			t.Fatalf("%d us is in the bucket from %d to %d", us, low, bound(i))
		}
		if width := bound(i) - low; width > 1 && width*8 > bound(i) {
			t.Fatalf("the bucket from %d to %d is too wide", low, bound(i))
		}
	}
	if last != timingBuckets-1 {
		t.Errorf("the last bucket used is %d of %d", last, timingBuckets)
	}
	for us := uint64(1); us < 1<<26; us *= 2 {
		if i := bucket(time.Duration(us) * time.Microsecond); i == 0 || bound(i-1) != us {
			t.Errorf("%d us is no bound of a bucket", us)
		}
	}
	if i := bucket(math.MaxInt64); i != timingBuckets-1 || bound(i) != 1<<26 {
		t.Errorf("the longest duration is in bucket %d, which ends at %d us", i, bound(i))
	}
}

func TestDurationsOfATiming(t *testing.T) {
	var tm Timing
	for us := range 10_000 {
		tm.Add(time.Duration(us)*time.Microsecond, 2)
	}
	tm.Add(-time.Second, 1)
	d := tm.Durations()
	if d.Count != 20_001 || math.Abs(d.SumSeconds-99.99) > 1e-9 {
		t.Errorf("Count %d, SumSeconds %v, want 20001 and 99.99", d.Count, d.SumSeconds)
	}
	for _, tt := range []struct{ got, want uint64 }{{d.P50, 5000}, {d.P99, 9900}, {d.P999, 9990}, {d.Max, 10_000}} {
		if tt.got < tt.want || tt.got > tt.want*9/8+1 {
			t.Errorf("%d us, want %d to an eighth (%+v)", tt.got, tt.want, d)
		}
	}
	if empty := new(Timing).Durations(); !reflect.DeepEqual(empty, Durations{}) {
		t.Errorf("of nothing: %+v", empty)
	}
}

// Since and Merge are the inverse of each other, and Since of another process's figures is all of them.
func TestDurationsSinceAndMerge(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var first, second, both Timing
	for range 1000 {
		d := time.Duration(rnd.ExpFloat64() * float64(time.Millisecond))
		first.Add(d, 1)
		both.Add(d, 1)
	}
	before := both.Durations()
	for range 500 {
		d := time.Duration(rnd.ExpFloat64() * float64(time.Second))
		second.Add(d, 1)
		both.Add(d, 1)
	}
	after := both.Durations()
	got, want := after.Since(before), second.Durations()
	if !slices.Equal(got.Buckets, want.Buckets) || got.Count != 500 || got.P99 != want.P99 || math.Abs(got.SumSeconds-want.SumSeconds) > 1e-6 {
		t.Errorf("Since: %+v, want %+v", got, want)
	}
	merged := first.Durations()
	merged.Merge(second.Durations())
	if !slices.Equal(merged.Buckets, after.Buckets) || merged.P50 != after.P50 {
		t.Errorf("Merge: %+v, want %+v", merged, after)
	}
	if got := want.Since(after); !slices.Equal(got.Buckets, want.Buckets) || got.Count != want.Count {
		t.Errorf("Since of what is no earlier state: %+v, want all of %+v", got, want)
	}
	if got := after.Since(after); got.Count != 0 || got.Max != 0 {
		t.Errorf("since itself: %+v", got)
	}
}

func TestTimingDoesNotAllocate(t *testing.T) {
	var tm Timing
	if n := testing.AllocsPerRun(100, func() { tm.Add(time.Millisecond, 64) }); n != 0 {
		t.Errorf("Add allocates %v times, want 0", n)
	}
}

func BenchmarkTimingAdd(b *testing.B) {
	var tm Timing
	for b.Loop() {
		tm.Add(123*time.Microsecond, 64)
	}
}

func TestTopAgainstSorting(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		n, k := rnd.IntN(100), 1+rnd.IntN(20)
		top := NewTop(k, func(a, b *int) bool { return *a > *b })
		var all []int
		for range n {
			v := rnd.IntN(50)
			all = append(all, v)
			top.Add(v)
		}
		slices.Sort(all)
		slices.Reverse(all)
		if got, want := top.Take(), all[:min(k, n)]; !slices.Equal(got, want) {
			t.Fatalf("the first %d of %v: %v", k, all, got)
		}
	}
}
