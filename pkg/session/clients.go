package session

import (
	"context"
	"log/slog"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"holdfast/pkg/exchange"
	"holdfast/pkg/http1"
	"holdfast/pkg/hub"
	"holdfast/pkg/origin"
	"holdfast/pkg/publish"
	"holdfast/pkg/route"
	"holdfast/pkg/slab"
	"holdfast/pkg/sse"
	"holdfast/pkg/stats"
	"holdfast/pkg/ws"
)

// Transport is what Clients needs of the loop that carries its connections. Every call may end a connection, and then
// calls Clients.Gone before it returns.
type Transport interface {
	// Send writes b, or queues what the socket does not take.
	Send(c uint32, b []byte)
	// SendShared writes b to each of the connections. Equal keys mean equal bytes. It returns to
	// how many b was written or queued, how many of those lag now, and how many stay but were left
	// out because their queue is full.
	SendShared(key uint64, conns []uint32, b []byte) (written, behind, leftOut int)
	// Hold notes that the client only listens from now on, Release that it may ask something again.
	Hold(c uint32)
	Release(c uint32)
	// Close ends the connection at once, Reset in a way that the client takes for an error.
	Close(c uint32, why stats.CloseReason)
	Reset(c uint32, why stats.CloseReason)
	// Finish ends the connection after what was sent to it is written.
	Finish(c uint32, why stats.CloseReason)
	// Arm has Clients.Due called in d from now, once.
	Arm(c uint32, d time.Duration)
	// Quiet returns the time since something was last written to the connection.
	Quiet(c uint32) time.Duration
	// Behind reports whether something waits in the connection's queue, Queued how many bytes, Unsent how many bytes the client
	// has not acknowledged yet, with those.
	Behind(c uint32) bool
	Queued(c uint32) int
	Unsent(c uint32) int
	// Lags reports whether the connection has fallen behind lately: publishers may wait for it.
	Lags(c uint32) bool
	// WakeIn has Clients.BatchEnd called in d at the latest.
	WakeIn(d time.Duration)
	// Again has Clients.Data called once more with the bytes that it leaves.
	Again(c uint32)
	// Ended reports whether the client has shut down its side.
	Ended(c uint32) bool
	// Pause has nothing more read of the connection until Again is called.
	Pause(c uint32)
	// Await notes that an answer to the client is on its way, so that the connection outlasts the end of what the client sends,
	// until Again is called.
	Await(c uint32)
	// Peer returns the address of the connection's other end, Local that of its own.
	Peer(c uint32) netip.AddrPort
	Local(c uint32) netip.AddrPort
	// Post gives Clients.Task a task. It may be called from any goroutine.
	Post(task any)
}

// Options is what the clients of all loops have in common.
type Options struct {
	Log             *slog.Logger
	MaxHeader       int           // bytes of a request head
	HeaderTimeout   time.Duration // for the whole head
	IdleTimeout     time.Duration // between requests
	StreamKeepAlive time.Duration // between writes on a held stream
	StreamOpening   bool          // raw streams begin with an event, if the request says nothing
	WSPing          time.Duration // between writes on a WebSocket
	WSProtocols     []string      // subprotocols, the preferred one first; empty: any
	MaxMessage      int           // bytes of a message that a WebSocket client sends
	MaxChannels     int           // channels of one connection
	MaxReplay       int           // bytes of kept items that a connection gets at once

	Trouble func() string // what is wrong with pushd, or "", for /health and /ready; nil: nothing

	Origins     *origin.Rules  // of the pages that may use pushd; nil means the default rules
	Gate        *Gate          // checks tokens; nil: nobody needs one
	Addresses   Addresses      // limits the connections from one address; nil: nothing does
	Trusted     []netip.Prefix // proxies that may say for whom they speak
	Connections func() int     // of the daemon, for the demo page
	Feed        *stats.Feed    // of what happens to connections; nil: nobody can listen

	Routes  *atomic.Pointer[route.Table] // by which requests are served; nil: all directly
	Backend Backend                      // of routes that have one
	Holds   *HoldBudget                  // of the responses that backends hold
	Context context.Context              // ends what backends do

	AcceptRoute bool // a request's Pushpin-Route names the id of its route
	AcceptProto bool // every client's X-Forwarded-Proto is believed where a route is chosen
}

