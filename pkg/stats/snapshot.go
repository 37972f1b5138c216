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
	Loops         []LoopSnapshot    `json:"loops" msgpack:"loops"`
	Backends      *Backends         `json:"backends,omitempty" msgpack:"backends,omitempty"` // nil without a routes file
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
}
