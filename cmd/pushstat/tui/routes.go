package tui

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"holdfast/pkg/stats"
)

// routes shows what the routes do: requests, errors by cause, latency.
type routes struct {
	fetcher
	list list
	by   int
	rows []routeRow
	old  map[string]routeRow // the rows before, by their key, for the rates
	full bool                // the route under the cursor is shown in full
}

// routeRow is one route of one pushd.
type routeRow struct {
	node *node
	stats.RouteInfo
	place   int     // in the files
	at      float64 // when, in seconds since 1970
	rate    float64 // requests per second since the answer before; -1: not known
	failing float64 // errors per second, likewise
	recent  stats.Durations
}

var routeOrders = []struct {
	title  string
	column int
	worth  func(r *routeRow) float64 // nil: as in the file
}{
	{"order of the file", 0, nil},
	{"requests", 1, func(r *routeRow) float64 { return r.rate }},
	{"errors", 3, func(r *routeRow) float64 { return float64(stats.Total(r.Errors)) }},
	{"latency", 5, func(r *routeRow) float64 { return float64(r.recent.P99) }},
}

var routeColumns = []column{
	{title: "route", width: 18, left: true, grows: true},
	{title: "requests", width: 9},
	{title: "total", width: 8, extra: 3},
	{title: "errors", width: 9},
	{title: "p50", width: 8, extra: 2},
	{title: "p99", width: 8},
	{title: "active", width: 7, extra: 1},
	{title: "waiting", width: 8, extra: 4},
	{title: "holds", width: 9, extra: 5},
	{title: "error causes", width: 22, left: true, extra: 6},
}

func (*routes) name() string { return "Routes" }
func (v *routes) hints() []hint {
	if v.full {
		return []hint{{"esc", "back"}}
	}
	return []hint{{"s S", "sort"}, {"enter", "in full"}, {"j k", "move"}}
}
func (v *routes) hide(*model) { v.drop() }

func (v *routes) show(m *model) tea.Cmd {
	if v.busy || m.paused {
		return nil
	}
	round := v.begin()
	return v.unlessNil(askAll(m, m.inScope(), func(ctx context.Context, p pushd) ([]stats.RouteInfo, error) { return p.Routes(ctx) },
		func(m *model, parts []part[[]stats.RouteInfo]) tea.Cmd {
			if v.end(round) {
				v.take(m, parts)
			}
			return nil
		}))
}

func (v *routes) take(m *model, parts []part[[]stats.RouteInfo]) {
	if refused(&v.fetcher, parts) {
		return
	}
	v.rows = nil
	now := make(map[string]routeRow)
	for _, p := range parts {
		if p.err != nil {
			continue
		}
		for i, info := range p.value {
			row := routeRow{node: p.node, RouteInfo: info, place: len(v.rows), at: float64(m.now.UnixMilli()) / 1000, rate: -1, failing: -1}
			key := fmt.Sprintf("%s\x00%d\x00%s", p.node.path, i, info.ID)
			row.compare(v.old[key])
			now[key] = row
			v.rows = append(v.rows, row)
		}
	}
	v.old = now
	v.sort()
}

// sort puts the rows into their order, which is that of the file at first.
func (v *routes) sort() {
	slices.SortStableFunc(v.rows, func(a, b routeRow) int { return cmp.Compare(a.place, b.place) })
	if worth := routeOrders[v.by].worth; worth != nil {
		sortRows(v.rows, worth)
	}
	v.list.settle(len(v.rows), v.rowKey)
}

// shortestRate is the seconds below which two answers make no rate.
const shortestRate = 0.05

// compare makes rates from the row before, which may be empty.
func (r *routeRow) compare(before routeRow) {
	seconds := r.at - before.at
	if before.node != nil && seconds < shortestRate { // asked again at once, by a key
		place := r.place
		*r = before
		r.place = place
		return
	}
	r.recent = r.Latency.Since(before.Latency)
	if before.node == nil || r.Requests < before.Requests {
		return
	}
	r.rate = float64(r.Requests-before.Requests) / seconds
	r.failing = float64(stats.Total(stats.Grown(before.Errors, r.Errors))) / seconds
	if r.recent.Count == 0 { // a quiet route shows what it took last, not nothing
		r.recent = before.recent
	}
}

func (v *routes) rowKey(i int) string { return v.rows[i].node.path + "\x00" + v.rows[i].ID }

