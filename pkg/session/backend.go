package session

import (
	"bytes"
	"errors"
	"io"
	"time"

	"holdfast/pkg/exchange"
	"holdfast/pkg/grip"
	"holdfast/pkg/http1"
	"holdfast/pkg/route"
	"holdfast/pkg/stats"
)

// Backend has requests answered beside the loops, by a team's own server.
type Backend interface {
	Start(x *exchange.Exchange) // never waits
}

// proxied is a connection's request that the backend has.
type proxied struct {
	x       *exchange.Exchange
	chunks  http1.ChunkReader
	left    int64 // bytes of its body that have not come yet
	unsent  int   // of the answer, when it was last looked at
	pieces  uint8 // of the answer that wait in the connection's queue
	repeats uint8 // times that the request was sent again without having been held
	flags   uint16
}

const (
	bodyChunked = 1 << iota // of the request
	bodyDone                // it has come
	bodyWaits               // it waits for room
	keepsAlive              // the client lets the connection persist
	oldClient               // of HTTP/1.0
	headOnly                // HEAD
	answerBegun             // the answer's head is sent
	answerChunked
	answerEmpty      // it has no body
	answerUntilClose // its body ends with the connection
	clientEnded      // the client has shut down its side
)

func (p *proxied) is(flag uint16) bool { return p.flags&flag != 0 }

func (p *proxied) set(flag uint16, on bool) {
	if on {
		p.flags |= flag
	}
}

// serveRoute serves the request in hand by the routes file. Routes are matched as Pushpin does
// it, without needless percent-encoding in the path: %61 means a (RFC 3986 6.2.2.2), and must not
// lead past a route that says a. A backend gets the path as it was sent, unless the route matches
// only so.
func (c *Clients) serveRoute(id uint32, cl *client) {
	q := route.Request{Host: c.req.Host, Path: c.plain(c.req.Path), TLS: c.secure(id), Protocol: route.HTTP}
	if c.req.Upgrades("websocket") {
		q.Protocol = route.WebSocket
	}
	q.TLS = q.TLS || c.opts.AcceptProto && c.saysSecure()
	rt := c.matchRoute(q)
	if rt != nil && !rt.Covers(c.req.Path) {
		c.req.Path = bytes.Clone(q.Path)
	}
	switch {
	case rt == nil:
		c.answerWith(id, cl, 502, "text/plain", []byte("Route not found\n"), "") // the type as Pushpin has it
	case rt.Targets[0].Kind == route.Direct:
		c.req.Path = rt.LocalPath(c.req.Path)
		for _, name := range rt.Targets[0].Channels {
			c.fixed = append(c.fixed, []byte(name))
		}
		c.serveDirect(id, cl)
	case rt.Targets[0].Kind == route.Test:
		c.serveTest(id, cl, rt)
	case q.Protocol == route.WebSocket:
		c.answer(id, cl, 501, "WebSockets of a backend are not served yet", "")
	case c.draining:
		c.answer(id, cl, 503, "going down: come back in a moment", "Retry-After: 1\r\n")
	default:
		c.proxy(id, cl, rt)
	}
}

// matchRoute finds the route of the request in hand: the one that it names, if it may, and no other.
func (c *Clients) matchRoute(q route.Request) *route.Route {
	table := c.opts.Routes.Load()
	if c.opts.AcceptRoute {
		if id, _ := c.req.Field("Pushpin-Route"); len(id) > 0 {
			return table.Named(string(id), q.Path)
		}
	}
	return table.Match(q)
}

// saysSecure reports whether the client says that its connection is encrypted.
func (c *Clients) saysSecure() bool {
	proto, found := c.req.Field("X-Forwarded-Proto")
	if !found {
		proto, _ = c.req.Field("X-Forwarded-Protocol")
	}
	return bytes.EqualFold(proto, https) || bytes.EqualFold(proto, wss)
}

// proxy gives the request in hand to the backend.
func (c *Clients) proxy(id uint32, cl *client, rt *route.Route) {
	p := c.beginProxied(id, cl)
	x := exchange.New(c.opts.Context, c.t, id, c.tickets, c.copyRequest(id))
	x.Route = rt
	p.x = x
	c.t.Arm(id, c.opts.IdleTimeout)
	if c.req.ExpectContinue && !p.is(bodyDone) {
		if c.t.Send(id, []byte("HTTP/1.1 100 Continue\r\n\r\n")); !c.alive(id) {
			return
		}
	}
	c.opts.Backend.Start(x)
}

