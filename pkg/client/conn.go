package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"holdfast/pkg/wire"
)

// ErrClosed is returned for everything on a Conn after its Close.
var ErrClosed = errors.New("client: connection closed")

// lastWords is how long a Conn whose writes fail still listens for the server's reason.
const lastWords = time.Second

// callBit is set in the ids of requests other than publishes, so that they never meet those of items.
const callBit = 1 << 63

// Conn is a connection to a pushd. Its methods may be called from any goroutine. It owns two goroutines, a reader and
// a writer, which Close waits for.
type Conn struct {
	nc     net.Conn
	frames *wire.Reader // used by the reader only
	server wire.Hello
	wg     sync.WaitGroup

	acks  []wire.Ack // scratch of the reader
	slots []slot     // scratch of the reader: slots[i] is that of acks[i]

	mu       sync.Mutex
	out      outbox
	idle     bool       // the writer waits on work
	work     *sync.Cond // out is no longer empty, or err is set
	room     *sync.Cond // items were acknowledged, or err is set
	waiters  int        // goroutines that wait on room
	flight   flight
	calls    map[uint64]chan reply // requests other than publishes that are under way
	feeds    map[uint64]*feed      // subscriptions to events
	lastCall uint64
	err      error         // why the connection has ended
	ended    chan struct{} // closed when err is set
	writeErr error         // what the writer ended with, unless the server says something better
}

func newConn(nc net.Conn, frames *wire.Reader, server wire.Hello) *Conn {
	c := &Conn{nc: nc, frames: frames, server: server, ended: make(chan struct{}), calls: make(map[uint64]chan reply)}
	frames.SetMax(max(wire.MaxFrame, server.MaxFrame))
	c.out.max = server.MaxFrame
	c.flight.first, c.flight.next = 1, 1
	c.work = sync.NewCond(&c.mu)
	c.room = sync.NewCond(&c.mu)
	return c
}

func (c *Conn) start() {
	c.wg.Go(c.read)
	c.wg.Go(c.write)
}

// Server is what the server said about itself: program, pid, limits.
func (c *Conn) Server() wire.Hello { return c.server }

// Close ends the connection and its goroutines. What is not acknowledged by then may or may not have been published.
// It must not be called from an OnAck.
func (c *Conn) Close() error {
	c.fail(ErrClosed)
	c.wg.Wait()
	return nil
}

// Err is why the connection has ended, or nil.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// fail ends the connection with err, unless it has ended before.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = err
		close(c.ended)
		c.work.Broadcast()
		c.room.Broadcast()
	}
	c.mu.Unlock()
	if first {
		c.nc.Close()
	}
}

// wake makes the writer look at the outbox. The mutex is held.
func (c *Conn) wake() {
	if c.idle {
		c.idle = false
		c.work.Signal()
	}
}

// write sends what waits in the outbox, as much at a time as there is.
func (c *Conn) write() {
	var spare []byte
	for {
		c.mu.Lock()
		for len(c.out.buf) == 0 && c.err == nil {
			c.idle = true
			c.work.Wait()
		}
		buf := c.out.take(spare)
		err := c.err
		c.mu.Unlock()
		if err != nil {
			return
		}
		if _, err := c.nc.Write(buf); err != nil {
			c.mu.Lock()
			c.writeErr = fmt.Errorf("write to pushd: %w", reason(err))
			c.mu.Unlock()
			c.nc.SetReadDeadline(time.Now().Add(lastWords)) //nolint:errcheck // fails only when closed
			return
		}
		spare = buf
	}
}

// read handles what the server sends until the connection ends.
func (c *Conn) read() {
	for {
		payload, err := c.frames.Next()
		if err == nil {
			err = c.handle(payload)
		} else {
			err = c.readError(err)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

func (c *Conn) readError(err error) error {
	c.mu.Lock()
	writeErr := c.writeErr
	c.mu.Unlock()
	switch {
	case writeErr != nil:
		return writeErr
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("pushd closed the connection: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("read from pushd: %w", reason(err))
}

// handle acts on one message. Its error ends the connection.
func (c *Conn) handle(payload []byte) error {
	m, err := wire.ParseMessage(payload)
	if err != nil {
		return fmt.Errorf("read from pushd: %w", err)
	}
	switch m.Type {
	case wire.TypeAckBatch:
		return c.handleAcks(m)
	case wire.TypeStatsSnapshot:
		return c.handleSnapshot(m)
	case wire.TypeError:
		return c.handleFailure(m)
	case wire.TypeEvents:
		return c.handleEvents(m)
	case wire.TypeConnections, wire.TypeChannels, wire.TypeRoutes, wire.TypeClosed:
		return c.handleAnswer(m)
	}
	return nil // something newer than this client
}

// handleAcks tells the publishers. Room in their windows and the end of Flush come after OnAck has returned.
func (c *Conn) handleAcks(m wire.Message) error {
	var err error
	c.acks, err = m.Acks(c.acks[:0])
	if err != nil {
		return fmt.Errorf("read acks: %w", err)
	}
	c.slots = c.slots[:0]
	c.mu.Lock()
	for i := range c.acks {
		s, ok := c.flight.take(c.acks[i].ID)
		if !ok {
			c.mu.Unlock()
			return fmt.Errorf("read acks: pushd acknowledges item %d, which does not wait", c.acks[i].ID)
		}
		c.slots = append(c.slots, s)
	}
	c.mu.Unlock()

	for i, s := range c.slots {
		if s.pub.o.OnAck != nil {
			s.pub.o.OnAck(s.seq, c.acks[i])
		}
	}

	c.mu.Lock()
	for _, s := range c.slots {
		s.pub.items--
		s.pub.bytes -= s.size
	}
	if c.waiters > 0 {
		c.room.Broadcast()
	}
	c.mu.Unlock()
	clear(c.slots)
	return nil
}

// handleFailure ends the request that an error frame names, or the connection.
func (c *Conn) handleFailure(m wire.Message) error {
	var f wire.Failure
	if err := wire.ParseCold(m, &f); err != nil {
		return fmt.Errorf("read error frame: %w", err)
	}
	if f.Fatal || f.ID == 0 {
		return fmt.Errorf("pushd: %w", f.Err())
	}
	c.reply(f.ID, reply{err: fmt.Errorf("pushd: %w", f.Err())})
	return nil
}
