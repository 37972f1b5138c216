package client

import (
	"context"
	"errors"

	"holdfast/pkg/publish"
	"holdfast/pkg/wire"
)

// Defaults of a Publisher's window.
const (
	DefaultWindowBytes = 1 << 20
	DefaultWindowItems = 16 << 10
)

// maxSpan bounds the ring of items under way, in ids, when one of them stays without ack and later ones do not.
const maxSpan = 1 << 18

// PublisherOptions is what a Publisher may be told. The zero value will do.
type PublisherOptions struct {
	WindowBytes  int  // bytes on the wire that may be unacknowledged; 0 means DefaultWindowBytes
	WindowItems  int  // items that may be unacknowledged; 0 means DefaultWindowItems
	AcceptedOnly bool // acks do not wait for the receivers, and do not count them

	// OnAck is called for every item with its ack, on the Conn's reader goroutine: it must return soon, and must not call
	// Publish, Flush or Close. It is not called for items whose fate is unknown because the connection ended.
	OnAck func(seq uint64, a wire.Ack)
}

// Publisher publishes items without waiting for each. Its methods may be called from any goroutine; several
// Publishers of one Conn share its connection.
type Publisher struct {
	c     *Conn
	o     PublisherOptions
	flags wire.Flags

	// Guarded by c.mu.
	seq    uint64 // of the last item
	items  int    // unacknowledged
	bytes  int    // of these items on the wire
	closed bool
}

// Publisher returns a new Publisher on the connection.
func (c *Conn) Publisher(o PublisherOptions) *Publisher {
	if o.WindowBytes <= 0 {
		o.WindowBytes = DefaultWindowBytes
	}
	if o.WindowItems <= 0 {
		o.WindowItems = DefaultWindowItems
	}
	p := &Publisher{c: c, o: o}
	if o.AcceptedOnly {
		p.flags = wire.AcceptedOnly
	}
	return p
}

// Publish hands one item over and returns its number: the first item of a Publisher has 1, each later one the next.
//
// The item is encoded before Publish returns, so the caller may change it then. It is sent as soon as the connection
// takes it, together with whatever else waits. Publish blocks only while the window is full, and then ctx ends it. An
// item that is too large for the server is a *wire.Error of code ItemTooLarge, and takes no number; any other error is the
// end of the connection or of ctx.
func (p *Publisher) Publish(ctx context.Context, it *publish.Item) (seq uint64, err error) {
	c := p.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.full() {
		if err := c.wait(ctx, func() bool { return !p.full() || p.closed }); err != nil {
			return 0, err
		}
	}
	if c.err != nil {
		return 0, c.err
	}
	if p.closed {
		return 0, ErrClosed
	}
	size, err := c.out.item(c.flight.next, p.flags, it)
	if err != nil {
		return 0, err
	}
	p.seq++
	p.items++
	p.bytes += size
	c.flight.add(slot{pub: p, seq: p.seq, size: size})
	c.wake()
	return p.seq, nil
}

// full reports whether the next item has to wait. The mutex is held.
func (p *Publisher) full() bool {
	return p.bytes >= p.o.WindowBytes || p.items >= p.o.WindowItems || p.c.flight.span() >= maxSpan
}

// wait blocks until ready returns true, ctx ends or the connection does. The mutex is held, except while waiting.
func (c *Conn) wait(ctx context.Context, ready func() bool) error {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.room.Broadcast()
	})
	defer stop()
	c.waiters++
	defer func() { c.waiters-- }()
	for !ready() {
		if c.err != nil {
			return c.err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		c.room.Wait()
	}
	return nil
}

// Flush waits until every item of this Publisher is acknowledged and its OnAck has returned.
func (p *Publisher) Flush(ctx context.Context) error {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return p.c.wait(ctx, func() bool { return p.items == 0 })
}

// Pending is the number of items that are not acknowledged.
func (p *Publisher) Pending() int {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return p.items
}

// Close makes every further Publish, and those that wait for the window, return ErrClosed. It waits for nothing: call
// Flush before it. Acks that are still under way go to OnAck.
func (p *Publisher) Close() error {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.closed = true
	p.c.room.Broadcast()
	return nil
}

// Publish publishes the items in their order and waits for all acks, which it returns in the same order. An item that is
// refused has its reason in its ack; the error is about the connection or ctx, and then the fate of the items is unknown.
func (c *Conn) Publish(ctx context.Context, items []publish.Item) ([]wire.Ack, error) {
	bySeq := make([]wire.Ack, len(items)) // the ack of sequence number n at n-1; written by the reader until Flush returns
	p := c.Publisher(PublisherOptions{OnAck: func(seq uint64, a wire.Ack) { bySeq[seq-1] = a }})
	acks := make([]wire.Ack, len(items))
	for i := range items {
		_, err := p.Publish(ctx, &items[i])
		if refusal, ok := errors.AsType[*wire.Error](err); ok && refusal.Code == wire.ItemTooLarge {
			acks[i].Err = refusal
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	if err := p.Flush(ctx); err != nil {
		return nil, err
	}
	n := 0
	for i := range acks {
		if acks[i].Err == nil {
			acks[i] = bySeq[n]
			n++
		}
	}
	return acks, nil
}
