package tui

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"holdfast/pkg/stats"
)

// level says how bad something is. Its words are those that monitoring uses.
type level uint8

const (
	allWell  level = iota
	warning        // look at it today
	critical       // clients are hurt, or will be soon
)

// String is the word on the status line.
func (l level) String() string {
	switch l {
	case warning:
		return "WARNING"
	case critical:
		return "CRITICAL"
	}
	return "OK"
}

func (l level) role() role {
	switch l {
	case warning:
		return warn
	case critical:
		return bad
	}
	return good
}

// finding is one thing that is wrong.
type finding struct {
	level level
	text  string
}

// Shares and times from which on something is worth a look.
const (
	nearLimit    = 0.85
	atLimit      = 0.95
	queueWarning = 0.50
	tcpWarning   = 0.80 // of the kernel's pressure mark
	lagWarning   = 100 * time.Millisecond
	lagCritical  = time.Second
	pauseWarning = 100 * time.Millisecond
	slowAnswer   = 2 * time.Second // of pushd to us; after the timeout it counts as gone
)

// findings lists what is wrong in scope, the worst first. It is judged by the last minute, so that what happened while
// nobody looked at the screen is still there.
func (m *model) findings() (worst level, found []finding) {
	add := func(l level, format string, args ...any) {
		found = append(found, finding{l, fmt.Sprintf(format, args...)})
	}
	for _, n := range m.inScope() {
		m.judgeNode(n, add)
	}
	r := m.reading()
	if r != nil && !r.stale {
		judgeTraffic(r, add)
	}
	for _, n := range m.inScope() {
		if !n.alive() {
			continue
		}
		of := "" // a pushd without room is not well because another has some
		if len(m.inScope()) > 1 {
			of = n.name(m.g) + ": "
		}
		judgeLimits(m.read([]*node{n}), m.g, func(l level, format string, args ...any) { add(l, "%s", of+fmt.Sprintf(format, args...)) })
	}
	if r != nil && !r.stale {
		judgeKernel(r, add)
	}
	slices.SortStableFunc(found, func(a, b finding) int { return cmp.Compare(b.level, a.level) })
	if len(found) > 0 {
		worst = found[0].level
	}
	return worst, found
}

// lost reports whether nobody in scope answers.
func (m *model) lost() bool {
	r := m.reading()
	return r == nil || r.stale
}

// judgeNode says when a pushd does not answer, or has just been started again.
func (m *model) judgeNode(n *node, add func(level, string, ...any)) {
	name := "pushd"
	if len(m.nodes) > 1 {
		name = n.name(m.g)
	}
	switch {
	case n.why != "":
		text := fmt.Sprintf("NO ANSWER from %s for %s: %s", name, age(m.now.Sub(n.lostAt)), m.g.clean(n.why))
		if wait := n.retryAt.Sub(m.now); wait > 0 && !m.paused {
			text += fmt.Sprintf("; next try in %s", age(wait+time.Second-1))
		}
		add(critical, "%s", text)
		if n.last.snap != nil && len(m.inScope()) == 1 {
			add(critical, "figures are of %s", n.last.at.Format(time.TimeOnly))
		}
	case n.busy && m.now.Sub(n.askedAt) >= slowAnswer:
		add(warning, "no answer from %s yet, asked %s ago", name, age(m.now.Sub(n.askedAt)))
	case !n.backAt.IsZero() && m.now.Sub(n.backAt) < minute:
		add(warning, "%s was away and is back since %s", name, age(m.now.Sub(n.backAt)))
	}
}

// harmlessDrops are reasons that somebody asked for: filters, and the leaving out of repeats.
var harmlessDrops = map[string]bool{stats.DropFiltered.String(): true, "repeat": true}