// beginProxied notes what the request in hand is, for its answer.
func (c *Clients) beginProxied(id uint32, cl *client) *proxied {
	r := &c.req
	c.tickets++
	p := c.proxied.Put(id)
	p.left = max(r.ContentLength, 0)
	p.set(bodyChunked, r.Chunked)
	p.set(bodyDone, !r.Chunked && p.left == 0)
	p.set(keepsAlive, r.KeepAlive)
	p.set(oldClient, r.Minor == 0)
	p.set(headOnly, string(r.Method) == "HEAD")
	cl.phase = proxying
	return p
}

// copyRequest copies the request in hand out of the loop's buffer.
func (c *Clients) copyRequest(id uint32) exchange.Request {
	r := &c.req
	fields := make([]exchange.Field, len(r.Fields))
	for i, f := range r.Fields {
		fields[i] = exchange.Field{Name: string(f.Name), Value: string(f.Value)}
	}
	length := max(r.ContentLength, 0)
	if r.Chunked {
		length = -1
	}
	peer, _ := c.address(id)
	return exchange.Request{
		Method: string(r.Method), Target: requestTarget(r), Host: string(r.Host), Minor: r.Minor, Fields: fields,
		Length: length, Peer: peer, Secure: c.secure(id),
	}
}

// requestTarget is the request's target in origin-form, or "*".
func requestTarget(r *http1.Request) string {
	if r.Query == nil {
		return string(r.Path)
	}
	return string(r.Path) + "?" + string(r.Query)
}

// requestBody hands the body of a request on to the backend, as far as there is room, and returns how much of b it used. Once the
// body has come nothing more is read until the answer is sent.
func (c *Clients) requestBody(id uint32, b []byte) (used int) {
	p := c.proxied.At(id)
	p.flags &^= bodyWaits
	for !p.is(bodyDone) && used < len(b) {
		room := p.x.Room()
		if room == 0 {
			p.flags |= bodyWaits
			break
		}
		n, err := p.takeBody(b[used:min(len(b), used+room)])
		used += n
		if err != nil {
			c.breakBody(id, p, err)
			return len(b)
		}
	}
	if p.is(bodyDone) {
		p.x.PushEnd(nil)
	}
	switch {
	case p.is(bodyDone):
		c.t.Await(id)
		c.t.Arm(id, leftCheck)
	case p.is(bodyWaits):
		c.t.Await(id)
	default:
		c.t.Arm(id, c.opts.IdleTimeout)
	}
	return used
}

// takeBody pushes what b, for which there is room, holds of the request's body.
func (p *proxied) takeBody(b []byte) (used int, err error) {
	if !p.is(bodyChunked) {
		used = p.x.Push(b[:min(int64(len(b)), p.left)])
		p.left -= int64(used)
		p.set(bodyDone, p.left == 0)
		return used, nil
	}
	data, used, err := p.chunks.Next(b)
	p.x.Push(data)
	switch {
	case errors.Is(err, io.EOF):
		p.flags |= bodyDone
		return used, nil
	case errors.Is(err, http1.ErrShort):
		return used, nil
	}
	return used, err
}

// breakBody ends a connection whose request's body is malformed.
func (c *Clients) breakBody(id uint32, p *proxied, err error) {
	p.x.PushEnd(err)
	if p.is(answerBegun) {
		c.t.Close(id, stats.CloseBadRequest)
		return
	}
	status, text := 400, err.Error()
	if bad, ok := errors.AsType[*http1.Error](err); ok {
		status, text = bad.Status, bad.Text
	}
	c.dismissFrom(id, p.is(headOnly), status, text, "", stats.CloseBadRequest)
}

