package session

import (
	"log/slog"
	"strings"

	"holdfast/pkg/exchange"
	"holdfast/pkg/grip"
	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/route"
	"holdfast/pkg/stats"
)

// gripResponses are the requests that a backend holds until something is published.
type gripResponses struct{ *Clients }

func (gripResponses) counts() stats.Kind                               { return stats.Poll }
func (gripResponses) encoder(*form) hub.Encoder                        { return nil }
func (g gripResponses) due(id uint32, cl *client)                      { g.gripTimeout(id, cl) }
func (g gripResponses) drain(id uint32, cl *client)                    { g.gripTimeout(id, cl) }
func (g gripResponses) end(id uint32, cl *client, _ stats.CloseReason) { g.gripTimeout(id, cl) }

// data takes nothing: the client may send its next request already.
func (g gripResponses) data(id uint32, _ *client, _ []byte) int {
	g.t.Pause(id)
	return 0
}

func (g gripResponses) describe(id uint32, info *stats.ConnectionInfo) {
	info.Route = g.grips.At(id).more.route.ID
}

// dismiss answers the request as one for which nothing has come, and ends its connection.
func (g gripResponses) dismiss(id uint32, cl *client, why stats.CloseReason) {
	more := g.grips.At(id).more
	plan := more.each.plan
	p := &proxied{flags: (more.flags | bodyDone) &^ keepsAlive}
	if g.leaveGrip(id, cl); !g.alive(id) {
		return
	}
	g.beginAnswer(id, p, timeoutHead(plan, more.flags), plan.Body)
	g.finish(id, why)
}

func (g gripResponses) gone(id uint32) {
	g.opts.Holds.give(g.grips.At(id).more.each.cost)
	g.dropGrip(id)
}

// deliver answers the request with the item, has its backend asked again, or does nothing.
func (g gripResponses) deliver(id uint32, cl *client, it *publish.Item, match *grip.Match) bool {
	more := g.grips.At(id).more
	ch := more.channel(it.Channel)
	if ch != nil && ch.PrevID != "" && answersHold(it) && it.PrevID != ch.PrevID {
		if it.ID != ch.PrevID { // else it is what the backend has read
			g.repeatHold(id, cl)
		}
		return false
	}
	return g.passes(cl, more, ch, it, match) && g.answerHold(id, cl, it)
}

// answersHold reports whether the item is an answer to held requests.
func answersHold(it *publish.Item) bool {
	return it.For(publish.HTTPResponse, true) == publish.Content
}

// repeatHold has the backend of a held request asked again.
func (c *Clients) repeatHold(id uint32, cl *client) {
	more := c.grips.At(id).more
	if c.draining {
		c.gripTimeout(id, cl)
		return
	}
	if c.leaveGrip(id, cl); c.alive(id) {
		c.askAgain(id, cl, more, 0)
	}
}

// answerHold answers a held request with an item, or has its backend asked again.
func (c *Clients) answerHold(id uint32, cl *client, it *publish.Item) bool {
	r := &it.Response
	more := c.grips.At(id).more
	switch {
	case it.For(publish.HTTPResponse, true) == publish.Hinted:
		c.repeatHold(id, cl)
		return true
	case !answersHold(it):
		return false
	}
	plan := more.each.plan
	body := []byte(r.Body)
	if r.BodyPatch != "" {
		var err error
		if body, err = publish.Patch(plan.Body, r.BodyPatch); err != nil {
			c.warn(
				"an item's patch does not fit a held response",
				id,
				slog.String("channel", it.Channel),
				slog.Any("err", err),
			)
			head, body := proxyError()
			c.endHold(id, cl, head, body)
			return false
		}
	}
	status := r.Code
	if status == 0 {
		status = 200
	}
	fields := make([]grip.Field, len(r.Headers))
	for i, h := range r.Headers {
		fields[i] = grip.Field{Name: h.Name, Value: h.Value}
	}
	fields = grip.Merge(plan.Head.Fields, fields, plan.Instruct.Expose)
	if plan.Exposes && !has(r.Headers, "Access-Control-Expose-Headers") {
		fields = grip.ExposeAgain(fields)
	}
	head := &exchange.Head{
		Status: status,
		Reason: r.Reason,
		Fields: fields,
		Length: int64(len(body)),
	}
	c.endHold(id, cl, head, body)
	return true
}

