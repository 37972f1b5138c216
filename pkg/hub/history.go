package hub

import (
	"cmp"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"holdfast/pkg/publish"
)

// HistoryOptions says which items are kept, and in how much memory.
type HistoryOptions struct {
	Rules  []HistoryRule
	Memory int64 // bytes for all channels; 0 keeps nothing
}

// HistoryRule says what is kept of the channels that a pattern matches. Of several that match a channel the exact one
// counts, then the longest; of two with the same pattern the later one.
type HistoryRule struct {
	Pattern string        // name of a channel, or the beginning of names followed by "*"
	Items   int           // the newest so many of each channel; 0: none
	TTL     time.Duration // how long; 0: as long as there is room
}

const (
	epochBits    = 48
	epochBase    = 36
	maxIDBytes   = 10 + 1 + 20 // of an id that the history gives: 48 bits, "-", 64 bits
	expireAtOnce = 256         // items that are freed before others get the order lock
)

// history keeps the newest items of the channels. Publishing to a channel that keeps some holds the order lock from the
// item's sequence number to the last mailbox: each loop gets these items in the order of their numbers, and who holds the
// lock sees them all either kept and posted, or not there yet.
//
// An item's number is one for the whole Directory. The lowest number under way when the item is published is its since:
// whoever has had the item has had all of any channel below since.
type history struct {
	epoch    string // with a "-" behind it; names this process in the ids
	start    time.Time
	exact    map[string]*keep
	prefixes []*keep // longest first

	mu     sync.Mutex // the order lock; outside a shard's
	seq    uint64     // of the newest item
	at     int64      // when it was published: nanoseconds since start
	flight flight
	log
}

// keep is a rule with what is kept by it.
type keep struct {
	prefix string
	items  uint32
	ttl    int64 // nanoseconds; 0: none

	oldest, newest         uint32 // entries
	oldestMark, newestMark uint32 // channels of which only the mark is left
}