// proxyDue ends a connection whose client does not go on: with its body, or with taking the answer.
func (c *Clients) proxyDue(id uint32) {
	p := c.proxied.At(id)
	switch {
	case p.pieces > 0:
		unsent := c.t.Unsent(id)
		if unsent >= p.unsent {
			c.t.Close(id, stats.CloseSlow)
			return
		}
		p.unsent = unsent
		c.t.Arm(id, c.opts.IdleTimeout)
	case p.is(answerBegun) && p.is(bodyDone|bodyWaits): // a quiet answer
		if c.t.Ended(id) {
			c.t.Close(id, stats.CloseClient)
			return
		}
		c.t.Arm(id, c.opts.IdleTimeout)
	case p.is(bodyDone):
		c.awaitAnswer(id, p)
	case p.is(bodyWaits):
	case p.is(answerBegun):
		c.t.Close(id, stats.CloseTimeoutHead)
	default:
		c.dismissFrom(id, p.is(headOnly), 408, "the request's body did not go on for "+c.opts.IdleTimeout.String(), "", stats.CloseTimeoutHead)
	}
}

// leftCheck is the time between looks whether a client still waits for its answer.
const leftCheck = time.Second

// awaitAnswer gives up a request whose client shut its side down a second ago or more. It has left, most likely, and would keep a
// place at the backend from others; one that only says that it has nothing to add gets what is answered until then.
func (c *Clients) awaitAnswer(id uint32, p *proxied) {
	switch {
	case !c.t.Ended(id):
	case p.is(clientEnded):
		c.t.Close(id, stats.CloseClient)
		return
	default:
		p.flags |= clientEnded
	}
	c.t.Arm(id, leftCheck)
}

// backendSays takes what the backend side says.
func (c *Clients) backendSays(ev *exchange.Event) {
	id := ev.X.Conn
	p := c.proxied.Find(id)
	if p == nil || p.x != ev.X { // its client has left
		if ev.Kind == exchange.Body {
			ev.X.Took()
		}
		return
	}
	cl := c.table.At(id)
	switch ev.Kind {
	case exchange.Room:
		if p.is(bodyWaits) {
			c.t.Again(id)
		}
	case exchange.Begin:
		if c.beginAnswer(id, p, ev.Head, nil); c.alive(id) {
			c.t.Arm(id, c.opts.IdleTimeout)
		}
	case exchange.Body:
		c.answerPiece(id, p, ev)
	case exchange.End:
		if p.is(answerChunked) {
			c.t.Send(id, []byte(http1.FinalChunk))
		}
		c.endAnswer(id, cl)
	case exchange.Cut:
		c.cutAnswer(id, p)
	case exchange.Answer:
		c.beginAnswer(id, p, ev.Head, ev.Data)
		c.endAnswer(id, cl)
	case exchange.Hold:
		c.holdFor(id, cl, p, ev.Plan)
	}
}

// beginAnswer sends the head of the backend's answer, and body behind it.
func (c *Clients) beginAnswer(id uint32, p *proxied, h *exchange.Head, body []byte) {
	p.flags |= answerBegun
	out := http1.AppendStatusLine(c.out[:0], h.Status, h.Reason)
	for _, f := range h.Fields {
		out = http1.AppendField(out, f.Name, f.Value)
	}
	bodyless := p.is(headOnly) || h.Status == 204 || h.Status == 304
	p.set(answerEmpty, bodyless)
	switch {
	case h.Length >= 0:
		if h.Status != 204 && (h.Status != 304 || h.Length > 0) {
			out = http1.AppendContentLength(out, h.Length)
		}
	case bodyless:
	case p.is(oldClient):
		p.flags = p.flags&^keepsAlive | answerUntilClose
	default:
		p.flags |= answerChunked
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case !p.is(keepsAlive) || !p.is(bodyDone) || c.draining || h.Closes:
		// What is left of the body would be taken for a request. A held stream ends with its
		// connection.
		p.flags &^= keepsAlive
		out = append(out, closeField...)
	case p.is(oldClient):
		out = append(out, keepAliveField...)
	}
	out = append(out, "\r\n"...)
	if !bodyless {
		out = append(out, body...)
	}
	c.out = out
	c.t.Send(id, out)
}

