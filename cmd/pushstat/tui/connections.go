package tui

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"holdfast/pkg/stats"
)

// connections shows the first connections of an order, one of them in full, and closes one.
type connections struct {
	fetcher
	list   list
	by     int
	text   string // the filter as it was typed
	filter stats.ConnectionFilter
	rows   []connRow
	told   stats.ConnectionList // the sums of the answers; its Connections is nil
	one    *connDetail          // shown in full; nil while the list is shown
}

// connRow is one connection and the pushd that has it.
type connRow struct {
	node *node
	stats.ConnectionInfo
}

var connOrders = []struct {
	by     string
	title  string
	column int // -1: no column shows it
	worth  func(c *connRow) float64
}{
	{stats.ByQueued, "most queued bytes", 2, func(c *connRow) float64 { return float64(c.QueuedBytes) }},
	{stats.ByAge, "oldest", 3, func(c *connRow) float64 { return c.AgeSeconds }},
	{stats.ByNewest, "newest", 3, func(c *connRow) float64 { return -c.AgeSeconds }},
	{stats.ByQuiet, "longest quiet", 4, func(c *connRow) float64 { return c.QuietSeconds }},
	{stats.BySubscriptions, "most channels", 5, func(c *connRow) float64 { return float64(c.Subscriptions) }},
}

var connColumns = []column{
	{title: "client", width: 21, left: true},
	{title: "kind", width: 6, left: true},
	{title: "queued", width: 8, extra: 1},
	{title: "age", width: 7, extra: 2},
	{title: "quiet", width: 7, extra: 4},
	{title: "chans", width: 6, extra: 5},
	{title: "channels", width: 12, left: true, grows: true, extra: 3},
	{title: "state", width: 8, left: true, extra: 6},
	{title: "loop", width: 5, extra: 7},
	{title: "id", width: 20, left: true, extra: 8},
}

func (*connections) name() string { return "Connections" }

func (v *connections) hints() []hint {
	if v.one != nil {
		return []hint{{"esc", "back"}, {"x", "close it"}, {"j k", "scroll"}}
	}
	return []hint{{"s", "sort"}, {"/", "filter"}, {"enter", "in full"}, {"x", "close"}}
}

func (v *connections) hide(*model) { v.drop() }

func (v *connections) show(m *model) tea.Cmd {
	if v.busy || m.paused {
		return nil
	}
	if v.one != nil {
		return v.showOne(m)
	}
	q := stats.ConnectionQuery{Top: topRows, By: connOrders[v.by].by, Filter: v.filter}
	round := v.begin()
	return v.unlessNil(askAll(m, m.inScope(), func(ctx context.Context, p pushd) (*stats.ConnectionList, error) { return p.Connections(ctx, q) },
		func(m *model, parts []part[*stats.ConnectionList]) tea.Cmd {
			if v.end(round) {
				v.take(parts)
			}
			return nil
		}))
}

func (v *connections) take(parts []part[*stats.ConnectionList]) {
	if refused(&v.fetcher, parts) {
		return
	}
	v.rows, v.told = nil, stats.ConnectionList{}
	for _, p := range parts {
		if p.err != nil {
			continue
		}
		v.told.Matched += p.value.Matched
		v.told.Total += p.value.Total
		for _, c := range p.value.Connections {
			v.rows = append(v.rows, connRow{p.node, c})
		}
	}
	if len(parts) > 1 {
		sortRows(v.rows, connOrders[v.by].worth)
	}
	v.list.settle(len(v.rows), v.rowKey)
}

func (v *connections) rowKey(i int) string { return v.rows[i].node.path + "\x00" + v.rows[i].ID }

func (v *connections) key(m *model, key string) (tea.Cmd, bool) {
	if v.one != nil {
		return v.keyOne(m, key)
	}
	switch key {
	case "s", ">":
		return v.order(m, 1), true
	case "S", "<":
		return v.order(m, len(connOrders)-1), true
	case "/":
		m.input = &input{label: "Filter:", text: v.text, done: func(text string) (tea.Cmd, error) { return v.setFilter(m, text) }}
	case "esc":
		cmd, _ := v.setFilter(m, "") // which is one
		return cmd, true
	case "enter":
		if v.list.cursor < len(v.rows) {
			v.one = &connDetail{row: v.rows[v.list.cursor]}
			v.drop()
			return v.show(m), true
		}
	case "x", "delete":
		if v.list.cursor < len(v.rows) {
			v.askToClose(m, v.rows[v.list.cursor])
		}
	default:
		return nil, v.list.scroll(m, key, len(v.rows), v.rowKey)
	}
	return nil, true
}

func (v *connections) order(m *model, step int) tea.Cmd {
	v.by = (v.by + step) % len(connOrders)
	v.list = list{}
	v.drop()
	return v.show(m)
}

// setFilter asks with another filter.
func (v *connections) setFilter(m *model, text string) (tea.Cmd, error) {
	f, err := parseFilter(text)
	if err != nil {
		return nil, err
	}
	if f == v.filter {
		return nil, nil
	}
	v.text, v.filter = text, f
	v.rows, v.list, v.asked = nil, list{}, false
	v.drop()
	return v.show(m), nil
}

