package control

import (
	"context"
	"errors"
	"time"

	"holdfast/pkg/wire"
)

// maxAcks is the number of acks in one frame at most, so that it stays below any maximum.
const maxAcks = 1024

// errGone is the reader's end when the writer cannot reach the client.
var errGone = errors.New("client does not read or is gone")

// send queues whole frames for the writer.
func (c *client) send(frames []byte) {
	c.mu.Lock()
	c.cold = append(c.cold, frames...)
	c.mu.Unlock()
	c.pendingCold.Add(int64(len(frames)))
	c.wakeWriter()
}

// sendError queues an error frame that does not end the connection.
func (c *client) sendError(id uint64, err *wire.Error) {
	c.send(wire.AppendCold(nil, wire.TypeError, &wire.Failure{Code: err.Code, Text: err.Text, ID: id}))
}

// end tells the writer that the reader has ended.
func (c *client) end(e ending) {
	c.mu.Lock()
	c.ending = &e
	c.mu.Unlock()
	c.wakeWriter()
}

func (c *client) wakeWriter() {
	select {
	case c.work <- struct{}{}:
	default:
	}
}

// writer is what the writer goroutine of a client knows.
type writer struct {
	c      *client
	buf    []byte // frames on their way to the socket
	acks   []wire.Ack
	sub    wire.Subscribe // the subscription; IntervalMS 0 when there is none
	ticker *time.Ticker   // of the subscription; nil when there is none
	listen *listening     // to events; nil when there is none
	linger *time.Timer    // runs from the reader's end on; nil before, or when there is no limit
	ending *ending
	late   bool // linger is over
}

// write sends what waits, as much at a time as there is, until the reader has ended and its last acks are out, or until
// the client cannot be reached.
func (c *client) write(ctx context.Context) {
	w := &writer{c: c}
	defer w.stop()
	defer close(c.gone)
	for {
		acks, cold := w.collect()
		if len(w.buf) == 0 && w.finished() {
			return
		}
		if len(w.buf) == 0 {
			w.wait(ctx)
			continue
		}
		c.setWriteDeadline(ctx)
		if _, err := c.nc.Write(w.buf); err != nil {
			c.nc.Close() // ends the reader
			return
		}
		w.buf = w.buf[:0]
		c.pendingItems.Add(-int64(acks))
		c.pendingCold.Add(-int64(cold))
		c.signalRoom()
	}
}

// collect moves what waits into buf, and returns the number of acks and the bytes of other answers in it.
func (w *writer) collect() (acks, cold int) {
	c := w.c
	c.mu.Lock()
	w.acks, c.acks = c.acks, w.acks[:0]
	w.buf = append(w.buf, c.cold...)
	cold = len(c.cold)
	c.cold = c.cold[:0]
	sub, listen := c.sub, c.listen
	c.sub, c.listen = nil, nil
	ended := c.ending != nil && w.ending == nil
	if ended {
		w.ending = c.ending
	}
	c.mu.Unlock()

	for rest := w.acks; len(rest) > 0; {
		n := min(len(rest), maxAcks)
		w.buf = wire.AppendAcks(w.buf, rest[:n])
		rest = rest[n:]
	}
	acks = len(w.acks)
	clear(w.acks) // lets go of error texts
	if sub != nil {
		w.subscribe(*sub)
	}
	if listen != nil {
		w.listenTo(listen)
	}
	if ended && w.ending.linger >= 0 {
		w.linger = time.NewTimer(w.ending.linger)
	}
	return acks, cold
}

// subscribe begins, changes or ends the subscription. Its first snapshot is sent at once.
func (w *writer) subscribe(sub wire.Subscribe) {
	w.sub = sub
	if w.ticker != nil {
		w.ticker.Stop()
		w.ticker = nil
	}
	if sub.IntervalMS == 0 {
		return
	}
	w.ticker = time.NewTicker(interval(&sub))
	w.snapshot()
}

func (w *writer) snapshot() {
	w.buf = wire.AppendCold(w.buf, wire.TypeStatsSnapshot, &wire.Snapshot{ID: w.sub.ID, Snapshot: w.c.s.o.Stats()})
}

// wait blocks until there is something to do. A snapshot that is due goes to buf; those that were due while a write
// blocked are lost, all but one.
func (w *writer) wait(ctx context.Context) {
	var tick <-chan time.Time
	if w.ticker != nil {
		tick = w.ticker.C
	}
	var some <-chan struct{}
	if w.listen != nil {
		some = w.listen.l.Some()
	}
	var late <-chan time.Time
	var ended <-chan struct{}
	if w.linger != nil {
		late = w.linger.C
	} else if w.ending != nil { // without a limit, until the server ends
		ended = ctx.Done()
	}
	select {
	case <-w.c.work:
	case <-tick:
		w.snapshot()
	case <-some:
		w.events()
	case <-late:
		w.late = true
	case <-ended:
		w.linger = time.NewTimer(lingerTime)
	}
}

// finished reports whether everything was sent. The failure, if there is one, goes to buf first.
func (w *writer) finished() bool {
	if w.ending == nil || (w.c.pendingItems.Load() > 0 || w.c.pendingAsks.Load() > 0) && !w.late {
		return false
	}
	if w.ending.failure == nil {
		return true
	}
	w.buf = wire.AppendCold(w.buf, wire.TypeError, w.ending.failure)
	w.ending.failure = nil
	return false
}

func (w *writer) stop() {
	if w.ticker != nil {
		w.ticker.Stop()
	}
	if w.linger != nil {
		w.linger.Stop()
	}
	if w.listen != nil {
		w.c.s.o.Inspector.Unlisten(w.listen.l)
	}
}
