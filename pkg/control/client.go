package control

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/pkg/wire"
)

// Bounds of one client. At any of them its reader waits, and the client feels it.
const (
	maxPendingItems = 8 << 10  // items whose ack was not sent
	maxPendingBytes = 4 << 20  // bytes of items whose fate is not known, and of what is kept about them
	maxPendingCold  = 64 << 10 // bytes of answers other than acks that were not sent
)

// client is one connection of the control socket. serve is its reader and the owner of its writer goroutine.
type client struct {
	s      *Server
	nc     net.Conn
	frames *wire.Reader   // the reader's
	batch  *batch         // the reader's: items not yet handed over; nil when there are none
	asks   sync.WaitGroup // goroutines that serve the client's inspections

	statsID  uint64 // the reader's: id of the latest subscription to statistics
	eventsID uint64 // the reader's: id of the latest subscription to events

	pendingItems atomic.Int64
	pendingBytes atomic.Int64
	pendingCold  atomic.Int64
	pendingAsks  atomic.Int64  // inspections that are not answered
	room         chan struct{} // holds one token when a pending count has fallen
	work         chan struct{} // holds one token when the writer has something to look at
	gone         chan struct{} // closed when the writer has ended

	mu     sync.Mutex
	acks   []wire.Ack      // not yet sent; bounded by maxPendingItems
	cold   []byte          // frames not yet sent; bounded by maxPendingCold and one answer
	sub    *wire.Subscribe // a change of the subscription that the writer has not seen
	listen *listening      // the same, of that to events
	ending *ending         // set once, by the reader
}

// ending is how a connection ends: acks are sent as long as linger, or all of them when it is negative; then the failure.
type ending struct {
	linger  time.Duration
	failure *wire.Failure // nil for a client that has left
}

func newClient(s *Server, nc net.Conn) *client {
	return &client{s: s, nc: nc, room: make(chan struct{}, 1), work: make(chan struct{}, 1), gone: make(chan struct{})}
}

// serve talks to the client until it leaves, misbehaves or ctx ends.
func (c *client) serve(ctx context.Context) {
	defer c.nc.Close()
	stop := context.AfterFunc(ctx, func() { // wakes reader and writer
		c.setReadDeadline(ctx, time.Time{})
		c.setWriteDeadline(ctx)
	})
	defer stop()
	r := &timedReader{ctx: ctx, c: c}
	c.frames = wire.NewReader(r, c.s.o.MaxFrame)
	hello, err := c.greet(ctx)
	var writer sync.WaitGroup
	writer.Go(func() { c.write(ctx) })
	asking, cancel := context.WithCancel(ctx)
	log := c.s.log.With(slog.String("program", hello.Program), slog.String("role", string(hello.Role)))
	if err == nil {
		log.LogAttrs(ctx, slog.LevelDebug, "control client connected")
		r.greeted = true
		err = c.read(asking)
	}
	log.LogAttrs(ctx, slog.LevelDebug, "control client ends", slog.Any("err", err))
	c.end(endingFor(ctx, err))
	writer.Wait()
	cancel() // nobody is there to answer
	c.asks.Wait()
	c.stopListening()
}

// greet exchanges hellos. The server's answer is queued: its hello, or the magic in front of an error frame to come.
func (c *client) greet(ctx context.Context) (wire.Hello, error) {
	c.setReadDeadline(ctx, time.Now().Add(helloTimeout))
	hello, err := wire.ReadHello(c.frames)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = wire.Errorf(wire.Timeout, "no hello within %v", helloTimeout)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = wire.Errorf(wire.BadHello, "the connection ended within the hello")
	case err == nil && hello.Version < wire.Version:
		err = wire.Errorf(wire.VersionUnsupported, "version %d is not spoken, only %d", hello.Version, wire.Version)
	}
	if err != nil {
		c.send([]byte(wire.Magic))
		return hello, err
	}
	c.send(c.s.hello)
	return hello, nil
}

// endingFor chooses how to end after the reader's error; nil is a client that has sent everything.
func endingFor(ctx context.Context, err error) ending {
	var failure *wire.Error
	switch {
	case ctx.Err() != nil:
		return ending{lingerTime, &wire.Failure{Code: wire.ShuttingDown, Text: "the server ends", Fatal: true}}
	case err == nil:
		return ending{linger: -1}
	case errors.As(err, &failure):
		return ending{lingerTime, &wire.Failure{Code: failure.Code, Text: failure.Text, Fatal: true}}
	}
	return ending{} // the connection is broken
}

// timedReader is the client's connection with a bound on the time that an unfinished frame may take.
type timedReader struct {
	ctx     context.Context // of the serve that made it
	c       *client
	greeted bool // the hello, which has a deadline of its own, is over
}

// Read sets the deadline by what was read before.
func (r *timedReader) Read(p []byte) (int, error) {
	c := r.c
	if r.greeted {
		var deadline time.Time
		if c.frames.Buffered() > 0 {
			deadline = time.Now().Add(frameTimeout)
		}
		c.setReadDeadline(r.ctx, deadline)
	}
	return c.nc.Read(p)
}

// setReadDeadline sets the deadline of the next read; once the server ends it is always over.
func (c *client) setReadDeadline(ctx context.Context, t time.Time) {
	c.nc.SetReadDeadline(t) //nolint:errcheck // fails only when closed
	if ctx.Err() != nil {
		c.nc.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // fails only when closed
	}
}

// setWriteDeadline bounds the next write.
func (c *client) setWriteDeadline(ctx context.Context) {
	c.nc.SetWriteDeadline(time.Now().Add(writeTimeout)) //nolint:errcheck // fails only when closed
	if ctx.Err() != nil {
		c.nc.SetWriteDeadline(time.Now().Add(lingerTime)) //nolint:errcheck // fails only when closed
	}
}
