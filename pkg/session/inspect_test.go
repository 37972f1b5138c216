package session

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

// finishTask runs a task until it is done, a piece in each batch, and returns how many batches that took.
func (f *fakeTransport) finishTask(task inquiry, done <-chan struct{}) (batches int) {
	f.t.Helper()
	f.clients.Task(task)
	for batches = 1; ; batches++ {
		f.clients.BatchEnd()
		select {
		case <-done:
			return batches
		case next := <-f.verdicts:
			f.clients.Task(next)
		default:
			f.t.Fatal("the task neither goes on nor is done")
		}
	}
}

func (f *fakeTransport) scan(q stats.ConnectionQuery, closes bool) (*Scan, int) {
	f.t.Helper()
	done := make(chan struct{}, 1)
	s := &Scan{Context: f.t.Context(), Query: q, Close: closes, Done: done}
	if q.Filter.Address != "" {
		s.Prefix = netip.MustParsePrefix(q.Filter.Address)
	}
	return s, f.finishTask(s, done)
}

// A scan looks at a bounded number of connections in each batch, and finds the first of an order.
func TestScanGoesInPieces(t *testing.T) {
	f := newFake(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	const n = 3500
	var queued []int
	for i := range n {
		_, c := f.get(fmt.Sprintf("/stream?channel=c%d", i%7))
		c.queued = rnd.IntN(1000)
		queued = append(queued, c.queued)
	}
	slices.Sort(queued)
	slices.Reverse(queued)
	s, batches := f.scan(stats.ConnectionQuery{Top: 120, By: stats.ByQueued}, false)
	if s.Total != n || s.Matched != n || len(s.Infos) != 120 {
		t.Fatalf("%d described of %d matched of %d", len(s.Infos), s.Matched, s.Total)
	}
	for i, info := range s.Infos {
		if info.QueuedBytes != queued[i] {
			t.Fatalf("place %d has %d bytes queued, want %d", i, info.QueuedBytes, queued[i])
		}
	}
	if want := n/scanSlots + 1 + 120/scanDetails + 1; batches < want {
		t.Errorf("%d batches, want %d at least: each is to be short", batches, want)
	}
	if s, _ := f.scan(stats.ConnectionQuery{Top: 1, Filter: stats.ConnectionFilter{Channel: "c3"}}, false); s.Matched != n/7 || s.Infos[0].Channels[0] != "c3" {
		t.Errorf("of a channel: %d matched, %+v", s.Matched, s.Infos)
	}
	if s, _ := f.scan(stats.ConnectionQuery{Top: 1, Filter: stats.ConnectionFilter{Address: "10.0.0.0/8"}}, false); s.Matched != 0 || s.Total != n {
		t.Errorf("of another network: %d matched of %d", s.Matched, s.Total)
	}
}

func TestScanIsGivenUp(t *testing.T) {
	f := newFake(t)
	f.get("/stream?channel=a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan struct{}, 1)
	s := &Scan{Context: ctx, Query: stats.ConnectionQuery{Top: 1}, Close: true, Done: done}
	if f.finishTask(s, done); s.Total != 0 || f.stats.Closed[stats.CloseOperator].Load() != 0 {
		t.Errorf("a scan that was given up has looked at %d connections", s.Total)
	}
}

// Whatever a connection does, it is closed in good order, and by its own name only.
func TestCloseNamedInEveryState(t *testing.T) {
	for _, tt := range []struct {
		name, request string
		finish        bool
		want          string // the end of what the client gets
	}{
		{"new", "", false, ""},
		{"reading", "GET /x", true, "closed by an operator\n"},
		{"idle", "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", false, "\n"},
		{"stream", "GET /stream?channel=a HTTP/1.1\r\nHost: x\r\n\r\n", true, "\r\n0\r\n\r\n"},
		{"events, HTTP/1.0", "GET /events?channel=a HTTP/1.0\r\n\r\n", true, "\n\n"},
		{"poll", "GET /poll?channel=a HTTP/1.1\r\nHost: x\r\n\r\n", true, "Connection: close\r\n\r\n"},
		{"websocket", "GET /ws?channel=a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", true, "\x88\x02\x03\xe9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			id, c := f.accept(false)
			if tt.request != "" {
				f.write(id, tt.request)
			}
			name, ok := ParseName(f.clients.connectionID(id, f.clients.table.At(id)))
			if !ok {
				t.Fatal("the id cannot be read")
			}
			wrong := name
			wrong.stamp++
			done := make(chan struct{}, 1)
			task := &CloseNamed{Names: []Name{wrong, name, name}, Done: done}
			f.finishTask(task, done)
			if task.Closed != 1 || !c.over || c.finish != tt.finish || c.why != stats.CloseOperator || !strings.HasSuffix(c.out.String(), tt.want) {
				t.Errorf("closed %d, over %v, in order %v, reason %v, sent %q", task.Closed, c.over, c.finish, c.why, c.out.String())
			}
			if n := f.stats.Subscriptions.Load(); n != 0 {
				t.Errorf("%d subscriptions are left", n)
			}
			for k := range f.stats.Connections {
				if n := f.stats.Connections[k].Load(); n != 0 {
					t.Errorf("%d connections of kind %v are left", n, stats.Kind(k))
				}
			}
		})
	}
}

func TestCloseOfAChannelGoesInPieces(t *testing.T) {
	f := newFake(t)
	var a []*fakeConn
	for i := range 400 {
		_, c := f.get(fmt.Sprintf("/stream?channel=%c", 'a'+i%2))
		if i%2 == 0 {
			a = append(a, c)
		}
	}
	s, batches := f.scan(stats.ConnectionQuery{Filter: stats.ConnectionFilter{Channel: "a"}}, true)
	if s.Matched != 200 || batches < 200/scanCloses {
		t.Errorf("%d closed in %d batches, want 200 in %d at least", s.Matched, batches, 200/scanCloses)
	}
	for i, c := range a {
		if !c.over || !c.finish {
			t.Fatalf("connection %d stays, or ended badly", i)
		}
	}
	if f.stats.Subscriptions.Load() != 200 {
		t.Errorf("%d subscriptions are left, want 200", f.stats.Subscriptions.Load())
	}
}

func TestNamesAreReadStrictly(t *testing.T) {
	for _, s := range []string{"", "0", "0.1", "0.1.2.3", "0.1.", ".1.2", "256.1.2", "0.-1.2", "0.4294967296.2", "0.1.zzzzzzzzzzzzzz", "0.1.x y", "0x1.1.1"} {
		if name, ok := ParseName(s); ok {
			t.Errorf("ParseName(%q) = %+v, want none", s, name)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("0.17.15pffszy81")
	f.Add("63.4294967295.3w5e11264sgsf")
	f.Fuzz(func(t *testing.T, s string) {
		name, ok := ParseName(s)
		if !ok {
			return
		}
		c := &Clients{loop: name.Loop}
		cl := &client{opened: uint32(name.stamp >> birthBits), birth: uint16(name.stamp)}
		if cl.stamp() != name.stamp { // more than a stamp has: the name of nobody
			return
		}
		if again, ok := ParseName(c.connectionID(name.conn, cl)); !ok || again != name {
			t.Errorf("ParseName(%q) = %+v, written and read again %+v", s, name, again)
		}
	})
}

// newWatched is a fake whose feed somebody listens to.
func newWatched(t *testing.T, filter stats.EventFilter) (*fakeTransport, *stats.Listener) {
	o := testOptions
	o.Feed = new(stats.Feed)
	f := newFakeWith(t, o)
	l, err := o.Feed.Listen(filter)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}, 1)
	f.finishTask(&Listening{Done: done}, done)
	return f, l
}

func TestEventsOfAPoll(t *testing.T) {
	f, l := newWatched(t, stats.EventFilter{})
	id, _ := f.get("/poll?channel=a")
	f.clients.Due(id) // answered, and not held any more
	f.clients.BatchEnd()
	b, _ := l.Take(100)
	var got []string
	for _, e := range b.Events {
		got = append(got, e.Type+" "+e.Kind+" "+e.Channel+" "+e.Address)
	}
	want := []string{"connect http  198.51.100.7:40000", "subscribe poll a 198.51.100.7:40000", "unsubscribe poll a 198.51.100.7:40000"}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// Above a rate only some events are told, and the others are counted. Where nobody listens nothing is kept.
func TestTooManyEventsAreSampled(t *testing.T) {
	f, l := newWatched(t, stats.EventFilter{Types: []string{stats.EventConnect}})
	const n = 20_000
	told, skipped := 0, uint64(0)
	for range n {
		id, _ := f.accept(false)
		f.clients.t.Close(id, stats.CloseClient)
		delete(f.conns, id)
		f.clients.BatchEnd()
		b, _ := l.Take(100)
		told += len(b.Events)
		skipped += b.Skipped
	}
	if told+int(skipped) != n || told < watchEvents || skipped == 0 {
		t.Errorf("%d told and %d skipped, want together %d, and some of each", told, skipped, n)
	}
	if max := watchBurst * (2 + int(time.Second/watchWindow)); told > max {
		t.Errorf("%d told, want at most %d", told, max)
	}
	l.Close()
	done := make(chan struct{}, 1)
	f.finishTask(&Listening{Done: done}, done)
	f.accept(false)
	if w := &f.clients.watch; len(w.buf) != 0 || w.from != nil {
		t.Errorf("where nobody listens %d events and %d addresses are kept", len(w.buf), len(w.from))
	}
}

func TestCountAndMeasureChannels(t *testing.T) {
	f := newFake(t)
	for i := range 10 {
		f.get(fmt.Sprintf("/stream?channel=all&channel=c%d", i/5))
	}
	var list []hub.Listed
	var at hub.Cursor
	for more := true; more; {
		list, more = f.dir.List(list, &at, 1, "")
	}
	if len(list) != 3 {
		t.Fatalf("%d channels are listed, want 3", len(list))
	}
	done := make(chan struct{}, 1)
	measure := &Measure{Done: done}
	f.finishTask(measure, done)
	f.publish(streamItem("all"), streamItem("all"), streamItem("c1"), streamItem("nobody"))
	f.finishTask(&StopMeasure{Measure: measure, Done: done}, done)
	f.publish(streamItem("all"))
	counts := &CountSubscribers{Channels: list, Counts: make([]int, len(list)), Done: done}
	f.finishTask(counts, done)
	for i, l := range list {
		wantSubs, wantTally := 5, hub.Tally{}
		switch l.Name {
		case "all":
			wantSubs, wantTally = 10, hub.Tally{Items: 2, Deliveries: 20}
		case "c1":
			wantTally = hub.Tally{Items: 1, Deliveries: 5}
		}
		if got := measure.Meter.Of(&l); counts.Counts[i] != wantSubs || got != wantTally {
			t.Errorf("%s: %d subscribers, %+v, want %d, %+v", l.Name, counts.Counts[i], got, wantSubs, wantTally)
		}
	}
}

func streamItem(channel string) publish.Item {
	it := stream("x")
	it.Channel = channel
	return it
}
