package session

import (
	"slices"
	"strings"

	"holdfast/pkg/http1"
	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

// polls are requests that are held until something is published.
type polls struct{ *Clients }

func (polls) counts() stats.Kind { return stats.Poll }

// data takes nothing: the client may send its next request already.
func (p polls) data(id uint32, _ *client, _ []byte) int {
	p.t.Pause(id)
	return 0
}

func (p polls) due(id uint32, cl *client)                      { p.endPoll(id, cl) }
func (p polls) drain(id uint32, cl *client)                    { p.endPoll(id, cl) }
func (p polls) end(id uint32, cl *client, _ stats.CloseReason) { p.afterPoll(id, cl) }
func (polls) describe(uint32, *stats.ConnectionInfo)           {}

// dismiss answers the poll as one for which nothing has come, and ends its connection.
func (p polls) dismiss(id uint32, cl *client, why stats.CloseReason) {
	cl.form = p.form(cl).closing
	p.sendNothing(id, cl)
	p.finish(id, why)
}

func (p polls) gone(id uint32) {
	p.dropExpiry(id)
	p.dropPosition(id)
}

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
		had, kept := c.members.Settled(c.query.channels)
		if kept && c.query.from.Fresh() { // else GET might have an item first
			*c.positions.Put(id) = had + 1
		}
		c.sendNothing(id, cl)
		c.dropPosition(id)
		c.next(id, cl, !c.forms.at(f).closes)
		return
	}
	q := &c.query
	gapped := uint8(c.forms.at(f).gapped)
	r, ok := c.members.Poll(id, q.channels, uint8(f), gapped, q.from, publish.HTTPResponse)
	switch {
	case !ok:
		c.refuseChannels(id, cl)
		return
	case len(r.Items) > 0:
		c.answerKept(id, cl, f, &r)
		return
	}
	c.startDirect(id, cl, f, &r)
	if r.Kept {
		*c.positions.Put(id) = r.Had + 1
	}
	c.t.Arm(id, c.untilExpiry(id, timeout))
	c.t.Hold(id)
}

// answerKept answers a poll with the kept item that it has to get next. The item's position is what
// the next poll goes on from: on several channels its id would not do, for their order is not that
// of their numbers.
func (c *Clients) answerKept(id uint32, cl *client, f formID, r *hub.Resumed) {
	if r.Gap {
		f = c.forms.at(f).gapped
	}
	c.event = c.members.AppendPosition(c.event[:0], r.Had)
	c.out = c.appendPollAnswer(
		c.out[:0],
		&r.Items[0].Response,
		string(c.event),
		c.forms.at(f).fields,
	)
	c.stats.Delivered.Add(1)
	c.t.Send(id, c.out)
	c.next(id, cl, !c.forms.at(f).closes)
}

// endPoll answers a poll for which nothing has come.
func (c *Clients) endPoll(id uint32, cl *client) {
	if c.draining { // the connection ends with the answer
		cl.form = c.form(cl).closing
	}
	c.sendNothing(id, cl)
	if c.alive(id) {
		c.afterPoll(id, cl)
	}
}

// sendNothing sends the answer of a poll for which nothing has come. On channels that keep items it
// says where the next poll goes on.
func (c *Clients) sendNothing(id uint32, cl *client) {
	out := c.appendDate(http1.AppendStatusLine(c.out[:0], 204, ""))
	if p := c.positions.Find(id); p != nil && *p != 0 {
		c.event = c.members.AppendPosition(c.event[:0], c.members.Had(*p-1))
		out = http1.AppendField(out, lastIDName, string(c.event))
	}
	out = append(append(out, noStore...), c.form(cl).fields...)
	c.out = append(out, "\r\n"...)
	c.t.Send(id, c.out)
}

// leavePoll takes a connection whose poll is answered out of its channels. It goes on with the next request.
func (c *Clients) leavePoll(id uint32, cl *client) {
	c.members.Leave(cl.subs)
	c.stats.Move(stats.Poll, stats.HTTP)
	c.form(cl).kind.gone(id)
	cl.subs, cl.phase = 0, idle
	c.next(id, cl, !c.form(cl).closes && !c.draining)
}

// dropPosition forgets where a poll stands.
func (c *Clients) dropPosition(id uint32) {
	if p := c.positions.Find(id); p != nil && *p != 0 {
		c.positions.Drop(id)
	}
}

// afterPoll is leavePoll for a connection that was held, and of whose next request something may be there already.
func (c *Clients) afterPoll(id uint32, cl *client) {
	if c.leavePoll(id, cl); c.alive(id) {
		c.t.Release(id)
		c.t.Again(id)
	}
}

// encoder is the item's http-response, as a whole answer. The hold ends with it.
func (p polls) encoder(f *form) hub.Encoder {
	fields := f.fields
	return func(dst []byte, it *publish.Item) ([]byte, hub.Effect) {
		if !hasAnswer(it) {
			return dst, hub.Nothing
		}
		return p.appendPollAnswer(dst, &it.Response, it.ResumeID(), fields), hub.End
	}
}

// hasAnswer reports whether the item has an answer to a poll.
func hasAnswer(it *publish.Item) bool {
	return it.For(publish.HTTPResponse, false) == publish.Content
}

// appendPollAnswer appends an item's http-response. last, for the next poll's last-id, goes with it; fields are further field
// lines.
func (c *Clients) appendPollAnswer(dst []byte, r *publish.Response, last, fields string) []byte {
	code := r.Code
	if code == 0 {
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
		dst = http1.AppendField(
			dst,
			"Cache-Control",
			"no-store",
		) // an old answer is no answer to a later poll
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
	return slices.ContainsFunc(
		headers,
		func(h publish.Header) bool { return strings.EqualFold(h.Name, name) },
	)
}

// hand writes answers to polls of which some may not have taken the answers before. Never drop an
// answer, whatever --overflow says: the client would match the next answer to this request.
func (p polls) hand(key uint64, conns []uint32, b []byte, items int) (handed, behind int) {
	if !slices.ContainsFunc(conns, p.t.Behind) {
		return p.Clients.hand(key, conns, b, items)
	}
	for _, id := range conns {
		if !p.t.Behind(id) {
			n, late, _ := p.t.SendShared(key, []uint32{id}, b)
			handed, behind = handed+n, behind+late
			continue
		}
		if p.t.Send(id, b); !p.alive(id) {
			continue
		}
		if handed++; p.t.Lags(id) {
			behind++
		}
	}
	p.stats.Delivered.Add(uint64(handed))
	return handed, behind
}

// pollForm is the form of a poll that the request in hand begins.
func (c *Clients) pollForm() formID {
	f := c.forms.polls[c.cors]
	switch {
	case !c.keeps():
		return f.closing
	case c.req.Minor == 0:
		return f.keepOld
	}
	return f.keep
}