func (v *routes) key(m *model, key string) (tea.Cmd, bool) {
	switch key {
	case "s", ">":
		v.by = (v.by + 1) % len(routeOrders)
	case "S", "<":
		v.by = (v.by + len(routeOrders) - 1) % len(routeOrders)
	case "enter":
		v.full = !v.full && v.list.cursor < len(v.rows)
		return nil, true
	case "esc":
		v.full = false
		return nil, true
	default:
		return nil, v.list.scroll(m, key, len(v.rows), v.rowKey)
	}
	v.sort()
	return nil, true
}

func (v *routes) body(m *model, width, height int) []line {
	if l, ok := v.trouble(m, len(v.rows)); ok {
		return []line{l}
	}
	if len(v.rows) == 0 {
		return []line{line{}.add(plain, " No routes: pushd serves its channels itself (no --routes).")}
	}
	if v.full && v.list.cursor < len(v.rows) {
		return m.staleAll(v.one(m, &v.rows[v.list.cursor], width))
	}
	var requests, failed uint64
	for i := range v.rows {
		requests += v.rows[i].Requests
		failed += stats.Total(v.rows[i].Errors)
	}
	head := line{}.add(plain, " ").add(strong, whole(len(v.rows))).add(plain, " routes, "+whole(requests)+" requests, "+whole(failed)+" errors since start").
		add(dim, "  by: ").add(plain, routeOrders[v.by].title)
	t := table{columns: routeColumns, sorted: routeOrders[v.by].column}
	return v.headed(m, head, t.rows(m.g, &v.list, width, height-1, len(v.rows), func(i int) []piece { return v.cells(m, &v.rows[i]) }))
}

func (v *routes) cells(m *model, r *routeRow) []piece {
	g := m.g
	errs := piece{plain, rateOrNone(r.failing)}
	if r.failing > 0 {
		errs = piece{bad, "! " + errs.text}
	} else if stats.Total(r.Errors) == 0 {
		errs.text = "none"
	}
	waiting := plain
	if r.Waiting > 0 {
		waiting = warn
	}
	return []piece{
		{plain, routeName(g, r)},
		{plain, rateOrNone(r.rate)},
		{plain, short(float64(r.Requests))},
		errs,
		{plain, m.tookOrNone(&r.recent, r.recent.P50)},
		{plain, m.tookOrNone(&r.recent, r.recent.P99)},
		{plain, whole(r.Active)},
		{waiting, whole(r.Waiting)},
		{plain, whole(r.Holds)},
		{plain, causes(g, r.Errors)},
	}
}

// routeName is the route's condition with its id in front where it has one of its own.
func routeName(g *glyphs, r *routeRow) string {
	if r.ID == "" || r.ID == r.Match {
		return g.clean(r.Match)
	}
	return g.clean(r.ID + " " + r.Match)
}

func rateOrNone(f float64) string {
	if f < 0 {
		return "-"
	}
	return perSecond(f)
}

// causes lists errors, the most frequent first.
func causes(g *glyphs, errs map[string]uint64) string {
	var out []string
	for _, c := range byCount(errs) {
		out = append(out, g.clean(c)+" "+short(float64(errs[c])))
	}
	return strings.Join(out, ", ")
}

// one is a route in full.
func (v *routes) one(m *model, r *routeRow, width int) []line {
	g := m.g
	out := []line{line{}.add(plain, " ").add(strong, "Route "+routeName(g, r))}
	field := func(name, value string) {
		out = append(out, line{}.add(dim, padRight("   "+name, 16)).add(plain, value))
	}
	if len(m.nodes) > 1 {
		field("pushd", g.cutMiddle(r.node.name(g), width-16))
	}
	for _, target := range r.Targets {
		field("target", g.clean(target))
	}
	field("requests", fmt.Sprintf("%s, %s", whole(r.Requests), rateOrNone(r.rate)))
	field("under way", fmt.Sprintf("%s active, %s waiting for a turn", whole(r.Active), whole(r.Waiting)))
	field("holds", whole(r.Holds)+" requests held")
	for _, k := range []struct {
		name string
		d    *stats.Durations
	}{{"latency now", &r.recent}, {"since start", &r.Latency}} {
		field(k.name, fmt.Sprintf("p50 %s  p99 %s  p99.9 %s  max %s", m.tookOrNone(k.d, k.d.P50), m.tookOrNone(k.d, k.d.P99),
			m.tookOrNone(k.d, k.d.P999), m.tookOrNone(k.d, k.d.Max)))
	}
	field("errors", fmt.Sprintf("%s, %s", whole(stats.Total(r.Errors)), rateOrNone(r.failing)))
	for _, c := range byCount(maps.Clone(r.Errors)) {
		out = append(out, line{}.add(dim, spaces(16)).add(warn, padLeft(whole(r.Errors[c]), 12)).add(plain, "  "+g.clean(c)))
	}
	return out
}
