package control

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"holdfast/pkg/publish"
	"holdfast/pkg/wire"
)

// maxErrorText bounds the text of an item's error, in bytes, so that many of them fit a frame.
const maxErrorText = 256

// read handles the client's messages until the client leaves (nil), misbehaves (*wire.Error), or the connection or ctx ends.
// What was read of whole messages is handed over in any case.
func (c *client) read(ctx context.Context) error {
	for {
		if !c.frames.Ready() { // the next frame has to be waited for, and what came so far must not wait for it
			c.handOver(ctx)
		}
		payload, err := c.frames.Next()
		if err == nil {
			err = c.handle(ctx, payload)
		}
		if err != nil {
			c.handOver(ctx)
			return readError(err)
		}
	}
}

// readError tells the client's faults from those of the connection.
func readError(err error) error {
	switch {
	case err == io.EOF:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return wire.Errorf(wire.BadFrame, "the connection ended within a frame")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return wire.Errorf(wire.Timeout, "the rest of a frame did not come within %v", frameTimeout)
	}
	return err
}

// handle acts on one message. Its error ends the connection.
func (c *client) handle(ctx context.Context, payload []byte) error {
	m, err := wire.ParseMessage(payload)
	if err != nil {
		return err
	}
	err = c.handleMessage(ctx, m, len(payload))
	if refusal, ok := errors.AsType[*wire.Error](err); ok && refusal.Code == wire.BadRequest {
		id, err := m.RequestID()
		c.sendError(id, refusal)
		return err
	}
	return err
}

func (c *client) handleMessage(ctx context.Context, m wire.Message, size int) error {
	if m.Type == wire.TypePublish || m.Type == wire.TypePublishBatch {
		return c.handlePublish(ctx, m, size)
	}
	c.handOver(ctx)
	if err := c.waitForRoom(ctx); err != nil {
		return err
	}
	switch m.Type {
	case wire.TypePing:
		var r wire.Request
		if err := wire.ParseCold(m, &r); err != nil {
			return err
		}
		c.send(wire.AppendCold(nil, wire.TypePong, &r))
		return nil
	case wire.TypeStatsRequest:
		return c.handleStats(m)
	case wire.TypeStatsSubscribe:
		return c.handleSubscribe(m)
	case wire.TypeConnectionsRequest, wire.TypeChannelsRequest, wire.TypeRoutesRequest, wire.TypeCloseRequest:
		return c.handleInspection(ctx, m)
	case wire.TypeEventsSubscribe:
		return c.handleEvents(ctx, m)
	}
	id, err := m.RequestID()
	if err != nil {
		return err
	}
	c.sendError(id, wire.Errorf(wire.UnknownMessage, "a message of type %d", m.Type))
	return nil
}

// handlePublish moves the items of a message to the batch, which is handed over whenever it is full.
func (c *client) handlePublish(ctx context.Context, m wire.Message, frameBytes int) error {
	items, err := m.Items()
	if err != nil {
		return err
	}
	for items.Left() > 0 {
		if c.batch != nil && (c.batch.full() || c.batch.flags != items.Flags) {
			c.handOver(ctx)
		}
		if err := c.waitForRoom(ctx); err != nil {
			return err
		}
		if c.batch == nil {
			each := max(1, frameBytes/items.Left()) // what is read and not yet parsed is probably like this frame
			c.startBatch(items.Flags, items.Left()+c.frames.Buffered()/each)
		}
		it := c.batch.next()
		id, size, err := items.Next(it)
		if err == nil {
			err = c.check(it)
		}
		if err != nil {
			refusal := refusalFor(err)
			if refusal.Code == wire.BadFrame {
				return refusal
			}
			c.refuse(id, refusal)
			continue
		}
		c.batch.take(id, size)
		c.pendingItems.Add(1)
		c.pendingBytes.Add(int64(size))
	}
	return items.End()
}

func (c *client) startBatch(flags wire.Flags, items int) {
	c.batch = newBatch(c, flags, items)
	c.pendingBytes.Add(int64(c.batch.charge))
}

// check says why an item must not be published.
func (c *client) check(it *publish.Item) error {
	if err := it.Check(); err != nil {
		return err
	}
	return checkSize(it, c.s.o.MaxMessage)
}

// checkSize compares what an item asks to be sent to one client with the limit.
func checkSize(it *publish.Item, limit int) error {
	if n := it.ContentSize(); n > limit {
		return wire.Errorf(wire.ItemTooLarge, "a content of %d bytes, %d are allowed", n, limit)
	}
	return nil
}

