package client

import (
	"context"
	"errors"
	"testing"
	"time"

	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

// inspected is a script that answers each inspection, the first of two at a time last, and sends events.
func inspected(s *session) {
	for {
		m, ok := s.next()
		if !ok {
			return
		}
		id, err := m.RequestID()
		if err != nil {
			s.t.Error(err)
			return
		}
		var answer []byte
		switch m.Type {
		case wire.TypeConnectionsRequest:
			answer = wire.AppendCold(nil, wire.TypeConnections, &wire.Connections{ID: id, List: stats.ConnectionList{Total: 5}})
		case wire.TypeChannelsRequest:
			answer = wire.AppendCold(nil, wire.TypeError, &wire.Failure{Code: wire.Busy, Text: "later", ID: id})
		case wire.TypeRoutesRequest:
			answer = wire.AppendCold(nil, wire.TypeRoutes, &wire.Routes{ID: id, Routes: []stats.RouteInfo{{ID: "r"}}})
		case wire.TypeCloseRequest: // an answer of the wrong kind
			answer = wire.AppendCold(nil, wire.TypeRoutes, &wire.Routes{ID: id})
		case wire.TypeEventsSubscribe:
			var sub wire.EventsSubscribe
			if err := wire.ParseCold(m, &sub); err != nil {
				s.t.Error(err)
			}
			if sub.End {
				continue
			}
			answer = wire.AppendCold(nil, wire.TypeEvents, &wire.Events{ID: id})
			events := make([]stats.Event, 256)
			for i := range 2 * maxUnread / len(events) {
				for j := range events {
					events[j] = stats.Event{Type: stats.EventConnect, UnixMS: int64(i*len(events) + j)}
				}
				answer = wire.AppendCold(answer, wire.TypeEvents, &wire.Events{ID: id, Batch: stats.EventBatch{Events: events}})
			}
			answer = wire.AppendCold(answer, wire.TypeEvents, &wire.Events{ID: id + 1, Batch: stats.EventBatch{Lost: 1 << 40}}) // nobody's
			answer = wire.AppendCold(answer, wire.TypePong, &wire.Request{ID: id})
		}
		s.Write(answer) //nolint:errcheck // the client may be gone
	}
}

func TestInspections(t *testing.T) {
	c := dialTest(t, serve(t, ours, inspected))
	if list, err := c.Connections(t.Context(), stats.ConnectionQuery{}); err != nil || list.Total != 5 {
		t.Errorf("Connections = %+v, %v", list, err)
	}
	if _, err := c.Channels(t.Context(), stats.ChannelQuery{}); !errors.Is(err, &wire.Error{Code: wire.Busy}) {
		t.Errorf("Channels = %v, want busy", err)
	}
	if routes, err := c.Routes(t.Context()); err != nil || len(routes) != 1 || routes[0].ID != "r" {
		t.Errorf("Routes = %+v, %v", routes, err)
	}
	if _, err := c.CloseConnections(t.Context(), stats.CloseQuery{}); err == nil {
		t.Error("an answer of another kind is taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Connections(ctx, stats.ConnectionQuery{}); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Connections with an ended context = %v", err)
	}
}

// A subscription whose context has ended is not begun: one that was begun meanwhile on another
// goroutine would be replaced.
func TestSubscriptionOfAnEndedContextIsNotBegun(t *testing.T) {
	first := make(chan wire.Type, 1)
	c := dialTest(t, serve(t, ours, func(s *session) {
		m, _ := s.next()
		first <- m.Type
	}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Events(ctx, stats.EventFilter{}, nil); err != nil {
		t.Errorf("Events = %v, want nil", err)
	}
	if err := c.Watch(ctx, time.Second, nil); err != nil {
		t.Errorf("Watch = %v, want nil", err)
	}
	if _, err := c.Routes(t.Context()); err == nil {
		t.Error("Routes of a server that closes the connection: no error")
	}
	if got := <-first; got != wire.TypeRoutesRequest {
		t.Errorf("the first request has type %d, want %d: that for routes", got, wire.TypeRoutesRequest)
	}
}

// Events that come while the caller is busy are kept up to a bound; those beyond are counted as lost, and the reader of the
// connection waits for nobody.
func TestEventsWithASlowCaller(t *testing.T) {
	c := dialTest(t, serve(t, ours, inspected))
	ctx, cancel := context.WithCancel(t.Context())
	calls, seen, lost, last := 0, 0, uint64(0), int64(-1)
	err := c.Events(ctx, stats.EventFilter{}, func(b *stats.EventBatch) error {
		if calls++; calls == 1 {
			if _, err := c.Routes(t.Context()); err != nil { // its answer comes behind all events
				t.Error(err)
			}
		}
		for _, e := range b.Events {
			if e.UnixMS <= last {
				t.Errorf("event %d after %d", e.UnixMS, last)
			}
			last = e.UnixMS
		}
		seen += len(b.Events)
		if lost += b.Lost; uint64(seen)+lost >= 2*maxUnread {
			cancel()
		}
		return nil
	})
	if err != nil || seen < maxUnread || uint64(seen)+lost != 2*maxUnread {
		t.Errorf("Events = %v, %d seen and %d lost, want nil, %d seen at least, and together twice that", err, seen, lost, maxUnread)
	}
	stop := errors.New("stop")
	if err := c.Events(t.Context(), stats.EventFilter{}, func(*stats.EventBatch) error { return stop }); err != stop {
		t.Errorf("Events = %v, want the error of its function", err)
	}
	c.Close()
	if err := c.Events(t.Context(), stats.EventFilter{}, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Events on a closed connection = %v", err)
	}
}
