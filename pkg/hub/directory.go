package hub

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/pkg/publish"
	"holdfast/pkg/share"
	"holdfast/pkg/slab"
)

// MaxLoops is the number of loops that a Directory can serve: one bit each.
const MaxLoops = 64

const (
	// shardBits is small because each shard holds a page of records from its first channel on: 64 shards cost 77 B for
	// each of 15,000 connections, and 16 cost 18 B.
	shardBits = 4
	numShards = 1 << shardBits

	// itemOverhead is charged for each undelivered item besides its content.
	itemOverhead = 512
)

// channel names a channel that has subscribers. Numbers come back when a channel is gone, so an item that is on its
// way carries the birth as well: it must not reach the next channel of that number.
type channel struct {
	number uint32
	birth  uint32
}

// Loop takes deliveries to one event loop. Post may be called from any goroutine, with a lock held, and must not block.
type Loop interface{ Post(d *Delivery) }

// Directory knows which loops have subscribers of a channel. It is safe for all goroutines.
type Directory struct {
	started   time.Time
	loops     []Loop
	seed      maphash.Seed
	shards    [numShards]shard
	room      *share.Pool // bytes of items whose fate is not known, shared by their channels
	published atomic.Uint64
	channels  atomic.Int64
	most      int64    // channels at the same time; 0: no limit
	lastIDs   bool     // are kept in mind
	seen      *seenIDs // nil: repeats are items like any other
	history   *history // nil: nothing is kept
	prepare   func(*publish.Item) any
	births    atomic.Uint32
}

// shard holds a part of the channels. Publishing holds its lock while it posts to the loops, which makes the order of a
// channel's items one for all loops.
type shard struct {
	mu   sync.Mutex
	ids  compactMap[string, uint32] // name to number in recs
	recs slab.Slab[record]
	gone lingering
	_    [64]byte
}

type record struct {
	name    string
	last    *string // id of the last item, "" for one without; nil: there was none, or it is not kept in mind
	loops   uint64  // bit i: loop i has subscribers
	birth   uint32
	lingers bool // last is kept in mind a while when nobody subscribes any more
}

// NewDirectory returns a Directory for the given loops, at most MaxLoops. maxBytes bounds the items that are on their
// way to subscribers: above it Publish waits.
func NewDirectory(maxBytes int64) *Directory {
	return &Directory{started: time.Now(), seed: maphash.MakeSeed(), room: share.New(maxBytes)}
}

// SetMaxChannels bounds the channels that have subscribers, before anything is subscribed; 0 is no limit.
func (d *Directory) SetMaxChannels(n int) { d.most = int64(n) }

// SetLoops names the loops, at most MaxLoops, before anything is subscribed or published.
func (d *Directory) SetLoops(loops []Loop) { d.loops = loops }

// Prepare has f called once for each item with Meta, on its publisher's goroutine: what is much work for each of the loops, or for
// each slice of a walk, is done there. It is called before anything is published.
func (d *Directory) Prepare(f func(*publish.Item) any) { d.prepare = f }

// Publish hands the batch's items to the loops that have subscribers of their channels. It waits
// while more is on its way than the Directory may hold: that is how a publisher is slowed down to
// what the loops can deliver. A channel may have as much on its way as there is room left, so that
// publishers of other channels do not wait for it. When ctx ends first Publish returns its error
// and has handed over nothing. The batch's Done is called in any other case.
func (d *Directory) Publish(ctx context.Context, b *Batch) error {
	if len(b.Deliveries) == 0 {
		b.Done(b)
		return nil
	}
	b.came = d.clock()
	for i := range b.Deliveries {
		dl := &b.Deliveries[i]
		dl.hash, dl.charge = maphash.String(d.seed, dl.Item.Channel), charge(&dl.Item)
		if dl.Prepared = nil; d.prepare != nil && len(dl.Item.Meta) > 0 {
			dl.Prepared = d.prepare(&dl.Item)
		}
	}
	if err := d.room.Acquire(ctx, b); err != nil {
		return fmt.Errorf("wait for room to publish: %w", err)
	}
	d.published.Add(uint64(len(b.Deliveries)))
	b.room = d.room
	b.waiting.Store(int32(len(b.Deliveries)))
	if d.history != nil {
		d.publishOrdered(b)
		return nil
	}
	for i := range b.Deliveries {
		dl := &b.Deliveries[i]
		dl.batch = b
		if d.repeats(&dl.Item) || !d.post(dl) {
			b.known()
		}
	}
	return nil
}

