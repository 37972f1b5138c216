package session

import (
	"holdfast/pkg/publish"
	"math/rand/v2"
	"time"

	"holdfast/pkg/hub"
	"holdfast/pkg/sse"
	"holdfast/pkg/stats"
)

// streaming is what all responses have in common that stay open: nothing more comes from the
// client, and they end with their connection.
type streaming struct{ *Clients }

func (streaming) data(_ uint32, _ *client, b []byte) int { return len(b) }

func (s streaming) end(
	id uint32,
	cl *client,
	why stats.CloseReason,
) {
	s.endStream(id, cl, why)
}

func (s streaming) drain(
	id uint32,
	cl *client,
) {
	s.endStream(id, cl, stats.CloseDrain)
}

func (s streaming) dismiss(
	id uint32,
	cl *client,
	why stats.CloseReason,
) {
	s.endStream(id, cl, why)
}
func (streaming) describe(uint32, *stats.ConnectionInfo) {}

// directStream is a stream that pushd holds by itself: it has keep-alives, and a token that may
// expire.
type directStream struct{ streaming }

func (directStream) replays(hub.Effect) bool { return true }

func (s directStream) gone(id uint32) { s.dropExpiry(id) }

func (s directStream) due(id uint32, cl *client) {
	if s.expired(id) {
		s.endStream(id, cl, stats.CloseExpired)
		return
	}
	s.keepAlive(id, cl, s.opts.StreamKeepAlive)
}

// rawStreams are the streams of what is published, byte for byte.
type rawStreams struct{ directStream }

func (rawStreams) counts() stats.Kind        { return stats.Stream }
func (rawStreams) encoder(*form) hub.Encoder { return appendStream }
func (rawStreams) showsIDs() bool            { return false }

// appendOpening appends nothing, unless it is asked for: the stream is what was published, byte for
// byte.
func (r rawStreams) appendOpening(dst []byte, f *form) []byte {
	if !r.query.opening {
		return dst
	}
	return append(dst, f.opening...)
}

// appendNotice appends the event that /events would have.
func (r rawStreams) appendNotice(dst []byte, f *form, n notice) []byte {
	r.event = sse.AppendEvent(r.event[:0], sse.Event{Event: n.Event, Data: n.text()})
	return appendFramed(dst, r.event, f.chunked)
}

func (r rawStreams) appendPosition(dst []byte, f *form, position string) []byte {
	return r.appendNotice(dst, f, notice{positionEvent, position})
}

// streamOpen is what begins a raw stream that asks for an opening: the event that the backend of
// the published Pushpin set-up for a million connections sends. Load clients wait for it.
const streamOpen = "event: message\ndata: stream open\n\n"

func (c *Clients) beginEvents(id uint32, cl *client, head bool) {
	c.stream(id, cl, c.forms.events, head)
}

func (c *Clients) beginStream(id uint32, cl *client, head bool) {
	c.stream(id, cl, c.forms.stream, head)
}

// stream holds the connection as a response that stays open, in the form for its version of HTTP.
func (c *Clients) stream(id uint32, cl *client, forms framed, head bool) {
	f := forms.of(c.req.Minor > 0)
	if head {
		c.sendHead(id, cl, f)
		return
	}
	begin, kept := uint64(0), false
	k := c.forms.at(f).direct
	if k.showsIDs() && c.query.from.Fresh() { // before it subscribes
		begin, kept = c.members.Settled(c.query.channels)
	}
	r, ok := c.subscribe(id, cl, f)
	if !ok {
		return
	}
	if kept {
		r.Had, r.Kept, r.Tell = begin, true, true
	}
	c.armKeepAlive(id, c.opts.StreamKeepAlive)
	c.out = k.appendOpening(c.appendStreamHead(c.out[:0], f, false), c.forms.at(f))
	c.out = c.appendKept(c.out, f, r)
	c.t.Send(id, c.out)
	if c.alive(id) {
		c.t.Hold(id)
	}
}

// subscribe holds the connection: it gets what is published to the request's channels, in the form
// f, all or none. What it has missed is in c.kept as well. When it reports false the request is
// answered.
func (c *Clients) subscribe(id uint32, cl *client, f formID) (r hub.Resumed, ok bool) {
	q := &c.query
	if r, ok = c.members.Resume(
		id,
		q.channels,
		uint8(f),
		uint8(c.forms.at(f).gapped),
		q.from,
		c.kept,
	); !ok {
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
func (c *Clients) startDirect(id uint32, cl *client, f formID, r *hub.Resumed) {
	if r.Gap {
		f = c.forms.at(f).gapped
	}
	cl.subs = r.Subs
	c.stats.Move(stats.HTTP, c.forms.at(f).kind.counts())
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
func (c *Clients) sendHead(id uint32, cl *client, f formID) {
	keep := c.keeps() && c.forms.at(f).chunked
	c.out = c.appendStreamHead(c.out[:0], f, keep)
	c.t.Send(id, c.out)
	c.next(id, cl, keep)
}

// appendStreamHead appends the head of a held response. stays says that the connection goes on
// after it, which only the answer to HEAD does: a stream ends with its connection, and its head
// says so (RFC 9112, 9.6), or a proxy in front would send its next request on a connection that is
// closing.
func (c *Clients) appendStreamHead(dst []byte, f formID, stays bool) []byte {
	dst = append(
		dst,
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"...)
	dst = c.appendDate(dst)
	if c.forms.at(f).chunked {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	if !stays {
		dst = append(dst, closeField...)
	}
	return append(append(dst, c.corsFields[c.cors]...), "\r\n"...)
}

// keepAlive writes to a connection on which nothing was written for the time of the keep-alive, and
// waits for the next.
func (c *Clients) keepAlive(id uint32, cl *client, every time.Duration) {
	if quiet := c.t.Quiet(id); quiet < every-min(time.Second, every/2) {
		c.t.Arm(id, c.untilExpiry(id, every-quiet))
		return
	}
	c.armKeepAlive(id, every) // before the write, which may end the connection
	c.t.Send(id, c.form(cl).keepAlive)
}

// armKeepAlive spreads the keep-alives of connections that were opened together, as Pushpin does.
func (c *Clients) armKeepAlive(id uint32, every time.Duration) {
	c.t.Arm(id, c.untilExpiry(id, spread(every)))
}

// spread shortens a time by up to a second, so that what began together does not go on together.
func spread(d time.Duration) time.Duration { return d - rand.N(min(time.Second, d/2)) }

// endStream ends a held stream as a client expects it.
func (c *Clients) endStream(id uint32, cl *client, why stats.CloseReason) {
	if last := c.form(cl).last; len(last) > 0 {
		c.t.Send(id, last)
	}
	c.finish(id, why)
}

// appendStream appends the item as a raw stream sees it: its http-stream content, byte for byte.
func appendStream(dst []byte, it *publish.Item) ([]byte, hub.Effect) {
	effect := streamEffect(it)
	if effect == hub.Deliver {
		dst = append(dst, it.Stream.Content...)
	}
	return dst, effect
}

// streamEffect is what the http-stream format of an item asks for. A hint is for connections with a
// backend behind them.
func streamEffect(it *publish.Item) hub.Effect {
	switch it.For(publish.HTTPStream, false) {
	case publish.Content:
		return hub.Deliver
	case publish.Closing:
		return hub.End
	}
	return hub.Nothing
}
