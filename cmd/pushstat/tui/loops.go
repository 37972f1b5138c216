package tui

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	tea "charm.land/bubbletea/v2"

	"holdfast/pkg/stats"
)

// loops shows the event loops side by side, and how even their load is.
type loops struct {
	list list
	by   int // column that the rows are sorted by
	rows []loopRow
}

// loopRow is one loop.
type loopRow struct {
	node   int
	number int
	now    stats.LoopSnapshot
	rates  rates
	lag    stats.Durations // of the last latencySpan
	lat    stats.Durations
	rated  bool // there is something before to make rates from
}

func (*loops) name() string        { return "Loops" }
func (*loops) hide(*model)         {}
func (*loops) show(*model) tea.Cmd { return nil }
func (*loops) hints() []hint       { return []hint{{"s S", "sort"}, {"j k", "move"}} }

// loopOrders are the columns that loops can be sorted by: what a row is worth, the greatest first, or nil for the number.
var loopOrders = []struct {
	column int
	worth  func(r *loopRow) float64
}{
	{0, nil},
	{1, func(r *loopRow) float64 { return float64(r.now.Connections) }},
	{4, func(r *loopRow) float64 { return r.rates.delivered }},
	{6, func(r *loopRow) float64 { return float64(r.now.QueuedBytes) }},
	{7, func(r *loopRow) float64 { return float64(r.lag.P99) }},
}

var loopColumns = []column{
	{title: "loop", width: 5, left: true},
	{title: "connections", width: 12},
	{title: "share", width: 6, extra: 2},
	{title: "accepted", width: 9, extra: 4},
	{title: "delivered", width: 10, extra: 1},
	{title: "out", width: 11, extra: 6},
	{title: "queued", width: 9},
	{title: "lag p99", width: 8},
	{title: "write p99", width: 10, extra: 3},
	{title: "subscriptions", width: 14, extra: 7},
	{title: "mailbox", width: 8, extra: 8},
	{title: "balance", width: 10, left: true, extra: 5},
}

func (v *loops) key(m *model, key string) (tea.Cmd, bool) {
	switch key {
	case "s", ">":
		v.by = (v.by + 1) % len(loopOrders)
	case "S", "<":
		v.by = (v.by + len(loopOrders) - 1) % len(loopOrders)
	default:
		return nil, v.list.scroll(m, key, len(v.rows), v.rowKey)
	}
	return nil, true
}

func (v *loops) rowKey(i int) string { return fmt.Sprintf("%d/%d", v.rows[i].node, v.rows[i].number) }

// gather makes the rows.
func (v *loops) gather(m *model) {
	v.rows = v.rows[:0]
	for i, n := range m.nodes {
		if n.last.snap == nil || m.scope >= 0 && i != m.scope || m.scope < 0 && !n.alive() && !m.lost() {
			continue
		}
		for j := range n.last.snap.Loops {
			v.rows = append(v.rows, n.loopRow(i, j))
		}
	}
	if worth := loopOrders[v.by].worth; worth != nil {
		sortRows(v.rows, func(r *loopRow) float64 { return worth(r) })
	}
	v.list.settle(len(v.rows), v.rowKey)
}

// loopRow makes the row of loop number of node i.
func (n *node) loopRow(i, number int) loopRow {
	row := loopRow{node: i, number: number, now: n.last.snap.Loops[number]}
	if b := loopOf(n.before.snap, number); b != nil && sameProcess(n.before.snap, n.last.snap) {
		if s := n.last.snap.UptimeSeconds - n.before.snap.UptimeSeconds; s > 0 {
			row.rated = true
			row.rates.accepted = float64(stats.Growth(b.Accepted, row.now.Accepted)) / s
			row.rates.delivered = float64(stats.Growth(b.Delivered, row.now.Delivered)) / s
			row.rates.bytesOut = float64(stats.Growth(b.BytesOut, row.now.BytesOut)) / s
		}
	}
	if b := loopOf(n.since(latencySpan).snap, number); b != nil {
		row.lag = row.now.Lag.Since(b.Lag)
		row.lat = row.now.Latency.Since(b.Latency)
	}
	return row
}

func loopOf(s *stats.Snapshot, i int) *stats.LoopSnapshot {
	if s == nil || i >= len(s.Loops) {
		return nil
	}
	return &s.Loops[i]
}

func (v *loops) body(m *model, width, height int) []line {
	v.gather(m)
	if len(v.rows) == 0 {
		return m.nothingYet()
	}
	sum, most := 0, 0
	for i := range v.rows {
		sum += v.rows[i].now.Connections
		most = max(most, v.rows[i].now.Connections)
	}
	columns := slices.Clone(loopColumns)
	bar := &columns[len(columns)-1].width
	*bar = max(*bar, min(40, width-110))
	t := table{columns: columns, sorted: loopOrders[v.by].column}
	out := []line{v.balance(sum, most)}
	out = append(out, t.rows(m.g, &v.list, width, height-1, len(v.rows), func(i int) []piece {
		r := &v.rows[i]
		name := strconv.Itoa(r.number)
		if m.scope < 0 && len(m.nodes) > 1 {
			name = fmt.Sprintf("%d:%d", r.node+1, r.number)
		}
		rate := func(f float64, unit func(float64) string) string {
			if !r.rated {
				return "-"
			}
			return unit(f)
		}
		lag := plain
		if micros(r.lag.P99) >= lagWarning {
			lag = bad
		}
		return []piece{
			{plain, name},
			{plain, whole(r.now.Connections)},
			{plain, percent(float64(r.now.Connections), float64(sum))},
			{plain, rate(r.rates.accepted, perSecond)},
			{plain, rate(r.rates.delivered, perSecond)},
			{plain, rate(r.rates.bytesOut, func(f float64) string { return byteSize(int64(f)) + "/s" })},
			{plain, byteSize(r.now.QueuedBytes)},
			{lag, m.tookOrNone(&r.lag, r.lag.P99)},
			{plain, m.tookOrNone(&r.lat, r.lat.P99)},
			{plain, whole(r.now.Subscriptions)},
			{plain, whole(r.now.Mailbox)},
			{accent, m.g.bar(float64(r.now.Connections), float64(most), *bar)},
		}
	})...)
	return m.staleAll(out)
}

// balance says in words how even the connections are spread.
func (v *loops) balance(sum, most int) line {
	l := line{}.add(plain, fmt.Sprintf(" %d loops", len(v.rows)))
	if sum == 0 {
		return l.add(dim, ", no connections")
	}
	mean := float64(sum) / float64(len(v.rows))
	over := 100 * (float64(most) - mean) / mean
	kind, word := good, "even"
	switch {
	case over > 50 && most > 100:
		kind, word = warn, "UNEVEN"
	case over > 15:
		kind, word = plain, "fairly even"
	}
	return l.add(plain, ", ").add(kind, word).add(dim, fmt.Sprintf(": the fullest has %.0f%% more connections than the mean of %s", math.Max(0, over), short(mean)))
}

// staleAll dims lines when pushd does not answer.
func (m *model) staleAll(lines []line) []line {
	if m.lost() {
		for i := range lines {
			lines[i] = lines[i].as(stale)
		}
	}
	return lines
}