// repeats reports whether the item is to be dropped because its id has come before.
func (d *Directory) repeats(it *publish.Item) bool {
	return d.seen != nil && it.ID != "" && d.seen.repeats(it.Channel, it.ID, time.Now())
}

// preparedFactor is how much more memory than its bytes an item's Meta may take when it is prepared.
const preparedFactor = 8

// charge is what an item takes of the Directory's room: about its memory.
func charge(it *publish.Item) int64 {
	n := itemOverhead + it.ContentSize() + len(it.ID) + len(it.PrevID) + len(it.Epoch)
	for k, v := range it.Meta {
		n += preparedFactor * (len(k) + len(v))
	}
	return int64(n)
}

// post hands dl to its channel's loops and reports whether there is any.
func (d *Directory) post(dl *Delivery) bool {
	s, i := d.shard(dl.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.ids.get(dl.Item.Channel)
	if !ok {
		if d.lastIDs {
			s.gone.update(dl.Item.Channel, dl.Item.ID, time.Now())
		}
		return false
	}
	rec := s.recs.At(id)
	dl.channel = channel{id<<shardBits | i, rec.birth}
	if d.lastIDs {
		last := strings.Clone(dl.Item.ID)
		rec.last = &last
	}
	loops := rec.loops
	dl.loops.Store(int32(bits.OnesCount64(loops)))
	for ; loops != 0; loops &= loops - 1 {
		d.loops[bits.TrailingZeros64(loops)].Post(dl)
	}
	return true
}

// Published returns the number of items published since the start.
func (d *Directory) Published() uint64 { return d.published.Load() }

// Channels returns the number of channels with at least one subscriber.
func (d *Directory) Channels() int { return int(d.channels.Load()) }

func (d *Directory) shard(hash uint64) (*shard, uint32) {
	i := uint32(hash >> (64 - shardBits))
	return &d.shards[i], i
}

// enter notes that the loop has subscribers of the channel called name, and returns the channel. It reports false, and
// does nothing, when the channel would be one too many.
func (d *Directory) enter(name []byte, loop int) (channel, bool) {
	s, i := d.shard(maphash.Bytes(d.seed, name))
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := getBytes(&s.ids, name)
	if !ok {
		if !d.count() {
			return channel{}, false
		}
		var rec *record
		id, rec = s.recs.Alloc()
		rec.name, rec.birth = string(name), d.births.Add(1)
		if rec.last = s.gone.take(rec.name, time.Now()); rec.last != nil {
			rec.lingers = true // who asked for it may come again
		}
		s.ids.set(rec.name, id)
	}
	rec := s.recs.At(id)
	rec.loops |= 1 << loop
	return channel{id<<shardBits | i, rec.birth}, true
}

// count counts one more channel, if there may be one more.
func (d *Directory) count() bool {
	for {
		n := d.channels.Load()
		if d.most > 0 && n >= d.most {
			return false
		}
		if d.channels.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// find returns the channel called name, if anybody subscribes to it.
func (d *Directory) find(name string) (ch channel, ok bool) {
	s, i := d.shard(maphash.String(d.seed, name))
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.ids.get(name)
	if !ok {
		return channel{}, false
	}
	return channel{id<<shardBits | i, s.recs.At(id).birth}, true
}

// exit notes that the loop has no subscribers of the channel any more.
func (d *Directory) exit(number uint32, loop int) {
	s, id := &d.shards[number%numShards], number>>shardBits
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.recs.At(id)
	if rec.loops &^= 1 << loop; rec.loops == 0 {
		if rec.lingers {
			s.gone.put(rec.name, rec.last, time.Now())
		}
		s.ids.delete(rec.name)
		s.recs.Free(id)
		d.channels.Add(-1)
	}
}
