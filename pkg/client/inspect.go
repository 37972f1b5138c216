package client

import (
	"context"
	"fmt"

	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

// Connections asks for single connections: the first of an order, or one in full by its id. The answer is empty when there is no
// connection of that id.
func (c *Conn) Connections(ctx context.Context, q stats.ConnectionQuery) (*stats.ConnectionList, error) {
	return ask[stats.ConnectionList](ctx, c, func(dst []byte, id uint64) []byte {
		return wire.AppendCold(dst, wire.TypeConnectionsRequest, &wire.ConnectionsRequest{ID: id, Query: q})
	})
}

// Channels asks for channels with subscribers. It takes as long as the query's window.
func (c *Conn) Channels(ctx context.Context, q stats.ChannelQuery) (*stats.ChannelList, error) {
	return ask[stats.ChannelList](ctx, c, func(dst []byte, id uint64) []byte {
		return wire.AppendCold(dst, wire.TypeChannelsRequest, &wire.ChannelsRequest{ID: id, Query: q})
	})
}

// Routes asks for the routes, in the order of the routes file. There are none without one.
func (c *Conn) Routes(ctx context.Context) ([]stats.RouteInfo, error) {
	routes, err := ask[[]stats.RouteInfo](ctx, c, func(dst []byte, id uint64) []byte {
		return wire.AppendCold(dst, wire.TypeRoutesRequest, &wire.Request{ID: id})
	})
	if err != nil {
		return nil, err
	}
	return *routes, nil
}

// CloseConnections closes client connections in good order and returns how many there were. Ids of connections that have gone are
// no error.
func (c *Conn) CloseConnections(ctx context.Context, q stats.CloseQuery) (closed int, err error) {
	n, err := ask[int](ctx, c, func(dst []byte, id uint64) []byte {
		return wire.AppendCold(dst, wire.TypeCloseRequest, &wire.CloseRequest{ID: id, Query: q})
	})
	if err != nil {
		return 0, err
	}
	return *n, nil
}

// ask sends a request and waits for its answer.
func ask[T any](ctx context.Context, c *Conn, request func(dst []byte, id uint64) []byte) (*T, error) {
	id, replies, err := c.call(ctx, request)
	if err != nil {
		return nil, err
	}
	defer c.forget(id)
	return await[T](ctx, c, replies)
}

// handleAnswer gives an answer to the request that waits for it.
func (c *Conn) handleAnswer(m wire.Message) (err error) {
	var id uint64
	var body any
	switch m.Type {
	case wire.TypeConnections:
		var a wire.Connections
		err = wire.ParseCold(m, &a)
		id, body = a.ID, &a.List
	case wire.TypeChannels:
		var a wire.Channels
		err = wire.ParseCold(m, &a)
		id, body = a.ID, &a.List
	case wire.TypeRoutes:
		var a wire.Routes
		err = wire.ParseCold(m, &a)
		id, body = a.ID, &a.Routes
	case wire.TypeClosed:
		var a wire.Closed
		err = wire.ParseCold(m, &a)
		id, body = a.ID, &a.Closed
	}
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	c.reply(id, reply{body: body})
	return nil
}
