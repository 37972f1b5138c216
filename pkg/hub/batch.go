package hub

import (
	"sync/atomic"
	"time"

	"holdfast/pkg/publish"
	"holdfast/pkg/share"
)

// Batch is a run of items that a publisher hands over together, and what becomes of each.
type Batch struct {
	Deliveries []Delivery
	// Done is called once, when every item's fate is known: on the goroutine of the last loop that ended its walk, or
	// on the publisher's own when nobody subscribes. It must not block. Receivers of each delivery are final by then.
	Done func(*Batch)

	came    time.Duration // when Publish was called, by the Directory's clock
	waiting atomic.Int32  // deliveries whose fate is not known
	room    *share.Pool   // the deliveries are charged to it until then
}

// Parts and Part make the batch a share.Load: each delivery is charged to its channel.
func (b *Batch) Parts() int { return len(b.Deliveries) }

// Part returns a number for the channel of delivery i, and its charge.
func (b *Batch) Part(i int) (key uint32, bytes int64) {
	d := &b.Deliveries[i]
	return uint32(d.hash), d.charge
}

// known counts one delivery whose fate is known.
func (b *Batch) known() {
	if b.waiting.Add(-1) == 0 {
		b.room.Release(b)
		b.Done(b)
	}
}

// Delivery is one item on its way to its subscribers. An item that the history keeps has an ID from Publish on: its own, or
// one that names it in all channels.
type Delivery struct {
	Item publish.Item

	// Prepared is what the function given to Directory.Prepare made of the item; nil when it has no Meta.
	Prepared any

	batch     *Batch
	hash      uint64 // of the channel's name
	charge    int64  // about its memory
	channel   channel
	seq       uint64       // its number; 0: its channel keeps no history
	page      *seqPage     // where seq is under way
	loops     atomic.Int32 // loops that have not ended their walk
	receivers atomic.Int32
}

// Receivers is the number of subscriptions on this node to which the item was handed: written or queued, neither
// filtered nor dropped. It is final when the batch's Done is called.
func (d *Delivery) Receivers() int { return int(d.receivers.Load()) }

// end notes that one loop has handed the item to n subscriptions and is done with it.
func (d *Delivery) end(n int) {
	if n > 0 {
		d.receivers.Add(int32(n))
	}
	if d.loops.Add(-1) == 0 {
		if d.page != nil {
			d.page.end(d.seq)
		}
		d.batch.known()
	}
}
