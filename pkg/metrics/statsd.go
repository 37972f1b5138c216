package metrics

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/pkg/stats"
)

// appendSnapshot adds all lines of now: gauges, and of counters and durations what came since before. Of durations these are
// quantiles, because the single values are too many to send.
func appendSnapshot(p *packets, before, now *stats.Snapshot) {
	for _, k := range kinds {
		p.gauge("connections."+k.name, float64(k.number(&now.Connections)))
	}
	p.gauge("connections.total", float64(now.Connections.Total))
	p.gauge("channels", float64(now.Channels))
	p.gauge("subscriptions", float64(now.Subscriptions))
	p.gauge("queued_bytes", float64(now.QueuedBytes))
	p.gauge("rss_bytes", float64(now.RSSBytes))
	p.gauge("rss_anon_bytes", float64(now.RSSAnonBytes))
	p.gauge("heap_bytes", float64(now.HeapBytes))
	p.gauge("fds.used", float64(now.FDs.Used))
	p.gauge("fds.limit", float64(now.FDs.Limit))
	p.gauge("goroutines", float64(now.Goroutines))
	p.gauge("uptime_s", math.Floor(now.UptimeSeconds))
	p.gauge("host.tcp_mem_bytes", float64(now.Kernel.TCPMemBytes))

	p.count("accepted", since(before.Accepted, now.Accepted))
	p.count("published", since(before.Published, now.Published))
	p.count("deliveries", since(before.Delivered, now.Delivered))
	p.count("written_bytes", since(before.BytesOut, now.BytesOut))
	p.count("cpu_ms", since(milliseconds(before.CPUSeconds), milliseconds(now.CPUSeconds)))
	for r, n := range reasons(stats.CloseReasons(), now.Closed) {
		p.count("closed."+r, since(before.Closed[r], n))
	}
	for r, n := range reasons(stats.DropReasons(), now.Dropped) {
		p.count("dropped."+r, since(before.Dropped[r], n))
	}
	if now.Backends != nil {
		appendBackends(p, before.Backends, now.Backends)
	}
	for _, h := range histograms {
		d := h.of(now).Since(*h.of(before))
		if d.Count == 0 {
			continue // there is no such duration
		}
		p.timer(h.name+".p50", microseconds(d.P50))
		p.timer(h.name+".p99", microseconds(d.P99))
		p.timer(h.name+".max", microseconds(d.Max))
	}
}

// appendBackends adds the lines of all backends; before is nil at first.
func appendBackends(p *packets, before, now *stats.Backends) {
	if before == nil {
		before = new(stats.Backends)
	}
	for _, m := range backends {
		if m.kind == prometheus.GaugeValue {
			p.gauge("backends."+m.name, m.value(now))
		} else {
			p.count("backends."+m.name, since(uint64(m.value(before)), uint64(m.value(now))))
		}
	}
	for _, cause := range slices.Sorted(maps.Keys(now.Errors)) {
		p.count("backends.errors."+cause, since(before.Errors[cause], now.Errors[cause]))
	}
}

// since is what a counter has counted. Two counters of one snapshot are not read in the same moment, but none ever falls.
func since(before, now uint64) uint64 { return now - min(before, now) }

func milliseconds(seconds float64) uint64 { return uint64(seconds * 1e3) }

func microseconds(n uint64) time.Duration { return time.Duration(n) * time.Microsecond }
