package hub

import (
	"strings"

	"holdfast/pkg/publish"
	"holdfast/pkg/slab"
)

// What is charged for a record besides its strings: with its share of a slab's page, and of the map.
const (
	entryBytes   = 75
	idBytes      = 48 // of an entry that goes by an id of its publisher's
	channelBytes = 224
)

// log holds what is kept of all channels. The order lock guards it.
//
// The entries of a channel are its newest items, without a hole. Of the last one that was dropped a mark remains, so that who
// has seen that one can go on. A channel of which nothing but the mark is left is given up when memory is short; then forgotten
// tells how new what was lost in this way may have been.
type log struct {
	keeps  []*keep
	memory int64 // bound of bytes

	channels slab.Slab[keptChannel]
	names    compactMap[string, uint32] // to number in channels
	entries  slab.Slab[entry]
	ids      idIndex
	marked   int   // channels of which only the mark is left
	bytes    int64 // of all

	forgotten uint64 // highest number of a dropped item of a channel that was given up
	untold    uint64 // highest number of any item of a channel that has no record
}

// keptChannel is a channel of which items are kept, or a mark.
type keptChannel struct {
	name           string
	keep           *keep
	oldest, newest uint32 // entries
	items          uint32
	prev, next     uint32 // of the channels of its rule of which only the mark is left
	last           uint64 // number of the last item, kept or not
	blocks         []block
	tail           uint8 // entries since the newest block began
	mark           mark
}

// mark is what remains of the item that a channel dropped last.
type mark struct {
	seq, since uint64
	ids        []byte // packed, when it is named; the array is used again
	item       bool   // false: it is no item, but the newest that may have been lost before the channel had its record
	given      bool   // as of an entry
	named      bool
	aliased    bool
}

// entry is a kept item.
type entry struct {
	seq, since   uint64
	at           int64 // when it was published, in nanoseconds since the history's start
	packed       string
	channel      uint32
	older, newer uint32         // of its channel
	prev, next   uint32         // of its rule
	same         [2]uint32      // next entry of the same own id, event's id
	sends        publish.Format // what it has content for
	given        bool           // its publisher gave its id
	named        bool           // packed has an id of its publisher's
	aliased      bool           // its Alias names it, not its id
}

// heapBytes is about what n bytes take on the heap.
func heapBytes(n int) int64 { return int64(n + n/8 + 16) }

func (e *entry) bytes() int64 {
	n := entryBytes + heapBytes(len(e.packed))
	if e.named {
		n += idBytes
	}
	return n
}

// bytes is what the channel takes without its entries.
func (c *keptChannel) bytes() int64 {
	return channelBytes + heapBytes(len(c.name)) + int64(cap(c.mark.ids))
}

// add keeps e as the newest item of the channel called name, and drops what has to go for it. It
// reports whether the id of e has come before: then it has an alias.
func (l *log) add(name string, k *keep, e entry) (again bool) {
	ci, c := l.channel(name, k)
	c.last = e.seq
	switch {
	case e.bytes() > l.memory: // and all others may stay
		for c.items > 0 {
			l.dropOldest(ci)
		}
		again = l.indexUnkept(c.name, &e)
		e.aliased = e.aliased || again
		l.unlinkMark(c, ci)
		l.leaveMark(c, &e)
		l.linkMark(c, ci)
	case c.items == k.items:
		again = l.push(ci, e, l.unlinkOldest(ci))
	default:
		again = l.push(ci, e, 0)
	}
	for l.bytes > l.memory {
		l.evict()
	}
	return again
}

// pass notes an item of the channel that is not kept.
func (l *log) pass(name string, seq uint64) {
	if ci, ok := l.names.get(name); ok {
		l.channels.At(ci).last = seq
	} else {
		l.untold = seq
	}
}

// channel returns the record of a channel, making it when there is none.
func (l *log) channel(name string, k *keep) (uint32, *keptChannel) {
	ci, ok := l.names.get(name)
	if ok {
		return ci, l.channels.At(ci)
	}
	ci, c := l.channels.Alloc()
	c.name, c.keep = strings.Clone(name), k
	c.mark.seq = l.forgotten
	l.names.set(c.name, ci)
	l.bytes += c.bytes()
	return ci, c
}

