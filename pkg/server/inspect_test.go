package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/client"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

func listConnections(t *testing.T, c *client.Conn, q stats.ConnectionQuery) *stats.ConnectionList {
	t.Helper()
	if q.Top == 0 {
		q.Top = 100
	}
	list, err := c.Connections(t.Context(), q)
	if err != nil {
		t.Fatalf("Connections(%+v): %v", q, err)
	}
	return list
}

func TestConnectionsAreListedFilteredAndDescribed(t *testing.T) {
	s, ctl := startServer(t, nil)
	defer s.Shutdown()
	defer ctl.Close()
	for i := range 30 {
		open(t, s.addr(), fmt.Sprintf("/stream?channel=c%d", i%3), "")
	}
	open(t, s.addr(), "/stream?channel=c0&channel=x&channel=y&channel=z", "")
	nc, err := net.Dial("tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	eventually(t, "all are there", func() bool { return s.Snapshot().Connections.Total == 32 })

	for _, tt := range []struct {
		filter  stats.ConnectionFilter
		matched int
	}{
		{stats.ConnectionFilter{}, 32},
		{stats.ConnectionFilter{Kind: "stream"}, 31},
		{stats.ConnectionFilter{Kind: "http"}, 1},
		{stats.ConnectionFilter{Kind: "ws"}, 0},
		{stats.ConnectionFilter{Channel: "c0"}, 11},
		{stats.ConnectionFilter{Channel: "c0", Kind: "events"}, 0},
		{stats.ConnectionFilter{Channel: "nobody"}, 0},
		{stats.ConnectionFilter{Address: "127.0.0.0/8"}, 32},
		{stats.ConnectionFilter{Address: "127.0.0.1", Channel: "x"}, 1},
		{stats.ConnectionFilter{Address: "10.0.0.1"}, 0},
		{stats.ConnectionFilter{Address: "::/0"}, 0},
	} {
		list := listConnections(t, ctl, stats.ConnectionQuery{Filter: tt.filter})
		if list.Matched != tt.matched || len(list.Connections) != tt.matched || list.Total != 32 {
			t.Errorf("filter %+v: %d connections, %d matched of %d, want %d of 32", tt.filter, len(list.Connections), list.Matched, list.Total, tt.matched)
		}
	}

	first := listConnections(t, ctl, stats.ConnectionQuery{Top: 1, By: stats.BySubscriptions}).Connections[0]
	if first.Subscriptions != 4 || len(first.Channels) != 3 || first.Kind != "stream" || first.State != "held" || !strings.HasPrefix(first.Address, "127.0.0.1:") {
		t.Errorf("the one with most subscriptions: %+v, want 4, three of them named", first)
	}
	full := listConnections(t, ctl, stats.ConnectionQuery{ID: first.ID}).Connections
	if len(full) != 1 || full[0].ID != first.ID || len(full[0].Channels) != 4 {
		t.Errorf("in full: %+v, want the same with four channels", full)
	}
	if got := listConnections(t, ctl, stats.ConnectionQuery{ID: first.ID + "z"}).Connections; len(got) != 0 {
		t.Errorf("an id that nobody has: %+v", got)
	}
}

func TestBadInspectionsAreRefusedOneByOne(t *testing.T) {
	s, ctl := startServer(t, nil)
	defer s.Shutdown()
	defer ctl.Close()
	bad := &wire.Error{Code: wire.BadRequest}
	for _, q := range []stats.ConnectionQuery{
		{}, {Top: -1}, {Top: stats.MaxTop + 1}, {Top: 1, By: "luck"}, {ID: "x"}, {ID: "1.2.3.4"}, {ID: "-1.2.3"}, {ID: "1.99999999999.3"},
		{Top: 1, Filter: stats.ConnectionFilter{Kind: "telnet"}}, {Top: 1, Filter: stats.ConnectionFilter{Address: "localhost"}},
	} {
		if _, err := ctl.Connections(t.Context(), q); !errors.Is(err, bad) {
			t.Errorf("Connections(%+v) = %v, want bad request", q, err)
		}
	}
	for _, q := range []stats.ChannelQuery{{}, {Top: 1, By: "age"}, {Top: 1, WindowMS: -1}, {Top: 1, WindowMS: 10_001}} {
		if _, err := ctl.Channels(t.Context(), q); !errors.Is(err, bad) {
			t.Errorf("Channels(%+v) = %v, want bad request", q, err)
		}
	}
	for _, q := range []stats.CloseQuery{{}, {IDs: []string{"0.1.1"}, Channel: "a"}, {IDs: []string{"all"}}, {IDs: make([]string, stats.MaxTop+1)}} {
		if _, err := ctl.CloseConnections(t.Context(), q); !errors.Is(err, bad) {
			t.Errorf("CloseConnections(%.40v) = %v, want bad request", q, err)
		}
	}
	if err := ctl.Events(t.Context(), stats.EventFilter{Types: []string{"everything"}}, nil); !errors.Is(err, bad) {
		t.Errorf("Events = %v, want bad request", err)
	}
	if routes, err := ctl.Routes(t.Context()); len(routes) != 0 || err != nil {
		t.Errorf("Routes = %v, %v, want none", routes, err)
	}
}

// A client that is closed sees the end of its stream, and an old id never closes who has the place now.
func TestCloseEndsConnectionsInOrder(t *testing.T) {
	s, ctl := startServer(t, func(o *Options) { o.Loops = 1 })
	defer s.Shutdown()
	defer ctl.Close()
	r := open(t, s.addr(), "/stream?channel=a", "")
	old := listConnections(t, ctl, stats.ConnectionQuery{}).Connections[0]
	closing := stats.CloseQuery{IDs: []string{old.ID, old.ID}}
	if n, err := ctl.CloseConnections(t.Context(), closing); n != 1 || err != nil {
		t.Fatalf("CloseConnections = %d, %v, want 1", n, err)
	}
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("the stream ended with %q, %v, want the end of its body", rest, err)
	}
	eventually(t, "the connection is gone", func() bool { return s.loops.limit.Connections() <= 1 })
	open(t, s.addr(), "/stream?channel=a", "")
	if now := listConnections(t, ctl, stats.ConnectionQuery{Filter: stats.ConnectionFilter{Kind: "stream"}}).Connections; len(now) != 1 || now[0].ID == old.ID {
		t.Errorf("the next connection: %+v, want one with another id than %s", now, old.ID)
	}
	if n, err := ctl.CloseConnections(t.Context(), closing); n != 0 || err != nil {
		t.Errorf("closing the old id again = %d, %v, want 0", n, err)
	}
	if got := s.Snapshot().Closed["operator"]; got != 1 {
		t.Errorf("closed by operator: %d, want 1", got)
	}
}

