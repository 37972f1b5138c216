package control

import (
	"context"
	"errors"

	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

// Inspector knows single connections, channels and routes. Its methods are called from several goroutines, and end with ctx. An
// error that is a *wire.Error is the client's.
type Inspector interface {
	Connections(ctx context.Context, q stats.ConnectionQuery) (stats.ConnectionList, error)
	Channels(ctx context.Context, q stats.ChannelQuery) (stats.ChannelList, error)
	Routes(ctx context.Context) ([]stats.RouteInfo, error)
	// Close closes connections and returns how many.
	Close(ctx context.Context, q stats.CloseQuery) (int, error)
	// Listen returns a listener to events, for Unlisten in the end.
	Listen(ctx context.Context, filter stats.EventFilter) (*stats.Listener, error)
	Unlisten(l *stats.Listener)
}

// Bounds of inspections.
const (
	maxInspections  = 8   // at a time of each kind; the others wait for their turn
	maxAsks         = 16  // of one client that are not answered; more are refused
	eventsPerFrame  = 256 // events
	routesInFull    = 100 // routes whose latencies are sent with their buckets
	tooLargeForWire = "the answer has %d bytes, a frame holds %d: ask for fewer"
)

// turns hold a token for each inspection under way, by what it does.
type turns struct{ scans, windows, acts chan struct{} }

func newTurns() turns {
	return turns{make(chan struct{}, maxInspections), make(chan struct{}, maxInspections), make(chan struct{}, maxInspections)}
}

// handleInspection has a request about connections, channels or routes served beside the reader.
func (c *client) handleInspection(ctx context.Context, m wire.Message) error {
	id, turns, serve, err := c.inspection(m)
	if err != nil {
		return err
	}
	switch {
	case c.s.o.Inspector == nil:
		c.sendError(id, wire.Errorf(wire.BadRequest, "there is nothing to inspect"))
		return nil
	case c.pendingAsks.Load() >= maxAsks:
		c.sendError(id, wire.Errorf(wire.Busy, "%d requests of this client wait for their answers", maxAsks))
		return nil
	}
	c.pendingAsks.Add(1)
	c.asks.Go(func() {
		defer c.wakeWriter()
		defer c.pendingAsks.Add(-1)
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
		case <-ctx.Done():
			return
		}
		frame, err := serve(ctx)
		if n := len(frame); err == nil && n > c.s.o.MaxFrame {
			err = wire.Errorf(wire.Internal, tooLargeForWire, n, c.s.o.MaxFrame)
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			c.sendError(id, inspectionError(err))
		default:
			c.send(frame)
		}
	})
	return nil
}

// inspection reads a request. serve answers it with a frame; of those with the same turns only so many are served at a time. What only
// waits for its window, looks at all connections, or acts, does not stand in the way of the others.
func (c *client) inspection(m wire.Message) (id uint64, turns chan struct{}, serve func(context.Context) ([]byte, error), err error) {
	in, kinds := c.s.o.Inspector, &c.s.turns
	switch m.Type {
	case wire.TypeConnectionsRequest:
		var r wire.ConnectionsRequest
		err = wire.ParseCold(m, &r)
		return r.ID, kinds.scans, func(ctx context.Context) ([]byte, error) {
			list, err := in.Connections(ctx, r.Query)
			return wire.AppendCold(nil, wire.TypeConnections, &wire.Connections{ID: r.ID, List: list}), err
		}, err
	case wire.TypeChannelsRequest:
		var r wire.ChannelsRequest
		err = wire.ParseCold(m, &r)
		turns = kinds.windows
		if r.Query.WindowMS == 0 && r.Query.By != stats.ByRate {
			turns = kinds.scans
		}
		return r.ID, turns, func(ctx context.Context) ([]byte, error) {
			list, err := in.Channels(ctx, r.Query)
			return wire.AppendCold(nil, wire.TypeChannels, &wire.Channels{ID: r.ID, List: list}), err
		}, err
	case wire.TypeCloseRequest:
		var r wire.CloseRequest
		err = wire.ParseCold(m, &r)
		return r.ID, kinds.acts, func(ctx context.Context) ([]byte, error) {
			n, err := in.Close(ctx, r.Query)
			return wire.AppendCold(nil, wire.TypeClosed, &wire.Closed{ID: r.ID, Closed: n}), err
		}, err
	}
	var r wire.Request
	err = wire.ParseCold(m, &r)
	return r.ID, kinds.acts, func(ctx context.Context) ([]byte, error) {
		routes, err := in.Routes(ctx)
		if len(routes) > routesInFull {
			for i := range routes {
				routes[i].Latency.Buckets = nil
			}
		}
		return wire.AppendCold(nil, wire.TypeRoutes, &wire.Routes{ID: r.ID, Routes: routes}), err
	}, err
}

func inspectionError(err error) *wire.Error {
	refusal, ok := errors.AsType[*wire.Error](err)
	if !ok {
		refusal = wire.Errorf(wire.Internal, "%v", err)
	}
	return refusalFor(refusal)
}

// listening is a subscription to events; l is nil for its end.
type listening struct {
	id uint64
	l  *stats.Listener
}

// handleEvents begins, changes or ends the client's subscription to events.
func (c *client) handleEvents(ctx context.Context, m wire.Message) error {
	var sub wire.EventsSubscribe
	if err := wire.ParseCold(m, &sub); err != nil {
		return err
	}
	if c.s.o.Inspector == nil {
		c.sendError(sub.ID, wire.Errorf(wire.BadRequest, "there are no events"))
		return nil
	}
	next := &listening{id: sub.ID}
	if sub.End {
		if !ends(sub.ID, c.eventsID) {
			return nil
		}
	} else {
		l, err := c.s.o.Inspector.Listen(ctx, sub.Filter)
		if err != nil {
			c.sendError(sub.ID, inspectionError(err))
			return nil
		}
		next.l, c.eventsID = l, sub.ID
	}
	c.stopListening()
	c.mu.Lock()
	c.listen = next
	c.mu.Unlock()
	c.wakeWriter()
	return nil
}

// stopListening ends a subscription that the writer has not seen.
func (c *client) stopListening() {
	c.mu.Lock()
	unseen := c.listen
	c.listen = nil
	c.mu.Unlock()
	if unseen != nil && unseen.l != nil {
		c.s.o.Inspector.Unlisten(unseen.l)
	}
}

// listenTo begins, changes or ends the subscription to events. An empty message says that it has begun.
func (w *writer) listenTo(l *listening) {
	if w.listen != nil {
		w.c.s.o.Inspector.Unlisten(w.listen.l)
		w.listen = nil
	}
	if l.l == nil {
		return
	}
	w.listen = l
	w.buf = wire.AppendCold(w.buf, wire.TypeEvents, &wire.Events{ID: l.id})
}

// events sends what has happened, a frame at a time: what happens while a write blocks waits for the next, or is lost.
func (w *writer) events() {
	if batch, some := w.listen.l.Take(eventsPerFrame); some {
		w.buf = wire.AppendCold(w.buf, wire.TypeEvents, &wire.Events{ID: w.listen.id, Batch: batch})
	}
}