// Clients is the clients of one loop.
type Clients struct {
	opts    Options
	limits  http1.Limits
	t       Transport
	members *hub.Members
	stats   *stats.Loop
	loop    int // number of the loop
	births  uint16
	watch   watch

	table      slab.Table[client]    // the same numbers as the transport's connections
	readers    slab.Table[ws.Reader] // of those that are WebSockets
	asks       slab.Table[ask]       // of those whose token is being checked
	expiries   slab.Table[int64]     // Unix time at which a held one's token expires
	positions  slab.Table[uint64]    // of held polls: 1 + hub.Resumed.Had
	peers      slab.Table[peer]      // of those whose other end somebody has to know
	proxied    slab.Table[proxied]   // of those whose request a backend has
	grips      slab.Table[gripHold]  // of those that a backend holds
	ownKey     uint64                // of what was sent to one connection alone; hub's keys count from 1
	keepAlives map[keepKey]*gripKeep // their keep-alives
	draining   bool
	drained    uint32 // connections before this number have been told to go

	asked   int      // tokens that the Gate has from here
	tickets uint32   // questions so far
	queue   []uint32 // connections that wait to ask

	forms      forms
	encode     []hub.Encoder // by form
	corsFields []string      // by cors

	req          http1.Request // the request in hand
	behind       []byte        // what has come behind its head
	head         int           // bytes of its head
	body         int           // bytes of its body that are used
	query        query         // its parameters
	text         []byte        // their decoded bytes
	fixed        [][]byte      // channels of its route, whatever it names; nil: none are fixed
	cors         cors          // what its answer says to pages of other origins
	expiry       time.Time     // of its token; zero: it has none
	verdict      *verdict      // of its token; nil: it has not been checked
	forwardedFor [][]byte      // scratch: its X-Forwarded-For

	out    []byte // scratch: the answer in hand
	line   []byte // scratch: its text
	event  []byte // scratch: one encoded event
	kept   []*publish.Item
	date   []byte // Date field line of the second below
	second int64

	warned time.Time // when something was logged about a client
	unsaid int       // warnings left out since then
}

// client is one connection.
type client struct {
	subs   uint32 // its first subscription
	opened uint32 // Unix time at which it was accepted
	birth  uint16 // low bits of how many connections the loop had had then; with opened they tell it from all that had its number
	phase  phase
	form   formID // of what it gets, while it is held
}

// phase is where a connection stands.
type phase uint8

const (
	none     phase = iota // no connection has this number
	fresh                 // accepted, no part of a request has arrived
	reading               // part of a request head has arrived
	ending                // a head has arrived, and not yet the end of its empty body
	asking                // a request waits for the check of its token
	proxying              // a backend has its request
	idle                  // between two requests
	held                  // gets what is published
)

// maxPipelined is the number of requests answered for one connection before the others have their turn.
const maxPipelined = 4

// New returns the Clients of the directory's loop of that number.
func New(opts Options, t Transport, dir *hub.Directory, loop int, st *stats.Loop) *Clients {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Context == nil {
		opts.Context = context.Background()
	}
	if opts.Holds == nil {
		opts.Holds = NewHoldBudget(math.MaxInt64)
	}
	if opts.Origins == nil {
		opts.Origins = new(origin.Rules)
	}
	if opts.Feed == nil {
		opts.Feed = new(stats.Feed)
	}
	c := &Clients{ownKey: 1 << 63, loop: loop, opts: opts, t: t, stats: st, limits: http1.Limits{MaxHead: opts.MaxHeader}, corsFields: corsFields(opts.Origins)}
	c.newForms()
	c.encode = c.encoders()
	c.members = hub.NewMembers(dir, loop, c.encode, c, st)
	return c
}

