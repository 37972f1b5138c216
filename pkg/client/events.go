package client

import (
	"context"
	"fmt"

	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

// maxUnread is the number of events that wait for the caller of Events here. What comes then is lost, and counted.
const maxUnread = 8 << 10

// feed is a subscription to events. The Conn's mutex guards it.
type feed struct {
	batch stats.EventBatch // not yet handed over
	some  chan struct{}    // holds a token when there is something in batch, or the subscription has begun
}

// Events subscribes to events and calls f with them as they come, on the caller's goroutine, until
// ctx ends, f returns an error or the connection ends; it returns that error, or nil when ctx was
// ended. The first call tells that the subscription has begun, mostly with an empty batch. When f
// takes too long, events are lost, and the next batch says how many. A Conn has one subscription to
// events at a time: a later Events takes the place of an earlier one, whose ctx the caller ends
// first.
func (c *Conn) Events(ctx context.Context, filter stats.EventFilter, f func(*stats.EventBatch) error) error {
	fd := &feed{some: make(chan struct{}, 1)}
	id, failed, err := c.follow(ctx, fd, filter)
	if err != nil {
		return ended(ctx, err)
	}
	defer c.unfollow(id)
	for {
		select {
		case <-fd.some:
		case r := <-failed:
			return r.err
		case <-c.ended:
			return c.Err()
		case <-ctx.Done():
			return ended(ctx, ctx.Err())
		}
		c.mu.Lock()
		batch := fd.batch
		fd.batch = stats.EventBatch{}
		c.mu.Unlock()
		if err := f(&batch); err != nil {
			return err
		}
	}
}

func (c *Conn) follow(ctx context.Context, fd *feed, filter stats.EventFilter) (
	id uint64, failed chan reply, err error) {
	id, failed, err = c.call(ctx, func(dst []byte, id uint64) []byte {
		if c.feeds == nil {
			c.feeds = map[uint64]*feed{}
		}
		c.feeds[id] = fd // call holds the mutex
		return wire.AppendCold(dst, wire.TypeEventsSubscribe, &wire.EventsSubscribe{ID: id, Filter: filter})
	})
	return id, failed, err
}

// unfollow ends a subscription on the server and here.
func (c *Conn) unfollow(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
	delete(c.feeds, id)
	if c.err == nil {
		c.send(func(dst []byte, id uint64) []byte {
			return wire.AppendCold(dst, wire.TypeEventsSubscribe, &wire.EventsSubscribe{ID: id, End: true})
		}, id)
	}
}

// handleEvents gives events to the subscription that waits for them.
func (c *Conn) handleEvents(m wire.Message) error {
	var ev wire.Events
	if err := wire.ParseCold(m, &ev); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fd := c.feeds[ev.ID]
	if fd == nil {
		return nil
	}
	b := &fd.batch
	b.Lost += ev.Batch.Lost
	b.Skipped += ev.Batch.Skipped
	room := min(len(ev.Batch.Events), maxUnread-len(b.Events))
	b.Events = append(b.Events, ev.Batch.Events[:room]...)
	b.Lost += uint64(len(ev.Batch.Events) - room)
	select {
	case fd.some <- struct{}{}:
	default:
	}
	return nil
}