// holdResponse holds a request, which is subscribed already, until something is published, unless
// that has happened.
func (c *Clients) holdResponse(id uint32, cl *client, p *proxied, more *gripMore) {
	plan := more.each.plan
	switch {
	case c.draining:
		c.leave(cl)
		c.beginAnswer(id, p, timeoutHead(plan, more.flags), plan.Body)
		c.endAnswer(id, cl)
		return
	case p.repeats < maxRepeats && c.gripStale(more):
		c.leave(cl)
		c.askAgain(id, cl, more, p.repeats+1)
		return
	}
	if more.each.cost = holdCost(plan); !c.opts.Holds.take(more.each.cost) {
		c.leave(cl)
		c.warn("held requests take all of --hold-memory", id)
		c.dismiss(
			id,
			503,
			"too many requests are held: come back in a moment",
			retryField(),
			stats.CloseOverload,
		)
		return
	}
	c.startHold(id, cl, c.forms.gripResponse, gripHold{more: more})
	c.t.Arm(id, plan.Instruct.Timeout)
	c.t.Hold(id)
	c.t.Again(id) // its leaving is seen again
}

// maxRepeats is how often a request is sent again at once because its hold is stale already. A
// backend that does not get on is then taken at its word.
const maxRepeats = 3

// gripStale reports whether a channel has gone on since the backend read it, and forgets what it
// has gone on to (reference: grip.md 4.4, the hold-time check).
func (c *Clients) gripStale(more *gripMore) (stale bool) {
	for i := range more.each.channels {
		ch := &more.each.channels[i]
		if ch.PrevID == "" {
			continue
		}
		if last, known := c.members.LastID(
			more.route.Prefix + ch.Name,
		); known &&
			last != ch.PrevID {
			c.members.ForgetLastID(more.route.Prefix + ch.Name)
			stale = true
		}
	}
	return stale
}

// askAgain sends a held request to the backend again, with what is known of its channels; repeats
// is how often that was done since it was held last.
func (c *Clients) askAgain(id uint32, cl *client, more *gripMore, repeats uint8) {
	var last []grip.LastID
	for _, ch := range more.each.channels {
		if ch.PrevID != "" {
			last = append(last, grip.LastID{Channel: ch.Name, ID: ch.PrevID})
		}
	}
	if p := c.proxied.Find(id); p != nil && p.x != nil {
		c.dropProxied(id)
	}
	rt := c.routeAgain(more)
	if rt == nil {
		c.warn(
			"a held request cannot be sent again: its route is gone, or has no backend",
			id,
			slog.String("route", more.route.ID),
		)
		c.answerTimeout(id, cl, more)
		return
	}
	p := c.proxied.Put(id)
	p.flags, p.repeats = more.flags|bodyDone, repeats
	cl.phase = proxying
	c.t.Await(id)
	c.t.Arm(id, leftCheck)
	c.tickets++
	plan := *more.each.plan
	plan.Route = rt
	p.x = plan.Repeat(c.opts.Context, c.t, id, c.tickets, last)
	c.opts.Backend.Start(p.x)
}

// routeAgain is the route by which a held request is sent again: the one of the same ID, or what
// its host and path lead to in a table that does not have that. nil: there is none with a backend.
func (c *Clients) routeAgain(more *gripMore) *route.Route {
	again := more.each.plan.Again
	if again == nil {
		return nil
	}
	table := c.opts.Routes.Load()
	rt := table.ByID(more.route.ID)
	if rt == nil {
		path, _, _ := strings.Cut(again.Request.Target, "?")
		rt = table.Match(
			route.Request{
				Host:     []byte(again.Request.Host),
				Path:     []byte(path),
				TLS:      again.Request.Secure,
				Protocol: route.HTTP,
			},
		)
	}
	if rt == nil || rt.Targets[0].Kind != route.Backend {
		return nil
	}
	return rt
}

// answerTimeout answers a request that is not held any more as if nothing had come for it.
func (c *Clients) answerTimeout(id uint32, cl *client, more *gripMore) {
	p := &proxied{flags: more.flags | bodyDone}
	cl.phase = idle
	c.beginAnswer(id, p, timeoutHead(more.each.plan, more.flags), more.each.plan.Body)
	if c.alive(id) {
		c.goOnAfter(id, cl, p.is(keepsAlive))
	}
}

// gripTimeout answers a held request for which nothing has come.
func (c *Clients) gripTimeout(id uint32, cl *client) {
	more := c.grips.At(id).more
	plan := more.each.plan
	c.endHold(id, cl, timeoutHead(plan, more.flags), plan.Body)
}

// timeoutHead is the head of the answer to a held request for which nothing has come. Nobody knows
// the length that GET would have had where HEAD was asked (RFC 9110, 8.6).
func timeoutHead(plan *exchange.Plan, flags uint16) *exchange.Head {
	if plan.Head.Length = int64(len(plan.Body)); flags&headOnly != 0 {
		plan.Head.Length = -1
	}
	return plan.Head
}

// endHold answers a held request, whose connection then goes on.
func (c *Clients) endHold(id uint32, cl *client, h *exchange.Head, body []byte) {
	p := &proxied{flags: c.grips.At(id).more.flags | bodyDone}
	c.leaveGrip(id, cl)
	if !c.alive(id) {
		return
	}
	c.beginAnswer(id, p, h, body)
	c.goOnAfter(id, cl, p.is(keepsAlive))
}
