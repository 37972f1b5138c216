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
	if c.pollKept(id, cl, f) {
		return
	}
	if _, ok := c.subscribe(id, cl, f); !ok {
		return
	}
	if i := slices.IndexFunc(c.kept, hasAnswer); i >= 0 { // it has come since
		c.sendKept(id, c.kept[i], c.kept[i].ID, cl.form)
		if c.forgetKept(); c.alive(id) {
			c.leavePoll(id, cl)
		}
		return
	}
	c.forgetKept()
	c.t.Arm(id, c.untilExpiry(id, timeout))
	c.t.Hold(id)
}

// pollKept answers a poll with the first kept item that it has to get, if there is one. Its position is what the next poll goes on
// from: on several channels the item's own id would not do, for their order is not that of their numbers.
func (c *Clients) pollKept(id uint32, cl *client, f form) bool {
	it, position, gap, found := c.members.Oldest(c.query.channels, c.query.from, publish.HTTPResponse)
	if !found {
		return false
	}
	if gap {
		f = gapForm(f)
	}
	c.sendKept(id, it, position, f)
	c.next(id, cl, !c.forms[f].closes)
	return true
}

// sendKept answers a poll with a kept item. last is what the next poll goes on from.
func (c *Clients) sendKept(id uint32, it *publish.Item, last string, f form) {
	c.out = c.appendPollAnswer(c.out[:0], &it.Response, last, c.forms[f].fields)
	c.stats.Delivered.Add(1)
	c.t.Send(id, c.out)
}

// endPoll answers a poll for which nothing has come.
func (c *Clients) endPoll(id uint32, cl *client) {
	if c.draining { // the connection ends with the answer
		cl.form += pollClose - pollKeep - (cl.form-pollKeep)%3
	}
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

// leavePoll takes a connection whose poll is answered out of its channels. It goes on with the next request.
func (c *Clients) leavePoll(id uint32, cl *client) {
	c.members.Leave(cl.subs)
	c.stats.Move(stats.Poll, stats.HTTP)
	c.dropExpiry(id)
	cl.subs, cl.phase = 0, idle
	c.next(id, cl, !c.forms[cl.form].closes && !c.draining)
}

// afterPoll is leavePoll for a connection that was held, and of whose next request something may be there already.
func (c *Clients) afterPoll(id uint32, cl *client) {
	if c.leavePoll(id, cl); c.alive(id) {
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
		return c.appendPollAnswer(dst, &it.Response, it.ID, c.forms[f].fields), hub.End
	}
}

// hasAnswer reports whether the item has an answer to a poll.
func hasAnswer(it *publish.Item) bool {
	return it.Has(publish.HTTPResponse) && it.Response.Action == publish.Send && it.Response.BodyPatch == "" && len(it.Response.ContentFilters) == 0
}

// appendPollAnswer appends an item's http-response. last, for the next poll's last-id, goes with it; fields are further field
// lines.
func (c *Clients) appendPollAnswer(dst []byte, r *publish.Response, last, fields string) []byte {
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
	if last != "" {
		dst = http1.AppendField(dst, lastIDName, last)
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

// answerPolls is Deliver for polls of which some have not taken the answers before this one. An answer is never left out, whatever
// --overflow says: the next one would be taken for it.
func (c *Clients) answerPolls(key uint64, conns []uint32, b []byte) (handed, behind int) {
	for _, id := range conns {
		if !c.t.Behind(id) {
			n, late, _ := c.t.SendShared(key, []uint32{id}, b)
			handed, behind = handed+n, behind+late
			continue
		}
		if c.t.Send(id, b); c.alive(id) {
			handed, behind = handed+1, behind+1
		}
	}
	c.stats.Delivered.Add(uint64(handed))
	return handed, behind
}
