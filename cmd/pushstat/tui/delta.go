package tui

import (
	"holdfast/pkg/stats"
)

// delta is what happened between two snapshots of one process, or the sum of several such.
type delta struct {
	rates   rates
	closed  map[string]uint64
	dropped map[string]uint64
	seconds float64 // the longest of the spans

	latency, walk, lag, pauses stats.Durations
	overflows, listenDrops     uint64  // of the host, so that those of several pushd are the same ones
	cpu                        float64 // processors in use
}

// rates are events per second.
type rates struct {
	accepted, closed, published, delivered, dropped, bytesOut float64
}

// between returns nil when one of the snapshots is missing or they are of one moment.
func between(before, now *stats.Snapshot) *delta {
	if before == nil || now == nil || !sameProcess(before, now) {
		return nil
	}
	seconds := now.UptimeSeconds - before.UptimeSeconds
	if seconds <= 0 {
		return nil
	}
	d := &delta{seconds: seconds, closed: grown(before.Closed, now.Closed), dropped: grown(before.Dropped, now.Dropped)}
	per := func(a, b uint64) float64 { return float64(less(b, a)) / seconds }
	d.rates = rates{
		accepted:  per(before.Accepted, now.Accepted),
		closed:    float64(total(d.closed)) / seconds,
		published: per(before.Published, now.Published),
		delivered: per(before.Delivered, now.Delivered),
		dropped:   float64(total(d.dropped)) / seconds,
		bytesOut:  per(before.BytesOut, now.BytesOut),
	}
	d.latency = now.Latency.Since(before.Latency)
	d.walk = now.Walk.Since(before.Walk)
	d.lag = now.Lag.Since(before.Lag)
	d.pauses = now.GC.Pauses.Since(before.GC.Pauses)
	d.overflows = less(now.Kernel.ListenOverflows, before.Kernel.ListenOverflows)
	d.listenDrops = less(now.Kernel.ListenDrops, before.Kernel.ListenDrops)
	d.cpu = max(0, now.CPUSeconds-before.CPUSeconds) / seconds
	return d
}

// add adds o, which may be nil, to d.
func (d *delta) add(o *delta) {
	if o == nil {
		return
	}
	d.seconds = max(d.seconds, o.seconds)
	d.rates.accepted += o.rates.accepted
	d.rates.closed += o.rates.closed
	d.rates.published += o.rates.published
	d.rates.delivered += o.rates.delivered
	d.rates.dropped += o.rates.dropped
	d.rates.bytesOut += o.rates.bytesOut
	addCounts(&d.closed, o.closed)
	addCounts(&d.dropped, o.dropped)
	d.latency.Merge(o.latency)
	d.walk.Merge(o.walk)
	d.lag.Merge(o.lag)
	d.pauses.Merge(o.pauses)
	d.overflows = max(d.overflows, o.overflows)
	d.listenDrops = max(d.listenDrops, o.listenDrops)
	d.cpu += o.cpu
}

// less is a-b, and 0 where that would be below: counters read one after another may be an event apart.
func less(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

// grown is by how much each counter grew.
func grown(before, now map[string]uint64) map[string]uint64 {
	out := make(map[string]uint64, len(now))
	for k, v := range now {
		if n := less(v, before[k]); n > 0 {
			out[k] = n
		}
	}
	return out
}

func addCounts(to *map[string]uint64, from map[string]uint64) {
	if *to == nil {
		*to = make(map[string]uint64, len(from))
	}
	for k, v := range from {
		(*to)[k] += v
	}
}

func total(m map[string]uint64) uint64 {
	var n uint64
	for _, v := range m {
		n += v
	}
	return n
}
