package hub

import "hash/maphash"

// maxDropped bounds the ids that are remembered after their items were dropped: with the map about
// 3 MB. A small history remembers fewer.
const maxDropped = 1 << 16

// idIndex finds the kept items that go by an id which a publisher gave. An id may come more than
// once, and a client that names it may have had any of these items. So the index knows the oldest
// one that is kept, and whether an older one was dropped: then nobody can say what the client has
// had.
type idIndex struct {
	seed    maphash.Seed
	spans   compactMap[uint64, idSpan] // by idKey
	dropped []uint64                   // ring of keys whose last kept item was dropped
	at      int                        // where the next one goes, once the ring is full
	most    int                        // length of the ring
}

// idSpan is the items of one channel that go by one id.
type idSpan struct {
	oldest, newest uint32 // entries; 0: none is kept any more, one was
	lost           bool   // an older one than oldest was dropped; with oldest 0: more than one was
}

// idKey is the hash of a channel's name and an id. Two of them that have the same key lead to a
// gap, never to a loss.
func (x *idIndex) idKey(channel, id string) uint64 {
	var h maphash.Hash
	h.SetSeed(x.seed)
	h.WriteString(channel)
	h.WriteByte(0) // stands in no channel's name
	h.WriteString(id)
	return h.Sum64()
}

// keys returns the keys of an entry: of its own id, if a publisher gave that, and of its event's,
// if that is another. 0 means that there is none.
func (l *log) keys(channel string, e *entry) (keys [2]uint64) {
	if !e.named {
		return keys
	}
	p := unpacker(e.packed)
	own, event := p.text(), p.text()
	if e.given {
		keys[0] = l.ids.idKey(channel, own)
	}
	if event != "" && event != own {
		keys[1] = l.ids.idKey(channel, event)
	}
	return keys
}

// index adds the channel's newest entry, numbered id, to the index. It reports whether an item of
// the same id came before.
func (l *log) index(channel string, id uint32) (again bool) {
	e := l.entries.At(id)
	for _, key := range l.keys(channel, e) {
		if key == 0 {
			continue
		}
		s, known := l.ids.spans.get(key)
		again = again || known
		switch {
		case !known:
			s = idSpan{oldest: id}
		case s.oldest == 0:
			s = idSpan{oldest: id, lost: true}
		default:
			before := l.entries.At(s.newest)
			if l.keys(channel, before)[0] == key {
				before.same[0] = id
			} else {
				before.same[1] = id
			}
		}
		s.newest = id
		l.ids.spans.set(key, s)
	}
	return again
}

// unindex takes the channel's oldest entry, numbered id, out of the index. Its ids are remembered
// for a while.
func (l *log) unindex(channel string, id uint32) {
	e := l.entries.At(id)
	for slot, key := range l.keys(channel, e) {
		if key == 0 {
			continue
		}
		switch s, known := l.ids.spans.get(key); {
		case !known || s.oldest != id: // another id of the same key
		case e.same[slot] != 0:
			l.ids.spans.set(key, idSpan{oldest: e.same[slot], newest: s.newest, lost: true})
		default:
			l.ids.remember(key, s.lost)
		}
	}
}

// indexUnkept notes an item that is dropped at once.
func (l *log) indexUnkept(channel string, e *entry) (again bool) {
	for _, key := range l.keys(channel, e) {
		if key != 0 {
			_, known := l.ids.spans.get(key)
			l.ids.remember(key, known)
			again = again || known
		}
	}
	return again
}

// remember notes that the last kept item of that key is dropped. lost says that another one was
// dropped before.
func (x *idIndex) remember(key uint64, lost bool) {
	x.spans.set(key, idSpan{lost: lost})
	if len(x.dropped) < x.most {
		x.dropped = append(x.dropped, key)
		return
	}
	if s, known := x.spans.get(x.dropped[x.at]); known && s.oldest == 0 && x.dropped[x.at] != key {
		x.spans.delete(x.dropped[x.at])
	}
	x.dropped[x.at] = key
	x.at = (x.at + 1) % x.most
}

// place is where an item stands in the log, or stood. It is nowhere when channel is 0.
type place struct {
	channel    uint32
	seq, since uint64
}

// numbered reports whether the id with that number which the history gives is one of the entry.
func (e *entry) numbered(seq uint64) bool { return e.seq == seq && (!e.given || e.aliased) }

// find returns the place of the channel's oldest item that goes by that id, as long as it is kept
// or was the last one to be dropped. seq is the number in the id, when the history gave it. known
// says that the channel has had such an item; when the place is nowhere all the same, it is not
// sure which one the client has had, or what came after it is lost.
func (h *history) find(
	channel uint32,
	name string,
	id []byte,
	seq uint64,
	now int64,
) (p place, known bool) {
	span, given := h.ids.spans.get(h.ids.idKey(name, string(id)))
	if channel == 0 {
		return place{}, given
	}
	c := h.channels.At(channel)
	k := &c.mark
	at := uint32(0)
	if seq != 0 {
		at = h.seek(c, func(e *entry) bool { return e.seq >= seq })
		if at != 0 && !h.entries.At(at).numbered(seq) {
			at = 0
		}
	}
	marked := k.item && seq != 0 && k.seq == seq && (!k.given || k.aliased)
	if given {
		switch {
		case span.lost:
			return place{}, true
		case span.oldest == 0: // if it is the mark
			if !k.item || !k.named || !hasID(string(k.ids), id) {
				return place{}, true
			}
			marked = true
		case !marked && hasID(h.entries.At(span.oldest).packed, id) && (at == 0 || h.entries.At(span.oldest).seq < h.entries.At(at).seq):
			at = span.oldest
		}
	}
	switch {
	case marked:
		if c.oldest != 0 &&
			h.expired(c.oldest, c.keep, now) { // what comes after it is not there any more either
			return place{}, true
		}
		return place{channel, k.seq, k.since}, true
	case at != 0:
		e := h.entries.At(at)
		if e.newer != 0 && h.expired(e.newer, c.keep, now) {
			return place{}, true
		}
		return place{channel, e.seq, e.since}, true
	}
	return place{}, false
}