// judgeTraffic looks at what clients felt in the last minute.
func judgeTraffic(r *reading, add func(level, string, ...any)) {
	d := r.minute
	if d == nil {
		return
	}
	var lost []string
	for _, reason := range byCount(d.dropped) {
		if !harmlessDrops[reason] {
			lost = append(lost, reason)
		}
	}
	if len(lost) > 0 {
		add(critical, "dropped: %s in %s (%s)", whole(totalOf(d.dropped, lost)), span(d), strings.Join(lost, ", "))
	}
	for _, c := range []struct {
		reason stats.CloseReason
		level  level
		text   string
	}{
		{stats.CloseSlow, critical, "slow clients closed"},
		{stats.CloseMemory, critical, "clients closed for --queue-memory"},
		{stats.CloseOverload, critical, "clients refused for overload"},
		{stats.CloseErrorWrite, warning, "write errors"},
		{stats.CloseErrorRead, warning, "read errors"},
		{stats.CloseBackend, warning, "backend answers broken off"},
	} {
		if n := d.closed[c.reason.String()]; n > 0 {
			add(c.level, "%s: %s in %s", c.text, whole(n), span(d))
		}
	}
}

// judgeLimits looks at what one pushd has left of what it may have, and at its loops.
func judgeLimits(r *reading, g *glyphs, add func(level, string, ...any)) {
	if used, limit := float64(r.FDs.Used), float64(r.FDs.Limit); limit > 0 && used >= nearLimit*limit {
		add(nearness(used, limit), "open files at %s of %s", percent(used, limit), whole(r.FDs.Limit))
	}
	if held, limit := float64(r.Connections.Total), float64(r.Limits.MaxConnections); limit > 0 && held >= nearLimit*limit {
		add(nearness(held, limit), "connections at %s of --max-connections %s", percent(held, limit), whole(r.Limits.MaxConnections))
	}
	if queued, limit := float64(r.QueuedBytes), float64(r.Limits.QueueMemory); limit > 0 && queued >= queueWarning*limit {
		add(nearness(queued, limit), "queues at %s of --queue-memory %s", percent(queued, limit), byteSize(r.Limits.QueueMemory))
	}
	if d := r.recent; d != nil {
		if lag := micros(d.lag.P99); lag >= lagCritical {
			add(critical, "loops lag, p99 %s", g.took(lag))
		} else if lag >= lagWarning {
			add(warning, "loops lag, p99 %s", g.took(lag))
		} else if longest := micros(d.lag.Max); longest >= lagCritical {
			add(warning, "a loop was busy for %s", g.took(longest))
		}
		if pause := micros(d.pauses.Max); pause >= pauseWarning {
			add(warning, "GC paused for %s", g.took(pause))
		}
	}
}

// judgeKernel looks at what the connections of all programs of the host share.
func judgeKernel(r *reading, add func(level, string, ...any)) {
	switch k := r.Kernel; {
	case k.TCPMemPressure <= 0:
	case k.TCPMemLimit > 0 && k.TCPMemBytes >= k.TCPMemLimit:
		add(critical, "TCP memory used up (%s of tcp_mem)", byteSize(k.TCPMemLimit))
	case k.TCPMemBytes >= k.TCPMemPressure:
		add(critical, "TCP memory under pressure (%s, from %s on)", byteSize(k.TCPMemBytes), byteSize(k.TCPMemPressure))
	case float64(k.TCPMemBytes) >= tcpWarning*float64(k.TCPMemPressure):
		add(warning, "TCP memory at %s of its pressure mark", percent(float64(k.TCPMemBytes), float64(k.TCPMemPressure)))
	}
	if d := r.minute; d != nil {
		if d.overflows > 0 {
			add(critical, "listen overflows: %s in %s", whole(d.overflows), span(d))
		} else if d.listenDrops > 0 {
			add(warning, "listen drops: %s in %s", whole(d.listenDrops), span(d))
		}
	}
}

// nearness is how bad it is to be at part of a limit.
func nearness(part, limit float64) level {
	if part >= atLimit*limit {
		return critical
	}
	return warning
}

// span is the time that d covers, as a reader says it.
func span(d *delta) string {
	if d.seconds >= minute.Seconds()-2 {
		return "1 min"
	}
	return fmt.Sprintf("%.0f s", max(1, d.seconds))
}

// byCount lists the keys of counters, the most frequent first.
func byCount(m map[string]uint64) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
}

func totalOf(m map[string]uint64, keys []string) uint64 {
	var n uint64
	for _, k := range keys {
		n += m[k]
	}
	return n
}

func micros(us uint64) time.Duration { return time.Duration(us) * time.Microsecond }