func TestCloseOfAChannelTakesItsSubscribersOnly(t *testing.T) {
	s, ctl := startServer(t, nil)
	defer s.Shutdown()
	defer ctl.Close()
	var readers []*bufio.Reader
	for range 150 {
		readers = append(readers, open(t, s.addr(), "/stream?channel=a&channel=b", ""))
	}
	open(t, s.addr(), "/stream?channel=b", "")
	poller := dialPoller(t, s.addr())
	poller.ask("GET /poll?channel=a HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the poll is held", func() bool { return s.Snapshot().Connections.Poll == 1 })
	n, err := ctl.CloseConnections(t.Context(), stats.CloseQuery{Channel: "a"})
	if n != 151 || err != nil {
		t.Fatalf("CloseConnections = %d, %v, want 151", n, err)
	}
	for i, r := range readers {
		if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
			t.Fatalf("stream %d ended with %q, %v", i, rest, err)
		}
	}
	if res, _ := poller.answer(); res.StatusCode != http.StatusNoContent || !res.Close {
		t.Errorf("the poll is answered %s, close %v, want 204 and close", res.Status, res.Close)
	}
	snap := s.Snapshot()
	if snap.Connections.Stream != 1 || snap.Subscriptions != 1 || snap.Closed["operator"] != 151 {
		t.Errorf("left: %+v, %d subscriptions, closed %v", snap.Connections, snap.Subscriptions, snap.Closed)
	}
}

