package session

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/pkg/http1"
	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

// The time that a poll is held, in seconds.
const (
	defaultPollSeconds = 55
	maxPollSeconds     = 300
)

// connectionFields is the Connection field of a poll's answer, by its form.
var connectionFields = [numForms]string{
	pollKeep:    "",
	pollKeepOld: keepAliveField,
	pollClose:   closeField,
}

var errPollTimeout = errors.New("bad parameter timeout: a number of seconds from 1 to 300 is allowed")

// poll holds the request until the first item with an answer for it, or its timeout. HEAD is answered at once, as a poll for
// which nothing came.
func (c *Clients) poll(id uint32, cl *client, head bool) {
	timeout, err := c.pollTimeout()
	if err != nil {
		c.answer(id, cl, 400, err.Error(), "")
		return
	}
	f := pollKeep
	switch r := &c.req; {
	case !c.keeps():
		f = pollClose
	case r.Minor == 0:
		f = pollKeepOld
	}
	if head {
		cl.form = f
		c.sendNothing(id, cl)
		c.next(id, cl, f != pollClose)
		return
	}
	c.subscribe(id, cl, f)
	c.t.Arm(id, timeout)
	c.t.Hold(id)
}

// pollTimeout is the request's timeout parameter, or the default.
func (c *Clients) pollTimeout() (time.Duration, error) {
	seconds := uint64(defaultPollSeconds)
	for rest := c.req.Query; len(rest) > 0; {
		var key, value []byte
		key, value, rest = http1.NextParam(rest)
		if string(key) != "timeout" {
			continue
		}
		var err error
		if seconds, err = strconv.ParseUint(string(value), 10, 16); err != nil || seconds < 1 || seconds > maxPollSeconds {
			return 0, errPollTimeout
		}
	}
	return time.Duration(seconds) * time.Second, nil
}

// endPoll answers a poll for which nothing has come.
func (c *Clients) endPoll(id uint32, cl *client) {
	c.sendNothing(id, cl)
	if c.alive(id) {
		c.afterPoll(id, cl)
	}
}

// sendNothing sends the answer of a poll for which nothing has come.
func (c *Clients) sendNothing(id uint32, cl *client) {
	out := c.appendDate(http1.AppendStatusLine(c.out[:0], 204, ""))
	out = append(out, "Cache-Control: no-store\r\n"...)
	c.out = append(append(out, connectionFields[cl.form]...), "\r\n"...)
	c.t.Send(id, c.out)
}

// afterPoll takes a connection whose poll is answered out of its channels. It goes on with the next request, of which
// something may be there already.
func (c *Clients) afterPoll(id uint32, cl *client) {
	c.members.Leave(cl.subs)
	c.stats.Move(stats.Poll, stats.HTTP)
	cl.subs, cl.phase = 0, idle
	c.next(id, cl, cl.form != pollClose && !c.draining)
	if c.alive(id) {
		c.t.Release(id)
		c.t.Again(id)
	}
}

// pollEncoder returns the encoder of a poll's form: the item's http-response, as a whole answer. The hold ends with it.
func (c *Clients) pollEncoder(f form) hub.Encoder {
	return func(dst []byte, it *publish.Item) ([]byte, hub.Effect) {
		if !it.Has(publish.HTTPResponse) || it.Response.Action != publish.Send || it.Response.BodyPatch != "" {
			return dst, hub.Nothing
		}
		return c.appendPollAnswer(dst, &it.Response, connectionFields[f]), hub.End
	}
}

func (c *Clients) appendPollAnswer(dst []byte, r *publish.Response, connection string) []byte {
	code := r.Code
	if code < 200 { // none, or an interim one, which is no answer
		code = 200
	}
	dst = http1.AppendStatusLine(dst, code, r.Reason)
	for _, h := range r.Headers {
		if !framing(h.Name) {
			dst = http1.AppendField(dst, h.Name, h.Value)
		}
	}
	if !has(r.Headers, "Date") {
		dst = c.appendDate(dst)
	}
	if !has(r.Headers, "Cache-Control") {
		dst = http1.AppendField(dst, "Cache-Control", "no-store") // an old answer is no answer to a later poll
	}
	if !has(r.Headers, "Content-Type") && r.Body != "" {
		dst = http1.AppendField(dst, "Content-Type", "text/plain; charset=utf-8")
	}
	bodyless := code == 204 || code == 304
	if !bodyless {
		dst = http1.AppendContentLength(dst, int64(len(r.Body)))
	}
	dst = append(append(dst, connection...), "\r\n"...)
	if bodyless {
		return dst
	}
	return append(dst, r.Body...)
}

// framing reports whether the field is about the connection, and therefore never taken from an item.
func framing(name string) bool {
	for _, f := range []string{"Connection", "Content-Length", "Keep-Alive", "Transfer-Encoding", "Upgrade"} {
		if strings.EqualFold(name, f) {
			return true
		}
	}
	return false
}

func has(headers []publish.Header, name string) bool {
	return slices.ContainsFunc(headers, func(h publish.Header) bool { return strings.EqualFold(h.Name, name) })
}
