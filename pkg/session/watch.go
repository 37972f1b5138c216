package session

import (
	"net/netip"
	"strings"
	"time"

	"holdfast/pkg/stats"
)

// Bounds on what is told of this loop's connections while somebody listens: about a hundredth of the loop's time.
const (
	watchWindow = 100 * time.Millisecond
	watchEvents = 1000 // told in a window
	watchBurst  = 4000 // in a window that follows a quieter one
)

// watch is what the listeners of Options.Feed are told of this loop. Where nobody listens it stays as it is.
type watch struct {
	began   time.Time     // of the window
	seen    int           // in the window
	told    int           // of those
	stride  int           // of so many one is told
	buf     []stats.Event // of this batch
	skipped uint64

	// The kernel forgets the address of a client that resets its connection. Those that came while somebody listened are
	// kept here, at most watchAddresses.
	from map[uint32]netip.AddrPort

	gone        uint32 // connection that has ended last
	goneClient  netip.AddrPort
	goneThrough netip.AddrPort // its proxy
}

const watchAddresses = 1 << 15

// flushIn is how soon an event of a batch's very end is handed on, when nothing else happens.
const flushIn = 10 * time.Millisecond

// wants reports whether an event of that type is to be told. When too many happen only some are, evenly.
func (c *Clients) wants(eventType string) bool {
	if !c.opts.Feed.Wants(eventType) {
		return false
	}
	w := &c.watch
	if w.stride > 1 || w.told >= watchBurst {
		w.turn(time.Now())
	}
	w.seen++
	if w.told >= watchBurst || w.seen%max(w.stride, 1) != 0 {
		if w.skipped++; w.skipped == 1 {
			c.t.WakeIn(flushIn) // the listeners are told that something was left out
		}
		return false
	}
	w.told++
	return true
}

// tell adds an event about a connection, of which cl is the record.
func (c *Clients) tell(e stats.Event, id uint32, cl *client) {
	e.Connection = c.connectionID(id, cl)
	addr, _ := c.clientAddress(id)
	e.SetAddress(addr)
	c.add(e)
}

func (c *Clients) add(e stats.Event) {
	if len(c.watch.buf) == 0 {
		c.t.WakeIn(flushIn)
	}
	e.UnixMS, e.Loop = time.Now().UnixMilli(), c.loop
	c.watch.buf = append(c.watch.buf, e)
}

// flushEvents hands the events of a batch to the listeners.
func (c *Clients) flushEvents(now time.Time) {
	w := &c.watch
	w.gone = 0 // its number may come back
	if len(w.buf) > 0 || w.skipped > 0 {
		c.opts.Feed.Add(w.buf, w.skipped)
		clear(w.buf)
		if w.buf, w.skipped = w.buf[:0], 0; cap(w.buf) > watchBurst {
			w.buf = nil
		}
	}
	if w.seen > 0 {
		w.turn(now)
	}
}

// turn begins a new window when the one before is over. How much was seen in that says of how many one is told now; after a quiet
// time it is each.
func (w *watch) turn(now time.Time) {
	switch elapsed := now.Sub(w.began); {
	case elapsed < watchWindow:
		return
	case elapsed < 2*watchWindow:
		w.stride = (w.seen + watchEvents - 1) / watchEvents
	default:
		w.stride = 1
	}
	w.began, w.seen, w.told = now, 0, 0
}

// Listening is a task: it has the loop see that the listeners have changed. Done is told then.
type Listening struct {
	Done chan<- struct{} // has room
}

func (t *Listening) run(c *Clients) {
	f := c.opts.Feed
	if f.Wants(stats.EventSubscribe) || f.Wants(stats.EventUnsubscribe) {
		c.members.SetWatcher(c)
	} else {
		c.members.SetWatcher(nil)
	}
	if !c.wantsEnds() {
		c.watch.from = nil
	}
	t.Done <- struct{}{}
}

