package proxy

import (
	"sync"
	"sync/atomic"

	"holdfast/pkg/route"
	"holdfast/pkg/stats"
)

// Stats are counters that any goroutine may read.
type Stats struct {
	Requests    atomic.Uint64 // exchanges that were started
	Holds       atomic.Uint64 // of them, held
	Retries     atomic.Uint64 // requests sent once more on another connection
	Failovers   atomic.Uint64 // targets passed over
	Gone        atomic.Uint64 // exchanges at a backend whose client left before the answer was complete
	InFlight    atomic.Int64  // exchanges at a backend now
	Connections atomic.Int64  // to backends, with the idle ones

	waiting *atomic.Int64
	left    *atomic.Uint64 // while they waited; Gone does not count those
	errors  [numCauses]atomic.Uint64
}

// Waiting returns how many exchanges wait to be let in.
func (s *Stats) Waiting() int64 { return s.waiting.Load() }

// Errors returns how many exchanges went wrong for a cause. A target that was passed over counts as one as well.
func (s *Stats) Errors(c Cause) uint64 { return s.errors[c].Load() }

// EachError calls fn for each cause.
func (s *Stats) EachError(fn func(c Cause, n uint64)) {
	for c := range numCauses {
		fn(c, s.errors[c].Load())
	}
}

// Snapshot returns the counters at this moment.
func (s *Stats) Snapshot() *stats.Backends {
	return &stats.Backends{
		Requests: s.Requests.Load(), Holds: s.Holds.Load(), Errors: byCause(&s.errors), Retries: s.Retries.Load(), Failovers: s.Failovers.Load(),
		Gone: s.Gone.Load() + s.left.Load(), InFlight: s.InFlight.Load(), Waiting: s.Waiting(), Connections: s.Connections.Load(),
	}
}

// byCause names the counters that have counted something.
func byCause(errors *[numCauses]atomic.Uint64) map[string]uint64 {
	all := make(map[string]uint64)
	for c := range numCauses {
		if n := errors[c].Load(); n > 0 {
			all[c.String()] = n
		}
	}
	return all
}

// maxFigures is how many routes have figures of their own, of which each takes about 2 KB.
const maxFigures = 1000

// figures are the counters of one route. An exchange keeps those that it began with.
type figures struct {
	requests          atomic.Uint64
	errors            [numCauses]atomic.Uint64
	inFlight, waiting atomic.Int64
	holds             atomic.Uint64
	answers           stats.Timing // from a request's arrival to the head of its answer, with the wait for its turn
}

// ledger has the figures of the routes, by ID.
type ledger struct {
	mu   sync.Mutex
	all  map[string]*figures
	rest figures // of those that are too many
}

func (l *ledger) of(id string) *figures {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.all[id]
	switch {
	case f != nil:
	case len(l.all) >= maxFigures:
		return &l.rest
	default:
		f = new(figures)
		l.all[id] = f
	}
	return f
}

// keep drops the figures of routes that the table does not have.
func (l *ledger) keep(t *route.Table) {
	kept := make(map[string]*figures)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range t.Routes() {
		if f := l.all[r.ID]; f != nil {
			kept[r.ID] = f
		}
	}
	l.all = kept
}

// Routes returns the figures of the routes of a table, in their order.
func (p *Proxy) Routes(t *route.Table) []stats.RouteInfo {
	p.ledger.mu.Lock()
	defer p.ledger.mu.Unlock()
	var all []stats.RouteInfo
	for _, r := range t.Routes() {
		info := stats.RouteInfo{ID: r.ID, Match: r.Condition(), Errors: map[string]uint64{}}
		for i := range r.Targets {
			info.Targets = append(info.Targets, r.Targets[i].String())
		}
		if f := p.ledger.all[r.ID]; f != nil {
			info.Requests, info.Holds, info.Errors, info.Latency = f.requests.Load(), f.holds.Load(), byCause(&f.errors), f.answers.Durations()
			info.Active, info.Waiting = int(f.inFlight.Load()), int(f.waiting.Load())
		}
		all = append(all, info)
	}
	return all
}
