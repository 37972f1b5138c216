package proxy

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/pkg/exchange"
)

// gates let a bounded number of exchanges of each route in at once, and of all routes together. The
// others wait in the order in which they came, for a bounded time and together bounded by bytes; a
// new one that does not fit is refused.
//
// An exchange is inside until its answer is complete, or until the head of an answer has passed
// that goes on for some time: then it is open, and gives its place to one that waits. Open answers,
// which may never end, have a bound of their own. One beyond it is refused before its head has
// passed.
//
// A route gets no more places than are free (Choudhury and Hahne's dynamic thresholds), so that
// some are left however many routes have backends that hang: one such takes half of all places, two
// a third each, nine a tenth each. So what one route's backends are slow in costs no other route
// anything.
type gates struct {
	max      int            // inside, for each route
	total    int            // inside, for all routes
	maxOpen  int            // open, for all routes
	maxBytes int64          // of all that wait
	patience time.Duration  // of one that waits; then it is late
	inside   sync.WaitGroup // exchanges that a goroutine serves
	late     func(visit)    // answers one that has waited too long
	waiting  atomic.Int64   // exchanges
	left     atomic.Uint64  // exchanges whose client left while they waited

	mu     sync.Mutex
	routes map[string]*gate // those that are in use
	all    int              // inside
	open   int              // of all routes
	line   []*gate          // those with somebody waiting, the one whose turn it is first
	bytes  int64
	closed bool
}

type gate struct {
	route       string
	inside      int
	open        int
	first, last *waiter
}

// visit is an exchange on its way to a backend.
type visit struct {
	x       *exchange.Exchange
	route   string // its ID
	figures *figures
	since   time.Time
}

// waiter is a visit in the queue of a gate. What links it is guarded by the gates' mutex.
type waiter struct {
	visit
	gate       *gate
	bytes      int64
	prev, next *waiter
	queued     bool
	leave      func() bool // takes back that it leaves with its client
	timer      *time.Timer // makes it late
}

// stop ends what would take w out of the queue.
func (w *waiter) stop() {
	w.leave()
	w.timer.Stop()
}

type admission uint8

const (
	admitted admission = iota
	queued
	queuedFirst // nobody of its route has waited before
	refused
	ended // the proxy is closed
)

// enter lets v in, or puts it in the queue. Who is let in calls next at the end.
func (g *gates) enter(v visit) admission {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ended
	}
	at := g.routes[v.route]
	if at == nil {
		at = &gate{route: v.route}
	}
	if at.first == nil && g.admits(at) {
		g.routes[v.route] = at
		at.inside++
		g.all++
		g.inside.Add(1)
		return admitted
	}
	w := &waiter{visit: v, gate: at, bytes: v.x.Bytes()}
	if g.bytes+w.bytes > g.maxBytes {
		return refused
	}
	g.routes[v.route] = at
	first := at.first == nil
	g.push(w)
	w.leave = context.AfterFunc(v.x.Context(), func() { g.leave(w) })
	w.timer = time.AfterFunc(g.patience, func() { g.tooLate(w) })
	if first {
		return queuedFirst
	}
	return queued
}

// admits reports whether there is a place for one more of a route.
func (g *gates) admits(at *gate) bool { return at.inside < min(g.max, g.total-g.all) }

// leave takes a waiter out whose client has gone.
func (g *gates) leave(w *waiter) {
	g.mu.Lock()
	found := w.queued
	if found {
		g.remove(w)
	}
	g.mu.Unlock()
	if found {
		w.timer.Stop()
		g.left.Add(1)
		w.x.Done()
	}
}

// tooLate takes a waiter out that has waited too long.
func (g *gates) tooLate(w *waiter) {
	g.mu.Lock()
	found := w.queued
	if found {
		g.remove(w)
		g.inside.Add(1) // close waits for what is answered here
	}
	g.mu.Unlock()
	if found {
		w.leave()
		g.late(w.visit)
		g.inside.Done()
	}
}

// openShare is how many times the open answers that are still free one route may have: one route
// alone gets four fifths of all, two get four ninths each.
const openShare = 4

// begin makes an exchange of a route that is inside an open one, and returns what goes in for it.
// It reports false when too many are open.
func (g *gates) begin(route string) (in []visit, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.routes[route]
	if at.open >= openShare*(g.maxOpen-g.open) {
		return nil, false
	}
	at.open++
	g.open++
	at.inside--
	g.all--
	in = g.letIn()
	g.inside.Add(len(in))
	return in, true
}

// end forgets an open exchange of a route.
func (g *gates) end(route string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.routes[route]
	at.open--
	g.open--
	g.forget(at)
	g.inside.Done()
}

// next returns what goes in when one of a route leaves: nothing, as a rule one, and more where a place that is free again lets in
// those of several routes.
func (g *gates) next(route string) (in []visit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	left := g.routes[route]
	left.inside--
	g.all--
	in = g.letIn()
	g.forget(left)
	g.inside.Add(len(in) - 1)
	return in
}

// letIn takes from the queues what there are places for.
func (g *gates) letIn() (in []visit) {
	for {
		i := slices.IndexFunc(g.line, g.admits)
		if i < 0 {
			return in
		}
		at := g.line[i]
		at.inside++
		g.all++
		w := at.first
		g.line = append(slices.Delete(g.line, i, i+1), at) // the others' turn comes first
		g.remove(w)
		w.stop()
		in = append(in, w.visit)
	}
}

// forget drops a gate that is not in use.
func (g *gates) forget(at *gate) {
	if at.inside == 0 && at.open == 0 && at.first == nil {
		delete(g.routes, at.route)
	}
}

// close lets nobody in any more and returns those that wait.
func (g *gates) close() (left []*exchange.Exchange) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for len(g.line) > 0 {
		w := g.line[0].first
		g.remove(w)
		w.stop()
		left = append(left, w.x)
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
		g.line = append(g.line, at)
	}
	at.last = w
	g.bytes += w.bytes
	g.waiting.Add(1)
	w.figures.waiting.Add(1)
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
	if at.first == nil {
		i := slices.Index(g.line, at)
		g.line = slices.Delete(g.line, i, i+1)
		g.forget(at)
	}
	w.queued, w.prev, w.next = false, nil, nil
	g.bytes -= w.bytes
	g.waiting.Add(-1)
	w.figures.waiting.Add(-1)
}
