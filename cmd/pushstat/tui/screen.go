package tui

import (
	"fmt"
	"strings"
	"time"
)

// Lines of the screen that are not the view's: header, tabs and status above it, one line of hints below.
const (
	linesAbove = 3
	linesBelow = 1
	maxStatus  = 3 // lines that findings may take where the screen is high enough
	highEnough = 22
)

func (m *model) tooSmall() bool { return m.width < minWidth || m.height < minHeight }

// screen is the whole screen, at most height lines of at most width cells.
func (m *model) screen() []line {
	switch {
	case m.width <= 0 || m.height <= 0: // before the size is known
		return nil
	case m.tooSmall():
		return m.smallScreen()
	case m.help:
		return m.clip(m.helpScreen())
	}
	lines := []line{m.header(), m.tabs()}
	status := m.status()
	lines = append(lines, status...)
	height := m.height - len(lines) - linesBelow
	body := m.view().body(m, m.width, height)
	for i := range height {
		if i < len(body) {
			lines = append(lines, body[i])
		} else {
			lines = append(lines, nil)
		}
	}
	return m.clip(append(lines, m.foot()))
}

// clip cuts what does not fit.
func (m *model) clip(lines []line) []line {
	lines = lines[:min(len(lines), m.height)]
	for i, l := range lines {
		lines[i] = l.fit(m.g, m.width)
	}
	return lines
}

func (m *model) smallScreen() []line {
	lines := []line{
		line{}.add(strong, "too small"),
		line{}.add(plain, fmt.Sprintf("%dx%d, need %dx%d", m.width, m.height, minWidth, minHeight)),
		line{}.add(plain, "q quits"),
	}
	if worst, _ := m.findings(); worst > allWell {
		lines = append(lines, line{}.add(worst.role(), worst.String()))
	}
	return m.clip(lines)
}

// header says whose figures these are, and of when. What has no room is left out, the least important first.
func (m *model) header() line {
	r := m.reading()
	left := line{}.add(plain, " ")
	right := line{}.add(dim, m.clock(r)+" ")
	add := func(p ...piece) {
		if left.width()+line(p).width()+right.width() < m.width {
			left = left.join(p)
		}
	}
	if m.scope < 0 {
		alive := 0
		for _, n := range m.nodes {
			if n.alive() {
				alive++
			}
		}
		add(piece{strong, fmt.Sprintf("sum of %d pushd", len(m.nodes))})
		add(piece{plain, fmt.Sprintf("  %d of them answer", alive)})
	} else {
		m.nodeHeader(m.nodes[m.scope], r, add)
	}
	every := "every " + shortInterval(m.interval) + "  "
	if left.width()+len(every)+right.width() < m.width {
		right = line{}.add(dim, every).join(right)
	}
	if room := m.width - left.width() - right.width() - 3; m.scope >= 0 && m.nodes[m.scope].path != "" && room >= 12 {
		left = left.add(plain, "  ").add(dim, m.g.cutMiddle(m.nodes[m.scope].name(m.g), room))
	}
	return left.pad(m.width - right.width()).join(right)
}

// nodeHeader names one pushd.
func (m *model) nodeHeader(n *node, r *reading, add func(...piece)) {
	name := "pushd"
	if r != nil {
		name += " " + m.g.clean(r.Version)
	}
	add(piece{strong, m.g.cut(name, max(5, m.width/3))})
	if len(m.nodes) > 1 {
		add(piece{plain, fmt.Sprintf("  %d of %d", m.scope+1, len(m.nodes))})
	}
	if r != nil {
		add(piece{plain, "  up " + age(seconds(r.UptimeSeconds))})
		add(piece{plain, fmt.Sprintf("  pid %d", r.PID)})
	}
}

// clock is the time of the figures.
func (m *model) clock(r *reading) string {
	at := m.now
	if r != nil {
		at = r.at
	}
	return at.Format(time.TimeOnly)
}

