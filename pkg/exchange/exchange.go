// Package exchange is a request between the loop that took it from a client and the backend side that answers it: its head, its
// body upwards and the answer downwards, each with a bound on what is under way, and how it ends.
//
// The loop's side never waits; the backend side is a goroutine that may. What the backend side says arrives at the loop as
// Events, in order, through its mailbox.
package exchange

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"sync"

	"holdfast/pkg/grip"
)

// MaxWrite is the size of the largest piece of an answer's body. maxPieces of them may be on their way to the client: one fits into
// any queue, however small --max-queued is.
const (
	MaxWrite  = 32 << 10
	maxPieces = 1
)

// ErrClientGone ends the backend side's work: the client has left.
var ErrClientGone = errors.New("exchange: the client is gone")

// Request is what the client asked. It is a copy that nobody changes.
type Request struct {
	Method string
	Target string // path and query, as received; "*" in asterisk-form
	Host   string // host and port that were asked for
	Minor  int    // of HTTP/1.x
	Fields []Field
	Length int64      // bytes of the body: 0 without one, -1 when it ends by itself (chunked)
	Peer   netip.Addr // the client's address, as trusted proxies have it
	Secure bool       // the client's connection is encrypted
}

// Head is the head of an answer. Framing fields are left to the loop; none is among Fields.
type Head struct {
	Status int    // 200 to 999
	Reason string // "" for the usual one
	Fields []Field
	// Length is that of the body, -1 when it ends by itself. The answer to a HEAD request, and one of 204 or 304, have no body
	// whatever it says: it is then what a Content-Length may say, -1 for none.
	Length int64
	// Closes says that the connection ends with the answer, because it is held after its first
	// body.
	Closes bool
}

// Loop takes events to a loop. Post never waits.
type Loop interface{ Post(task any) }

// Kind says what an Event is about.
type Kind uint8

// The kinds. Room may come at any time, even last. The others are Begin, any number of Bodies, and End, Cut or Hold; or a single
// Answer, Hold or Cut. An abandoned exchange may break off this order at any point.
const (
	Room   Kind = iota // the request's body has room again: Push goes on
	Begin              // the answer begins: Head
	Body               // Data is a piece of its body; the loop calls Took when it is written
	End                // it is complete
	Cut                // it breaks off: the client has to see that
	Answer             // Head and Data are the whole answer; Data is empty for a HEAD request
	Hold               // the connection is held: Plan says how
)

// Event is a task for the loop that Exchange.Conn belongs to. The loop owns what it points to, Data only until Took.
type Event struct {
	X    *Exchange
	Kind Kind
	Head *Head
	Data []byte
	Plan *Plan
}

// Exchange is one request and its answer.
type Exchange struct {
	Request Request
	Conn    uint32        // the loop's number of the client's connection
	Ticket  uint32        // tells this exchange from others of that number
	Route   any           // by which it goes, for the backend side
	Last    []grip.LastID // what the client has seen of its channels, when a held request is sent again

	loop   Loop
	ctx    context.Context
	cancel context.CancelCauseFunc
	pieces chan []byte // on their way down

	body upload
}

// New returns the exchange of a request. ctx ends all exchanges of the daemon.
func New(ctx context.Context, loop Loop, conn, ticket uint32, r Request) *Exchange {
	x := &Exchange{Request: r, Conn: conn, Ticket: ticket, loop: loop, pieces: make(chan []byte, maxPieces)}
	x.body.more.L = &x.body.mu
	x.ctx, x.cancel = context.WithCancelCause(ctx)
	if r.Length == 0 {
		x.body.err = io.EOF
	}
	return x
}

// Repeat returns an exchange in which a held request is sent again, with its body; last is what its client has seen since.
func (p *Plan) Repeat(ctx context.Context, loop Loop, conn, ticket uint32, last []grip.LastID) *Exchange {
	x := New(ctx, loop, conn, ticket, p.Again.Request)
	x.Route, x.Last = p.Route, last
	x.body.kept, x.body.read, x.body.err = p.Again.Body, int64(len(p.Again.Body)), io.EOF
	return x
}

