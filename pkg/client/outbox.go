package client

import (
	"holdfast/pkg/publish"
	"holdfast/pkg/wire"
)

// Sizes of the publish-batch frames that items are gathered in: a frame that has reached one of them takes no more.
const (
	batchBytes = 64 << 10
	batchItems = 4096
)

// outbox is what waits for the writer: whole frames, and at its end at most one publish-batch that still takes items.
// It is guarded by the Conn's mutex. Its bytes are bounded by the windows of the publishers.
type outbox struct {
	max   int // bytes of a frame's payload, set by the server
	buf   []byte
	start int // of the open batch in buf
	items int // in the open batch; 0 when none is open
	flags wire.Flags
}

// item appends an item to the open batch, or to a new one, and returns its size in bytes on the wire. id must follow
// that of the item before it. An item that fits no frame is refused and leaves no trace.
func (o *outbox) item(id uint64, flags wire.Flags, it *publish.Item) (size int, err error) {
	if o.items > 0 && (o.flags != flags || o.items == batchItems || len(o.buf)-o.start >= batchBytes) {
		o.finish()
	}
	if o.items > 0 {
		before := len(o.buf)
		o.buf = wire.AppendItem(o.buf, it)
		if len(o.buf)-o.start <= o.max {
			o.items++
			return len(o.buf) - before, nil
		}
		o.buf = o.buf[:before]
		o.finish()
	}
	o.start = len(o.buf)
	o.buf = wire.AppendBatchHead(o.buf, id, flags)
	before := len(o.buf)
	o.buf = wire.AppendItem(o.buf, it)
	size = len(o.buf) - before
	if len(o.buf)-o.start > o.max {
		o.buf = o.buf[:o.start]
		return 0, wire.Errorf(wire.ItemTooLarge, "the item has %d bytes, a frame holds %d", size, o.max-wire.BatchHead)
	}
	o.items = 1
	o.flags = flags
	return size, nil
}

// finish completes the open batch, so that whole frames may be appended to buf.
func (o *outbox) finish() {
	if o.items > 0 {
		wire.FinishBatch(o.buf[o.start:], o.items)
		o.items = 0
	}
}

// take gives out what waits, in whole frames, and goes on with the memory of spare.
func (o *outbox) take(spare []byte) []byte {
	o.finish()
	buf := o.buf
	o.buf = spare[:0]
	return buf
}
