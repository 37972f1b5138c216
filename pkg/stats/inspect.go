package stats

import "net/netip"

// The types of this file are what pushd says about single connections, channels and routes when it is asked. They travel over
// the wire and are the JSON of pushstat.

// MaxTop is the largest number of connections or channels in one answer.
const MaxTop = 500

// Orders of connections.
const (
	ByQueued        = "queued"        // most bytes waiting first
	ByAge           = "age"           // oldest first
	ByNewest        = "newest"        // youngest first
	ByQuiet         = "quiet"         // longest without a write first
	BySubscriptions = "subscriptions" // most channels first
)

// Orders of channels.
const (
	BySubscribers = "subscribers" // most subscribers first
	ByRate        = "rate"        // most deliveries in the window first
)

// ConnectionQuery asks for connections.
type ConnectionQuery struct {
	Top    int              `json:"top" msgpack:"top"` // how many, 1 to MaxTop
	By     string           `json:"by" msgpack:"by"`   // their order; "" means ByQueued
	ID     string           `json:"id" msgpack:"id"`   // only this one, in full; the other fields do not count then
	Filter ConnectionFilter `json:"filter" msgpack:"filter"`
}

// ConnectionFilter says which connections are meant. An empty field lets all pass.
type ConnectionFilter struct {
	Address string `json:"address,omitempty" msgpack:"address,omitempty"` // of the client: an IP address, or a prefix such as 10.0.0.0/8
	Channel string `json:"channel,omitempty" msgpack:"channel,omitempty"` // that they are subscribed to
	Kind    string `json:"kind,omitempty" msgpack:"kind,omitempty"`       // http, stream, events, poll or ws
}

// ConnectionList answers a ConnectionQuery.
type ConnectionList struct {
	Connections []ConnectionInfo `json:"connections" msgpack:"connections"` // in the order asked for
	Matched     int              `json:"matched" msgpack:"matched"`         // connections that pass the filter
	Total       int              `json:"total" msgpack:"total"`             // connections looked at
}

// ConnectionInfo is one connection.
type ConnectionInfo struct {
	ID            string   `json:"id" msgpack:"id"`           // good for its life, and never that of a later one
	Loop          int      `json:"loop" msgpack:"loop"`       // index of its event loop
	Kind          string   `json:"kind" msgpack:"kind"`       // http, stream, events, poll or ws
	State         string   `json:"state" msgpack:"state"`     // new, request, token, backend, idle or held
	Address       string   `json:"address" msgpack:"address"` // of the client, IP:PORT; without a port where a proxy names it; "" when it has just left
	Proxy         string   `json:"proxy,omitempty" msgpack:"proxy,omitempty"`
	AgeSeconds    float64  `json:"age_s" msgpack:"age_s"`               // since it was accepted, in whole seconds
	QuietSeconds  float64  `json:"quiet_s" msgpack:"quiet_s"`           // since something was last written to it; 0 while something waits
	QueuedBytes   int      `json:"queued_bytes" msgpack:"queued_bytes"` // that it has not taken
	Subscriptions int      `json:"subscriptions" msgpack:"subscriptions"`
	Channels      []string `json:"channels" msgpack:"channels"` // of one in full up to 1,000, in a list the first three
	Route         string   `json:"route,omitempty" msgpack:"route,omitempty"`
}

// ChannelQuery asks for channels.
type ChannelQuery struct {
	Top      int    `json:"top" msgpack:"top"`             // how many, 1 to MaxTop
	By       string `json:"by" msgpack:"by"`               // their order; "" means BySubscribers
	Prefix   string `json:"prefix" msgpack:"prefix"`       // that their names begin with
	WindowMS int64  `json:"window_ms" msgpack:"window_ms"` // over which deliveries are counted, 0 to 10,000; the answer takes as long. ByRate with 0 takes 1,000
}

// ChannelList answers a ChannelQuery.
type ChannelList struct {
	Channels  []ChannelInfo `json:"channels" msgpack:"channels"`   // in the order asked for
	Matched   int           `json:"matched" msgpack:"matched"`     // channels with the prefix; ByRate: of those, the ones with deliveries
	WindowMS  int64         `json:"window_ms" msgpack:"window_ms"` // over which deliveries were counted, 0: they were not
	Uncounted uint64        `json:"uncounted" msgpack:"uncounted"` // deliveries in the window of channels beyond those that can be counted
}

