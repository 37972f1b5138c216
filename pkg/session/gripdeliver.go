package session

import (
	"log/slog"
	"strings"

	"holdfast/pkg/exchange"
	"holdfast/pkg/grip"
	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

// PrepareItem reads an item's Meta for DeliverEach; it is what hub.Directory.Prepare takes.
func PrepareItem(it *publish.Item) any {
	m := grip.NewMatch(it.Meta)
	if m.Filters() == 0 {
		return nil
	}
	return &m
}

// noMatch is an item without anything that a filter looks at.
var noMatch grip.Match

// DeliverEach takes the items to connections that a backend has held with filters, or for a response.
func (c *Clients) DeliverEach(conns []uint32, items []*hub.Delivery, handed []int) (behind int) {
	for i, d := range items {
		if d == nil {
			continue
		}
		it, match := &d.Item, &noMatch
		if d.Prepared != nil {
			match = d.Prepared.(*grip.Match)
		}
		for _, id := range conns {
			cl := c.table.Find(id)
			if cl == nil || cl.phase != held { // an item before it was the answer
				continue
			}
			if c.deliverOne(id, cl, it, match) {
				handed[i]++
				c.stats.Delivered.Add(1)
			}
		}
	}
	for _, id := range conns {
		if c.alive(id) && c.t.Lags(id) {
			behind++
		}
	}
	return behind
}

// deliverOne takes an item to one connection, and reports whether it got something.
func (c *Clients) deliverOne(id uint32, cl *client, it *publish.Item, match *grip.Match) bool {
	more := c.grips.At(id).more
	ch := more.channel(it.Channel)
	if cl.form == gripResponse && ch != nil && ch.PrevID != "" && answersHold(it) && it.PrevID != ch.PrevID {
		if it.ID != ch.PrevID { // else it is what the backend has read
			c.repeatHold(id, cl)
		}
		return false
	}
	if !c.allows(cl, more, more.filtersOf(ch), match) {
		c.stats.Dropped[stats.DropFiltered].Add(1)
		if ch != nil && ch.PrevID != "" {
			more.goOn(ch, it.ID, c.opts.Holds)
		}
		return false
	}
	if cl.form == gripResponse {
		return c.answerHold(id, cl, it)
	}
	b, effect := appendStream(c.event[:0], it)
	c.event = b
	sent := true
	if len(b) > 0 {
		c.out = appendFramed(c.out[:0], b, c.forms[cl.form].chunked)
		c.ownKey++
		n, _, _ := c.t.SendShared(c.ownKey, []uint32{id}, c.out)
		sent = n == 1
		if !sent && c.alive(id) {
			c.stats.Dropped[stats.DropQueueFull].Add(1)
		}
	}
	if effect == hub.End && c.alive(id) {
		c.endStream(id, cl, stats.CloseAction)
	}
	return sent && effect != hub.Nothing
}

// goOn notes that a held channel has gone on to the item of an id. The id is cloned, because the item lies in
// its publisher's buffer, and the hold may last for days.
func (m *gripMore) goOn(ch *grip.Channel, id string, budget *HoldBudget) {
	grown := len(id) - len(ch.PrevID)
	budget.add(grown)
	m.each.cost += grown
	ch.PrevID = strings.Clone(id)
}

// allows reports whether the filters of a subscription let an item pass.
func (c *Clients) allows(cl *client, more *gripMore, f grip.Filter, match *grip.Match) bool {
	return f&match.Filters() == 0 || grip.Allows(match, f, more.user, func(name string) bool {
		local := c.members.Local(more.route.Prefix + name)
		return local != 0 && c.members.Subscribed(cl.subs, local)
	})
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
			c.warn("an item's patch does not fit a held response", id, slog.String("channel", it.Channel), slog.Any("err", err))
			head, body := proxyError()
			c.endHold(id, cl, head, body)
			return false
		}
	}
	status := r.Code
	if status < 200 {
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
	head := &exchange.Head{Status: status, Reason: r.Reason, Fields: fields, Length: int64(len(body))}
	c.endHold(id, cl, head, body)
	return true
}
