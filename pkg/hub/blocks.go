package hub

import "holdfast/pkg/publish"

// A channel with many entries has a skip list of one level: every blockLen entries begin a block,
// which knows for which formats one of its entries has content. So a place among 10,000 entries is
// found in some twenty looks and a block's length of steps.

// blockLen is the number of entries of a block.
const blockLen = 64

// block is blockLen entries of a channel from first on, the newest block fewer.
type block struct {
	first uint32
	sends publish.Format // what its entries have content for
}

// addToBlock notes the channel's newest entry.
func (c *keptChannel) addToBlock(id uint32, e *entry) {
	if c.tail == blockLen {
		c.blocks = append(c.blocks, block{first: id})
		c.tail = 0
	}
	c.tail++
	if n := len(c.blocks); n > 0 {
		c.blocks[n-1].sends |= e.sends
	}
}

// takeFromBlock notes that the channel's oldest entry goes. What is left of its block has none:
// those are fewer than blockLen.
func (c *keptChannel) takeFromBlock(id uint32) {
	switch {
	case len(c.blocks) == 0:
		c.tail--
	case c.blocks[0].first == id:
		if c.blocks = c.blocks[1:]; len(c.blocks) == 0 {
			c.blocks = nil
			c.tail--
		}
	}
}

// seek returns the channel's oldest entry that reached says yes to, 0 when there is none. When it
// says yes to one it does so to all newer ones.
func (l *log) seek(c *keptChannel, reached func(*entry) bool) uint32 {
	lo, hi := 0, len(c.blocks) // the first block that begins with a yes
	for lo < hi {
		if mid := (lo + hi) / 2; reached(l.entries.At(c.blocks[mid].first)) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	id := c.oldest
	if lo > 0 {
		id = c.blocks[lo-1].first
	}
	for id != 0 && !reached(l.entries.At(id)) {
		id = l.entries.At(id).newer
	}
	return id
}

// next returns the channel's oldest entry, from the one numbered id on, that has content for one of
// the formats; 0 when there is none.
func (l *log) next(c *keptChannel, id uint32, formats publish.Format) uint32 {
	if id == 0 {
		return 0
	}
	seq := l.entries.At(id).seq
	lo, hi := 0, len(c.blocks) // the first block that begins behind the entry
	for lo < hi {
		if mid := (lo + hi) / 2; l.entries.At(c.blocks[mid].first).seq > seq {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	for ; id != 0; id = l.entries.At(id).newer {
		if lo < len(c.blocks) && c.blocks[lo].first == id { // a block is passed over as a whole
			for lo < len(c.blocks) && c.blocks[lo].sends&formats == 0 {
				lo++
			}
			if lo == len(c.blocks) {
				return 0
			}
			id = c.blocks[lo].first
			lo++
		}
		if l.entries.At(id).sends&formats != 0 {
			return id
		}
	}
	return 0
}

// latestFrom returns the number of the first of the channel's n newest entries, 0 when it has no
// more than n.
func (l *log) latestFrom(c *keptChannel, n int) uint64 {
	skip := int(c.items) - n // entries before it
	if skip <= 0 {
		return 0
	}
	id := c.oldest
	if blocks := len(c.blocks); blocks > 0 {
		before := int(c.items) - (blocks-1)*blockLen - int(c.tail) // entries before the first block
		if skip >= before {
			id = c.blocks[(skip-before)/blockLen].first
			skip = (skip - before) % blockLen
		}
	}
	for ; skip > 0; skip-- {
		id = l.entries.At(id).newer
	}
	return l.entries.At(id).seq
}