// parseFilter reads a filter as it is typed: the terms of stats.ParseFilter, or a single word without a name, which is a kind,
// an address or a channel by its looks.
func parseFilter(text string) (stats.ConnectionFilter, error) {
	if text == "" || strings.Contains(text, "=") {
		return stats.ParseFilter(text)
	}
	if kind := (stats.ConnectionFilter{Kind: text}); kind.Check() == nil {
		return kind, nil
	}
	if _, err := stats.ParsePrefix(text); err == nil {
		return stats.ConnectionFilter{Address: text}, nil
	}
	if port, err := netip.ParseAddrPort(text); err == nil {
		return stats.ConnectionFilter{Address: port.Addr().String()}, nil
	}
	return stats.ConnectionFilter{Channel: text}, nil
}

// showConnectionsOf goes to the connections that are subscribed to a channel.
func (m *model) showConnectionsOf(channel string) tea.Cmd {
	at := slices.IndexFunc(m.views, func(v view) bool { _, found := v.(*connections); return found })
	v := m.views[at].(*connections)
	v.text, v.filter = "channel="+channel, stats.ConnectionFilter{Channel: channel}
	v.rows, v.list, v.asked, v.one = nil, list{}, false, nil
	return m.switchTo(at)
}

func (v *connections) body(m *model, width, height int) []line {
	if v.one != nil {
		return m.staleAll(v.one.body(m, width, height))
	}
	if l, ok := v.trouble(m, len(v.rows)); ok {
		return []line{l}
	}
	head := line{}.add(plain, " ").add(strong, whole(v.told.Matched)).add(plain, " connections")
	if v.filter != (stats.ConnectionFilter{}) {
		head = head.add(accent, "  filter: "+m.g.clean(filterText(v.filter))).add(dim, fmt.Sprintf(" (of %s; esc: all)", whole(v.told.Total)))
	}
	head = head.add(dim, "  by: ").add(plain, connOrders[v.by].title)
	if len(v.rows) < v.told.Matched {
		head = head.add(dim, fmt.Sprintf("  the first %d", len(v.rows)))
	}
	t := table{columns: v.columns(width), sorted: connOrders[v.by].column}
	rows := t.rows(m.g, &v.list, width, height-1, len(v.rows), func(i int) []piece { return connCells(m.g, &v.rows[i]) })
	if len(v.rows) == 0 {
		rows = []line{line{}.add(dim, " None.")}
	}
	return v.headed(m, head, rows)
}

// columns gives addresses the room of IPv6 where there is room.
func (v *connections) columns(width int) []column {
	cols := slices.Clone(connColumns)
	longest := 0
	for i := range v.rows {
		longest = max(longest, len(v.rows[i].Address))
	}
	cols[0].width = min(max(cols[0].width, longest), max(cols[0].width, width-44))
	return cols
}

func connCells(g *glyphs, c *connRow) []piece {
	queued := plain
	if c.QueuedBytes > 0 {
		queued = warn
	}
	address := g.clean(c.Address)
	if address == "" {
		address = "(leaving)"
	}
	return []piece{
		{plain, address},
		{plain, g.clean(c.Kind)},
		{queued, byteSize(c.QueuedBytes)},
		{plain, age(seconds(c.AgeSeconds))},
		{plain, age(seconds(c.QuietSeconds))},
		{plain, whole(c.Subscriptions)},
		{plain, channelNames(g, c)},
		{plain, g.clean(c.State)},
		{plain, fmt.Sprint(c.Loop)},
		{dim, g.clean(c.ID)},
	}
}

func channelNames(g *glyphs, c *connRow) string {
	names := make([]string, len(c.Channels))
	for i, name := range c.Channels {
		names[i] = g.clean(name)
	}
	text := strings.Join(names, ", ")
	if len(names) < c.Subscriptions {
		text += " " + g.more
	}
	return text
}

// filterText writes a filter as stats.ParseFilter reads it.
func filterText(f stats.ConnectionFilter) string {
	var terms []string
	for _, t := range []struct{ name, value string }{{"kind", f.Kind}, {"address", f.Address}, {"channel", f.Channel}} {
		if t.value != "" {
			terms = append(terms, t.name+"="+t.value)
		}
	}
	return strings.Join(terms, " ")
}

// askToClose asks before a connection is closed. The question and the deed are about the connection under the cursor now,
// whatever the list shows when the answer comes.
func (v *connections) askToClose(m *model, c connRow) {
	if m.lost() {
		m.say(warn, "pushd does not answer; nothing can be closed")
		return
	}
	m.ask = &question{
		text: fmt.Sprintf("Close %s %s (%s, %s old)?", m.g.clean(c.Kind), m.g.clean(c.ID), m.g.clean(c.Address), age(seconds(c.AgeSeconds))),
		yes:  func() tea.Cmd { return v.close(m, c) },
	}
}

func (v *connections) close(m *model, c connRow) tea.Cmd {
	q := stats.CloseQuery{IDs: []string{c.ID}}
	cmd := askAll(m, []*node{c.node}, func(ctx context.Context, p pushd) (int, error) { return p.CloseConnections(ctx, q) },
		func(m *model, parts []part[int]) tea.Cmd {
			switch p := parts[0]; {
			case p.err != nil:
				m.say(bad, "Not closed: %s", m.g.clean(lossReason(p.err)))
			case p.value == 0:
				m.say(plain, "Connection %s had already gone", m.g.clean(c.ID))
			default:
				m.say(good, "Closed connection %s", m.g.clean(c.ID))
			}
			v.drop()
			return v.show(m)
		})
	if cmd == nil {
		m.say(bad, "Not closed: pushd does not answer")
	}
	return cmd
}