// answerPiece sends a piece of the answer's body. The next may come when the client has taken it.
func (c *Clients) answerPiece(id uint32, p *proxied, ev *exchange.Event) {
	switch {
	case p.is(answerEmpty):
	case p.is(answerChunked):
		c.out = http1.AppendChunk(c.out[:0], ev.Data)
		c.t.Send(id, c.out)
	default:
		c.t.Send(id, ev.Data)
	}
	if c.alive(id) && c.t.Behind(id) {
		p.pieces++
		p.unsent = c.t.Unsent(id)
		c.t.Arm(id, c.opts.IdleTimeout)
		return
	}
	ev.X.Took()
	if c.alive(id) {
		c.t.Arm(id, c.opts.IdleTimeout)
	}
}

// answerTaken lets the next pieces come, when the client has taken those before.
func (c *Clients) answerTaken(id uint32) {
	p := c.proxied.At(id)
	for ; p.pieces > 0; p.pieces-- {
		p.x.Took()
	}
}

// cutAnswer has the client see that its answer is not complete.
func (c *Clients) cutAnswer(id uint32, p *proxied) {
	if !p.is(answerBegun) {
		c.dismissFrom(id, p.is(headOnly), 502, "Error while proxying to origin.", "", stats.CloseBackend)
		return
	}
	c.breakOff(id, p, stats.CloseBackend)
}

// breakOff ends a connection whose answer has begun, in a way that says so: without the final chunk, or the announced length.
func (c *Clients) breakOff(id uint32, p *proxied, why stats.CloseReason) {
	if p.is(answerUntilClose) { // an end in good order would be that of the answer
		c.t.Reset(id, why)
		return
	}
	c.t.Finish(id, why)
}

// endAnswer has the connection go on after the backend's answer.
func (c *Clients) endAnswer(id uint32, cl *client) {
	if !c.alive(id) {
		return
	}
	p := c.proxied.At(id)
	keep := p.is(keepsAlive)
	c.dropProxied(id)
	cl.phase = idle
	c.goOnAfter(id, cl, keep && !c.draining)
}

// goOnAfter has the connection go on with its next request, of which something may be there already: when what it got before is
// taken, for a client that asks and does not read is not answered on and on.
func (c *Clients) goOnAfter(id uint32, cl *client, keep bool) {
	c.next(id, cl, keep)
	switch {
	case !c.alive(id):
	case c.t.Behind(id):
		c.t.Pause(id)
	default:
		c.t.Again(id)
	}
}

// dropProxied ends what the backend side does for a connection.
func (c *Clients) dropProxied(id uint32) {
	p := c.proxied.Find(id)
	if p == nil || p.x == nil {
		return
	}
	p.x.Abandon()
	for ; p.pieces > 0; p.pieces-- {
		p.x.Took()
	}
	c.proxied.Drop(id)
}

// serveTest is the built-in target for trying things out (reference: grip.md 9.6).
func (c *Clients) serveTest(id uint32, cl *client, rt *route.Route) {
	if err := c.parseQuery(); err != nil && err != errNoChannel {
		c.answer(id, cl, 400, err.Error(), "")
		return
	}
	in := &grip.Instruct{Timeout: testTimeout, KeepAlive: grip.KeepAlive{}}
	body := ""
	switch string(c.plain(rt.LocalPath(c.req.Path))) {
	case "", "/":
		c.answer(id, cl, 200, "Hello from pushd's test handler", "")
		return
	case "/response":
		in.Hold, body = grip.ResponseHold, "nothing for now\n"
	case "/stream":
		in.Hold, body = grip.StreamHold, "[stream opened]\n"
	default:
		c.answer(id, cl, 404, "no such test resource", "")
		return
	}
	for _, name := range c.query.channels {
		in.Channels = append(in.Channels, grip.Channel{Name: string(name)})
	}
	if len(in.Channels) == 0 {
		in.Channels = []grip.Channel{{Name: "test"}}
	}
	p := c.beginProxied(id, cl)
	p.x = exchange.New(c.opts.Context, c.t, id, c.tickets, exchange.Request{})
	c.holdFor(id, cl, p, &exchange.Plan{
		Instruct: in, Route: rt, Subs: rt.Targets[0].Subs, Body: []byte(body),
		Head: &exchange.Head{Status: 200, Fields: []grip.Field{{Name: "Content-Type", Value: "text/plain"}}, Length: int64(len(body))},
	})
}

// testTimeout is that of the test target's held responses.
const testTimeout = 55 * time.Second