// requestBytes is about what an exchange takes besides its strings and its body.
const requestBytes = 1 << 10

// Bytes is about what the exchange may take while the backend side has not begun with it.
func (x *Exchange) Bytes() int64 {
	r := &x.Request
	n := int64(requestBytes + len(r.Target) + len(r.Host))
	for _, f := range r.Fields {
		n += int64(len(f.Name) + len(f.Value) + 32)
	}
	if r.Length < 0 || r.Length > maxUp {
		return n + maxUp
	}
	return n + r.Length
}

// The loop's side.

// Room returns how many bytes Push would take now. When that is none, an Event Room comes once there is some.
func (x *Exchange) Room() int { return x.body.room() }

// Push hands over bytes of the request's body, of which it copies as many as there is room for. When that is fewer than all, an
// Event Room comes once there is more. Of a request whose answer is complete the body is thrown away.
func (x *Exchange) Push(b []byte) (n int) { return x.body.push(b) }

// PushEnd ends the request's body: with nil because it is complete, or with what is wrong with it.
func (x *Exchange) PushEnd(err error) {
	if err == nil {
		err = io.EOF
	}
	x.body.end(err)
}

// Took says that the data of the oldest Body event is written and that the loop has let go of it, so that the next may come. Its
// memory is used again.
func (x *Exchange) Took() {
	select {
	case b := <-x.pieces:
		Recycle(b)
	default:
		panic("exchange: Took without a Body")
	}
}

// Abandon ends the backend side's work, because the client is gone or nobody wants the answer any more. It may be called after
// the end as well.
func (x *Exchange) Abandon() {
	x.cancel(ErrClientGone)
	x.body.end(ErrClientGone)
}

// The backend side.

// Context ends when nobody wants the answer any more.
func (x *Exchange) Context() context.Context { return x.ctx }

// Begin begins the answer, whose body follows by Write.
func (x *Exchange) Begin(h *Head) { x.loop.Post(&Event{X: x, Kind: Begin, Head: h}) }

// Write sends a piece of the answer's body, of at most MaxWrite bytes, which then belongs to the loop. It waits while too much is on
// its way to the client.
func (x *Exchange) Write(b []byte) error {
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	select {
	case x.pieces <- b:
	case <-x.ctx.Done():
		return context.Cause(x.ctx)
	}
	x.loop.Post(&Event{X: x, Kind: Body, Data: b})
	return nil
}

// End ends the answer: complete, or cut off.
func (x *Exchange) End(complete bool) {
	kind := Cut
	if complete {
		kind = End
	}
	x.loop.Post(&Event{X: x, Kind: kind})
}

// Answer is the whole answer at once.
func (x *Exchange) Answer(h *Head, body []byte) {
	x.loop.Post(&Event{X: x, Kind: Answer, Head: h, Data: body})
}

// Hold has the loop hold the connection as p says.
func (x *Exchange) Hold(p *Plan) { x.loop.Post(&Event{X: x, Kind: Hold, Plan: p}) }

// Done frees what the exchange holds, after its last event. What still comes of the request's body is thrown away.
func (x *Exchange) Done() {
	x.cancel(nil)
	if x.body.discard() {
		x.loop.Post(&Event{X: x, Kind: Room})
	}
}

var buffers = sync.Pool{New: func() any { return new([MaxWrite]byte) }}

// Buffer returns memory for a piece, MaxWrite bytes. It need not be given back.
func Buffer() []byte { return buffers.Get().(*[MaxWrite]byte)[:] }

// Recycle gives back what Buffer returned, whatever its length is now. Other memory is left to the collector.
func Recycle(b []byte) {
	if cap(b) == MaxWrite {
		buffers.Put((*[MaxWrite]byte)(b[:MaxWrite]))
	}
}
