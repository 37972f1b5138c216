package session

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/pkg/exchange"
	"holdfast/pkg/grip"
	"holdfast/pkg/publish"
	"holdfast/pkg/route"
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
