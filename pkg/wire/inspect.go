package wire

import "holdfast/pkg/stats"

// The messages about single connections, channels and routes.
const (
	TypeConnectionsRequest Type = 48 // from the client
	TypeConnections        Type = 49 // the server's answer
	TypeChannelsRequest    Type = 50 // from the client
	TypeChannels           Type = 51 // the server's answer
	TypeRoutesRequest      Type = 52 // from the client, with the body of a Request
	TypeRoutes             Type = 53 // the server's answer
	TypeCloseRequest       Type = 54 // from the client: close connections
	TypeClosed             Type = 55 // the server's answer
	TypeEventsSubscribe    Type = 56 // from the client: events as they happen
	TypeEvents             Type = 57 // from the server
)

// ConnectionsRequest is the body of connections-request.
type ConnectionsRequest struct {
	ID    uint64                `msgpack:"id"`
	Query stats.ConnectionQuery `msgpack:"query"`
}

// Connections is the body of connections.
type Connections struct {
	ID   uint64               `msgpack:"id"`
	List stats.ConnectionList `msgpack:"list"`
}

// ChannelsRequest is the body of channels-request.
type ChannelsRequest struct {
	ID    uint64             `msgpack:"id"`
	Query stats.ChannelQuery `msgpack:"query"`
}

// Channels is the body of channels.
type Channels struct {
	ID   uint64            `msgpack:"id"`
	List stats.ChannelList `msgpack:"list"`
}

// Routes is the body of routes.
type Routes struct {
	ID     uint64            `msgpack:"id"`
	Routes []stats.RouteInfo `msgpack:"routes"`
}

// CloseRequest is the body of close-request.
type CloseRequest struct {
	ID    uint64           `msgpack:"id"`
	Query stats.CloseQuery `msgpack:"query"`
}

// Closed is the body of closed.
type Closed struct {
	ID     uint64 `msgpack:"id"`
	Closed int    `msgpack:"closed"` // how many connections
}

// EventsSubscribe is the body of events-subscribe. A later one replaces it.
type EventsSubscribe struct {
	ID     uint64            `msgpack:"id"` // every events message carries it
	Filter stats.EventFilter `msgpack:"filter"`
	End    bool              `msgpack:"end,omitempty"` // ends the subscription ID instead; any with ID 0
}

// Events is the body of events. The first one after a subscription is empty: it has begun.
type Events struct {
	ID    uint64           `msgpack:"id"`
	Batch stats.EventBatch `msgpack:"batch"`
}