// refusalFor gives an error its form on the wire.
func refusalFor(err error) *wire.Error {
	refusal, ok := errors.AsType[*wire.Error](err)
	if !ok {
		refusal = &wire.Error{Code: wire.BadItem, Text: err.Error()}
	}
	if len(refusal.Text) > maxErrorText {
		refusal = &wire.Error{Code: refusal.Code, Text: strings.ToValidUTF8(refusal.Text[:maxErrorText], "")}
	}
	return refusal
}

// refuse acknowledges an item that is not published.
func (c *client) refuse(id uint64, err *wire.Error) {
	c.pendingItems.Add(1)
	c.mu.Lock()
	c.acks = append(c.acks, wire.Ack{ID: id, Err: err})
	c.mu.Unlock()
	c.wakeWriter()
}

// handOver gives the batch to the Publisher, which may make it wait.
func (c *client) handOver(ctx context.Context) {
	b := c.batch
	if b == nil {
		return
	}
	c.batch = nil
	if len(b.Deliveries) == 0 {
		c.pendingBytes.Add(-int64(b.charge))
		return
	}
	early := b.flags&wire.AcceptedOnly != 0
	if err := c.s.o.Publisher.Publish(ctx, &b.Batch); err != nil {
		refusal := wire.Errorf(wire.Internal, "%v", err)
		if ctx.Err() != nil {
			refusal = &wire.Error{Code: wire.ShuttingDown, Text: "the item was not published"}
		}
		c.settle(b, refusalFor(refusal), false)
		return
	}
	if early {
		c.acknowledge(b, nil, false)
	}
}

// done is the batch's Done. It runs on any goroutine and takes only a mutex that is never held for long.
func (c *client) done(b *batch) {
	if b.flags&wire.AcceptedOnly != 0 {
		c.release(b)
		return
	}
	c.settle(b, nil, true)
}

// settle acknowledges a batch and gives its bytes back.
func (c *client) settle(b *batch, err *wire.Error, counted bool) {
	c.acknowledge(b, err, counted)
	c.release(b)
}

func (c *client) acknowledge(b *batch, err *wire.Error, counted bool) {
	c.mu.Lock()
	c.acks = b.appendAcks(c.acks, err, counted)
	c.mu.Unlock()
	c.wakeWriter()
}

func (c *client) release(b *batch) {
	c.pendingBytes.Add(-int64(b.charge))
	c.signalRoom()
}

// waitForRoom blocks while the client has as much under way as it may have, and hands over the batch before it does.
func (c *client) waitForRoom(ctx context.Context) error {
	for c.crowded() {
		c.handOver(ctx)
		if !c.crowded() {
			return nil
		}
		select {
		case <-c.room:
		case <-c.gone:
			return errGone
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *client) crowded() bool {
	return c.pendingItems.Load() >= maxPendingItems || c.pendingBytes.Load() >= maxPendingBytes ||
		c.pendingCold.Load() >= maxPendingCold
}

func (c *client) signalRoom() {
	select {
	case c.room <- struct{}{}:
	default:
	}
}

func (c *client) handleStats(m wire.Message) error {
	var r wire.Request
	if err := wire.ParseCold(m, &r); err != nil {
		return err
	}
	if c.s.o.Stats == nil {
		c.sendError(r.ID, wire.Errorf(wire.BadRequest, "there are no statistics"))
		return nil
	}
	c.send(wire.AppendCold(nil, wire.TypeStatsSnapshot, &wire.Snapshot{ID: r.ID, Snapshot: c.s.o.Stats()}))
	return nil
}

func (c *client) handleSubscribe(m wire.Message) error {
	var sub wire.Subscribe
	if err := wire.ParseCold(m, &sub); err != nil {
		return err
	}
	if c.s.o.Stats == nil {
		c.sendError(sub.ID, wire.Errorf(wire.BadRequest, "there are no statistics"))
		return nil
	}
	limit := maxInterval.Milliseconds()
	if sub.IntervalMS < 0 || sub.IntervalMS > limit {
		c.sendError(sub.ID, wire.Errorf(wire.BadRequest, "interval_ms is %d, 0 to %d are allowed", sub.IntervalMS, limit))
		return nil
	}
	if sub.IntervalMS == 0 {
		if !ends(sub.ID, c.statsID) {
			return nil
		}
	} else {
		c.statsID = sub.ID
	}
	c.mu.Lock()
	c.sub = &sub
	c.mu.Unlock()
	c.wakeWriter()
	return nil
}

// ends reports whether the end of subscription id ends the latest one of its kind. A client that
// begins one in place of another may send the end of the older one later: that ends nothing. An end
// without an id ends whichever there is.
func ends(id, latest uint64) bool { return id == 0 || id == latest }

// interval is the time between snapshots; a subscription asks for it.
func interval(sub *wire.Subscribe) time.Duration {
	return max(minInterval, time.Duration(sub.IntervalMS)*time.Millisecond)
}
