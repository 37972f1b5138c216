package proxy

import (
	"context"
	"sync"
	"sync/atomic"

	"holdfast/pkg/exchange"
)

// gates let a bounded number of exchanges of each route in at once. The others wait in the order in which they came, together
// bounded by bytes; a new one that does not fit is refused. So what one route's backends are slow in costs no other route
// anything.
type gates struct {
	max      int   // inside, for each route
	maxBytes int64 // of all that wait
	inside   sync.WaitGroup
	waiting  atomic.Int64 // exchanges

	mu     sync.Mutex
	routes map[string]*gate // those that are in use
	bytes  int64
	closed bool
}

type gate struct {
	inside      int
	first, last *waiter
}

// waiter is an exchange in the queue of a gate. What links it is guarded by the gates' mutex.
type waiter struct {
	x          *exchange.Exchange
	gate       *gate
	bytes      int64
	prev, next *waiter
	queued     bool
	leave      func() bool // takes back that it leaves with its client
}

type admission uint8

const (
	admitted admission = iota
	queued
	refused
	ended // the proxy is closed
)

// enter lets x in, or puts it in the queue. Who is let in calls next at the end.
func (g *gates) enter(route string, x *exchange.Exchange) admission {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ended
	}
	at := g.routes[route]
	if at == nil {
		at = &gate{}
		g.routes[route] = at
	}
	if at.inside < g.max {
		at.inside++
		g.inside.Add(1)
		return admitted
	}
	w := &waiter{x: x, gate: at, bytes: x.Bytes()}
	if g.bytes+w.bytes > g.maxBytes {
		return refused
	}
	g.push(w)
	w.leave = context.AfterFunc(x.Context(), func() { g.leave(w) })
	return queued
}

// leave takes a waiter out whose client has gone.
func (g *gates) leave(w *waiter) {
	g.mu.Lock()
	found := w.queued
	if found {
		g.remove(w)
	}
	g.mu.Unlock()
	if found {
		w.x.Done()
	}
}

// next returns the exchange that goes in for one that leaves, or nil.
func (g *gates) next(route string) *exchange.Exchange {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.routes[route]
	if w := at.first; w != nil {
		g.remove(w)
		w.leave()
		return w.x
	}
	if at.inside--; at.inside == 0 {
		delete(g.routes, route)
	}
	g.inside.Done()
	return nil
}

// close lets nobody in any more and returns those that wait.
func (g *gates) close() (left []*exchange.Exchange) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, at := range g.routes {
		for w := at.first; w != nil; w = at.first {
			g.remove(w)
			w.leave()
			left = append(left, w.x)
		}
	}
	return left
}

func (g *gates) push(w *waiter) {
	at := w.gate
	w.queued, w.prev = true, at.last
	if at.last != nil {
		at.last.next = w
	} else {
		at.first = w
	}
	at.last = w
	g.bytes += w.bytes
	g.waiting.Add(1)
}

func (g *gates) remove(w *waiter) {
	at := w.gate
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		at.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		at.last = w.prev
	}
	w.queued, w.prev, w.next = false, nil, nil
	g.bytes -= w.bytes
	g.waiting.Add(-1)
}
