package control

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

// fakeInspector answers when the test lets it.
type fakeInspector struct {
	began chan struct{} // is told of each inspection; nil: nobody waits for it
	hold  chan struct{} // inspections wait until it is closed or their context ends; nil: they do not
	ended chan error    // is told the context's error of those that did not wait to the end
	list  stats.ConnectionList
	feed  stats.Feed
}

func (f *fakeInspector) Connections(ctx context.Context, q stats.ConnectionQuery) (stats.ConnectionList, error) {
	if f.began != nil {
		f.began <- struct{}{}
	}
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			f.ended <- ctx.Err()
			return f.list, ctx.Err()
		}
	}
	if q.By == "luck" {
		return f.list, wire.Errorf(wire.BadRequest, "no such order")
	}
	return f.list, nil
}

func (f *fakeInspector) Channels(context.Context, stats.ChannelQuery) (stats.ChannelList, error) {
	return stats.ChannelList{}, errors.New("broken")
}

func (f *fakeInspector) Routes(context.Context) ([]stats.RouteInfo, error) {
	routes := make([]stats.RouteInfo, routesInFull+1)
	routes[0].Latency.Buckets = [][2]uint64{{1, 2}}
	return routes, nil
}

func (f *fakeInspector) Close(context.Context, stats.CloseQuery) (int, error) { return 3, nil }

func (f *fakeInspector) Listen(_ context.Context, filter stats.EventFilter) (*stats.Listener, error) {
	return f.feed.Listen(filter)
}

func (f *fakeInspector) Unlisten(l *stats.Listener) { l.Close() }

func connectionsRequest(id uint64, by string) []byte {
	return wire.AppendCold(nil, wire.TypeConnectionsRequest, &wire.ConnectionsRequest{ID: id, Query: stats.ConnectionQuery{By: by}})
}

func cold[B wire.Body](t *testing.T, m wire.Message, want wire.Type) (body B) {
	t.Helper()
	if m.Type != want {
		t.Fatalf("a message of type %d, want %d", m.Type, want)
	}
	if err := wire.ParseCold(m, &body); err != nil {
		t.Fatal(err)
	}
	return body
}

func TestInspectionsAreAnswered(t *testing.T) {
	f := &fakeInspector{list: stats.ConnectionList{Total: 7}}
	p := greet(t, startServer(t, Options{Publisher: &fakeHub{}, Inspector: f}))
	p.send(connectionsRequest(1, ""))
	if a := cold[wire.Connections](t, p.message(), wire.TypeConnections); a.ID != 1 || a.List.Total != 7 {
		t.Errorf("connections: %+v", a)
	}
	p.send(connectionsRequest(2, "luck"))
	if e := p.failure(); e.ID != 2 || e.Code != wire.BadRequest || e.Fatal {
		t.Errorf("a bad order: %+v", e)
	}
	p.send(wire.AppendCold(nil, wire.TypeChannelsRequest, &wire.ChannelsRequest{ID: 3}))
	if e := p.failure(); e.ID != 3 || e.Code != wire.Internal || e.Fatal {
		t.Errorf("an inspector that fails: %+v", e)
	}
	p.send(wire.AppendCold(nil, wire.TypeCloseRequest, &wire.CloseRequest{ID: 4}))
	if a := cold[wire.Closed](t, p.message(), wire.TypeClosed); a.ID != 4 || a.Closed != 3 {
		t.Errorf("closed: %+v", a)
	}
	p.send(wire.AppendCold(nil, wire.TypeRoutesRequest, &wire.Request{ID: 5}))
	if a := cold[wire.Routes](t, p.message(), wire.TypeRoutes); a.ID != 5 || len(a.Routes) != routesInFull+1 || a.Routes[0].Latency.Buckets != nil {
		t.Errorf("routes: %d of them, want %d, without buckets", len(a.Routes), routesInFull+1)
	}
}

func TestNothingToInspect(t *testing.T) {
	p := greet(t, startServer(t, Options{Publisher: &fakeHub{}}))
	p.send(connectionsRequest(1, ""))
	p.send(wire.AppendCold(nil, wire.TypeEventsSubscribe, &wire.EventsSubscribe{ID: 2}))
	for id := range uint64(2) {
		if e := p.failure(); e.ID != id+1 || e.Code != wire.BadRequest || e.Fatal {
			t.Errorf("%+v, want a bad request", e)
		}
	}
}

