package hub

import "strings"

// Watcher is told by Members who joins and leaves what. A call must return soon, and must not call Members.
type Watcher interface {
	// Joined tells of a new subscription, Left of one that ends. encoder is that of its group; name is good during the call
	// only.
	Joined(conn uint32, name []byte, encoder uint8)
	Left(conn uint32, name string, encoder uint8)
}

// SetWatcher has w told from now on; nil: nobody is.
func (m *Members) SetWatcher(w Watcher) { m.watcher = w }

// Walking returns the name of the channel whose items are being handed out, for calls of the Sink.
// It is the item's: clone it to keep it.
func (m *Members) Walking() string {
	if m.walking == nil || len(m.walking.items) == 0 {
		return ""
	}
	return m.walking.items[0].Item.Channel
}

// Subscriptions returns how many subscriptions a connection has, of which subs is the first.
func (m *Members) Subscriptions(subs uint32) (n int) {
	for id := subs; id != 0; id = m.subs.At(id).more {
		n++
	}
	return n
}

// Names appends the names of a connection's channels to dst, at most max. subs is its first subscription.
func (m *Members) Names(dst []string, subs uint32, max int) []string {
	for id := subs; id != 0 && max > 0; id = m.subs.At(id).more {
		dst = append(dst, m.dir.nameOf(m.locals.At(m.groups.At(m.subs.At(id).group).local).channel.number))
		max--
	}
	return dst
}

// Local finds the channel called name among those with subscribers in this loop. The number is good until the loop does something
// else; 0: nobody subscribes.
func (m *Members) Local(name string) uint32 {
	ch, ok := m.dir.find(name)
	if !ok {
		return 0
	}
	li, ok := m.byChannel.get(ch.number)
	if !ok || m.locals.At(li).channel != ch {
		return 0
	}
	return li
}

// Subscribed reports whether a connection, of which subs is the first subscription, has one to the channel that Local has found.
func (m *Members) Subscribed(subs, local uint32) bool {
	for id := subs; id != 0; id = m.subs.At(id).more {
		if m.groups.At(m.subs.At(id).group).local == local {
			return true
		}
	}
	return false
}

// Listed is a channel in a list of those with subscribers.
type Listed struct {
	Name    string
	channel channel
}

// Cursor is a place in the list of all channels. The zero value is its beginning.
type Cursor struct {
	shard int
	id    uint32 // in the shard
}

// List appends to dst channels whose names begin with prefix, of the next n places of the list from c on, and moves c behind them.
// It reports false when the list is at its end. A channel that is there all the time is listed once.
func (d *Directory) List(dst []Listed, c *Cursor, n int, prefix string) ([]Listed, bool) {
	if c.shard == numShards {
		return dst, false
	}
	s := &d.shards[c.shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, rec := range s.recs.From(c.id) {
		if n--; n < 0 {
			c.id = id
			return dst, true
		}
		if rec.loops != 0 && strings.HasPrefix(rec.name, prefix) {
			dst = append(dst, Listed{rec.name, channel{id<<shardBits | uint32(c.shard), rec.birth}})
		}
	}
	*c = Cursor{shard: c.shard + 1}
	return dst, true
}

// nameOf returns the name of a channel that has subscribers.
func (d *Directory) nameOf(number uint32) string {
	s, id := &d.shards[number%numShards], number>>shardBits
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recs.At(id).name
}

// Count adds to counts the subscribers that the channels have in this loop.
func (m *Members) Count(channels []Listed, counts []int) {
	for i := range channels {
		if li, ok := m.byChannel.get(channels[i].channel.number); ok && m.locals.At(li).channel == channels[i].channel {
			counts[i] += int(m.locals.At(li).subs)
		}
	}
}

// maxMetered is the number of channels that a Meter counts; with the map about 3 MB.
const maxMetered = 1 << 16

// Meter counts the deliveries of single channels in one loop, for a while. Between StartMeter and StopMeter it belongs to the
// loop.
type Meter struct {
	tallies   map[channel]Tally
	Uncounted uint64 // deliveries of channels beyond those that can be counted
}

// Tally is what a Meter has counted of a channel.
type Tally struct {
	Items      uint64
	Deliveries uint64
}

// StartMeter has a Meter count from now on.
func (m *Members) StartMeter() *Meter {
	meter := &Meter{tallies: map[channel]Tally{}}
	m.meters = append(m.meters, meter)
	return meter
}

// StopMeter ends that. The Meter is the caller's then.
func (m *Members) StopMeter(meter *Meter) {
	for i, other := range m.meters {
		if other == meter {
			m.meters = append(m.meters[:i:i], m.meters[i+1:]...)
			return
		}
	}
}

// count takes a walk at its end, before its items are told.
func (meter *Meter) count(w *walk) {
	ch := w.items[0].channel
	n := uint64(0)
	for _, handed := range w.handed {
		n += uint64(handed)
	}
	t, ok := meter.tallies[ch]
	if !ok && len(meter.tallies) == maxMetered {
		meter.Uncounted += n
		return
	}
	t.Items += uint64(len(w.items))
	t.Deliveries += n
	meter.tallies[ch] = t
}

// Merge adds what a Meter of another loop has counted. Every loop with subscribers of a channel sees all its items.
func (meter *Meter) Merge(o *Meter) {
	meter.Uncounted += o.Uncounted
	for ch, t := range o.tallies {
		old := meter.tallies[ch]
		meter.tallies[ch] = Tally{max(old.Items, t.Items), old.Deliveries + t.Deliveries}
	}
}

// Of returns what was counted of a channel.
func (meter *Meter) Of(l *Listed) Tally { return meter.tallies[l.channel] }

// Busy appends to dst the channels whose items were delivered, that still have subscribers, and whose names begin with prefix.
func (meter *Meter) Busy(dst []Listed, d *Directory, prefix string) []Listed {
	for ch := range meter.tallies {
		if name, ok := d.name(ch); ok && strings.HasPrefix(name, prefix) {
			dst = append(dst, Listed{name, ch})
		}
	}
	return dst
}

// name is nameOf for a channel that may be gone.
func (d *Directory) name(ch channel) (string, bool) {
	s, id := &d.shards[ch.number%numShards], ch.number>>shardBits
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.recs.Find(id)
	if rec == nil || rec.loops == 0 || rec.birth != ch.birth {
		return "", false
	}
	return rec.name, true
}
