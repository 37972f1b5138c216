package stats

import (
	"math"
	"testing"
	"time"
)

func TestHistogramQuantiles(t *testing.T) {
	h := NewHistogram()
	for us := range 10000 {
		h.Record(time.Duration(us+1) * time.Microsecond)
	}
	for _, tt := range []struct {
		q    float64
		want time.Duration
	}{{0.5, 5000}, {0.9, 9000}, {0.99, 9900}, {0.999, 9990}, {1, 10000}} {
		want := tt.want * time.Microsecond
		if got := h.Quantile(tt.q); math.Abs(float64(got-want)) > float64(want)/1000 {
			t.Errorf("Quantile(%v) = %v, want %v to three digits", tt.q, got, want)
		}
	}
	if h.Count() != 10000 || h.Max() < 10*time.Millisecond {
		t.Errorf("Count = %d, Max = %v, want 10000, 10ms or a little more", h.Count(), h.Max())
	}
}

func TestHistogramKeepsToItsRange(t *testing.T) {
	h := NewHistogram()
	if l := h.Latency(); l != (Latency{}) {
		t.Errorf("Latency of nothing = %+v, want zeros", l)
	}
	h.Record(-time.Second)
	h.Record(48 * time.Hour)
	if h.Count() != 2 || h.Quantile(0.5) != 0 || h.Max() < time.Hour || h.Max() > time.Hour+time.Minute {
		t.Errorf("Count = %d, median %v, Max %v, want 2, 0, about 1h", h.Count(), h.Quantile(0.5), h.Max())
	}
}

// The histograms of two processes, sent over a pipe and merged, are those of one that saw everything.
func TestHistogramsMergeAcrossProcesses(t *testing.T) {
	all, merged := NewHistogram(), NewHistogram()
	for part := range 2 {
		h := NewHistogram()
		for i := range 5000 {
			d := time.Duration(1+part*5000+i*i) * time.Microsecond
			h.Record(d)
			all.Record(d)
		}
		b, err := h.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var got Histogram
		if err := got.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		merged.Merge(&got)
	}
	if merged.Latency() != all.Latency() {
		t.Errorf("merged: %+v, want %+v", merged.Latency(), all.Latency())
	}
}

func TestHistogramRefusesGarbage(t *testing.T) {
	h := NewHistogram()
	h.Record(time.Second)
	if err := h.UnmarshalBinary([]byte("no histogram")); err == nil || h.Count() != 1 {
		t.Errorf("UnmarshalBinary(garbage) = %v, Count = %d, want an error and 1", err, h.Count())
	}
}

func TestHistogramRecordDoesNotAllocate(t *testing.T) {
	h := NewHistogram()
	if n := testing.AllocsPerRun(100, func() { h.Record(time.Millisecond) }); n != 0 {
		t.Errorf("Record allocates %v times, want 0", n)
	}
}

func BenchmarkHistogramRecord(b *testing.B) {
	h := NewHistogram()
	for b.Loop() {
		h.Record(123 * time.Microsecond)
	}
}