// newForms makes the kinds of holds and their forms.
func (c *Clients) newForms() {
	fs, stream := &c.forms, directStream{streaming{c}}
	fs.events = fs.addStream(eventStreams{stream}, sse.KeepAlive, "")
	fs.stream = fs.addStream(rawStreams{stream}, sse.KeepAlive, streamOpen)
	fs.webSocket = fs.add(form{
		kind: sockets{c}, keepAlive: ws.AppendFrame(nil, ws.Ping, ""),
		last: ws.AppendClose(nil, ws.CodeGoingAway, ""),
	})
	fs.gripStream = fs.addStream(gripStreams{streaming{c}}, "", "")
	fs.gripFiltered = fs.addStream(gripFilteredStreams{gripStreams{streaming{c}}}, "", "")
	fs.gripResponse = fs.add(form{kind: gripResponses{c}})
	for _, fields := range c.corsFields {
		fs.polls = append(fs.polls, fs.addPolls(polls{c}, fields))
	}
}

// Open begins a connection. One that is refused is told to come back and ended.
func (c *Clients) Open(id uint32, refused bool) {
	cl := c.table.Put(id)
	c.births++
	cl.phase, cl.opened, cl.birth = fresh, uint32(time.Now().Unix()), c.births
	c.stats.Connections[stats.HTTP].Add(1)
	c.noteOpen(id, refused)
	switch {
	case refused:
		c.dismiss(id, 503, "too many connections: come back in a moment", retryField(), stats.CloseOverload)
		return
	case !c.admitAddress(id):
		c.dismiss(id, 429, tooManyFrom, retryField(), stats.CloseOverload)
		return
	}
	c.t.Arm(id, c.opts.HeaderTimeout)
}

// Data takes what a client sent: requests, until one of them is held. A held client has nothing more to say.
func (c *Clients) Data(id uint32, b []byte, seen int) (used int) {
	cl := c.table.At(id)
	switch cl.phase {
	case held:
		return c.form(cl).kind.data(id, cl, b)
	case asking:
		return 0
	case proxying:
		return c.requestBody(id, b)
	case ending:
		seen = 0 // the head comes again
	case fresh:
		n, ok := c.proxyHeader(id, cl, b)
		if !ok {
			return 0
		}
		if n > 0 {
			used, seen = n, 0
		}
	}
	for n := 0; used < len(b); n++ {
		if n == maxPipelined {
			c.t.Again(id)
			return used
		}
		m, err := c.req.Parse(b[used:], seen, c.limits)
		if err == http1.ErrShort {
			c.begun(id, cl)
			return used
		}
		if err != nil {
			c.reject(id, b[used:], err)
			return len(b)
		}
		c.head, c.body, c.behind = m, 0, b[used+m:]
		c.serve(id, cl)
		m += c.body
		switch {
		case !c.alive(id):
			return len(b)
		case cl.phase == asking, cl.phase == ending: // it comes again
			return used
		case cl.phase == proxying:
			return used + m + c.requestBody(id, b[used+m:])
		case cl.phase == held:
			return used + m + c.form(cl).kind.data(id, cl, b[used+m:])
		}
		used, seen = used+m, 0
	}
	return used
}

// begun starts the clock of a head whose first bytes have arrived. That of a new connection runs since it was accepted.
func (c *Clients) begun(id uint32, cl *client) {
	if cl.phase == idle {
		c.t.Arm(id, c.opts.HeaderTimeout)
	}
	cl.phase = reading
}

// Gone forgets a connection.
func (c *Clients) Gone(id uint32) {
	cl := c.table.At(id)
	c.members.Leave(cl.subs)
	c.stats.Connections[c.kind(cl)].Add(-1)
	if a := c.asks.Find(id); a != nil && a.state != notAsked {
		c.asks.Drop(id)
	}
	if cl.phase == held {
		c.form(cl).kind.gone(id)
	}
	c.dropPeer(id)
	c.dropProxied(id)
	c.table.Drop(id)
}

// alive reports whether a call of the transport has left the connection in place. Numbers come back at the end of a batch at
// the earliest.
func (c *Clients) alive(id uint32) bool {
	cl := c.table.Find(id)
	return cl != nil && cl.phase != none
}

