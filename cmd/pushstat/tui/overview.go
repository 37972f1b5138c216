package tui

import (
	"fmt"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"holdfast/pkg/stats"
)

// overview is the first screen: all figures of pushd as a whole.
type overview struct{}

func (overview) name() string                            { return "Overview" }
func (overview) key(*model, string) (tea.Cmd, bool)      { return nil, false }
func (overview) show(*model) tea.Cmd                     { return nil }
func (overview) hide(*model)                             {}
func (overview) hints() []hint                           { return nil }
func (overview) body(m *model, width, height int) []line { return m.overview(width, height) }

// Sizes of the overview.
const (
	fullLines   = 18 // of all sections in one column, without the two that matter least
	fullWidth   = 72 // cells that a section takes
	chartLines  = 7  // the lowest chart worth its lines: title, foot and five for the columns
	columnsGap  = 3
	labelCells  = 16 // names of rows
	walkLine    = 13 // of the sections in one column: durations of walks
	httpLine    = 5  // connections that are not held
	figureCells = 12 // a count in full
)

func (m *model) overview(width, height int) []line {
	r := m.reading()
	if r == nil {
		return m.nothingYet()
	}
	c := m.curvesInScope()
	var out []line
	switch {
	case width < fullWidth || height < fullLines && width < roomyWidth || height < 11:
		out = m.compact(r, c, width, height)
	case width < roomyWidth:
		half := width - 1
		out = append(m.connectionLines(r, c, half), m.messageLines(r, c, half)...)
		out = append(append(out, m.latencyLines(r)...), m.hostLines(r, half)...)
		for _, least := range []int{walkLine, httpLine} {
			if len(out) > height {
				out = slices.Delete(out, least, least+1)
			}
		}
	default:
		half := (width - columnsGap) / 2
		left := append(append(m.connectionLines(r, c, half), nil), m.messageLines(r, c, half)...)
		right := append(append(m.latencyLines(r), nil), m.hostLines(r, half)...)
		out = beside(m.g, left, right, half, columnsGap)
	}
	if left := height - len(out) - 1; left >= chartLines && width >= fullWidth {
		out = append(append(out, nil), m.charts(c, width, left)...)
	}
	if r.stale {
		for i := range out {
			out[i] = out[i].as(stale)
		}
	}
	return out
}

// nothingYet is the body before any figures have come.
func (m *model) nothingYet() []line {
	return []line{nil, line{}.add(dim, " No figures yet.")}
}

// heading starts a section.
func heading(title string) line { return line{}.add(plain, " ").add(strong, title) }

// label starts a row of a section.
func label(text string) line { return line{}.add(dim, padRight("   "+text, labelCells)) }

func (m *model) connectionLines(r *reading, c *curves, width int) []line {
	head := heading(padRight("CONNECTIONS", labelCells-1)).add(strong, padLeft(whole(r.Connections.Total), figureCells))
	if r.tick != nil {
		head = head.add(dim, "  opens ").add(plain, padRight(perSecond(r.tick.rates.accepted), 8)).
			add(dim, "closes ").add(plain, perSecond(r.tick.rates.closed))
	}
	out := []line{head}
	for _, k := range []struct {
		name string
		n    int
		s    *series
	}{
		{"events (SSE)", r.Connections.Events, &c.events}, {"websocket", r.Connections.WS, &c.ws},
		{"stream", r.Connections.Stream, &c.stream}, {"long poll", r.Connections.Poll, &c.poll}, {"http, not held", r.Connections.HTTP, &c.http},
	} {
		l := line{}.add(dim, padRight("   "+k.name, labelCells+1)).add(plain, padLeft(whole(k.n), figureCells-1))
		l = l.add(dim, padLeft(percent(float64(k.n), float64(r.Connections.Total)), 5)).add(plain, "  ")
		out = append(out, m.withCurve(l, k.s, width))
	}
	return out
}

func (m *model) messageLines(r *reading, c *curves, width int) []line {
	since := "since start"
	if m.reset != nil {
		since = "since reset"
	}
	out := []line{heading(padRight("MESSAGES", labelCells-1)).add(dim, padLeft("now", 9)+padLeft(since, 20))}
	t := r.tick
	if t == nil {
		t = new(delta)
	}
	for _, k := range []struct {
		name  string
		rate  float64
		total uint64
		s     *series
		alarm bool
	}{
		{"published", t.rates.published, r.Published, &c.published, false},
		{"delivered", t.rates.delivered, r.Delivered, &c.delivered, false},
		{"dropped", t.rates.dropped, stats.Total(r.Dropped), &c.dropped, true},
	} {
		rate := perSecond(k.rate)
		if r.tick == nil {
			rate = "-"
		}
		kind := plain
		if k.alarm && k.rate > 0 {
			kind, rate = bad, "! "+rate
		}
		l := label(k.name).add(kind, padLeft(rate, 9)).add(plain, padLeft(whole(k.total), 20)).add(plain, "  ")
		out = append(out, m.withCurve(l, k.s, width))
	}
	return out
}

