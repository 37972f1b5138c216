package tui

import (
	"context"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"holdfast/pkg/stats"
)

// topRows is how many rows are asked for: more than fit on most screens, and few for pushd.
const topRows = 200

// Bounds of the time over which pushd counts the rates of channels for us.
const (
	shortestWindow = 200 * time.Millisecond
	longestWindow  = time.Second
)

// channels shows the channels with most subscribers, or with most deliveries.
type channels struct {
	fetcher
	list   list
	by     int
	prefix string
	rows   []stats.ChannelInfo
	told   stats.ChannelList // the sums of the answers; its Channels is nil
}

var channelOrders = []struct {
	by     string
	column int
}{{stats.BySubscribers, 1}, {stats.ByRate, 3}}

var channelColumns = []column{
	{title: "channel", width: 16, left: true, grows: true},
	{title: "subscribers", width: 12},
	{title: "items", width: 9, extra: 1},
	{title: "deliveries", width: 11},
}

func (*channels) name() string { return "Channels" }
func (*channels) hints() []hint {
	return []hint{{"s", "sort"}, {"/", "filter"}, {"enter", "its connections"}, {"j k", "move"}}
}

func (v *channels) hide(*model) { v.drop() }

func (v *channels) show(m *model) tea.Cmd {
	if v.busy || m.paused {
		return nil
	}
	window := min(max(m.interval*4/5, shortestWindow), longestWindow)
	q := stats.ChannelQuery{Top: topRows, By: channelOrders[v.by].by, Prefix: v.prefix, WindowMS: window.Milliseconds()}
	round := v.begin()
	return v.unlessNil(askAll(m, m.inScope(), func(ctx context.Context, p pushd) (*stats.ChannelList, error) { return p.Channels(ctx, q) },
		func(m *model, parts []part[*stats.ChannelList]) tea.Cmd {
			if v.end(round) {
				v.take(m, parts)
			}
			return nil
		}))
}

// take adds up the answers. A channel that several pushd have is one row.
func (v *channels) take(m *model, parts []part[*stats.ChannelList]) {
	if refused(&v.fetcher, parts) {
		return
	}
	v.rows, v.told = nil, stats.ChannelList{}
	at := map[string]int{}
	for _, p := range parts {
		if p.err != nil {
			continue
		}
		v.told.Matched += p.value.Matched
		v.told.WindowMS = max(v.told.WindowMS, p.value.WindowMS)
		v.told.Uncounted += p.value.Uncounted
		for _, c := range p.value.Channels {
			i, known := at[c.Name]
			if !known {
				at[c.Name] = len(v.rows)
				v.rows = append(v.rows, c)
				continue
			}
			v.rows[i].Subscribers += c.Subscribers
			v.rows[i].Items += c.Items
			v.rows[i].Deliveries += c.Deliveries
		}
	}
	v.sort()
}

func (v *channels) sort() {
	sortRows(v.rows, func(c *stats.ChannelInfo) float64 {
		if channelOrders[v.by].by == stats.ByRate {
			return c.Deliveries
		}
		return float64(c.Subscribers)
	})
	v.list.settle(len(v.rows), v.rowKey)
}

func (v *channels) rowKey(i int) string { return v.rows[i].Name }

func (v *channels) key(m *model, key string) (tea.Cmd, bool) {
	switch key {
	case "s", "S", "<", ">":
		v.by = 1 - v.by
		v.list = list{}
		v.drop()
		v.sort()
		return v.show(m), true
	case "/":
		m.input = &input{label: "Channels whose names begin with:", text: v.prefix, done: func(text string) (tea.Cmd, error) { return v.filter(m, text), nil }}
		return nil, true
	case "esc":
		return v.filter(m, ""), true
	case "enter":
		if v.list.cursor < len(v.rows) {
			return m.showConnectionsOf(v.rows[v.list.cursor].Name), true
		}
		return nil, true
	}
	return nil, v.list.scroll(m, key, len(v.rows), v.rowKey)
}

func (v *channels) filter(m *model, prefix string) tea.Cmd {
	if prefix == v.prefix {
		return nil
	}
	v.prefix, v.rows, v.list, v.told, v.asked = prefix, nil, list{}, stats.ChannelList{}, false
	v.drop()
	return v.show(m)
}

func (v *channels) body(m *model, width, height int) []line {
	head := line{}.add(plain, " ").add(strong, whole(v.told.Matched))
	word := "channels with subscribers"
	if channelOrders[v.by].by == stats.ByRate {
		word = "channels with deliveries"
	}
	head = head.add(plain, " "+word)
	if v.prefix != "" {
		head = head.add(accent, "  filter: "+m.g.clean(v.prefix)+m.g.more).add(dim, " (esc: all)")
	}
	if len(v.rows) < v.told.Matched {
		head = head.add(dim, fmt.Sprintf("  the top %d", len(v.rows)))
	}
	if v.told.Uncounted > 0 {
		head = head.add(warn, fmt.Sprintf("  %s deliveries of further channels not counted", short(float64(v.told.Uncounted))))
	}
	if l, ok := v.trouble(m, len(v.rows)); ok {
		return []line{l}
	}
	t := table{columns: channelColumns, sorted: channelOrders[v.by].column}
	rows := t.rows(m.g, &v.list, width, height-1, len(v.rows), func(i int) []piece {
		c := &v.rows[i]
		return []piece{
			{plain, m.g.clean(c.Name)},
			{plain, whole(c.Subscribers)},
			{plain, v.rate(c.Items)},
			{plain, v.rate(c.Deliveries)},
		}
	})
	if len(v.rows) == 0 {
		rows = []line{line{}.add(dim, " None.")}
	}
	return v.headed(m, head, rows)
}

func (v *channels) rate(f float64) string {
	if v.told.WindowMS == 0 {
		return "-"
	}
	return perSecond(f)
}
