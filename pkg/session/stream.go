package session

import (
	"math/rand/v2"
	"time"

	"holdfast/pkg/http1"
	"holdfast/pkg/hub"
	"holdfast/pkg/sse"
	"holdfast/pkg/stats"
)

// stream holds the connection as a response that stays open, in the form for its version of HTTP.
func (c *Clients) stream(id uint32, cl *client, chunked, plain form, head bool) {
	f := chunked
	if c.req.Minor == 0 {
		f = plain
	}
	if head {
		c.sendHead(id, cl, f)
		return
	}
	begin, kept := uint64(0), false
	if c.forms[f].kind == stats.Events && c.query.from.Fresh() { // before it subscribes
		begin, kept = c.members.Settled(c.query.channels)
	}
	r, ok := c.subscribe(id, cl, f)
	if !ok {
		return
	}
	if kept {
		r.Had, r.Kept, r.Tell = begin, true, true
	}
	c.armKeepAlive(id, cl)
	c.out = c.appendOpening(c.appendStreamHead(c.out[:0], f, false), f)
	c.out = c.appendKept(c.out, f, r)
	c.t.Send(id, c.out)
	if c.alive(id) {
		c.t.Hold(id)
	}
}

// subscribe holds the connection: it gets what is published to the request's channels, in the form
// f, all or none. What it has missed is in c.kept as well. When it reports false the request is
// answered.
func (c *Clients) subscribe(id uint32, cl *client, f form) (r hub.Resumed, ok bool) {
	q := &c.query
	if r, ok = c.members.Resume(id, q.channels, uint8(f), uint8(gapForm(f)), q.from, c.kept); !ok {
		c.refuseChannels(id, cl)
		return r, false
	}
	c.kept = r.Items
	c.startDirect(id, cl, f, &r)
	return r, true
}

func (c *Clients) refuseChannels(id uint32, cl *client) {
	c.answer(id, cl, 503, "too many channels: come back in a moment", retryField())
}

// startDirect notes that the connection, which is subscribed, is held in the form f.
func (c *Clients) startDirect(id uint32, cl *client, f form, r *hub.Resumed) {
	if r.Gap {
		f = gapForm(f)
	}
	cl.subs = r.Subs
	c.stats.Move(stats.HTTP, c.forms[f].kind)
	cl.phase, cl.form = held, f
	if !c.expiry.IsZero() {
		*c.expiries.Put(id) = c.expiry.Unix()
	}
}

// dropExpiry forgets when the connection's token expires.
func (c *Clients) dropExpiry(id uint32) {
	if e := c.expiries.Find(id); e != nil && *e != 0 {
		c.expiries.Drop(id)
	}
}

// sendHead answers a HEAD request with the head of what GET would hold.
func (c *Clients) sendHead(id uint32, cl *client, f form) {
	keep := c.keeps() && c.forms[f].chunked
	c.out = c.appendStreamHead(c.out[:0], f, keep)
	c.t.Send(id, c.out)
	c.next(id, cl, keep)
}

// appendStreamHead appends the head of a held response. stays says that the connection goes on after
// it, which only the answer to HEAD does: a stream ends with its connection, and its head says so
// (RFC 9112, 9.6), or a proxy in front would send its next request on a connection that is closing.
func (c *Clients) appendStreamHead(dst []byte, f form, stays bool) []byte {
	dst = append(dst, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"...)
	dst = c.appendDate(dst)
	if c.forms[f].chunked {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	if !stays {
		dst = append(dst, closeField...)
	}
	return append(append(dst, c.corsFields[c.cors]...), "\r\n"...)
}

// appendOpening appends what a held response begins with. For a raw stream that is nothing,
// unless it is asked for: the stream is what was published, byte for byte. For events that is a
// reconnection time of 2 to 5 s, another for each client: those of a daemon that ends do not come
// back in the same moment.
func (c *Clients) appendOpening(dst []byte, f form) []byte {
	switch {
	case c.forms[f].kind == stats.Events:
	case c.query.opening:
		return append(dst, c.forms[f].opening...)
	default:
		return dst
	}
	c.event = sse.AppendRetry(append(c.event[:0], sse.KeepAlive...), 2000+rand.IntN(3000))
	if c.forms[f].chunked {
		return http1.AppendChunk(dst, c.event)
	}
	return append(dst, c.event...)
}

// keepAlive writes to a connection on which nothing was written for the time of the keep-alive, and waits for the next.
func (c *Clients) keepAlive(id uint32, cl *client) {
	every := c.keepAliveTime(cl)
	if quiet := c.t.Quiet(id); quiet < every-min(time.Second, every/2) {
		c.t.Arm(id, c.untilExpiry(id, every-quiet))
		return
	}
	c.armKeepAlive(id, cl) // before the write, which may end the connection
	c.t.Send(id, c.forms[cl.form].keepAlive)
}

// armKeepAlive spreads the keep-alives of connections that were opened together, as Pushpin does.
func (c *Clients) armKeepAlive(id uint32, cl *client) {
	every := c.keepAliveTime(cl)
	c.t.Arm(id, c.untilExpiry(id, spread(every)))
}

// spread shortens a time by up to a second, so that what began together does not go on together.
func spread(d time.Duration) time.Duration { return d - rand.N(min(time.Second, d/2)) }

// keepAliveTime is the time without a write after which the connection gets a keep-alive.
func (c *Clients) keepAliveTime(cl *client) time.Duration {
	if c.forms[cl.form].kind == stats.WS {
		return c.opts.WSPing
	}
	return c.opts.StreamKeepAlive
}
