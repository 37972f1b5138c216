package main

import (
	"math"

	"holdfast/cmd/pushstat/plot"
)

// series is a value of each moment of a recording. ok is false where there is none.
func (r *recording) series(name string, value func(*moment) (v float64, ok bool)) plot.Line {
	l := plot.Line{Name: name}
	for i := range r.moments {
		m := &r.moments[i]
		if m.again && i > 0 {
			before := r.moments[i-1].at
			l.Points = append(l.Points, plot.Point{Time: before.Add(m.at.Sub(before) / 2), Value: plot.Gap})
		}
		v, ok := value(m)
		if !ok {
			v = plot.Gap
		} else if k := len(l.Points) - 1; i > 0 && !m.again && math.IsNaN(l.Points[k].Value) {
			l.Points[k].Value = v // what is only known from two moments was the same from the first of them on
		}
		l.Points = append(l.Points, plot.Point{Time: m.at, Value: v})
	}
	return l
}

// always is a value that every moment has.
func always(value func(*moment) float64) func(*moment) (float64, bool) {
	return func(m *moment) (float64, bool) { return value(m), true }
}

// perSec is a rate, which a moment after a gap does not have.
func perSec(value func(*rates) float64) func(*moment) (float64, bool) {
	return func(m *moment) (float64, bool) {
		if m.rates == nil {
			return 0, false
		}
		return value(m.rates), true
	}
}

func peak(l *plot.Line) float64 {
	highest := 0.0
	for _, p := range l.Points {
		if p.Value > highest {
			highest = p.Value
		}
	}
	return highest
}

// noted writes each line's highest value beside its name.
func noted(unit plot.Unit, lines ...plot.Line) []plot.Line {
	for i := range lines {
		lines[i].Note = "max " + unit.Format(peak(&lines[i]))
	}
	return lines
}

// happened leaves out lines that are zero from begin to end, but the first.
func happened(lines ...plot.Line) []plot.Line {
	out := lines[:1]
	for _, l := range lines[1:] {
		if peak(&l) > 0 {
			out = append(out, l)
		}
	}
	return out
}

func connectionsPanel(r *recording) plot.Panel {
	total := r.series("open", always(func(m *moment) float64 { return float64(m.conns.Total) }))
	total.Filled = true
	kinds := happened(total,
		r.series("events", always(func(m *moment) float64 { return float64(m.conns.Events) })),
		r.series("stream", always(func(m *moment) float64 { return float64(m.conns.Stream) })),
		r.series("WebSocket", always(func(m *moment) float64 { return float64(m.conns.WS) })),
		r.series("poll", always(func(m *moment) float64 { return float64(m.conns.Poll) })),
	)
	if len(kinds) == 2 { // nearly the same line twice
		kinds = kinds[:1]
	}
	return plot.Panel{Title: "Connections", Lines: noted(plot.Count, kinds...)}
}

func churnPanel(r *recording) plot.Panel {
	return perSecondPanel("Opened and closed per second",
		r.series("opened", perSec(func(t *rates) float64 { return t.Accepted })),
		r.series("closed", perSec(func(t *rates) float64 { return t.Closed })),
	)
}

func messagesPanel(r *recording) plot.Panel {
	return perSecondPanel("Messages per second", happened(
		r.series("delivered", perSec(func(t *rates) float64 { return t.Delivered })),
		r.series("published", perSec(func(t *rates) float64 { return t.Published })),
		r.series("dropped", perSec(func(t *rates) float64 { return t.Dropped })),
	)...)
}

// perSecondPanel has an axis of decades when its lines are far apart: little is published where much is delivered, and those who
// came over minutes leave in a moment.
func perSecondPanel(title string, lines ...plot.Line) plot.Panel {
	const far = 20
	lowest, highest := peak(&lines[0]), peak(&lines[0])
	for _, l := range lines[1:] {
		lowest, highest = min(lowest, peak(&l)), max(highest, peak(&l))
	}
	return plot.Panel{Title: title, Log: lowest > 0 && highest > far*lowest, Lines: noted(plot.Count, lines...)}
}

func latencyPanel(r *recording) plot.Panel {
	quantile := func(of func(*moment) uint64) func(*moment) (float64, bool) {
		return func(m *moment) (float64, bool) { return float64(of(m)) / 1e6, m.latency.Count > 0 }
	}
	return plot.Panel{Title: "Latency, publish to write", Unit: plot.Duration, Log: true, Lines: noted(plot.Duration,
		r.series("p50", quantile(func(m *moment) uint64 { return m.latency.P50 })),
		r.series("p99", quantile(func(m *moment) uint64 { return m.latency.P99 })),
	)}
}

func memoryPanel(r *recording) plot.Panel {
	resident := r.series("resident", always(func(m *moment) float64 { return float64(m.rss) }))
	resident.Filled = true
	return plot.Panel{Title: "Memory", Unit: plot.Bytes, Lines: noted(plot.Bytes, happened(resident,
		r.series("Go heap", always(func(m *moment) float64 { return float64(m.heap) })),
		r.series("kernel, TCP of the host", always(func(m *moment) float64 { return float64(m.kernel) })),
	)...)}
}