// shortInterval writes an interval: 500ms, 2s, 1m.
func shortInterval(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// tabs names the views. The one shown stands in brackets.
func (m *model) tabs() line {
	full, brief := line{}.add(plain, " "), line{}.add(plain, " ")
	for i, v := range m.views {
		number := fmt.Sprintf("%d", i+1)
		if i == m.at {
			tab := "[" + number + " " + v.name() + "]"
			full = full.add(strong, tab).add(plain, " ")
			brief = brief.add(strong, tab).add(plain, " ")
			continue
		}
		full = full.add(plain, " ").add(accent, number).add(dim, " "+v.name()+" ").add(plain, " ")
		brief = brief.add(accent, number).add(plain, " ")
	}
	if full.width() > m.width {
		return brief
	}
	return full
}

// status is the line to look at first: whether something is wrong, and what.
func (m *model) status() []line {
	worst, found := m.findings()
	gap := "  "
	if m.width < fullWidth {
		gap = " "
	}
	head := line{}.add(plain, " ").add(worst.role(), worst.String()).add(plain, gap)
	if m.paused {
		head = line{}.add(plain, " ").add(warn, "PAUSED "+age(m.now.Sub(m.pausedAt))).add(plain, " (space goes on)  ").join(head[1:])
	}
	if worst == allWell {
		return []line{head.add(plain, "no drops, slow clients or overflows in the last minute")}
	}
	rows := 1
	if m.height >= highEnough {
		rows = maxStatus
	}
	return wrapFindings(m.g, head, found, m.width, rows)
}

// wrapFindings lays findings out behind head in at most rows lines, and says how many had no room.
func wrapFindings(g *glyphs, head line, found []finding, width, rows int) []line {
	indent := spaces(min(head.width(), 11))
	out := []line{head}
	for i, f := range found {
		last := &out[len(out)-1]
		sep := ""
		if i > 0 {
			sep = "; "
		}
		more := "" // what must have room behind this finding
		if left := len(found) - i - 1; left > 0 && len(out) == rows {
			more = fmt.Sprintf("; +%d more", left)
		}
		room := width - last.width() - cellWidth(sep) - cellWidth(more)
		switch {
		case cellWidth(f.text) <= room:
			*last = last.add(plain, sep).add(f.level.role(), f.text)
		case i == 0:
			*last = last.add(f.level.role(), g.cut(f.text, room))
		case len(out) < rows:
			*last = last.add(plain, ";")
			out = append(out, line{}.add(plain, indent).add(f.level.role(), f.text))
		default:
			*last = last.add(warn, fmt.Sprintf("; +%d more", len(found)-i))
			return out
		}
	}
	return out
}

// foot is the last line: a question, a line that is typed, news, or what the keys do.
func (m *model) foot() line {
	l := line{}.add(plain, " ")
	switch {
	case m.ask != nil:
		return l.add(warn, m.g.cut(m.ask.text, m.width-9)).add(strong, " [y/N]")
	case m.input != nil:
		return m.inputLine()
	case len(m.notice) > 0 && m.now.Before(m.noticeEnds):
		return l.join(m.notice)
	}
	hints := append([]hint{{"q", "quit"}, {"?", "help"}}, m.view().hints()...)
	hints = append(hints, hint{"space", "pause"}, hint{"+ -", "interval"}, hint{"r", "reset totals"})
	if len(m.nodes) > 1 {
		hints = append(hints[:2:2], append([]hint{{"] [", "next pushd"}, {"0", "sum"}}, hints[2:]...)...)
	}
	for _, h := range hints {
		next := line{}.add(accent, h.key).add(dim, " "+h.does+"  ")
		if l.width()+next.width() > m.width {
			break
		}
		l = l.join(next)
	}
	return l
}

func (m *model) inputLine() line {
	in := m.input
	l := line{}.add(strong, " "+in.label+" ")
	text := m.g.clean(in.text)
	if in.err == "" {
		room := m.width - l.width() - 2
		if w := cellWidth(text); w > room {
			text = m.g.more + string([]rune(text)[max(0, len([]rune(text))-room+1):])
		}
		return l.add(plain, text).add(selected, " ")
	}
	return l.add(plain, text).add(selected, " ").add(bad, "  "+m.g.clean(in.err))
}

// join appends o.
func (l line) join(o line) line { return append(l, o...) }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
