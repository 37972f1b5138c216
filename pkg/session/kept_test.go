package session

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"holdfast/pkg/exchange"
	"holdfast/pkg/grip"
	"holdfast/pkg/publish"
	"holdfast/pkg/route"
	"holdfast/pkg/stats"
)

// asker is a backend that keeps the exchange.
type asker struct{ x *exchange.Exchange }

func (a *asker) Start(x *exchange.Exchange) { a.x = x }

// routed has requests served by a routes file.
func (f *fakeTransport) routed(lines string) {
	f.t.Helper()
	table, err := route.Parse("routes", []byte(lines), route.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	if f.clients.opts.Routes == nil {
		f.clients.opts.Routes = new(atomic.Pointer[route.Table])
	}
	f.clients.opts.Routes.Store(table)
}

// held has a request held as the plan says.
func (f *fakeTransport) heldAs(plan *exchange.Plan) (uint32, *fakeConn) {
	f.t.Helper()
	a := new(asker)
	f.clients.opts.Backend = a
	f.routed("* 127.0.0.1:1\n")
	id, c := f.request("GET /" + host)
	plan.Route = a.x.Route
	f.clients.Task(&exchange.Event{X: a.x, Kind: exchange.Hold, Plan: plan})
	if !c.held {
		f.t.Fatalf("not held: %q", c.out.String())
	}
	return id, c
}

// within reports whether s lies in the memory of buffer.
func within(s, buffer string) bool {
	at, begin := uintptr(unsafe.Pointer(unsafe.StringData(s))), uintptr(unsafe.Pointer(unsafe.StringData(buffer)))
	return at >= begin && at < begin+uintptr(len(buffer))
}

// An item's id that outlasts its delivery is a copy, or a hold of days would keep a publisher's
// buffer. It counts among what held requests take.
func TestAHoldKeepsNoBufferOfAPublisher(t *testing.T) {
	f := newFake(t)
	f.dir.Prepare(PrepareItem)
	id, _ := f.heldAs(&exchange.Plan{
		Instruct: &grip.Instruct{
			Hold: grip.ResponseHold, Timeout: time.Hour, Meta: map[string]string{"user": "u"},
			Channels: []grip.Channel{{Name: "a", PrevID: "1", Filters: grip.SkipSelf}},
		},
		Head: &exchange.Head{Status: 200}, Again: &exchange.Again{},
	})
	before := f.clients.opts.Holds.Used()
	frame := strings.Repeat("7", 64<<10) // in which the item came
	it := publish.Item{Channel: "a", ID: frame[100:200], PrevID: "1", Meta: map[string]string{"sender": "u"},
		Formats: publish.HTTPResponse, Response: publish.Response{Body: "x"}}
	f.publish(it) // is filtered
	last := f.clients.grips.At(id).more.each.channels[0].PrevID
	if last != it.ID || within(last, frame) {
		t.Errorf("the hold goes on from %q, in the item's memory: %t", last, within(last, frame))
	}
	if n := f.clients.opts.Holds.Used() - before; n != 99 {
		t.Errorf("%d bytes more are charged, want 99", n)
	}
	f.clients.Due(id)
	if n := f.clients.opts.Holds.Used(); n != 0 {
		t.Errorf("%d bytes are charged when nothing is held", n)
	}
}

// A listener that does not read keeps up to 4,096 events, but no buffers of publishers.
func TestDropEventsKeepNoBufferOfAPublisher(t *testing.T) {
	f := newFake(t)
	l, err := f.clients.opts.Feed.Listen(stats.EventFilter{Types: []string{stats.EventDrop}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, c := f.get("/stream?channel=a")
	c.full = true
	frame := strings.Repeat("a", 64<<10)
	it := stream("x")
	it.Channel = frame[5:6]
	f.publish(it)
	b, _ := l.Take(10)
	if len(b.Events) != 1 || b.Events[0].Channel != "a" || within(b.Events[0].Channel, frame) {
		t.Errorf("told %+v, want a copy of the name", b.Events)
	}
}

// What the Gate has said of a request's token is for that request, even if it needs none when it is
// served, because the routes have changed meanwhile.
func TestAVerdictIsForOneRequest(t *testing.T) {
	f := newGuarded(t)
	f.routed("* direct\n")
	ask := func(lasts time.Duration) string {
		return "GET /events?channel=a&token=" + tokenFor(t, lasts, "a") + host
	}
	id, c := f.request(ask(time.Hour))
	f.routed("* test\n")
	f.judge(1)
	if !strings.HasPrefix(c.out.String(), "HTTP/1.1 404") {
		t.Fatalf("by the new routes: %q", c.out.String())
	}
	c.out.Reset()
	f.routed("* direct\n")
	f.write(id, ask(-time.Hour))
	if c.held {
		t.Fatal("an expired token is taken, for one before it was good")
	}
	f.judge(1)
	if !strings.HasPrefix(c.out.String(), "HTTP/1.1 401") {
		t.Errorf("an expired token: %q", c.out.String())
	}
}

// Scripts of other origins see the fields that an item adds, where pushd lists those that they see.
func TestFieldsOfItemsAreExposed(t *testing.T) {
	for _, tt := range []struct {
		exposes bool
		own     []publish.Header
		want    string
	}{
		{true, nil, "X-A, Vary, X-B"},
		{true, []publish.Header{{Name: "access-control-expose-headers", Value: "X-Own"}}, "X-Own"},
		{false, nil, "X-A"},
	} {
		f := newFake(t)
		_, c := f.heldAs(&exchange.Plan{
			Instruct: &grip.Instruct{Hold: grip.ResponseHold, Timeout: time.Hour, Channels: []grip.Channel{{Name: "a"}}},
			Head: &exchange.Head{Status: 200, Fields: []exchange.Field{{Name: "X-A", Value: "1"},
				{Name: "Access-Control-Expose-Headers", Value: "X-A"}, {Name: "Vary", Value: "Origin"}}},
			Again: &exchange.Again{}, Exposes: tt.exposes,
		})
		f.publish(publish.Item{Channel: "a", Formats: publish.HTTPResponse,
			Response: publish.Response{Body: "x", Headers: append(tt.own, publish.Header{Name: "X-B", Value: "2"})}})
		all, _ := responses(t, c.out.String())
		if len(all) != 1 || all[0].Header.Get("Access-Control-Expose-Headers") != tt.want || all[0].Header.Get("Vary") != "Origin" {
			t.Errorf("exposes %t, own %v: %q, want %q exposed", tt.exposes, tt.own, c.out.String(), tt.want)
		}
	}
}

// An empty Pushpin-Route names no route.
func TestAnEmptyRouteNameIsNone(t *testing.T) {
	f := newFake(t)
	f.clients.opts.AcceptRoute = true
	f.routed("* test\n")
	for value, want := range map[string]string{"": "200", " \t": "200", "nosuch": "502"} {
		_, c := f.request("GET / HTTP/1.1\r\nHost: x\r\nPushpin-Route:" + value + "\r\n\r\n")
		if got := c.out.String(); !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("Pushpin-Route %q: %q, want %s", value, got, want)
		}
	}
}
