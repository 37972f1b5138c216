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
	d := &delta{seconds: seconds, closed: stats.Grown(before.Closed, now.Closed), dropped: stats.Grown(before.Dropped, now.Dropped)}
	per := func(a, b uint64) float64 { return float64(stats.Growth(a, b)) / seconds }
	d.rates = rates{
		accepted:  per(before.Accepted, now.Accepted),
		closed:    float64(stats.Total(d.closed)) / seconds,
		published: per(before.Published, now.Published),
		delivered: per(before.Delivered, now.Delivered),
		dropped:   float64(stats.Total(d.dropped)) / seconds,
		bytesOut:  per(before.BytesOut, now.BytesOut),
	}
	d.latency = now.Latency.Since(before.Latency)
	d.walk = now.Walk.Since(before.Walk)
	d.lag = now.Lag.Since(before.Lag)
	d.pauses = now.GC.Pauses.Since(before.GC.Pauses)
	d.overflows = stats.Growth(before.Kernel.ListenOverflows, now.Kernel.ListenOverflows)
	d.listenDrops = stats.Growth(before.Kernel.ListenDrops, now.Kernel.ListenDrops)
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
	stats.AddCounts(&d.closed, o.closed)
	stats.AddCounts(&d.dropped, o.dropped)
	d.latency.Merge(o.latency)
	d.walk.Merge(o.walk)
	d.lag.Merge(o.lag)
	d.pauses.Merge(o.pauses)
	d.overflows = max(d.overflows, o.overflows)
	d.listenDrops = max(d.listenDrops, o.listenDrops)
	d.cpu += o.cpu
}
