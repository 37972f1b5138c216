package session

import (
	"strings"

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
			if c.form(cl).each.deliver(id, cl, it, match) {
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

// goOn notes that a held channel has gone on to the item of an id. The id is cloned, because the
// item lies in its publisher's buffer, and the hold may last for days.
func (m *gripMore) goOn(ch *grip.Channel, id string, budget *HoldBudget) {
	grown := len(id) - len(ch.PrevID)
	budget.add(grown)
	m.each.cost += grown
	ch.PrevID = strings.Clone(id)
}

// passes reports whether the filters of a hold let an item pass that came by its channel ch, and
// notes one that they did not.
func (c *Clients) passes(
	cl *client,
	more *gripMore,
	ch *grip.Channel,
	it *publish.Item,
	match *grip.Match,
) bool {
	if c.allows(cl, more, more.filtersOf(ch), match) {
		return true
	}
	c.stats.Dropped[stats.DropFiltered].Add(1)
	if ch != nil && ch.PrevID != "" {
		more.goOn(ch, it.ID, c.opts.Holds)
	}
	return false
}

// allows reports whether the filters of a subscription let an item pass.
func (c *Clients) allows(cl *client, more *gripMore, f grip.Filter, match *grip.Match) bool {
	return f&match.Filters() == 0 || grip.Allows(match, f, more.user, func(name string) bool {
		local := c.members.Local(more.route.Prefix + name)
		return local != 0 && c.members.Subscribed(cl.subs, local)
	})
}