// An inspection that takes its time holds up nothing else of its client; there may be a number of them and no more.
func TestInspectionsWaitBesideTheRest(t *testing.T) {
	f := &fakeInspector{hold: make(chan struct{}), ended: make(chan error, maxAsks)}
	path := startServer(t, Options{Publisher: &fakeHub{}, Inspector: f})
	p := greet(t, path)
	for id := range uint64(maxAsks) {
		p.send(connectionsRequest(100+id, ""))
	}
	p.send(connectionsRequest(99, ""))
	if e := p.failure(); e.ID != 99 || e.Code != wire.Busy || e.Fatal {
		t.Errorf("one too many: %+v, want busy", e)
	}
	p.send(batchOf(1, 0, streamItem("a", 1)))
	p.acks(1)
	other := greet(t, path)
	other.send(connectionsRequest(1, "")) // waits for its turn
	p.send(wire.AppendCold(nil, wire.TypePing, &wire.Request{ID: 5}))
	if m := p.message(); m.Type != wire.TypePong {
		t.Fatalf("a message of type %d, want a pong", m.Type)
	}
	if err := p.Conn.(*net.UnixConn).CloseWrite(); err != nil { // it has asked everything, and still gets the answers
		t.Fatal(err)
	}
	close(f.hold)
	seen := map[uint64]bool{}
	for range maxAsks {
		seen[cold[wire.Connections](t, p.message(), wire.TypeConnections).ID] = true
	}
	if len(seen) != maxAsks {
		t.Errorf("%d requests are answered, want %d", len(seen), maxAsks)
	}
	p.closed()
	cold[wire.Connections](t, other.message(), wire.TypeConnections)
}

func TestInspectionEndsWithTheServer(t *testing.T) {
	f := &fakeInspector{began: make(chan struct{}), hold: make(chan struct{}), ended: make(chan error, 1)}
	path := t.TempDir() + "/pushd.sock"
	ln, err := Listen(path, 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	stop := startServing(t, Options{Publisher: &fakeHub{}, Inspector: f}, ln)
	p := greet(t, path)
	p.send(connectionsRequest(1, ""))
	<-f.began
	stop()
	if err := <-f.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the inspection ended with %v", err)
	}
	if e := p.failure(); e.Code != wire.ShuttingDown {
		t.Errorf("%+v, want shutting down", e)
	}
}

func TestAnswerThatFitsNoFrame(t *testing.T) {
	f := &fakeInspector{list: stats.ConnectionList{Connections: []stats.ConnectionInfo{{Channels: []string{strings.Repeat("x", 5000)}}}}}
	p := greet(t, startServer(t, Options{Publisher: &fakeHub{}, Inspector: f, MaxFrame: 4096}))
	p.send(connectionsRequest(1, ""))
	if e := p.failure(); e.ID != 1 || e.Code != wire.Internal || !strings.Contains(e.Text, "4096") {
		t.Errorf("%+v, want the sizes", e)
	}
}

func subscribeEvents(id uint64, types ...string) []byte {
	return wire.AppendCold(nil, wire.TypeEventsSubscribe, &wire.EventsSubscribe{ID: id, Filter: stats.EventFilter{Types: types}})
}

func TestEventsComeUntilTheyAreEnded(t *testing.T) {
	f := &fakeInspector{}
	p := greet(t, startServer(t, Options{Publisher: &fakeHub{}, Inspector: f}))
	p.send(subscribeEvents(1, "nonsense"))
	if e := p.failure(); e.ID != 1 || e.Fatal {
		t.Errorf("a bad filter: %+v", e)
	}
	p.send(subscribeEvents(2, stats.EventDrop))
	if ev := cold[wire.Events](t, p.message(), wire.TypeEvents); ev.ID != 2 || len(ev.Batch.Events) != 0 {
		t.Errorf("the beginning: %+v", ev)
	}
	f.feed.Add([]stats.Event{{Type: stats.EventDrop, Channel: "a"}, {Type: stats.EventConnect}}, 4)
	if ev := cold[wire.Events](t, p.message(), wire.TypeEvents); ev.ID != 2 || len(ev.Batch.Events) != 1 || ev.Batch.Events[0].Channel != "a" || ev.Batch.Skipped != 4 {
		t.Errorf("%+v, want the drop and 4 skipped", ev)
	}
	p.send(subscribeEvents(3, stats.EventConnect)) // in place of the other
	if ev := cold[wire.Events](t, p.message(), wire.TypeEvents); ev.ID != 3 || f.feed.Wants(stats.EventDrop) {
		t.Errorf("%+v, drops wanted: %v", ev, f.feed.Wants(stats.EventDrop))
	}
	p.send(wire.AppendCold(nil, wire.TypeEventsSubscribe, &wire.EventsSubscribe{ID: 3, End: true}))
	for end := time.Now().Add(5 * time.Second); f.feed.Wants(stats.EventConnect); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the subscription does not end")
		}
	}
}