// push puts e behind the channel's entries, and behind those of its rule. Its record is the one
// numbered id, or a new one. It reports what add does.
func (l *log) push(ci uint32, e entry, id uint32) (again bool) {
	c := l.channels.At(ci)
	k := c.keep
	if id == 0 {
		if c.items == 0 {
			l.unlinkMark(c, ci)
		}
		id, _ = l.entries.Alloc()
	}
	e.channel, e.older, e.prev = ci, c.newest, k.newest
	*l.entries.At(id) = e
	if c.newest != 0 {
		l.entries.At(c.newest).newer = id
	} else {
		c.oldest = id
	}
	if k.newest != 0 {
		l.entries.At(k.newest).next = id
	} else {
		k.oldest = id
	}
	c.newest, k.newest = id, id
	c.items++
	l.bytes += e.bytes()
	kept := l.entries.At(id)
	c.addToBlock(id, kept)
	again = l.index(c.name, id)
	kept.aliased = kept.aliased || again
	return again
}

// dropOldest drops the channel's oldest entry.
func (l *log) dropOldest(ci uint32) {
	l.entries.Free(l.unlinkOldest(ci))
	if c := l.channels.At(ci); c.items == 0 {
		l.linkMark(c, ci)
	}
}

// unlinkOldest takes the channel's oldest entry out of its lists, leaves its mark, and returns its record for another use.
func (l *log) unlinkOldest(ci uint32) uint32 {
	c := l.channels.At(ci)
	k, id := c.keep, c.oldest
	e := l.entries.At(id)
	l.unindex(c.name, id)
	c.takeFromBlock(id)
	if c.oldest = e.newer; e.newer != 0 {
		l.entries.At(e.newer).older = 0
	} else {
		c.newest = 0
	}
	if e.prev != 0 {
		l.entries.At(e.prev).next = e.next
	} else {
		k.oldest = e.next
	}
	if e.next != 0 {
		l.entries.At(e.next).prev = e.prev
	} else {
		k.newest = e.prev
	}
	c.items--
	l.bytes -= e.bytes()
	l.leaveMark(c, e)
	return id
}

// leaveMark has the channel remember e as the last item that it dropped.
func (l *log) leaveMark(c *keptChannel, e *entry) {
	l.bytes -= c.bytes()
	m := &c.mark
	m.seq, m.since, m.item = e.seq, e.since, true
	m.given, m.named, m.aliased = e.given, e.named, e.aliased
	if m.ids = m.ids[:0]; e.named {
		m.ids = append(m.ids, packedIDs(e.packed)...)
	}
	l.bytes += c.bytes()
}

// linkMark puts the channel, of which only the mark is left, behind the others of that kind.
func (l *log) linkMark(c *keptChannel, ci uint32) {
	k := c.keep
	if c.prev = k.newestMark; c.prev != 0 {
		l.channels.At(c.prev).next = ci
	} else {
		k.oldestMark = ci
	}
	k.newestMark = ci
	l.marked++
}

// unlinkMark takes the channel out of the list of those of which only the mark is left, when it is there.
func (l *log) unlinkMark(c *keptChannel, ci uint32) {
	k := c.keep
	if k.oldestMark != ci && c.prev == 0 {
		return
	}
	if c.prev != 0 {
		l.channels.At(c.prev).next = c.next
	} else {
		k.oldestMark = c.next
	}
	if c.next != 0 {
		l.channels.At(c.next).prev = c.prev
	} else {
		k.newestMark = c.prev
	}
	c.prev, c.next = 0, 0
	l.marked--
}

// evict drops what is oldest: an entry, or a channel of which only the mark is left.
func (l *log) evict() {
	oldest, entry, channel := ^uint64(0), uint32(0), uint32(0)
	for _, k := range l.keeps {
		if k.oldest != 0 && l.entries.At(k.oldest).seq < oldest {
			oldest, entry, channel = l.entries.At(k.oldest).seq, k.oldest, 0
		}
		if k.oldestMark != 0 && l.channels.At(k.oldestMark).mark.seq < oldest {
			oldest, entry, channel = l.channels.At(k.oldestMark).mark.seq, 0, k.oldestMark
		}
	}
	if entry != 0 {
		l.dropOldest(l.entries.At(entry).channel)
		return
	}
	l.forget(channel)
}

// forget gives up a channel of which only the mark is left.
func (l *log) forget(ci uint32) {
	c := l.channels.At(ci)
	l.unlinkMark(c, ci)
	l.forgotten = max(l.forgotten, c.mark.seq)
	l.untold = max(l.untold, c.last)
	l.bytes -= c.bytes()
	l.names.delete(c.name)
	l.channels.Free(ci)
}

// expired reports whether the entry is too old at the time at, in nanoseconds since the history's start.
func (l *log) expired(id uint32, k *keep, at int64) bool {
	return k.ttl > 0 && at-l.entries.At(id).at >= k.ttl
}