func TestChannelsBySubscribersAndByRate(t *testing.T) {
	s, ctl := startServer(t, nil)
	defer s.Shutdown()
	defer ctl.Close()
	for i := range 20 {
		open(t, s.addr(), fmt.Sprintf("/stream?channel=big&channel=own%02d", i), "")
	}
	open(t, s.addr(), "/stream?channel=busy", "")
	list, err := ctl.Channels(t.Context(), stats.ChannelQuery{Top: 3})
	if err != nil || list.Matched != 22 || len(list.Channels) != 3 || list.Channels[0] != (stats.ChannelInfo{Name: "big", Subscribers: 20}) || list.Channels[1].Subscribers != 1 {
		t.Errorf("by subscribers: %+v, %v", list, err)
	}
	list, err = ctl.Channels(t.Context(), stats.ChannelQuery{Top: 3, Prefix: "own1"})
	if err != nil || list.Matched != 10 || list.Channels[0].Name != "own10" {
		t.Errorf("with a prefix: %+v, %v", list, err)
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				ctl.Publish(t.Context(), []publish.Item{streamItem("busy", "x"), streamItem("big", "y"), streamItem("nobody", "z")}) //nolint:errcheck // seen by what is counted
			}
		}
	}()
	list, err = ctl.Channels(t.Context(), stats.ChannelQuery{Top: 5, By: stats.ByRate, WindowMS: 200})
	close(stop)
	<-done
	if err != nil || list.Matched != 2 || len(list.Channels) != 2 || list.WindowMS < 200 {
		t.Fatalf("by rate: %+v, %v, want two channels", list, err)
	}
	big, busy := list.Channels[0], list.Channels[1]
	if big.Name != "big" || big.Subscribers != 20 || busy.Name != "busy" || busy.Subscribers != 1 || big.Items == 0 {
		t.Errorf("by rate: %+v, want big, then busy", list.Channels)
	}
	if ratio := big.Deliveries / big.Items; ratio < 19 || ratio > 21 {
		t.Errorf("%v deliveries an item of a channel with 20 subscribers", ratio)
	}
}

// follow collects events until the test ends.
func follow(t *testing.T, path string, f stats.EventFilter) <-chan stats.Event {
	t.Helper()
	c, err := client.Dial(t.Context(), path, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	events, begun := make(chan stats.Event, 1000), make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		first := true
		c.Events(t.Context(), f, func(b *stats.EventBatch) error { //nolint:errcheck // ends with the connection
			if first {
				close(begun)
				first = false
			}
			for _, e := range b.Events {
				events <- e
			}
			return nil
		})
	}()
	t.Cleanup(func() { c.Close(); <-ended })
	<-begun
	return events
}

func next(t *testing.T, events <-chan stats.Event) stats.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(5 * time.Second):
		t.Fatal("no event within 5 s")
		return stats.Event{}
	}
}

func TestEventsTellTheLifeOfAConnection(t *testing.T) {
	s, ctl := startServer(t, nil)
	defer s.Shutdown()
	defer ctl.Close()
	all := follow(t, s.opts.Socket, stats.EventFilter{})
	some := follow(t, s.opts.Socket, stats.EventFilter{Types: []string{stats.EventUnsubscribe}, Channel: "b", Address: "127.0.0.0/8"})
	conn, err := net.Dial("tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET /stream?channel=a&channel=b HTTP/1.1\r\nHost: x\r\n\r\n")
	var got []stats.Event
	for range 3 {
		got = append(got, next(t, all))
	}
	conn.Close()
	for range 3 {
		got = append(got, next(t, all))
	}
	want := []stats.Event{
		{Type: "connect", Kind: "http"}, {Type: "subscribe", Kind: "stream", Channel: "a"}, {Type: "subscribe", Kind: "stream", Channel: "b"},
		{Type: "disconnect", Kind: "stream", Reason: "client"}, {Type: "unsubscribe", Kind: "stream", Channel: "b"},
		{Type: "unsubscribe", Kind: "stream", Channel: "a"},
	}
	for i, e := range got {
		w := want[i]
		if e.Type != w.Type || e.Kind != w.Kind || e.Channel != w.Channel || e.Reason != w.Reason ||
			e.Connection != got[0].Connection || e.Connection == "" || e.Address != conn.LocalAddr().String() {
			t.Errorf("event %d: %+v, want %+v of %s", i, e, w, conn.LocalAddr())
		}
	}
	if e := next(t, some); e.Channel != "b" || e.Type != "unsubscribe" {
		t.Errorf("the filtered listener got %+v first", e)
	}
}

