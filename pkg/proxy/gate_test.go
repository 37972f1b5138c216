package proxy

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"holdfast/pkg/exchange"
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
	p := newProxy(t, Options{Concurrency: 2, Total: total, MaxIdle: idle, MaxOpen: 1})
	for n := range targets { // each keeps an idle connection of its own
		r := routeTo(backend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
		if c := do(t, p, r, get("/"), ""); string(c.body) != "ok" {
			t.Fatalf("target %d: %v", n, c)
		}
		if n := p.stats.Connections.Load(); n > total+idle+1 || n != int64(len(p.sockets)) {
			t.Fatalf("%d connections with %d sockets taken, want at most %d", n, len(p.sockets), total+idle+1)
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

// Nobody waits who could be let in, whoever comes, begins an answer that goes on, and goes.
func TestGatesLeaveNoPlaceUnused(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		g := &gates{
			max: 1 + r.IntN(12), total: 2 + r.IntN(12), maxOpen: 1 + r.IntN(6), maxBytes: 1 << 40,
			patience: time.Hour, routes: map[string]*gate{},
		}
		var in, open []string
		f := new(figures)
		leave := func(from *[]string) (id string) {
			i := r.IntN(len(*from))
			id = (*from)[i]
			*from = slices.Delete(*from, i, i+1)
			return id
		}
		enter := func(visits []visit) {
			for _, v := range visits {
				in = append(in, v.route)
			}
		}
		for step := range 300 {
			switch n := r.IntN(100); {
			case n < 50:
				id := fmt.Sprint("r", r.IntN(5))
				x := exchange.New(t.Context(), nil, 1, 1, exchange.Request{})
				if g.enter(visit{x: x, route: id, figures: f}) == admitted {
					in = append(in, id)
				}
			case n < 75 && len(in) > 0:
				enter(g.next(leave(&in)))
			case n < 90 && len(in) > 0:
				id := leave(&in)
				entered, ok := g.begin(id)
				enter(entered)
				if ok {
					open = append(open, id)
				} else {
					in = append(in, id)
				}
			case len(open) > 0:
				g.end(leave(&open))
			}
			if len(in) != g.all || g.all > g.total || len(open) != g.open || g.open > g.maxOpen {
				t.Fatalf("seed %d, step %d: %d are inside, %d are counted, of %d; %d are open, %d are counted, of %d",
					seed, step, len(in), g.all, g.total, len(open), g.open, g.maxOpen)
			}
			for id, at := range g.routes {
				if at.first != nil && g.admits(at) {
					t.Fatalf("seed %d, step %d: %s waits with %d inside, and %d of %d in all", seed, step, id, at.inside, g.all, g.total)
				}
			}
		}
		for range in {
			g.inside.Done()
		}
		for range open {
			g.inside.Done()
		}
		g.close()
		g.inside.Wait() // counts each that is inside or open once
	}
}
