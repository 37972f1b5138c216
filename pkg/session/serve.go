package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

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
	if c.current != 0 {
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
		dst = append(dst, "Connection: close\r\n"...)
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

// answer sends a complete answer of one line of text. The connection goes on with the next request where the request
// lets it and brings no body, which nobody here would read.
func (c *Clients) answer(id uint32, cl *client, status int, text, fields string) {
	keep := c.keeps()
	c.sendAnswer(id, status, text, fields, keep, c.req.Minor == 0, string(c.req.Method) == "HEAD")
	c.next(id, cl, keep)
}

// keeps reports whether the connection may go on after the request in hand.
func (c *Clients) keeps() bool {
	r := &c.req
	return r.KeepAlive && !r.Chunked && r.ContentLength <= 0 && !c.draining
}

// next has the connection wait for another request after its answer, or ends it.
func (c *Clients) next(id uint32, cl *client, keep bool) {
	switch {
	case c.current == 0:
	case keep:
		cl.phase = idle
		c.t.Arm(id, c.opts.IdleTimeout)
	default:
		c.t.Finish(id, stats.CloseDone)
	}
}

// reject answers bytes that are no acceptable request, and ends the connection: where the next request would begin is
// not known.
func (c *Clients) reject(id uint32, err error) {
	status, text := 400, err.Error()
	var bad *http1.Error
	if errors.As(err, &bad) {
		status, text = bad.Status, bad.Text
	}
	c.answerAndFinish(id, status, text, stats.CloseBadRequest)
}

// refuse answers a connection above the limit.
func (c *Clients) refuse(id uint32) {
	c.current = id
	retry := "Retry-After: " + strconv.Itoa(1+rand.IntN(10)) + "\r\n"
	c.sendAnswer(id, 503, "too many connections: come back in a moment", retry, false, false, false)
	if c.current != 0 {
		c.t.Finish(id, stats.CloseOverload)
	}
}

func (c *Clients) answerAndFinish(id uint32, status int, text string, why stats.CloseReason) {
	c.current = id
	c.sendAnswer(id, status, text, "", false, false, false)
	if c.current != 0 {
		c.t.Finish(id, why)
	}
}

// sendAnswer sends an answer of one line of text, in one write. fields are further field lines. A client of HTTP/1.0
// is told that the connection stays, one of HTTP/1.1 that it does not. The answer to HEAD has no body.
func (c *Clients) sendAnswer(id uint32, status int, text, fields string, keep, old, head bool) {
	out := http1.AppendStatusLine(c.out[:0], status, "")
	out = c.appendDate(out)
	out = append(out, "Content-Type: text/plain; charset=utf-8\r\n"...)
	out = http1.AppendContentLength(out, int64(len(text)+1))
	out = append(out, fields...)
	switch {
	case !keep:
		out = append(out, "Connection: close\r\n"...)
	case old:
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	out = append(out, "\r\n"...)
	if !head {
		out = append(append(out, text...), '\n')
	}
	c.out = out
	c.t.Send(id, out)
}

// appendDate appends the Date field, which is made once a second.
func (c *Clients) appendDate(dst []byte) []byte {
	now := time.Now()
	if s := now.Unix(); s != c.second || len(c.date) == 0 {
		c.second = s
		c.date = append(http1.AppendDate(append(c.date[:0], "Date: "...), now), "\r\n"...)
	}
	return append(dst, c.date...)
}