// ChannelInfo is one channel with subscribers.
type ChannelInfo struct {
	Name        string  `json:"name" msgpack:"name"`
	Subscribers int     `json:"subscribers" msgpack:"subscribers"`
	Items       float64 `json:"items_per_s" msgpack:"items_per_s"`           // published, over the window
	Deliveries  float64 `json:"deliveries_per_s" msgpack:"deliveries_per_s"` // handed to subscribers, over the window
}

// RouteInfo is one line of the routes file. Counters count since it was first asked for in a file that has it.
type RouteInfo struct {
	ID       string            `json:"id" msgpack:"id"`             // its id in the file, else its condition
	Match    string            `json:"match" msgpack:"match"`       // what it stands for, as the file has it
	Targets  []string          `json:"targets" msgpack:"targets"`   // as the file has them
	Requests uint64            `json:"requests" msgpack:"requests"` // given to its backends
	Active   int               `json:"active" msgpack:"active"`     // gauge, under way at its backends
	Waiting  int               `json:"waiting" msgpack:"waiting"`   // gauge, for a turn
	Holds    uint64            `json:"holds" msgpack:"holds"`       // of the requests, answered by holding the connection
	Errors   map[string]uint64 `json:"errors" msgpack:"errors"`     // by cause
	Latency  Durations         `json:"latency" msgpack:"latency"`   // from a request to the head of the answer
}

// CloseQuery says which connections to close, in good order: by id, or all those subscribed to a channel.
type CloseQuery struct {
	IDs     []string `json:"ids" msgpack:"ids"` // at most MaxTop
	Channel string   `json:"channel" msgpack:"channel"`
}

// Types of events.
const (
	EventConnect     = "connect"
	EventDisconnect  = "disconnect"  // Reason is a key of Snapshot.Closed
	EventSubscribe   = "subscribe"   // one for each channel
	EventUnsubscribe = "unsubscribe" // the same
	EventDrop        = "drop"        // Reason is a key of Snapshot.Dropped
	EventReload      = "reload"      // of the routes file
	EventOverload    = "overload"    // a client was refused, or accepting is paused
)

// EventTypes lists the types of events.
func EventTypes() []string {
	return []string{EventConnect, EventDisconnect, EventSubscribe, EventUnsubscribe, EventDrop, EventReload, EventOverload}
}

// Event is something that happened to a connection, or to pushd as a whole.
type Event struct {
	UnixMS     int64  `json:"unix_ms" msgpack:"unix_ms"`
	Type       string `json:"type" msgpack:"type"`
	Loop       int    `json:"loop" msgpack:"loop"`                                 // -1 for pushd as a whole
	Connection string `json:"connection,omitempty" msgpack:"connection,omitempty"` // its id
	Kind       string `json:"kind,omitempty" msgpack:"kind,omitempty"`             // of the connection, as in ConnectionInfo
	Address    string `json:"address,omitempty" msgpack:"address,omitempty"`       // of the client, as in ConnectionInfo
	Channel    string `json:"channel,omitempty" msgpack:"channel,omitempty"`
	Reason     string `json:"reason,omitempty" msgpack:"reason,omitempty"`

	ip netip.Addr // of Address
}

// SetAddress sets Address. A port of 0 is left out.
func (e *Event) SetAddress(a netip.AddrPort) {
	e.Address, e.ip = AddressText(a), a.Addr()
}

// AddressText writes a client's address as ConnectionInfo has it: without a port that is 0, and "" when it is not known.
func AddressText(a netip.AddrPort) string {
	switch {
	case !a.IsValid():
		return ""
	case a.Port() == 0:
		return a.Addr().String()
	}
	return a.String()
}

// EventFilter says which events are meant. An empty field lets all pass; a field that an event does not have lets none.
type EventFilter struct {
	Types   []string `json:"types,omitempty" msgpack:"types,omitempty"`
	Address string   `json:"address,omitempty" msgpack:"address,omitempty"` // as in ConnectionFilter
	Channel string   `json:"channel,omitempty" msgpack:"channel,omitempty"`
	Kind    string   `json:"kind,omitempty" msgpack:"kind,omitempty"`
}

// EventBatch is some events, in their order within each loop.
type EventBatch struct {
	Events  []Event `json:"events" msgpack:"events"`
	Lost    uint64  `json:"lost" msgpack:"lost"`       // events since the batch before that the reader was too slow for
	Skipped uint64  `json:"skipped" msgpack:"skipped"` // events of all types and connections, since then, left out because too many happened at once
}
