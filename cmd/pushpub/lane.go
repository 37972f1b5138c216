package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/client"
	"holdfast/pkg/publish"
	"holdfast/pkg/wire"
)

// underWay is the number of items for which a lane remembers their lines: a power of two, twice what a client lets be
// under way, so that an entry is not needed any more when it is written again.
const underWay = 1 << 19

// lane is the way of the lines to one pushd. One goroutine at a time publishes; the acknowledgements come on the
// goroutine of the connection.
type lane struct {
	target *target
	conn   *client.Conn
	pub    *client.Publisher
	rep    *reporter

	seq   uint64     // of the last item; the client counts the same way
	lines []itemLine // of the items under way, by the low bits of their sequence numbers

	accepted  atomic.Int64 // items
	receivers atomic.Int64
	refused   atomic.Int64 // items and lines
	acked     atomic.Int64 // items
	lost      atomic.Bool  // the connection has failed, which was reported

	// Only for the goroutine that watches: the acks it saw last, and when there was something new.
	seen  int64
	moved time.Time
}

// itemLine says of which line an item was made.
type itemLine struct {
	seq  uint64
	line int
}

func newLane(t *target, rep *reporter) *lane {
	l := &lane{target: t, conn: t.conn, rep: rep, lines: make([]itemLine, underWay)}
	l.pub = t.conn.Publisher(client.PublisherOptions{OnAck: l.onAck})
	return l
}

// publish hands the items of a line to the connection and waits only for room in its window. It reports false when the
// lane is lost.
func (l *lane) publish(ctx context.Context, items []publish.Item, line int) bool {
	for i := range items {
		if l.lost.Load() {
			return false
		}
		// Written before the item is on its way, for the ack may be here before Publish returns.
		l.lines[(l.seq+1)%underWay] = itemLine{l.seq + 1, line}
		_, err := l.pub.Publish(ctx, &items[i])
		refusal, refused := errors.AsType[*wire.Error](err)
		switch {
		case err == nil:
			l.seq++
		case refused && refusal.Code == wire.ItemTooLarge: // it has taken no sequence number
			l.refuseItem(line, refusal)
		case ctx.Err() != nil && errors.Is(err, ctx.Err()):
			return true
		default:
			l.fail(err)
		}
	}
	return !l.lost.Load()
}

// onAck counts what became of an item.
func (l *lane) onAck(seq uint64, ack wire.Ack) {
	l.acked.Add(1)
	if ack.Accepted {
		l.accepted.Add(1)
		l.receivers.Add(int64(ack.Receivers))
		return
	}
	line := 0
	if known := l.lines[seq%underWay]; known.seq == seq {
		line = known.line
	}
	l.refuseItem(line, ack.Err)
}

func (l *lane) refuseItem(line int, reason *wire.Error) {
	l.refused.Add(1)
	l.rep.problem(app.Failed, l.target.label(fmt.Errorf("line %d: refused: %w", line, reason)))
}

// fail gives the connection up and says so, the first time.
func (l *lane) fail(err error) {
	if l.lost.Swap(true) {
		return
	}
	l.rep.problem(app.Failed, l.target.label(err))
	l.conn.Close() //nolint:errcheck // it has failed already
}

// check gives the lane up when its connection has ended, or when there was no ack for the timeout though some are due.
func (l *lane) check(timeout time.Duration) {
	if err := l.conn.Err(); err != nil {
		l.fail(err)
		return
	}
	if acked := l.acked.Load(); acked != l.seen || l.pub.Pending() == 0 {
		l.seen, l.moved = acked, time.Now()
		return
	}
	if time.Since(l.moved) >= timeout {
		l.fail(fmt.Errorf("pushd did not answer within %v", timeout))
	}
}

// finish reports what pushd has not answered, and returns the sums.
func (l *lane) finish() summaryJSON {
	if n := l.pub.Pending(); n > 0 {
		l.rep.problem(app.Failed, l.target.label(fmt.Errorf("%d messages have no answer, some may have been published", n)))
	}
	return summaryJSON{
		Published: int(l.accepted.Load()),
		Receivers: int(l.receivers.Load()),
		Refused:   int(l.refused.Load()),
		Socket:    l.target.socket(),
	}
}
