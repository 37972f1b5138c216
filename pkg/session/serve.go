package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"holdfast/pkg/http1"
	"holdfast/pkg/publish"
	"holdfast/pkg/sse"
	"holdfast/pkg/stats"
)

// endpoint begins what a path serves. The request in hand is a GET, or a HEAD when head is set, and names its channels.
type endpoint func(c *Clients, id uint32, cl *client, head bool)

var endpoints = map[string]endpoint{
	"/events": func(c *Clients, id uint32, cl *client, head bool) { c.stream(id, cl, eventsChunked, eventsPlain, head) },
	"/stream": func(c *Clients, id uint32, cl *client, head bool) { c.stream(id, cl, streamChunked, streamPlain, head) },
	"/poll":   (*Clients).poll,
	"/ws":     func(c *Clients, id uint32, cl *client, _ bool) { c.upgrade(id, cl) },
}

// serve answers the request in hand.
func (c *Clients) serve(id uint32, cl *client) {
	r := &c.req
	begin := endpoints[string(r.Path)]
	head := string(r.Method) == "HEAD"
	switch {
	case begin == nil:
		c.answer(id, cl, 404, "not found: /events, /stream, /poll and /ws are served here", "")
		return
	case !head && string(r.Method) != "GET":
		c.answer(id, cl, 405, "method not allowed: this is for GET", "Allow: GET, HEAD\r\n")
		return
	case c.draining:
		c.answer(id, cl, 503, "going down: come back in a moment", "Retry-After: 1\r\n")
		return
	}
	if err := c.parseChannels(); err != nil {
		c.answer(id, cl, 400, err.Error(), "")
		return
	}
	begin(c, id, cl, head)
}

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
	c.hold(id, cl, f)
}

var errNoChannel = errors.New("missing parameter: channel")

// parseChannels finds the channels that the request names. channel and topic mean the same.
func (c *Clients) parseChannels() error {
	c.channels, c.names = c.channels[:0], c.names[:0]
	for rest := c.req.Query; len(rest) > 0; {
		var key, value []byte
		key, value, rest = http1.NextParam(rest)
		if string(key) != "channel" && string(key) != "topic" {
			continue
		}
		start := len(c.names)
		var err error
		if c.names, err = http1.AppendUnescaped(c.names, value); err != nil {
			return fmt.Errorf("bad parameter %s: %s", key, strings.TrimPrefix(err.Error(), "http1: "))
		}
		name := c.names[start:]
		if err := publish.CheckChannel(name); err != nil {
			return fmt.Errorf("bad parameter %s: %w", key, err)
		}
		if len(c.channels) == c.opts.MaxChannels {
			return fmt.Errorf("too many channels: at most %d for one connection", c.opts.MaxChannels)
		}
		c.channels = append(c.channels, name)
	}
	if len(c.channels) == 0 {
		return errNoChannel
	}
	return nil
}

// hold subscribes the connection to the request's channels and answers with the head of a response that stays open.
func (c *Clients) hold(id uint32, cl *client, f form) {
	c.subscribe(id, cl, f)
	c.armKeepAlive(id, cl)
	c.out = c.appendOpening(c.appendStreamHead(c.out[:0], f, forms[f].chunked), f)
	c.t.Send(id, c.out)
	if c.alive(id) {
		c.t.Hold(id)
	}
}

// subscribe holds the connection: it gets what is published to the request's channels, in the form f.
func (c *Clients) subscribe(id uint32, cl *client, f form) {
	c.stats.Move(stats.HTTP, forms[f].kind)
	cl.phase, cl.form = held, f
	for _, name := range c.channels {
		cl.subs = c.members.Join(id, name, uint8(f), cl.subs)
	}
}

// sendHead answers a HEAD request with the head of what GET would hold.
func (c *Clients) sendHead(id uint32, cl *client, f form) {
	keep := c.keeps() && forms[f].chunked
	c.out = c.appendStreamHead(c.out[:0], f, keep)
	c.t.Send(id, c.out)
	c.next(id, cl, keep)
}

// appendStreamHead appends the head of a held response. stays says that the connection goes on after it.
func (c *Clients) appendStreamHead(dst []byte, f form, stays bool) []byte {
	dst = append(dst, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"...)
	dst = c.appendDate(dst)
	if forms[f].chunked {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	if !stays {
		dst = append(dst, closeField...)
	}
	return append(dst, "\r\n"...)
}

// appendOpening appends what a held response begins with. For events that is a reconnection time of 2 to 5 s, another
// for each client: those of a daemon that ends do not come back in the same moment.
func (c *Clients) appendOpening(dst []byte, f form) []byte {
	if forms[f].kind != stats.Events {
		return append(dst, forms[f].opening...)
	}
	c.event = sse.AppendRetry(append(c.event[:0], sse.KeepAlive...), 2000+rand.IntN(3000))
	if forms[f].chunked {
		return http1.AppendChunk(dst, c.event)
	}
	return append(dst, c.event...)
}
