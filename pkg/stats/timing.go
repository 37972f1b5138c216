package stats

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// The buckets of a Timing are those of an HdrHistogram with eight steps to the doubling, in microseconds: a bucket is an
// eighth of its bound wide at most. The library's own histogram cannot be read while another goroutine counts in it, and
// takes 20 KB and more.
const (
	stepBits      = 3
	timingBuckets = 192 // up to 67 s; what takes longer counts as that
)

// Timing counts durations, without a lock, for any goroutine. It takes 1.5 KB.
type Timing struct {
	sum    atomic.Uint64 // nanoseconds
	counts [timingBuckets]atomic.Uint64
}

// Add counts n times the duration d. One below zero counts as zero.
func (t *Timing) Add(d time.Duration, n int) {
	d = max(d, 0)
	t.sum.Add(uint64(d) * uint64(n))
	t.counts[bucket(d)].Add(uint64(n))
}

func bucket(d time.Duration) int {
	us := uint64(d / time.Microsecond)
	e := max(0, bits.Len64(us)-stepBits-1)
	return min(e<<stepBits+int(us>>e), timingBuckets-1)
}

// bound is the duration in microseconds that everything in bucket i stays below.
func bound(i int) uint64 {
	e := max(0, i>>stepBits-1)
	return uint64(i-e<<stepBits+1) << e
}

// Durations returns what was counted so far.
func (t *Timing) Durations() Durations {
	d := Durations{SumSeconds: time.Duration(t.sum.Load()).Seconds()}
	for i := range t.counts {
		if n := t.counts[i].Load(); n > 0 {
			d.Buckets = append(d.Buckets, [2]uint64{bound(i), n})
		}
	}
	d.finish()
	return d
}

// Durations is how long something took, each time since the start of the process. Since gives what was counted between two
// of them, which is how recent traffic is shown.
type Durations struct {
	Count      uint64  `json:"count" msgpack:"count"`
	SumSeconds float64 `json:"sum_s" msgpack:"sum_s"`
	P50        uint64  `json:"p50_us" msgpack:"p50_us"` // microseconds that half of them stayed below, to an eighth
	P99        uint64  `json:"p99_us" msgpack:"p99_us"`
	P999       uint64  `json:"p999_us" msgpack:"p999_us"`
	Max        uint64  `json:"max_us" msgpack:"max_us"`

	// Buckets has a pair for each bucket that is not empty, in order: microseconds that everything in it stayed below, and
	// how many there are in it.
	Buckets [][2]uint64 `json:"buckets,omitempty" msgpack:"buckets"`
}

// finish fills in what follows from the buckets.
func (d *Durations) finish() {
	d.Count, d.P50, d.P99, d.P999, d.Max = 0, 0, 0, 0, 0
	for _, b := range d.Buckets {
		d.Count += b[1]
		d.Max = b[0]
	}
	d.P50, d.P99, d.P999 = d.Quantile(0.5), d.Quantile(0.99), d.Quantile(0.999)
}

// Quantile returns the microseconds that the share q of all stayed below, to an eighth; 0 when there are none.
func (d *Durations) Quantile(q float64) uint64 {
	want := uint64(q * float64(d.Count))
	var n uint64
	for _, b := range d.Buckets {
		if n += b[1]; n > want || n == d.Count {
			return b[0]
		}
	}
	return 0
}

// Since returns what d counts beyond before, which is an earlier state of the same pushd. When it is not, as after a restart, that
// is all of d.
func (d Durations) Since(before Durations) Durations {
	out := Durations{SumSeconds: d.SumSeconds - before.SumSeconds}
	old := before.Buckets
	for _, b := range d.Buckets {
		if len(old) > 0 && old[0][0] < b[0] { // it is empty now: another process
			break
		}
		if len(old) > 0 && old[0][0] == b[0] {
			if old[0][1] > b[1] {
				break
			}
			b[1] -= old[0][1]
			old = old[1:]
		}
		if b[1] > 0 {
			out.Buckets = append(out.Buckets, b)
		}
	}
	if len(old) > 0 {
		out = d
		out.Buckets = append([][2]uint64(nil), d.Buckets...)
	}
	out.finish()
	return out
}

// Merge adds what o counts.
func (d *Durations) Merge(o Durations) {
	if len(o.Buckets) == 0 {
		return
	}
	d.SumSeconds += o.SumSeconds
	var all [][2]uint64
	a, b := d.Buckets, o.Buckets
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0][0] < b[0][0]:
			all, a = append(all, a[0]), a[1:]
		case len(a) == 0 || b[0][0] < a[0][0]:
			all, b = append(all, b[0]), b[1:]
		default:
			all, a, b = append(all, [2]uint64{a[0][0], a[0][1] + b[0][1]}), a[1:], b[1:]
		}
	}
	d.Buckets = all
	d.finish()
}