// A client may send the end of a subscription after it has begun another in its place: the end
// names the one it ends.
func TestEndOfAReplacedSubscriptionChangesNothing(t *testing.T) {
	f := &fakeInspector{}
	p := greet(t, startServer(t, Options{Publisher: &fakeHub{}, Inspector: f,
		Stats: func() stats.Snapshot { return stats.Snapshot{} }}))
	for range 20 { // the writer may or may not have seen the beginning when the end comes
		p.send(slices.Concat(subscribeEvents(1), subscribeEvents(2, stats.EventDrop),
			wire.AppendCold(nil, wire.TypeEventsSubscribe, &wire.EventsSubscribe{ID: 1, End: true}),
			wire.AppendCold(nil, wire.TypePing, &wire.Request{ID: 9})))
		p.until(wire.TypePong)
		if !f.feed.Wants(stats.EventDrop) {
			t.Fatal("the end of subscription 1 ended subscription 2")
		}
		p.send(wire.AppendCold(nil, wire.TypeEventsSubscribe, &wire.EventsSubscribe{End: true}))
		for end := time.Now().Add(5 * time.Second); f.feed.Wants(stats.EventDrop); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("an end without an id ends nothing")
			}
		}
	}
	p.send(slices.Concat(wire.AppendCold(nil, wire.TypeStatsSubscribe, &wire.Subscribe{ID: 3, IntervalMS: 10}),
		wire.AppendCold(nil, wire.TypeStatsSubscribe, &wire.Subscribe{ID: 4, IntervalMS: 10}),
		wire.AppendCold(nil, wire.TypeStatsSubscribe, &wire.Subscribe{ID: 3}),
		wire.AppendCold(nil, wire.TypePing, &wire.Request{ID: 9})))
	p.until(wire.TypePong)
	for range 3 {
		if s := p.until(wire.TypeStatsSnapshot); cold[wire.Snapshot](t, s, wire.TypeStatsSnapshot).ID != 4 {
			t.Errorf("%v, want snapshots of subscription 4", s)
		}
	}
}

// A client that does not read holds up nobody; when it reads again it is told what it has lost.
func TestSlowReaderLosesEvents(t *testing.T) {
	f := &fakeInspector{}
	p := greet(t, startServer(t, Options{Publisher: &fakeHub{}, Inspector: f}))
	p.send(subscribeEvents(1))
	cold[wire.Events](t, p.message(), wire.TypeEvents)
	const events = 100_000
	text := strings.Repeat("x", 100)
	began := time.Now()
	for i := range events {
		f.feed.Add([]stats.Event{{Type: stats.EventConnect, UnixMS: int64(i), Channel: text}}, 0)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("%d events took %v", events, took)
	}
	seen, lost, last := 0, uint64(0), int64(-1)
	for last != events-1 {
		b := cold[wire.Events](t, p.message(), wire.TypeEvents).Batch
		lost += b.Lost
		for _, e := range b.Events {
			if e.UnixMS <= last {
				t.Fatalf("event %d after %d", e.UnixMS, last)
			}
			last = e.UnixMS
			seen++
		}
	}
	if lost == 0 || uint64(seen)+lost != events {
		t.Errorf("%d events read and %d lost, want together %d, and some of each", seen, lost, events)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); f.feed.Wants(stats.EventConnect); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the listener of a client that has left stays")
		}
	}
}
