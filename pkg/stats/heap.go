package stats

import (
	"math"
	"runtime/metrics"
	"time"
)

// Names of package runtime/metrics.
const (
	metricHeap   = "/memory/classes/heap/objects:bytes"
	metricGoal   = "/gc/heap/goal:bytes"
	metricCycles = "/gc/cycles/total:gc-cycles"
	metricPauses = "/sched/pauses/total/gc:seconds"
)

// Heap is what the Go runtime says about memory.
type Heap struct {
	Bytes     int64 // in objects, dead ones not yet swept included
	GoalBytes int64
	GC        GC
}

// ReadHeap asks the runtime. Unlike runtime.ReadMemStats it stops nothing.
func ReadHeap() Heap {
	samples := []metrics.Sample{{Name: metricHeap}, {Name: metricGoal}, {Name: metricCycles}, {Name: metricPauses}}
	metrics.Read(samples)
	number := func(i int) uint64 {
		if samples[i].Value.Kind() != metrics.KindUint64 { // a runtime that does not have it
			return 0
		}
		return samples[i].Value.Uint64()
	}
	h := Heap{Bytes: int64(number(0)), GoalBytes: int64(min(number(1), math.MaxInt64)), GC: GC{Cycles: number(2)}}
	if samples[3].Value.Kind() == metrics.KindFloat64Histogram {
		h.GC.Pauses = pauses(samples[3].Value.Float64Histogram())
	}
	return h
}

// pauses puts what the runtime counts into the buckets of a Timing, by the upper bounds.
func pauses(h *metrics.Float64Histogram) Durations {
	var t Timing
	for i, n := range h.Counts {
		if n == 0 {
			continue
		}
		upper := h.Buckets[i+1]
		if math.IsInf(upper, 1) {
			upper = h.Buckets[i]
		}
		t.Add(time.Duration(upper*float64(time.Second)), int(n))
	}
	return t.Durations()
}

// Fill puts h into the fields of s that describe memory.
func (h Heap) Fill(s *Snapshot) {
	s.HeapBytes, s.HeapGoalBytes, s.GC = h.Bytes, h.GoalBytes, h.GC
}