// withCurve adds the curve of s in what is left of width.
func (m *model) withCurve(l line, s *series, width int) line {
	if cells := width - l.width(); cells >= 6 {
		return l.add(accent, m.g.curve(s, cells))
	}
	return l
}

func (m *model) latencyLines(r *reading) []line {
	d := r.recent
	if d == nil {
		d = new(delta)
	}
	head := heading(padRight(fmt.Sprintf("LATENCY in %.0f s", latencySpan.Seconds()), labelCells+2))
	for _, title := range []string{"p50", "p99", "p99.9", "max"} {
		head = head.add(dim, padLeft(title, 9))
	}
	out := []line{head}
	for _, k := range []struct {
		name string
		d    *stats.Durations
	}{{"publish to write", &d.latency}, {"loop lag", &d.lag}, {"channel walk", &d.walk}} {
		l := line{}.add(dim, padRight("   "+k.name, labelCells+3))
		for _, us := range []uint64{k.d.P50, k.d.P99, k.d.P999, k.d.Max} {
			l = l.add(plain, padLeft(m.tookOrNone(k.d, us), 9))
		}
		out = append(out, l)
	}
	return out
}

// tookOrNone writes a quantile of d, and "-" when nothing was counted.
func (m *model) tookOrNone(d *stats.Durations, us uint64) string {
	if d.Count == 0 {
		return "-"
	}
	return m.g.took(micros(us))
}

func (m *model) hostLines(r *reading, width int) []line {
	pause, cpu, out := "-", "-", "-"
	if d := r.recent; d != nil && d.pauses.Count > 0 {
		pause = m.g.took(micros(d.pauses.Max)) + " max"
	}
	if t := r.tick; t != nil {
		cpu, out = percent(t.cpu, 1), byteSize(int64(t.rates.bytesOut))+"/s"
	}
	bar := max(8, min(20, width-56))
	k := &r.Kernel
	tcp := label("TCP memory").add(plain, "not known here")
	if k.TCPMemPressure > 0 {
		text := byteSize(k.TCPMemBytes) + " of " + byteSize(k.TCPMemPressure)
		if width >= fullWidth {
			text += " before pressure"
		}
		tcp = m.gauge(label("TCP memory"), float64(k.TCPMemBytes), float64(k.TCPMemPressure), tcpWarning, bar, text)
	}
	overflows := plain
	if r.minute != nil && r.minute.overflows > 0 {
		overflows = bad
	}
	return []line{
		heading("HOST"),
		label("queued").add(plain, padRight(byteSize(r.QueuedBytes), 10)).add(dim, "RSS ").add(plain, padRight(byteSize(r.RSSBytes), 10)).
			add(dim, "heap ").add(plain, byteSize(r.HeapBytes)),
		label("GC pause").add(plain, padRight(pause, 13)).
			add(dim, "CPU ").add(plain, padRight(cpu, 7)).add(dim, "out ").add(plain, out),
		m.gauge(label("open files"), float64(r.FDs.Used), float64(r.FDs.Limit), nearLimit, bar,
			fmt.Sprintf("%s of %s", whole(r.FDs.Used), whole(r.FDs.Limit))),
		tcp,
		label("listen queue").add(overflows, whole(minuteOf(r).overflows)+" overflows").add(dim, " in 1 min, ").
			add(plain, short(float64(k.ListenOverflows))).add(dim, " since boot"),
	}
}

// gauge draws part of limit as a bar, a share and text.
func (m *model) gauge(l line, part, limit, high float64, cells int, text string) line {
	kind := accent
	if limit > 0 && part >= high*limit {
		kind = bad
	}
	return l.add(kind, m.g.bar(part, limit, cells)).add(plain, padLeft(percent(part, limit), 5)+"  "+text)
}

func minuteOf(r *reading) *delta {
	if r.minute != nil {
		return r.minute
	}
	return new(delta)
}

