package hub

import (
	"hash/maphash"
	"strings"
	"time"
)

const (
	// lastIDTime is how long a channel's last id is known after its last subscriber has left, at least. Pushpin's subscriptions
	// of held responses last as long (reference: grip.md 4.4).
	lastIDTime = time.Minute

	// maxLingering bounds the channels without subscribers whose last id is known: with short names about 40 MB. When more
	// come within lastIDTime, the oldest are forgotten before it is over.
	maxLingering = 1 << 18
)

// lingering is the last ids of a shard's channels whose subscribers have left, in two generations of which the older is
// dropped as a whole: an id is known for lastIDTime at least, and twice as long at most.
type lingering struct {
	born     time.Time // of now
	now, old map[string]*string
}

// put takes over the last id of a channel, as a record has it.
func (l *lingering) put(channel string, id *string, now time.Time) {
	l.turn(now)
	if id == nil {
		id = new(string)
	}
	if len(l.now) >= maxLingering/2/numShards {
		l.old, l.now, l.born = l.now, nil, now
	}
	if l.now == nil {
		if l.old == nil {
			l.born = now
		}
		l.now = map[string]*string{}
	}
	l.now[channel] = id
}

// turn drops what is too old.
func (l *lingering) turn(now time.Time) {
	if age := now.Sub(l.born); age >= 2*lastIDTime {
		l.now, l.old = nil, nil
	} else if age >= lastIDTime {
		l.old, l.now, l.born = l.now, nil, now
	}
}

// take returns the last id of a channel that gets subscribers again, and forgets it; nil when it is not known.
func (l *lingering) take(channel string, now time.Time) *string {
	if l.now == nil && l.old == nil {
		return nil
	}
	l.turn(now)
	id, found := l.now[channel]
	if !found {
		id = l.old[channel]
	}
	delete(l.now, channel)
	delete(l.old, channel)
	return id
}

// update notes an item that nobody subscribes to.
func (l *lingering) update(channel, id string, now time.Time) {
	if l.now == nil && l.old == nil {
		return
	}
	l.turn(now)
	for _, m := range []map[string]*string{l.now, l.old} {
		if last, found := m[channel]; found {
			*last = strings.Clone(id)
			return
		}
	}
}

// KeepLastIDs has the Directory keep the id of the last item of each channel in mind while somebody subscribes, and a minute
// longer where LastID was asked for it. It is called before anything is subscribed or published.
func (d *Directory) KeepLastIDs() { d.lastIDs = true }

// LastID returns the id of the last item that was published to the channel called name since it has subscribers. known is false
// when there was none, or the last one had no id. From now on the id outlasts the channel's subscribers by a minute, in which items
// go on to change it: who asks comes again.
func (d *Directory) LastID(name string) (id string, known bool) {
	s, _ := d.shard(maphash.String(d.seed, name))
	s.mu.Lock()
	defer s.mu.Unlock()
	number, ok := s.ids.get(name)
	if !ok {
		return "", false
	}
	rec := s.recs.At(number)
	rec.lingers = true
	if rec.last == nil {
		return "", false
	}
	return *rec.last, *rec.last != ""
}

// ForgetLastID has LastID not know about the channel until the next item.
func (d *Directory) ForgetLastID(name string) {
	s, _ := d.shard(maphash.String(d.seed, name))
	s.mu.Lock()
	defer s.mu.Unlock()
	if number, ok := s.ids.get(name); ok {
		s.recs.At(number).last = nil
	}
}

func (d *Directory) expireLastIDs(now time.Time) {
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		s.gone.turn(now)
		s.mu.Unlock()
	}
}