// KeepHistory has the Directory keep the newest items of the channels that the rules name. It is called before anything is
// subscribed or published.
func (d *Directory) KeepHistory(o HistoryOptions) {
	h := &history{
		epoch: strconv.FormatUint(rand.Uint64()>>(64-epochBits), epochBase) + "-",
		start: d.started,
		exact: map[string]*keep{},
		log: log{memory: o.Memory, ids: idIndex{
			seed: maphash.MakeSeed(), most: int(min(max(o.Memory/1024, 16), maxDropped)),
		}},
	}
	byPrefix := map[string]*keep{}
	for _, r := range o.Rules {
		k := &keep{items: uint32(max(0, r.Items)), ttl: int64(r.TTL)}
		if prefix, ok := strings.CutSuffix(r.Pattern, "*"); ok {
			k.prefix, byPrefix[prefix] = prefix, k
		} else {
			h.exact[r.Pattern] = k
		}
	}
	for _, k := range byPrefix {
		h.prefixes = append(h.prefixes, k)
	}
	slices.SortFunc(h.prefixes, func(a, b *keep) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
	for _, k := range h.exact {
		h.keeps = append(h.keeps, k)
	}
	h.keeps = append(h.keeps, h.prefixes...)
	h.keeps = slices.DeleteFunc(h.keeps, func(k *keep) bool { return k.items == 0 })
	if len(h.keeps) > 0 && h.memory > 0 {
		d.history = h
	}
}

// History returns how many channels have items kept, how many items these are, and the bytes that the history takes.
func (d *Directory) History() (channels, items int, bytes int64) {
	h := d.history
	if h == nil {
		return 0, 0, 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.channels.Len() - h.marked, h.entries.Len(), h.bytes
}

// Expire frees the kept items, and the last ids, that are too old at the time now. Nobody gets them even before: it only gives
// their memory back.
func (d *Directory) Expire(now time.Time) {
	d.expireLastIDs(now)
	h := d.history
	if h == nil {
		return
	}
	at := int64(now.Sub(h.start))
	for _, k := range h.keeps {
		for more := k.ttl > 0; more; {
			h.mu.Lock()
			for range expireAtOnce {
				if more = k.oldest != 0 && h.expired(k.oldest, k, at); !more {
					break
				}
				h.dropOldest(h.entries.At(k.oldest).channel)
			}
			h.mu.Unlock()
		}
	}
}

// now is the time in nanoseconds since start.
func (h *history) now() int64 { return int64(time.Since(h.start)) }

// rule returns the rule of a channel that keeps items, or nil.
func (h *history) rule(channel string) *keep {
	k, ok := h.exact[channel]
	for i := 0; !ok && i < len(h.prefixes); i++ {
		k = h.prefixes[i]
		ok = strings.HasPrefix(channel, k.prefix)
	}
	if !ok || k.items == 0 {
		return nil
	}
	return k
}

// publishOrdered posts the batch's items: those of channels that keep some in the order of their numbers, some at a time.
func (d *Directory) publishOrdered(b *Batch) {
	h := d.history
	r := runs.Get().(*run)
	defer runs.Put(r)
	r.at = int64(b.came)
	for i := range b.Deliveries {
		dl := &b.Deliveries[i]
		dl.batch, dl.seq, dl.page = b, 0, nil
		if d.repeats(&dl.Item) {
			b.known()
			continue
		}
		if k := h.rule(dl.Item.Channel); k == nil {
			if !d.post(dl) {
				b.known()
			}
			continue
		} else if r.add(dl, k) {
			d.publishRun(r)
		}
	}
	if r.n > 0 {
		d.publishRun(r)
	}
}

// run is items that get their numbers together. What can be done before is done without the order lock.
type run struct {
	at    int64 // when they were published, in nanoseconds since start
	n     int
	items [runItems]struct {
		dl     *Delivery
		keep   *keep
		packed string // "": it is not kept
		sends  publish.Format
	}
	nameless int             // items that get an id
	ids      strings.Builder // their ids: those of several runs share an allocation
	buf      []byte          // scratch, at most maxRunBuf bytes between two items
}

// runs are empty.
var runs = sync.Pool{New: func() any { return new(run) }}

const (
	runItems  = 32 // items that have their numbers in one go of the order lock
	maxRunBuf = 64 << 10
)

// add puts dl in the run and reports whether that is full.
func (r *run) add(dl *Delivery, k *keep) (full bool) {
	it := &r.items[r.n]
	it.dl, it.keep, it.packed = dl, k, ""
	if it.sends = sends(&dl.Item); it.sends != 0 {
		r.buf = appendPacked(r.buf[:0], &dl.Item)
		it.packed = string(r.buf)
		if cap(r.buf) > maxRunBuf {
			r.buf = nil
		}
		if dl.Item.ID == "" {
			r.nameless++
		}
	}
	r.n++
	return r.n == runItems
}

// publishRun is post for the items of r: it gives each its number, and an id when it has none, and keeps it.
func (d *Directory) publishRun(r *run) {
	h := d.history
	if r.ids.Cap()-r.ids.Len() < r.nameless*maxIDBytes {
		r.ids = strings.Builder{}
		r.ids.Grow(runItems * maxIDBytes)
	}
	h.mu.Lock()
	h.at = max(h.at, r.at)
	for i := range r.items[:r.n] {
		it := &r.items[i]
		item := &it.dl.Item
		since := h.flight.lowest(h.seq + 1)
		h.seq++
		it.dl.seq, it.dl.page = h.seq, h.flight.add(h.seq)
		if it.packed == "" {
			h.pass(item.Channel, h.seq)
		} else {
			e := entry{seq: h.seq, since: since, at: h.at, packed: it.packed, sends: it.sends, given: item.ID != ""}
			e.named = e.given || item.Event.ID != ""
			e.aliased = h.misleads(item.ID) || h.misleads(item.Event.ID)
			if again := h.log.add(item.Channel, it.keep, e); again || e.aliased {
				item.Alias = h.alias(h.seq)
			}
			if !e.given {
				item.ID = h.writeID(&r.ids, h.seq)
			}
		}
		if d.post(it.dl) {
			it.dl = nil
		}
	}
	h.mu.Unlock()
	for i := range r.items[:r.n] {
		if dl := r.items[i].dl; dl != nil { // nobody subscribes
			dl.page.end(dl.seq)
			dl.batch.known()
		}
	}
	clear(r.items[:r.n])
	r.n, r.nameless = 0, 0
}

// allFormats are the formats of an item.
var allFormats = [...]publish.Format{
	publish.SSE, publish.HTTPStream, publish.WSMessage, publish.HTTPResponse,
}

// sends is the formats in which the item brings content to anybody who comes later. One that only
// ends connections, or gives a hint, is an act on those who are there; a patch is one on what its
// reader has.
func sends(it *publish.Item) (formats publish.Format) {
	for _, f := range allFormats {
		if it.For(f, false) == publish.Content {
			formats |= f
		}
	}
	return formats
}

// writeID writes the id that the item of that number gets when its publisher gave none, and returns it. It does not allocate
// when b has room for maxIDBytes.
func (h *history) writeID(b *strings.Builder, seq uint64) string {
	var digits [20]byte
	start := b.Len()
	b.WriteString(h.epoch)
	b.Write(strconv.AppendUint(digits[:0], seq, 10))
	return b.String()[start:]
}

// number returns the number in an id that the history gave, 0 for any other text.
func (h *history) number(id []byte) uint64 {
	if len(id) > maxIDBytes || !strings.HasPrefix(string(id), h.epoch) {
		return 0
	}
	digits := string(id[len(h.epoch):])
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || digits[0] == '0' {
		return 0
	}
	return seq
}

// misleads reports whether an id would not come back as it is, or be taken for a position.
func (h *history) misleads(id string) bool {
	return !publish.FieldSafe(id) || strings.HasPrefix(id, h.epoch[:len(h.epoch)-1]+".")
}

// alias returns the id that names the item of that number, whatever its publisher calls it.
func (h *history) alias(seq uint64) string {
	var b strings.Builder
	return h.writeID(&b, seq)
}

// position returns what stands for all items up to that number.
func (h *history) position(seq uint64) string {
	return strings.TrimSuffix(h.epoch, "-") + "." + strconv.FormatUint(seq, 10)
}

// parsePosition returns the number in a position of this history.
func (h *history) parsePosition(id []byte) (seq uint64, ok bool) {
	epoch := h.epoch[:len(h.epoch)-1]
	if len(id) > maxIDBytes || len(id) <= len(epoch)+1 || string(id[:len(epoch)]) != epoch || id[len(epoch)] != '.' {
		return 0, false
	}
	seq, err := strconv.ParseUint(string(id[len(epoch)+1:]), 10, 64)
	return seq, err == nil && seq <= h.seq
}
