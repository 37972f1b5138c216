package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

// reply is the server's answer to a request.
type reply struct {
	body any // pointer to what the answer holds
	err  error
}

// Stats asks for one snapshot.
func (c *Conn) Stats(ctx context.Context) (*stats.Snapshot, error) {
	id, replies, err := c.call(ctx, func(dst []byte, id uint64) []byte {
		return wire.AppendCold(dst, wire.TypeStatsRequest, &wire.Request{ID: id})
	})
	if err != nil {
		return nil, err
	}
	defer c.forget(id)
	return await[stats.Snapshot](ctx, c, replies)
}

// Watch subscribes to snapshots and calls f with each, on the caller's goroutine, until ctx ends, f
// returns an error or the connection ends; it returns that error, or nil when ctx was ended. The
// first snapshot comes at once. When f takes longer than interval, snapshots in between are left
// out. A Conn has one subscription to snapshots at a time: a later Watch takes the place of an
// earlier one, whose ctx the caller ends first.
func (c *Conn) Watch(ctx context.Context, interval time.Duration, f func(*stats.Snapshot) error) error {
	ms := max(1, interval.Milliseconds())
	id, replies, err := c.call(ctx, func(dst []byte, id uint64) []byte {
		return wire.AppendCold(dst, wire.TypeStatsSubscribe, &wire.Subscribe{ID: id, IntervalMS: ms})
	})
	if err != nil {
		return ended(ctx, err)
	}
	defer c.unsubscribe(id)
	for {
		s, err := await[stats.Snapshot](ctx, c, replies)
		if err != nil {
			return ended(ctx, err)
		}
		if err := f(s); err != nil {
			return err
		}
	}
}

// ended is the error that a subscription ends with: nil when its caller ended ctx, else err.
func ended(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	return err
}

// call sends a request and registers it under a new id. Its replies channel holds one, the latest.
// With an ended ctx nothing is sent. That is decided under the mutex: a subscription whose ctx was
// ended before the next one was begun on another goroutine never takes that one's place.
func (c *Conn) call(ctx context.Context, request func(dst []byte, id uint64) []byte) (
	id uint64, replies chan reply, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, nil, c.err
	}
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	c.lastCall++
	id = c.lastCall | callBit
	replies = make(chan reply, 1)
	c.calls[id] = replies
	c.send(request, id)
	return id, replies, nil
}

// send appends a message that is no publish. The mutex is held.
func (c *Conn) send(message func(dst []byte, id uint64) []byte, id uint64) {
	c.out.finish()
	c.out.buf = message(c.out.buf, id)
	c.wake()
}

// unsubscribe ends a subscription on the server and here.
func (c *Conn) unsubscribe(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
	if c.err == nil {
		c.send(func(dst []byte, id uint64) []byte {
			return wire.AppendCold(dst, wire.TypeStatsSubscribe, &wire.Subscribe{ID: id})
		}, id)
	}
}

func (c *Conn) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
}

// await waits for the answer to a request, of which T is the kind.
func await[T any](ctx context.Context, c *Conn, replies chan reply) (*T, error) {
	select {
	case r := <-replies:
		if r.err != nil {
			return nil, r.err
		}
		body, ok := r.body.(*T)
		if !ok {
			return nil, fmt.Errorf("pushd answers with %T where %T was asked for", r.body, body)
		}
		return body, nil
	case <-c.ended:
		return nil, c.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// handleSnapshot gives a snapshot to the request that waits for it. One for which nobody waits any more is dropped.
func (c *Conn) handleSnapshot(m wire.Message) error {
	var s wire.Snapshot
	if err := wire.ParseCold(m, &s); err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	c.reply(s.ID, reply{body: &s.Snapshot})
	return nil
}

// reply passes r on to the request with this id, in place of an older one that was not yet taken. Only the reader calls it,
// so there is room after the older one was removed.
func (c *Conn) reply(id uint64, r reply) {
	c.mu.Lock()
	replies := c.calls[id]
	c.mu.Unlock()
	if replies == nil {
		return
	}
	select {
	case <-replies:
	default:
	}
	replies <- r
}
