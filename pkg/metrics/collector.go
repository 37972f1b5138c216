package metrics

import (
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/pkg/stats"
)

// collector turns one snapshot into the metrics of a scrape.
type collector struct {
	snapshot func() stats.Snapshot
	started  float64 // of the process, as seconds since 1970
}

// single is a metric that has one value in a snapshot.
type single struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*stats.Snapshot) float64
}

func gauge(name, help string, value func(*stats.Snapshot) float64) single {
	return single{describe(name, help), prometheus.GaugeValue, value}
}

func counter(name, help string, value func(*stats.Snapshot) float64) single {
	return single{describe(name, help), prometheus.CounterValue, value}
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// singles are the metrics without labels. Those that begin with process_ have the names and meanings that they have
// everywhere. The library's own collector is not used for them, because before Linux 6.2 it reads the list of open files, which is as
// long as that of the connections.
var singles = []single{
	counter("pushd_accepted_total", "Connections accepted.",
		func(s *stats.Snapshot) float64 { return float64(s.Accepted) }),
	gauge("pushd_max_connections", "Limit of open connections.",
		func(s *stats.Snapshot) float64 { return float64(s.Limits.MaxConnections) }),
	gauge("pushd_channels", "Channels with at least one subscriber.",
		func(s *stats.Snapshot) float64 { return float64(s.Channels) }),
	gauge("pushd_subscriptions", "Subscriptions of open connections to channels.",
		func(s *stats.Snapshot) float64 { return float64(s.Subscriptions) }),
	counter("pushd_published_total", "Items accepted from publishers.",
		func(s *stats.Snapshot) float64 { return float64(s.Published) }),
	counter("pushd_deliveries_total", "Items written to clients or queued for them, one for each subscription.",
		func(s *stats.Snapshot) float64 { return float64(s.Delivered) }),
	counter("pushd_written_bytes_total", "Bytes written to clients.",
		func(s *stats.Snapshot) float64 { return float64(s.BytesOut) }),
	gauge("pushd_queued_bytes", "Bytes that wait for slow clients.",
		func(s *stats.Snapshot) float64 { return float64(s.QueuedBytes) }),
	gauge("pushd_queue_limit_bytes", "Limit of the bytes that wait for slow clients, of all of them.",
		func(s *stats.Snapshot) float64 { return float64(s.Limits.QueueMemory) }),
	gauge("pushd_anonymous_memory_bytes", "The part of the resident memory that is heap and stacks.",
		func(s *stats.Snapshot) float64 { return float64(s.RSSAnonBytes) }),
	gauge("pushd_host_tcp_memory_bytes", "Kernel memory of all TCP sockets of the network namespace.",
		func(s *stats.Snapshot) float64 { return float64(s.Kernel.TCPMemBytes) }),
	gauge("pushd_host_tcp_memory_pressure_bytes", "From which on the kernel keeps TCP buffers small (tcp_mem).",
		func(s *stats.Snapshot) float64 { return float64(s.Kernel.TCPMemPressure) }),
	gauge("pushd_host_tcp_memory_limit_bytes", "Limit of the kernel's memory for TCP sockets (tcp_mem).",
		func(s *stats.Snapshot) float64 { return float64(s.Kernel.TCPMemLimit) }),
	counter("pushd_host_listen_overflows_total", "Connections that any program of the network namespace lost because the queue of a listener was full, since boot.",
		func(s *stats.Snapshot) float64 { return float64(s.Kernel.ListenOverflows) }),
	counter("pushd_host_listen_drops_total", "Connections that any program of the network namespace lost at a listener, since boot.",
		func(s *stats.Snapshot) float64 { return float64(s.Kernel.ListenDrops) }),
	counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
		func(s *stats.Snapshot) float64 { return s.CPUSeconds }),
	gauge("process_open_fds", "Number of open file descriptors.",
		func(s *stats.Snapshot) float64 { return float64(s.FDs.Used) }),
	gauge("process_max_fds", "Maximum number of open file descriptors.",
		func(s *stats.Snapshot) float64 { return float64(s.FDs.Limit) }),
	gauge("process_resident_memory_bytes", "Resident memory size in bytes.",
		func(s *stats.Snapshot) float64 { return float64(s.RSSBytes) }),
}

// The metrics with labels.
var (
	buildInfo   = describe("pushd_build_info", "Always 1, labelled by what is running.", "version", "goversion")
	startTime   = describe("process_start_time_seconds", "Start time of the process since unix epoch in seconds.")
	connections = describe("pushd_connections", "Open connections by what they do: held as events, stream, poll or ws, or http (not held).", "kind")
	closed      = describe("pushd_closed_total", "Connections ended, by reason.", "reason")
	dropped     = describe("pushd_dropped_total", "Items that a subscription did not get, by reason.", "reason")
	failed      = describe("pushd_backend_errors_total", "Requests to backends that went wrong, by cause, once there was one.", "cause")
)

