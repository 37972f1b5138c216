package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

// However many routes hang, one more finds a place.
func TestHangingRoutesLeavePlaces(t *testing.T) {
	hanging, arrived, open := gated(t)
	quick := backend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "quick") })
	const total, routes = 20, 4
	p := newProxy(t, Options{Concurrency: 10, Total: total, MaxIdle: 2})
	var clients []*client
	for n := range routes {
		r := routeTo(hanging)
		r.ID = fmt.Sprint("hanging", n)
		for range total {
			clients = append(clients, begin(t.Context(), p, r, get("/")))
		}
	}
	want := []int64{10, 5, 3, 1} // of 20: a half, then of what is left
	until(t, "all places are taken that hanging routes get", func() bool { return arrived.Load() == 19 })
	for n, inside := range want {
		f := p.ledger.of(fmt.Sprint("hanging", n))
		if f.inFlight.Load() != inside || f.waiting.Load() != total-inside {
			t.Errorf("route %d has %d inside and %d waiting, want %d and %d", n, f.inFlight.Load(), f.waiting.Load(), inside, total-inside)
		}
	}
	for range 3 {
		if c := do(t, p, routeTo(quick), get("/"), ""); string(c.body) != "quick" {
			t.Errorf("another route: %v", c)
		}
	}
	if n := p.stats.Connections.Load(); n > total+2 {
		t.Errorf("%d connections, want at most %d", n, total+2)
	}
	open()
	for _, c := range clients {
		if c.wait(t); c.head.Status != 200 {
			t.Fatalf("answer = %v", c)
		}
	}
}

// Connections, idle ones and those being made are together at most as many as sockets are kept back.
func TestSocketsAreBounded(t *testing.T) {
	const total, idle, targets = 2, 2, 12
	p := newProxy(t, Options{Concurrency: 2, Total: total, MaxIdle: idle})
	for n := range targets { // each keeps an idle connection of its own
		r := routeTo(backend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
		if c := do(t, p, r, get("/"), ""); string(c.body) != "ok" {
			t.Fatalf("target %d: %v", n, c)
		}
		if n := p.stats.Connections.Load(); n > total+idle || n != int64(len(p.sockets)) {
			t.Fatalf("%d connections with %d sockets taken, want at most %d", n, len(p.sockets), total+idle)
		}
	}
}

// A dial ends with the request that wanted it: clients that come and go do not pile up sockets.
func TestDialsEndWithTheirRequest(t *testing.T) {
	full, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	p := newProxy(t, Options{Total: 4, MaxIdle: 1, Concurrency: 2})
	p.sockets <- struct{}{} // all are in use
	for len(p.sockets) < cap(p.sockets) {
		p.sockets <- struct{}{}
	}
	for range 20 {
		c := begin(t.Context(), p, routeTo(full.Addr().String()), get("/"))
		until(t, "it waits for a socket", func() bool { return p.stats.InFlight.Load() == 1 })
		c.x.Abandon()
		until(t, "it is over", func() bool { return p.stats.InFlight.Load() == 0 })
	}
	c := begin(t.Context(), p, routeTo(refusing(t)), get("/"))
	until(t, "it waits for a socket", func() bool { return p.stats.InFlight.Load() == 1 })
	p.freeSocket()
	if c.wait(t); c.head.Status != 502 || p.stats.Errors(CauseDial) != 1 {
		t.Errorf("with a free socket: %v, want that the dial is refused", c)
	}
	for len(p.sockets) > 0 {
		p.freeSocket()
	}
}
