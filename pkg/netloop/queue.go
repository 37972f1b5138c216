package netloop

import (
	"math/bits"
	"slices"
	"sync/atomic"

	"holdfast/pkg/slab"
	"holdfast/pkg/stats"
	"holdfast/pkg/timewheel"
)

// Budget is the memory that the queues of all loops of a daemon may take. It is safe for all goroutines.
type Budget struct {
	max   int64
	used  atomic.Int64
	peak  atomic.Int64 // of used, about
	loops atomic.Int64 // that share it
}

// NewBudget returns a Budget of max bytes.
func NewBudget(max int64) *Budget { return &Budget{max: max} }

// Used returns the bytes that the queues take now, and about the most that they took since it was called last.
func (b *Budget) Used() (now, peak int64) {
	now = b.used.Load()
	return now, b.peak.Swap(now)
}

// queues keeps the unsent bytes of slow connections.
type queues struct {
	all    slab.Slab[queue]
	shared map[uint64]*block // blocks that are queued somewhere, by key
	budget *Budget
	used   int64 // bytes of the budget

	longest [classes]uint32 // first queue of each class
	top     int             // no class above it has a queue
}

// queue is what waits for one connection, first to send first.
type queue struct {
	pieces     []piece
	cost       int            // unsent bytes and pieceCost for each piece
	conn       uint32         // whose it is
	since      timewheel.Tick // when it began
	prev, next uint32         // queues of its class
	class      uint16         // of its cost; 0: it stands in no list
	empty      uint8          // tries to write of it in a row that the socket took nothing of
}

// classes is the number of classes of queues by cost, four for each power of two: of two queues of
// a class the longer is at most a quarter longer.
const classes = 4*64 + 4

// classOf returns the class of a cost, which is not 0 and therefore at least pieceCost.
func classOf(cost int) uint16 {
	n := bits.Len(uint(cost))
	return uint16(4*n + cost>>(n-3)&3)
}

// piece is a block from off on.
type piece struct {
	block *block
	off   int
}

// block is bytes that wait in one or more queues. They are charged to the budget once, and pieceCost for each queue.
type block struct {
	bytes []byte
	key   uint64 // 0: not shared
	refs  int
}

// pieceCost is charged for each piece besides its bytes, so that a million one-byte messages are not cheap.
const pieceCost = 64

// fits reports whether n more bytes may wait. An empty queue takes a message of any size: a client is not slow because
// one message is larger than its socket's buffer.
func (q *queues) fits(id uint32, n, max int) bool {
	return id == 0 || q.all.At(id).cost+n+pieceCost <= max
}

// over reports whether the daemon is over its budget and this loop over its share.
func (q *queues) over() bool {
	return q.budget.used.Load() > q.budget.max && q.used > q.budget.max/q.budget.loops.Load()
}

// spend charges n bytes to the budget, or gives them back.
func (q *queues) spend(n int) {
	q.used += int64(n)
	if used := q.budget.used.Add(int64(n)); used > q.budget.peak.Load() {
		q.budget.peak.Store(used)
	}
}

// share returns the block for key, making a copy of b when there is none.
func (q *queues) share(key uint64, b []byte) *block {
	if blk := q.shared[key]; blk != nil {
		return blk
	}
	if q.shared == nil {
		q.shared = map[uint64]*block{}
	}
	blk := &block{bytes: slices.Clone(b), key: key}
	q.shared[key] = blk
	return blk
}

// add has a block from off on wait in the queue *id of the connection c, which it makes when there
// is none.
func (q *queues) add(
	c uint32, id *uint32, blk *block, off int, now timewheel.Tick, st *stats.Loop,
) {
	if *id == 0 {
		var qu *queue
		*id, qu = q.all.Alloc()
		qu.conn, qu.since = c, now
	}
	n := pieceCost
	if blk.refs++; blk.refs == 1 {
		n += len(blk.bytes)
	}
	q.spend(n)
	qu := q.all.At(*id)
	qu.pieces = append(qu.pieces, piece{blk, off})
	q.charge(qu, len(blk.bytes)-off+pieceCost, st)
	q.sort(*id, qu)
}

// sort puts a queue whose cost has changed into the list of its class.
func (q *queues) sort(id uint32, qu *queue) {
	class := classOf(qu.cost)
	if class == qu.class {
		return
	}
	q.unlist(id, qu)
	qu.class, qu.next = class, q.longest[class]
	if qu.next != 0 {
		q.all.At(qu.next).prev = id
	}
	q.longest[class] = id
	q.top = max(q.top, int(class))
}

// unlist takes a queue out of the list of its class.
func (q *queues) unlist(id uint32, qu *queue) {
	switch {
	case qu.prev != 0:
		q.all.At(qu.prev).next = qu.next
	case qu.class != 0:
		q.longest[qu.class] = qu.next
	}
	if qu.next != 0 {
		q.all.At(qu.next).prev = qu.prev
	}
	qu.prev, qu.next, qu.class = 0, 0, 0
}

// first returns a queue of the highest class that has one, nil when there is none.
func (q *queues) first() *queue {
	for ; q.top > 0; q.top-- {
		if id := q.longest[q.top]; id != 0 {
			return q.all.At(id)
		}
	}
	return nil
}

func (q *queues) charge(qu *queue, n int, st *stats.Loop) {
	qu.cost += n
	st.Queued.Add(int64(n))
}

func (q *queues) release(blk *block) {
	if blk.refs--; blk.refs > 0 {
		q.spend(-pieceCost)
		return
	}
	q.spend(-pieceCost - len(blk.bytes))
	if blk.key != 0 {
		if delete(q.shared, blk.key); len(q.shared) == 0 {
			q.shared = nil
		}
	}
}

// head returns the next bytes to send: the first piece as it lies when it is large, else as many pieces as fit
// into scratch.
func (q *queues) head(id uint32, scratch []byte) []byte {
	pieces := q.all.At(id).pieces
	if first := pieces[0].block.bytes[pieces[0].off:]; len(pieces) == 1 || len(first) > cap(scratch)/2 {
		return first
	}
	for _, p := range pieces {
		b := p.block.bytes[p.off:]
		if len(scratch)+len(b) > cap(scratch) {
			break
		}
		scratch = append(scratch, b...)
	}
	return scratch
}

// advance takes n sent bytes off the queue; an empty queue is freed.
func (q *queues) advance(id *uint32, n int, st *stats.Loop) {
	qu := q.all.At(*id)
	done := 0
	for ; done < len(qu.pieces); done++ {
		p := &qu.pieces[done]
		left := len(p.block.bytes) - p.off
		if n < left {
			p.off += n
			q.charge(qu, -n, st)
			break
		}
		n -= left
		q.charge(qu, -left-pieceCost, st)
		q.release(p.block)
		p.block = nil
	}
	if done == len(qu.pieces) {
		q.unlist(*id, qu)
		q.all.Free(*id)
		*id = 0
		return
	}
	qu.pieces = qu.pieces[done:]
	q.sort(*id, qu)
}

// drop forgets the queue and all that is in it.
func (q *queues) drop(id *uint32, st *stats.Loop) {
	if *id == 0 {
		return
	}
	qu := q.all.At(*id)
	q.charge(qu, -qu.cost, st)
	for _, p := range qu.pieces {
		q.release(p.block)
	}
	q.unlist(*id, qu)
	q.all.Free(*id)
	*id = 0
}
