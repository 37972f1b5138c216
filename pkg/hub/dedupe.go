package hub

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// maxSeen bounds the ids that are remembered: with the maps about 40 MB. When more come within the time, the oldest are forgotten
// before it is over.
const maxSeen = 1 << 20

// seenIDs remembers the ids that items had, by channel, so that the same one is not delivered twice. It is safe for all goroutines.
//
// The ids are kept as hashes of 128 bits, in two generations of which the older is dropped as a whole: an id is remembered for
// the time at least, and for twice as long at most.
type seenIDs struct {
	seeds [2]maphash.Seed
	ttl   time.Duration
	again atomic.Uint64 // items that had an id once more

	mu       sync.Mutex
	born     time.Time // of now
	now, old map[[2]uint64]struct{}
}

// DropRepeats has the Directory drop an item whose channel had one of the same id within the time ttl. It is called before anything
// is published.
func (d *Directory) DropRepeats(ttl time.Duration) {
	d.seen = &seenIDs{
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, ttl: ttl,
		born: time.Now(), now: map[[2]uint64]struct{}{},
	}
}

// Repeats returns the number of items dropped because their id came again.
func (d *Directory) Repeats() uint64 {
	if d.seen == nil {
		return 0
	}
	return d.seen.again.Load()
}

// repeats reports whether the channel had an item of that id, and remembers it.
func (s *seenIDs) repeats(channel, id string, now time.Time) bool {
	var key [2]uint64
	for i := range key {
		var h maphash.Hash
		h.SetSeed(s.seeds[i])
		h.WriteString(channel)
		h.WriteByte(0) // stands in no channel's name
		h.WriteString(id)
		key[i] = h.Sum64()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.born) >= s.ttl || len(s.now) >= maxSeen/2 {
		if s.old = s.now; now.Sub(s.born) >= 2*s.ttl {
			s.old = nil
		}
		s.now, s.born = map[[2]uint64]struct{}{}, now
	}
	_, found := s.now[key]
	if !found {
		_, found = s.old[key]
		s.now[key] = struct{}{}
	}
	if found {
		s.again.Add(1)
	}
	return found
}