func TestEventsTellDropsAndSlowClients(t *testing.T) {
	for _, rule := range []Overflow{OverflowDrop, OverflowClose} {
		s, ctl := startServer(t, func(o *Options) { o.Overflow = rule; o.MaxQueued = 16 << 10 })
		events := follow(t, s.opts.Socket, stats.EventFilter{Types: []string{stats.EventDrop, stats.EventDisconnect}})
		stuck(t, s.addr(), "/stream?channel=a")
		eventually(t, "the client is held", func() bool { return s.Snapshot().Subscriptions == 1 })
		var e stats.Event
		for found := false; !found; {
			if _, err := ctl.Publish(t.Context(), []publish.Item{streamItem("a", strings.Repeat("x", 200<<10))}); err != nil {
				t.Fatal(err)
			}
			select {
			case e = <-events:
				found = true
			default:
			}
		}
		want := stats.Event{Type: "drop", Reason: "queue-full", Channel: "a"}
		if rule == OverflowClose {
			want = stats.Event{Type: "disconnect", Reason: "slow"}
		}
		if e.Type != want.Type || e.Reason != want.Reason || e.Channel != want.Channel || e.Connection == "" {
			t.Errorf("%s: %+v, want %+v", rule, e, want)
		}
		ctl.Close()
		s.Shutdown()
	}
}

// What a backend holds, or answers, is closed in good order as well, and its route is shown.
func TestCloseOfWhatABackendHolds(t *testing.T) {
	hanging := make(chan struct{})
	s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			<-hanging
		case "/stream":
			w.Header().Set("Grip-Hold", "stream")
			w.Header().Set("Grip-Channel", "a; filter=skip-self")
			fmt.Fprint(w, "open\n")
		default:
			responseHold(w, "a")
		}
	}, nil)
	defer close(hanging)
	for path, want := range map[string]string{"/": "nothing", "/stream": "open\n", "/hang": "closed by an operator\n"} {
		nc, err := net.Dial("tcp", s.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // it is open
		fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		state := map[bool]string{true: "backend", false: "held"}[path == "/hang"]
		var info stats.ConnectionInfo
		eventually(t, path+" is "+state, func() bool {
			list := listConnections(t, ctl, stats.ConnectionQuery{})
			if len(list.Connections) == 1 {
				info = list.Connections[0]
			}
			return info.State == state && info.Address == nc.LocalAddr().String()
		})
		if info.Route == "" {
			t.Errorf("%s: no route in %+v", path, info)
		}
		if n, err := ctl.CloseConnections(t.Context(), stats.CloseQuery{IDs: []string{info.ID}}); n != 1 || err != nil {
			t.Fatalf("%s: CloseConnections = %d, %v", path, n, err)
		}
		res, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || !strings.HasSuffix(string(body), want) {
			t.Errorf("%s: %q, %v, want %q", path, body, err, want)
		}
		eventually(t, path+" is gone", func() bool { return s.Snapshot().Connections.Total == 0 })
	}
	if n := s.Snapshot().Closed["operator"]; n != 3 {
		t.Errorf("%d closed by an operator, want 3", n)
	}
}

func TestReloadsAndRefusalsAreEvents(t *testing.T) {
	file := filepath.Join(t.TempDir(), "routes")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("* test\n")
	reload := make(chan struct{})
	s, ctl := startServer(t, func(o *Options) { o.Routes, o.Reload, o.MaxConnections = file, reload, 1 })
	defer s.Shutdown()
	defer ctl.Close()
	events := follow(t, s.opts.Socket, stats.EventFilter{Types: []string{stats.EventReload, stats.EventOverload}})
	write("* test\nexample.com test\n")
	reload <- struct{}{}
	if e := next(t, events); e.Type != stats.EventReload || e.Reason != "2 routes read" || e.Loop != -1 {
		t.Errorf("%+v, want a reload of 2 routes", e)
	}
	write("* nonsense nonsense\n")
	reload <- struct{}{}
	if e := next(t, events); e.Type != stats.EventReload || !strings.Contains(e.Reason, "bad") {
		t.Errorf("%+v, want a reload that failed", e)
	}
	for range 2 {
		nc, err := net.Dial("tcp", s.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	if e := next(t, events); e.Type != stats.EventOverload || !strings.Contains(e.Reason, "connection limit") {
		t.Errorf("%+v, want an overload", e)
	}
}