// compact is the overview for small screens: the most important figures first, as many as have room.
func (m *model) compact(r *reading, c *curves, width, height int) []line {
	d, t := r.recent, r.tick
	if d == nil {
		d = new(delta)
	}
	if t == nil {
		t = new(delta)
	}
	drops := fact("drop", perSecond(t.rates.dropped))
	if t.rates.dropped > 0 {
		drops = line{}.add(dim, "drop ").add(bad, "! "+perSecond(t.rates.dropped))
	}
	out := []line{
		flow(width, line{}.add(dim, "conns ").add(strong, whole(r.Connections.Total)), fact("open", perSecond(t.rates.accepted)), fact("close", perSecond(t.rates.closed))),
		flow(width, drops, fact("dlv", perSecond(t.rates.delivered)), fact("pub", perSecond(t.rates.published))),
		flow(width, fact("p50", m.tookOrNone(&d.latency, d.latency.P50)), fact("p99", m.tookOrNone(&d.latency, d.latency.P99)), fact("p99.9", m.tookOrNone(&d.latency, d.latency.P999))),
		flow(width, fact("queued", byteSize(r.QueuedBytes)), fact("loop lag p99", m.tookOrNone(&d.lag, d.lag.P99))),
		flow(width, fact("fds", percent(float64(r.FDs.Used), float64(r.FDs.Limit))), fact("tcp mem", percent(float64(r.Kernel.TCPMemBytes), float64(r.Kernel.TCPMemPressure))),
			fact("overflows", whole(minuteOf(r).overflows)+"/min")),
		flow(width, fact("RSS", byteSize(r.RSSBytes)), fact("heap", byteSize(r.HeapBytes)), fact("CPU", percent(t.cpu, 1))),
	}
	if height > len(out)+7 {
		out = append(append(out, nil), m.connectionLines(r, c, width-1)...)
	}
	return out[:min(len(out), height)]
}

// fact is a label and a figure.
func fact(name, figure string) line { return line{}.add(dim, name+" ").add(plain, figure) }

// flow puts facts beside each other; those that do not fit whole are left out, the last first.
func flow(width int, facts ...line) line {
	l := line{}.add(plain, " ")
	for i, f := range facts {
		if i > 0 {
			if l.width()+2+f.width() > width {
				break
			}
			l = l.add(plain, "  ")
		}
		l = l.join(f)
	}
	return l
}

// charts draws figures over time in a grid of height lines.
func (m *model) charts(c *curves, width, height int) []line {
	type chart struct {
		title string
		s     *series
		unit  func(float64) string
	}
	all := []chart{
		{"Connections", &c.connections, short},
		{"Delivered", &c.delivered, perSecond},
		{"Publish to write, p99", &c.p99, func(us float64) string { return m.g.took(time.Duration(us) * time.Microsecond) }},
		{"Opened", &c.accepted, perSecond},
		{"Dropped", &c.dropped, perSecond},
		{"Queued", &c.queued, func(n float64) string { return byteSize(int64(n)) }},
	}
	across, down := 1, min(len(all), max(1, height/(chartLines+1)))
	if width >= roomyWidth {
		across, down = 2, min(len(all)/2, max(1, height/(chartLines+1)))
	}
	cells := (width - 1 - (across-1)*columnsGap) / across
	each := (height - (down - 1)) / down
	var out []line
	for row := range down {
		var cols [2][]line
		for i := range across {
			ch := all[row*across+i]
			cols[i] = m.chartLines(c, ch.title, ch.s, ch.unit, cells, each-2)
		}
		if row > 0 {
			out = append(out, nil)
		}
		out = append(out, beside(m.g, cols[0], cols[1], cells+1, columnsGap-1)...)
	}
	return out
}

// chartLines draws one chart with its title above and its time below.
func (m *model) chartLines(c *curves, title string, s *series, unit func(float64) string, cells, height int) []line {
	newest, top := s.extent(cells)
	out := []line{heading(title).add(plain, "  "+unit(newest)).add(dim, "  highest "+unit(top))}
	for _, row := range m.g.chart(s, cells, height) {
		out = append(out, line{}.add(plain, " ").add(accent, row))
	}
	times := c.at.last(nil, cells)
	foot := "now"
	if len(times) > 1 {
		from := age(seconds(times[len(times)-1]-times[0])) + " ago"
		foot = spaces(cells-len(times)) + padRight(from, len(times)-len(foot)) + foot
	}
	return append(out, line{}.add(dim, " "+padLeft(foot, cells)))
}