// noteOpen tells of a new connection.
func (c *Clients) noteOpen(id uint32, refused bool) {
	if w := &c.watch; w.gone == id { // it ended after the batch's events were handed on
		w.gone = 0
	}
	if c.wants(stats.EventConnect) {
		c.tell(stats.Event{Type: stats.EventConnect, Kind: stats.HTTP.String()}, id, c.table.At(id))
	}
	c.keepAddress(id)
	if refused && c.wants(stats.EventOverload) {
		c.tell(stats.Event{Type: stats.EventOverload, Reason: "connection limit: answered 503"}, id, c.table.At(id))
	}
}

// wantsEnds reports whether somebody listens to what comes when a connection has ended.
func (c *Clients) wantsEnds() bool {
	return c.opts.Feed.Wants(stats.EventDisconnect) || c.opts.Feed.Wants(stats.EventUnsubscribe)
}

// keepAddress keeps the address of a new connection for its end, unless too many come to tell of each.
func (c *Clients) keepAddress(id uint32) {
	w := &c.watch
	if w.stride > 1 || w.told >= watchBurst || len(w.from) == watchAddresses || !c.wantsEnds() {
		return
	}
	if w.from == nil {
		w.from = map[uint32]netip.AddrPort{}
	}
	w.from[id] = c.t.Peer(id)
}

// Closing tells why a connection ends. The ends of its subscriptions follow, when the kernel does not know its address any more.
func (c *Clients) Closing(id uint32, why stats.CloseReason) {
	if !c.wantsEnds() {
		return
	}
	w := &c.watch
	if w.goneClient, w.goneThrough = c.clientAddress(id); !w.goneClient.IsValid() {
		w.goneClient = w.from[id]
	}
	w.gone = id
	delete(w.from, id)
	if c.wants(stats.EventDisconnect) {
		cl := c.table.At(id)
		c.tell(stats.Event{Type: stats.EventDisconnect, Kind: c.kind(cl).String(), Reason: why.String()}, id, cl)
	}
}

// LeftOut tells that a connection does not get what is being delivered. The channel's name is the
// item's, which lies in its publisher's buffer: a listener that does not read would keep that
// alive.
func (c *Clients) LeftOut(id uint32) {
	if c.wants(stats.EventDrop) {
		cl := c.table.At(id)
		c.tell(stats.Event{Type: stats.EventDrop, Kind: c.kind(cl).String(), Channel: strings.Clone(c.members.Walking()),
			Reason: stats.DropQueueFull.String()}, id, cl)
	}
}

// Overload tells of clients that are not accepted.
func (c *Clients) Overload(what string) {
	if c.wants(stats.EventOverload) {
		c.add(stats.Event{Type: stats.EventOverload, Reason: what})
	}
}

// Joined tells of a subscription.
func (c *Clients) Joined(id uint32, name []byte, encoder uint8) {
	if c.wants(stats.EventSubscribe) {
		kind := c.forms.at(formID(encoder)).kind.counts().String()
		e := stats.Event{Type: stats.EventSubscribe, Kind: kind, Channel: string(name)}
		c.tell(e, id, c.table.At(id))
	}
}

// Left tells of the end of a subscription.
func (c *Clients) Left(id uint32, name string, encoder uint8) {
	if c.wants(stats.EventUnsubscribe) {
		kind := c.forms.at(formID(encoder)).kind.counts().String()
		e := stats.Event{Type: stats.EventUnsubscribe, Kind: kind, Channel: name}
		c.tell(e, id, c.table.At(id))
	}
}

// clientAddress is the address of a connection's client, with port 0 where a proxy names it, and then that of the proxy.
func (c *Clients) clientAddress(id uint32) (client, proxy netip.AddrPort) {
	if w := &c.watch; w.gone == id {
		return w.goneClient, w.goneThrough
	}
	peer := c.t.Peer(id)
	p := c.peers.Find(id)
	switch {
	case p == nil:
	case p.flags&peerProxied != 0:
		return netip.AddrPortFrom(netip.AddrFrom16(p.source).Unmap(), 0), peer
	case p.flags&peerCounted != 0:
		if addr := netip.AddrFrom16(p.counted).Unmap(); addr != peer.Addr() {
			return netip.AddrPortFrom(addr, 0), peer
		}
	}
	return peer, netip.AddrPort{}
}
