package session

import (
	"slices"
	"strings"

	"holdfast/pkg/http1"
	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

// poll holds the request until the first item with an answer for it, or its timeout. HEAD is answered at once, as a poll for
// which nothing came. The answer to one that has missed something says so.
func (c *Clients) poll(id uint32, cl *client, head bool) {
	timeout, err := c.pollTimeout()
	if err != nil {
		c.answer(id, cl, 400, err.Error(), "")
		return
	}
	f := c.pollForm()
	if head {
		cl.form = f
		c.sendNothing(id, cl)
		c.next(id, cl, !c.forms[f].closes)
		return
	}
	if _, ok := c.subscribe(id, cl, f); !ok || c.pollKept(id, cl) {
		return
	}
	c.t.Arm(id, c.untilExpiry(id, timeout))
	c.t.Hold(id)
}

// pollKept answers a poll with the first kept item that has an answer for it, if there is one.
func (c *Clients) pollKept(id uint32, cl *client) bool {
	i := slices.IndexFunc(c.kept, hasAnswer)
	if i < 0 {
		return false
	}
	c.out = c.appendPollAnswer(c.out[:0], c.kept[i], c.forms[cl.form].fields)
	clear(c.kept)
	c.t.Send(id, c.out)
	c.stats.Delivered.Add(1)
	if c.alive(id) {
		c.afterPoll(id, cl)
	}
	return true
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
	out = append(append(out, noStore...), c.forms[cl.form].fields...)
	c.out = append(out, "\r\n"...)
	c.t.Send(id, c.out)
}

// afterPoll takes a connection whose poll is answered out of its channels. It goes on with the next request, of which
// something may be there already.
func (c *Clients) afterPoll(id uint32, cl *client) {
	c.members.Leave(cl.subs)
	c.stats.Move(stats.Poll, stats.HTTP)
	c.dropExpiry(id)
	cl.subs, cl.phase = 0, idle
	c.next(id, cl, !c.forms[cl.form].closes && !c.draining)
	if c.alive(id) {
		c.t.Release(id)
		c.t.Again(id)
	}
}

// pollEncoder returns the encoder of a poll's form: the item's http-response, as a whole answer. The hold ends with it.
func (c *Clients) pollEncoder(f form) hub.Encoder {
	return func(dst []byte, it *publish.Item) ([]byte, hub.Effect) {
		if !hasAnswer(it) {
			return dst, hub.Nothing
		}
		return c.appendPollAnswer(dst, it, c.forms[f].fields), hub.End
	}
}

// hasAnswer reports whether the item has an answer to a poll.
func hasAnswer(it *publish.Item) bool {
	return it.Has(publish.HTTPResponse) && it.Response.Action == publish.Send && it.Response.BodyPatch == ""
}

// appendPollAnswer appends the item's http-response. fields are further field lines. The item's id goes with it, for the
// next poll's last-id.
func (c *Clients) appendPollAnswer(dst []byte, it *publish.Item, fields string) []byte {
	r := &it.Response
	code := r.Code
	if code < 200 { // none, or an interim one, which is no answer
		code = 200
	}
	dst = http1.AppendStatusLine(dst, code, r.Reason)
	for _, h := range r.Headers {
		if !reserved(h.Name) {
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
	if it.ID != "" {
		dst = http1.AppendField(dst, lastIDName, it.ID)
	}
	dst = append(append(dst, fields...), "\r\n"...)
	if bodyless {
		return dst
	}
	return append(dst, r.Body...)
}

// reserved reports whether the field is never taken from an item: it is about the connection, or pushd says it itself.
func reserved(name string) bool {
	for _, f := range [...]string{"Connection", "Content-Length", "Keep-Alive", "Transfer-Encoding", "Upgrade", lastIDName, gapName} {
		if strings.EqualFold(name, f) {
			return true
		}
	}
	return len(name) > len(corsPrefix) && strings.EqualFold(name[:len(corsPrefix)], corsPrefix)
}

const corsPrefix = "Access-Control-"

func has(headers []publish.Header, name string) bool {
	return slices.ContainsFunc(headers, func(h publish.Header) bool { return strings.EqualFold(h.Name, name) })
}