// backends are the metrics of all backends together, where there is a routes file.
var backends = []struct {
	desc  *prometheus.Desc
	name  string // for statsd
	kind  prometheus.ValueType
	value func(*stats.Backends) float64
}{
	{describe("pushd_backend_requests_total", "Requests given to backends."), "requests", prometheus.CounterValue,
		func(b *stats.Backends) float64 { return float64(b.Requests) }},
	{describe("pushd_backend_holds_total", "Requests to backends that were answered by holding the connection."), "holds", prometheus.CounterValue,
		func(b *stats.Backends) float64 { return float64(b.Holds) }},
	{describe("pushd_backend_retries_total", "Requests sent to a backend once more, on a new connection."), "retries", prometheus.CounterValue,
		func(b *stats.Backends) float64 { return float64(b.Retries) }},
	{describe("pushd_backend_abandoned_total", "Requests to backends whose client left first."), "abandoned", prometheus.CounterValue,
		func(b *stats.Backends) float64 { return float64(b.Gone) }},
	{describe("pushd_backend_active_requests", "Requests at backends."), "active", prometheus.GaugeValue,
		func(b *stats.Backends) float64 { return float64(b.InFlight) }},
	{describe("pushd_backend_waiting_requests", "Requests that wait for their turn at a backend."), "waiting", prometheus.GaugeValue,
		func(b *stats.Backends) float64 { return float64(b.Waiting) }},
	{describe("pushd_backend_connections", "Connections to backends, with the idle ones."), "connections", prometheus.GaugeValue,
		func(b *stats.Backends) float64 { return float64(b.Connections) }},
	{describe("pushd_routes_reload_failures_total", "Times that the routes file was read again and was bad."), "reload_failures", prometheus.CounterValue,
		func(b *stats.Backends) float64 { return float64(b.ReloadFailures) }},
}

// loops are the metrics that each loop has.
var loops = []struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*stats.LoopSnapshot) float64
}{
	{describe("pushd_loop_connections", "Open connections of a loop.", "loop"), prometheus.GaugeValue,
		func(l *stats.LoopSnapshot) float64 { return float64(l.Connections) }},
	{describe("pushd_loop_deliveries_total", "Deliveries of a loop.", "loop"), prometheus.CounterValue,
		func(l *stats.LoopSnapshot) float64 { return float64(l.Delivered) }},
	{describe("pushd_loop_queued_bytes", "Bytes that wait for slow clients of a loop.", "loop"), prometheus.GaugeValue,
		func(l *stats.LoopSnapshot) float64 { return float64(l.QueuedBytes) }},
	{describe("pushd_loop_batches_total", "Batches of events that a loop has handled.", "loop"), prometheus.CounterValue,
		func(l *stats.LoopSnapshot) float64 { return float64(l.Batches) }},
	{describe("pushd_loop_busy_seconds_total", "Time for which a loop was at work, and not waiting for events.", "loop"), prometheus.CounterValue,
		func(l *stats.LoopSnapshot) float64 { return l.Lag.SumSeconds }},
	{describe("pushd_loop_walks_total", "Walks of a loop over the subscribers of a channel.", "loop"), prometheus.CounterValue,
		func(l *stats.LoopSnapshot) float64 { return float64(l.Walks) }},
}

// newCollector returns the collector of a process that started at the given time.
func newCollector(snapshot func() stats.Snapshot, started time.Time) *collector {
	return &collector{snapshot: snapshot, started: float64(started.UnixMilli()) / 1e3}
}

// Describe sends the descriptions of all metrics, which are always the same.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{buildInfo, startTime, connections, closed, dropped, failed} {
		out <- d
	}
	for _, m := range singles {
		out <- m.desc
	}
	for _, m := range histograms {
		out <- m.desc
	}
	for _, m := range loops {
		out <- m.desc
	}
	for _, m := range backends {
		out <- m.desc
	}
}

// Collect takes one snapshot and sends what it says.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.snapshot()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	send(buildInfo, prometheus.GaugeValue, 1, s.Version, runtime.Version())
	send(startTime, prometheus.GaugeValue, c.started)
	for _, k := range kinds {
		send(connections, prometheus.GaugeValue, float64(k.number(&s.Connections)), k.name)
	}
	for reason, n := range reasons(stats.CloseReasons(), s.Closed) {
		send(closed, prometheus.CounterValue, float64(n), reason)
	}
	for reason, n := range reasons(stats.DropReasons(), s.Dropped) {
		send(dropped, prometheus.CounterValue, float64(n), reason)
	}
	for _, m := range singles {
		send(m.desc, m.kind, m.value(&s))
	}
	for _, m := range histograms {
		d := m.of(&s)
		out <- prometheus.MustNewConstHistogram(m.desc, d.Count, d.SumSeconds, cumulative(d))
	}
	if s.Backends != nil {
		for _, m := range backends {
			send(m.desc, m.kind, m.value(s.Backends))
		}
		for cause, n := range s.Backends.Errors {
			send(failed, prometheus.CounterValue, float64(n), cause)
		}
	}
	for i := range s.Loops {
		for _, m := range loops {
			send(m.desc, m.kind, m.value(&s.Loops[i]), strconv.Itoa(i))
		}
	}
}
