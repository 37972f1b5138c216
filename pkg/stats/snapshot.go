// Package stats holds pushd's counters and the one snapshot of them that control, pushstat and the tests read.
//
// A loop counts in its own Loop, without a lock; Snapshot adds the loops up. Counters only grow; gauges return to
// zero when everybody left.
package stats

// Snapshot is pushd at one moment. Its JSON form is the output of `pushstat --once --json`; the same keys travel over
// the wire. Counters count since the start of the process.
type Snapshot struct {
	Connections   Connections       `json:"connections" msgpack:"connections"`
	Accepted      uint64            `json:"accepted" msgpack:"accepted"`           // connections accepted
	Closed        map[string]uint64 `json:"closed" msgpack:"closed"`               // connections ended, by reason
	Channels      int               `json:"channels" msgpack:"channels"`           // channels with at least one subscriber
	Subscriptions int               `json:"subscriptions" msgpack:"subscriptions"` // gauge
	Published     uint64            `json:"published" msgpack:"published"`         // items accepted from publishers
	Delivered     uint64            `json:"delivered" msgpack:"delivered"`         // items written or queued, one for each subscription
	Dropped       map[string]uint64 `json:"dropped" msgpack:"dropped"`             // items not delivered to a subscription, by reason
	QueuedBytes   int64             `json:"queued_bytes" msgpack:"queued_bytes"`   // bytes held for slow clients now
	BytesOut      uint64            `json:"bytes_out" msgpack:"bytes_out"`         // bytes written to clients
	RSSBytes      int64             `json:"rss_bytes" msgpack:"rss_bytes"`         // resident set of pushd
	RSSAnonBytes  int64             `json:"rss_anon_bytes" msgpack:"rss_anon_bytes"`
	CPUSeconds    float64           `json:"cpu_seconds" msgpack:"cpu_seconds"` // user and system time of pushd
	FDs           FDs               `json:"fds" msgpack:"fds"`
	UptimeSeconds float64           `json:"uptime_s" msgpack:"uptime_s"`
	Goroutines    int               `json:"goroutines" msgpack:"goroutines"`
	PID           int               `json:"pid" msgpack:"pid"`
	Version       string            `json:"version" msgpack:"version"`
	Latency       Durations         `json:"latency" msgpack:"latency"`                 // of each delivery: from the item's arrival to the write
	Walk          Durations         `json:"walk" msgpack:"walk"`                       // of each walk over a channel's subscribers in one loop
	Lag           Durations         `json:"lag" msgpack:"lag"`                         // of each batch of a loop: what comes meanwhile waits as long at most
	HeapBytes     int64             `json:"heap_bytes" msgpack:"heap_bytes"`           // in objects of the Go heap, dead ones not yet swept included
	HeapGoalBytes int64             `json:"heap_goal_bytes" msgpack:"heap_goal_bytes"` // of the heap, at which the next collection ends
	GC            GC                `json:"gc" msgpack:"gc"`
	Kernel        Kernel            `json:"kernel" msgpack:"kernel"`
	Limits        Limits            `json:"limits" msgpack:"limits"`
	Loops         []LoopSnapshot    `json:"loops" msgpack:"loops"`
	Backends      *Backends         `json:"backends,omitempty" msgpack:"backends,omitempty"` // nil without a routes file
}

// Limits is what pushd was started with.
type Limits struct {
	MaxConnections int   `json:"max_connections" msgpack:"max_connections"`
	MaxQueued      int   `json:"max_queued" msgpack:"max_queued"`     // bytes, of one connection
	QueueMemory    int64 `json:"queue_memory" msgpack:"queue_memory"` // bytes, of all connections
}

// GC is the work of the garbage collector.
type GC struct {
	Cycles uint64    `json:"cycles" msgpack:"cycles"`
	Pauses Durations `json:"pauses" msgpack:"pauses"` // in which nothing else of pushd ran; SumSeconds is about
}

// Kernel is what the kernel says about TCP in pushd's network namespace, whoever uses it. All is 0 where it does not say.
type Kernel struct {
	TCPMemBytes     int64  `json:"tcp_mem_bytes" msgpack:"tcp_mem_bytes"`       // taken by sockets
	TCPMemPressure  int64  `json:"tcp_mem_pressure" msgpack:"tcp_mem_pressure"` // bytes from which on buffers are kept small: the second number of tcp_mem
	TCPMemLimit     int64  `json:"tcp_mem_limit" msgpack:"tcp_mem_limit"`       // bytes that may be taken: the third
	TCPSockets      int    `json:"tcp_sockets" msgpack:"tcp_sockets"`           // in use
	TCPOrphans      int    `json:"tcp_orphans" msgpack:"tcp_orphans"`           // closed here, still sending
	TCPTimeWait     int    `json:"tcp_time_wait" msgpack:"tcp_time_wait"`       // waiting for stray segments
	ListenOverflows uint64 `json:"listen_overflows" msgpack:"listen_overflows"` // connections lost because a listener's queue was full, since boot
	ListenDrops     uint64 `json:"listen_drops" msgpack:"listen_drops"`         // connections lost at listeners for any reason, since boot
}

// Connections is the number of open connections by what they are doing now.
type Connections struct {
	Total  int `json:"total" msgpack:"total"`
	Stream int `json:"stream" msgpack:"stream"` // held as a raw HTTP stream
	Events int `json:"events" msgpack:"events"` // held as Server-Sent Events
	Poll   int `json:"poll" msgpack:"poll"`     // held as a long poll
	WS     int `json:"ws" msgpack:"ws"`         // held as a WebSocket
	HTTP   int `json:"http" msgpack:"http"`     // not held: reading a request, answering, or idle between requests
}

// FDs is the use of file descriptors against RLIMIT_NOFILE.
type FDs struct {
	Used  int `json:"used" msgpack:"used"`
	Limit int `json:"limit" msgpack:"limit"`
}

// LoopSnapshot is one event loop at one moment.
type LoopSnapshot struct {
	Connections   int    `json:"connections" msgpack:"connections"`
	Accepted      uint64 `json:"accepted" msgpack:"accepted"`
	Subscriptions int    `json:"subscriptions" msgpack:"subscriptions"`
	Delivered     uint64 `json:"delivered" msgpack:"delivered"`
	BytesOut      uint64 `json:"bytes_out" msgpack:"bytes_out"`
	QueuedBytes   int64  `json:"queued_bytes" msgpack:"queued_bytes"`
	Batches       uint64 `json:"batches" msgpack:"batches"` // batches of events handled
	Walks         uint64 `json:"walks" msgpack:"walks"`     // walks over a channel's subscribers

	Kinds   Connections `json:"kinds" msgpack:"kinds"`     // of its connections
	Mailbox int         `json:"mailbox" msgpack:"mailbox"` // gauge, tasks from other goroutines that wait
	Latency Durations   `json:"latency" msgpack:"latency"` // as in Snapshot
	Lag     Durations   `json:"lag" msgpack:"lag"`
}
