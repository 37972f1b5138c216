package session

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"holdfast/pkg/http1"
	"holdfast/pkg/stats"
)

// The Connection fields of answers.
const (
	closeField     = "Connection: close\r\n"
	keepAliveField = "Connection: keep-alive\r\n"
)

// reply is a complete answer of one line of text.
type reply struct {
	status int
	text   string
	fields string // further field lines
}

// answer answers the request in hand. The connection goes on with the next request where this one lets it and brings no
// body, which nobody here would read.
func (c *Clients) answer(id uint32, cl *client, status int, text, fields string) {
	keep := c.keeps()
	connection := ""
	switch {
	case !keep:
		connection = closeField
	case c.req.Minor == 0: // a client of HTTP/1.0 is told that the connection stays, one of HTTP/1.1 that it does not
		connection = keepAliveField
	}
	c.send(id, reply{status, text, fields + connection}, string(c.req.Method) == "HEAD")
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
	if bad, ok := errors.AsType[*http1.Error](err); ok {
		status, text = bad.Status, bad.Text
	}
	c.dismiss(id, status, text, "", stats.CloseBadRequest)
}

// refuse answers a connection above the limit.
func (c *Clients) refuse(id uint32) {
	c.dismiss(id, 503, "too many connections: come back in a moment", retryField(), stats.CloseOverload)
}

// retryField asks for another try in a time that differs from client to client.
func retryField() string { return "Retry-After: " + strconv.Itoa(1+rand.IntN(10)) + "\r\n" }

// dismiss answers a connection without a request in hand, and ends it.
func (c *Clients) dismiss(id uint32, status int, text, fields string, why stats.CloseReason) {
	c.send(id, reply{status, text, fields + closeField}, false)
	c.finish(id, why)
}

// finish ends the connection in good order, if it still stands.
func (c *Clients) finish(id uint32, why stats.CloseReason) {
	if c.alive(id) {
		c.t.Finish(id, why)
	}
}

// send sends the answer in one write; without its text to a HEAD request.
func (c *Clients) send(id uint32, r reply, head bool) {
	out := http1.AppendStatusLine(c.out[:0], r.status, "")
	out = c.appendDate(out)
	out = append(out, "Content-Type: text/plain; charset=utf-8\r\n"...)
	out = http1.AppendContentLength(out, int64(len(r.text)+1))
	out = append(append(out, r.fields...), "\r\n"...)
	if !head {
		out = append(append(out, r.text...), '\n')
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
