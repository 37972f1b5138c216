package proxy

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"holdfast/pkg/exchange"
	"holdfast/pkg/grip"
	"holdfast/pkg/route"
)

// Options say how a Proxy works. A zero number means its default.
type Options struct {
	Log *slog.Logger

	Concurrency     int   // requests of a route that are at its backends at once; default 1,000
	Total           int   // those of all routes, of which one route gets at most half; default twice Concurrency
	MaxWaitingBytes int64 // of all requests that wait for their turn; default 256 MiB
	// Timeout is how long a request waits for its turn, and then how long a backend may take for
	// the next bytes of it, or for its answer; default 60 s.
	Timeout        time.Duration
	ConnectTimeout time.Duration // for the connection, and for the TLS handshake; default 10 s
	MaxIdle        int           // idle connections to backends; default 256
	// MaxOpen is how many answers may be passed on whose head has passed, of all routes; default
	// 10,000. Total, MaxIdle and MaxOpen together are all connections that there are.
	MaxOpen         int
	MaxResponseHead int // bytes; default 64 KiB
	MaxHoldBody     int // bytes of a request that is held, and of a response that holds one or answers in its place; default 100,000
	MaxFilters      int // named for one channel; default 5

	RootCAs *x509.CertPool // that backends' certificates are checked against; nil for those of the system
	Dir     string         // that file names of the routes file are relative to

	Debug    bool // error answers say the cause, for all routes
	AutoCORS bool // as aco, for all routes

	SigKey      *grip.SigKey      // for routes without one; nil for no signature
	SigIss      string            // for routes without one; default "pushpin"
	UpstreamKey *grip.UpstreamKey // of GRIP proxies before this one; nil: none is trusted

	DropRoute  bool   // accept_pushpin_route is on
	CDNLoop    string // the token of cdn_loop
	Proto      grip.ForwardedProto
	For        grip.ForwardedFor
	ForTrusted grip.ForwardedFor // for clients that UpstreamKey trusts
}

func (o Options) withDefaults() Options {
	def := func(n *int, value int) {
		if *n <= 0 {
			*n = value
		}
	}
	def(&o.Concurrency, 1000)
	def(&o.Total, 2*o.Concurrency)
	def(&o.MaxIdle, 256)
	def(&o.MaxOpen, 10_000)
	def(&o.MaxResponseHead, 64<<10)
	def(&o.MaxHoldBody, exchange.MaxKept)
	def(&o.MaxFilters, grip.MaxFilters)
	if o.MaxWaitingBytes <= 0 {
		o.MaxWaitingBytes = 256 << 20
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 10 * time.Second
	}
	if o.SigIss == "" {
		o.SigIss = "pushpin"
	}
	return o
}

// Proxy is the backend side of all exchanges.
type Proxy struct {
	opt    Options
	log    reporter
	stats  Stats
	gates  gates
	ledger ledger
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	sockets chan struct{} // one for each connection to a backend, open or being made; full: no more may be

	mu         sync.Mutex
	transports map[transportKey]*http.Transport
	idleClosed time.Time               // when all of their idle connections were
	keys       map[string]*grip.SigKey // by sig_key as routes have it
}

// New returns a Proxy. Nothing happens before the first Start.
func New(o Options) *Proxy {
	p := &Proxy{
		opt:        o.withDefaults(),
		log:        reporter{log: o.Log},
		transports: make(map[transportKey]*http.Transport),
		keys:       make(map[string]*grip.SigKey),
	}
	p.gates.max, p.gates.total, p.gates.maxBytes = p.opt.Concurrency, p.opt.Total, p.opt.MaxWaitingBytes
	p.gates.routes, p.ledger.all = make(map[string]*gate), make(map[string]*figures)
	p.stats.waiting, p.stats.left = &p.gates.waiting, &p.gates.left
	p.gates.maxOpen, p.gates.patience = p.opt.MaxOpen, p.opt.Timeout
	p.gates.late = p.late
	p.sockets = make(chan struct{}, p.opt.Total+p.opt.MaxOpen+p.opt.MaxIdle)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Stats returns the counters, which go on counting.
func (p *Proxy) Stats() *Stats { return &p.stats }

// Start takes the backend side of x, whose Route is a *route.Route with a Backend among its targets. It never blocks. The
// exchange ends with one of the last events that exchange.Kind names, or with none when it is abandoned.
func (p *Proxy) Start(x *exchange.Exchange) {
	p.stats.Requests.Add(1)
	id := x.Route.(*route.Route).ID
	v := visit{x: x, route: id, figures: p.ledger.of(id), since: time.Now()}
	v.figures.requests.Add(1)
	x.Keeps(p.opt.MaxHoldBody)
	switch p.gates.enter(v) {
	case admitted:
		go p.run(v)
	case refused:
		p.refuse(v, "Too many requests are waiting.")
	case ended:
		x.End(false)
		x.Done()
	case queuedFirst:
		p.log.full(id, v.figures.inFlight.Load())
	case queued:
	}
}

// refuse answers a visit that is not let in.
func (p *Proxy) refuse(v visit, text string) {
	p.job(v).fail(busy(text))
	v.x.Done()
}

func busy(text string) *failure {
	return &failure{cause: CauseBusy, status: http.StatusServiceUnavailable, text: text}
}

// late answers a visit that has waited for its turn as long as it may.
func (p *Proxy) late(v visit) { p.refuse(v, "No backend was free in time.") }

// run serves v and then what takes its place.
func (p *Proxy) run(v visit) {
	for {
		p.stats.InFlight.Add(1)
		v.figures.inFlight.Add(1)
		j := p.job(v)
		j.run()
		v.figures.inFlight.Add(-1)
		p.stats.InFlight.Add(-1)
		v.x.Done()
		if j.open { // others have gone in already
			p.gates.end(v.route)
			return
		}
		in := p.gates.next(v.route)
		if len(in) == 0 {
			return
		}
		for _, other := range in[1:] {
			go p.run(other)
		}
		v = in[0]
	}
}

// Close ends all exchanges and waits for their goroutines. Answers that have not begun break off, so it comes before the end of
// the loops.
func (p *Proxy) Close() {
	for _, x := range p.gates.close() {
		x.End(false)
		x.Done()
	}
	p.cancel()
	p.gates.inside.Wait()
	p.reset()
}

// Reload follows a new table: files that routes name are read again, and figures of routes that are gone are dropped.
func (p *Proxy) Reload(t *route.Table) {
	p.ledger.keep(t)
	p.reset()
}

// reset forgets keys and closes idle connections, because their targets may be gone.
func (p *Proxy) reset() {
	p.mu.Lock()
	transports := p.transports
	p.transports, p.keys = make(map[transportKey]*http.Transport), make(map[string]*grip.SigKey)
	p.mu.Unlock()
	for _, tr := range transports {
		tr.CloseIdleConnections()
	}
}

// sig returns the token for Grip-Sig of a request, "" when there is no key.
func (p *Proxy) sig(r *route.Route) (string, error) {
	key, err := p.sigKey(r.SigKey)
	if key == nil || err != nil {
		return "", err
	}
	issuer := r.SigIss
	if issuer == "" {
		issuer = p.opt.SigIss
	}
	return key.Sign(issuer, time.Now().Add(grip.SigLifetime))
}

func (p *Proxy) sigKey(spec string) (*grip.SigKey, error) {
	if spec == "" {
		return p.opt.SigKey, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if key := p.keys[spec]; key != nil {
		return key, nil
	}
	key, err := parseSigKey(p.opt.Dir, spec)
	if err == nil {
		p.keys[strings.Clone(spec)] = key
	}
	return key, err
}