// kind is what a connection counts as.
func (c *Clients) kind(cl *client) stats.Kind {
	if cl.phase != held {
		return stats.HTTP
	}
	return c.form(cl).kind.counts()
}

// Due acts on a deadline: of the head, of the next request, or of the keep-alive of a held stream.
func (c *Clients) Due(id uint32) {
	switch cl := c.table.At(id); cl.phase {
	case fresh:
		c.t.Close(id, stats.CloseTimeoutHead)
	case ending:
		text := "the end of the request's body did not arrive in " + c.opts.HeaderTimeout.String()
		c.dismiss(id, 408, text, "", stats.CloseTimeoutHead)
	case reading:
		c.dismiss(id, 408, "the request head did not arrive in "+c.opts.HeaderTimeout.String(), "", stats.CloseTimeoutHead)
	case idle:
		c.t.Close(id, stats.CloseTimeoutIdle)
	case proxying:
		c.proxyDue(id)
	case held:
		c.form(cl).kind.due(id, cl)
	}
}

// Task takes an item to deliver (*hub.Delivery), a step of the shutdown (*Drain), what the Gate says of a token, or a
// backend of a request, or what an operator wants to know.
func (c *Clients) Task(t any) {
	switch t := t.(type) {
	case *hub.Delivery:
		c.members.Add(t)
	case *Drain:
		c.drain(t)
	case *verdict:
		c.answerAsk(t)
	case *exchange.Event:
		c.backendSays(t)
	case inquiry:
		t.run(c)
	}
}

// BatchEnd does the next slice of delivering, and has the next ask for their tokens.
func (c *Clients) BatchEnd() (more bool) {
	now := time.Now()
	more, wait := c.members.Step(now)
	if wait > 0 {
		c.t.WakeIn(wait)
	}
	more = c.callUp() || more
	c.flushEvents(now)
	return more
}

// Drained tells the hub that a connection has taken all that was sent to it.
func (c *Clients) Drained(id uint32) {
	cl := c.table.At(id)
	switch cl.phase {
	case proxying:
		c.answerTaken(id)
	case idle: // see goOnAfter
		c.t.Again(id)
	}
	c.members.CaughtUp(cl.subs)
}

// Deliver writes the encoded items to the connections: the hub decides, the transport writes.
func (c *Clients) Deliver(key uint64, conns []uint32, b []byte, items int) (handed, behind int) {
	for len(conns) > 0 && !c.alive(conns[0]) { // ended since the hub has gathered them
		conns = conns[1:]
	}
	if len(conns) == 0 {
		return 0, 0
	}
	return c.form(c.table.At(conns[0])).kind.hand(key, conns, b, items)
}

// End ends the holds of connections that have their answer, or because an item says so.
func (c *Clients) End(conns []uint32) {
	for _, id := range conns {
		if c.alive(id) { // Deliver may have ended it
			cl := c.table.At(id)
			c.form(cl).kind.end(id, cl, stats.CloseAction)
		}
	}
}

// Drain is a step of the shutdown. The daemon posts one for each of a number of equal periods.
type Drain struct {
	Left int // steps left, this one included
}

// minDrain is the number of connections that a step ends at least: a few connections need not take the whole time.
const minDrain = 8

// drainGrace is the time that a new connection has for its request when the shutdown begins. It may have waited to be
// accepted with its request sent: closed at once it would be reset.
const drainGrace = time.Second

// drain ends this step's share of the connections: those between requests at once, those being read never, since they
// get their answer and are ended then.
func (c *Clients) drain(d *Drain) {
	if !c.draining {
		c.draining = true
		for id, cl := range c.table.From(0) {
			switch cl.phase {
			case idle:
				c.t.Close(id, stats.CloseDrain)
			case fresh:
				c.t.Arm(id, min(drainGrace, c.opts.HeaderTimeout))
			}
		}
	}
	share := max(minDrain, (c.table.Len()+d.Left-1)/max(d.Left, 1))
	for id, cl := range c.table.From(c.drained) {
		if share == 0 {
			return
		}
		c.drained = id
		if cl.phase != held {
			continue
		}
		share--
		c.form(cl).kind.drain(id, cl)
	}
}
