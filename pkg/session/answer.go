package session

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"holdfast/pkg/http1"
	"holdfast/pkg/stats"
)

// Field lines of answers.
const (
	closeField     = "Connection: close\r\n"
	keepAliveField = "Connection: keep-alive\r\n"
	noStore        = "Cache-Control: no-store\r\n"
)

const plainText = "text/plain; charset=utf-8"

// answer answers the request in hand with a line of text. fields are further field lines. The connection goes on with the
// next request where this one lets it and brings no body, which nobody here would read.
func (c *Clients) answer(id uint32, cl *client, status int, text, fields string) {
	c.line = append(append(c.line[:0], text...), '\n')
	c.answerWith(id, cl, status, plainText, c.line, fields)
}

// answerWith answers the request in hand with a body of any type; HEAD gets all but the body.
func (c *Clients) answerWith(id uint32, cl *client, status int, contentType string, body []byte, fields string) {
	out := c.appendDate(http1.AppendStatusLine(c.out[:0], status, ""))
	out = http1.AppendField(out, "Content-Type", contentType)
	out = http1.AppendContentLength(out, int64(len(body)))
	out = c.appendRest(out, fields)
	if string(c.req.Method) != "HEAD" {
		out = append(out, body...)
	}
	c.sendAnswer(id, cl, out)
}

// answerEmpty answers the request in hand with a status that has no body.
func (c *Clients) answerEmpty(id uint32, cl *client, status int, fields string) {
	out := c.appendDate(http1.AppendStatusLine(c.out[:0], status, ""))
	c.sendAnswer(id, cl, c.appendRest(out, fields))
}

// appendRest appends fields, those that every answer to the request in hand has, and the head's end. A client of HTTP/1.0 is
// told that its connection stays, one of HTTP/1.1 that it does not.
func (c *Clients) appendRest(dst []byte, fields string) []byte {
	dst = append(append(dst, fields...), c.corsFields[c.cors]...)
	switch {
	case !c.keeps():
		dst = append(dst, closeField...)
	case c.req.Minor == 0:
		dst = append(dst, keepAliveField...)
	}
	return append(dst, "\r\n"...)
}

func (c *Clients) sendAnswer(id uint32, cl *client, out []byte) {
	keep := c.keeps()
	c.out = out
	c.t.Send(id, out)
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
	case !c.alive(id):
	case keep:
		c.answered(id)
		cl.phase = idle
		c.t.Arm(id, c.opts.IdleTimeout)
	default:
		c.t.Finish(id, stats.CloseDone)
	}
}

// reject answers bytes that are no acceptable request, and ends the connection: where the next request would begin is
// not known.
func (c *Clients) reject(id uint32, b []byte, err error) {
	status, text := 400, err.Error()
	if bad, ok := errors.AsType[*http1.Error](err); ok {
		status, text = bad.Status, bad.Text
	}
	text = c.explain(id, b, err, text)
	c.dismissFrom(id, http1.AsksHead(b), status, text, "", stats.CloseBadRequest)
}

// dismiss answers a connection without a request in hand, and ends it.
func (c *Clients) dismiss(id uint32, status int, text, fields string, why stats.CloseReason) {
	c.dismissFrom(id, false, status, text, fields, why)
}

// dismissFrom is dismiss for a request that may have the method HEAD: its answer has no body (RFC
// 9110 9.3.2).
func (c *Clients) dismissFrom(
	id uint32, head bool, status int, text, fields string, why stats.CloseReason,
) {
	out := c.appendDate(http1.AppendStatusLine(c.out[:0], status, ""))
	out = http1.AppendField(out, "Content-Type", plainText)
	out = http1.AppendContentLength(out, int64(len(text)+1))
	out = append(append(out, fields...), closeField+"\r\n"...)
	if !head {
		out = append(append(out, text...), '\n')
	}
	c.out = out
	c.t.Send(id, c.out)
	c.finish(id, why)
}

// finish ends the connection in good order, if it still stands.
func (c *Clients) finish(id uint32, why stats.CloseReason) {
	if c.alive(id) {
		c.t.Finish(id, why)
	}
}

// retryField asks for another try in a time that differs from client to client.
func retryField() string { return "Retry-After: " + strconv.Itoa(1+rand.IntN(10)) + "\r\n" }

// appendDate appends the Date field, which is made once a second.
func (c *Clients) appendDate(dst []byte) []byte {
	now := time.Now()
	if s := now.Unix(); s != c.second || len(c.date) == 0 {
		c.second = s
		c.date = append(http1.AppendDate(append(c.date[:0], "Date: "...), now), "\r\n"...)
	}
	return append(dst, c.date...)
}
