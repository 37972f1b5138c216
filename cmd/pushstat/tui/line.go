package tui

import (
	"strings"

	"charm.land/lipgloss/v2"
)

// role says what a piece of text is, and so how it is drawn. Nothing is said by the role alone: what is bad is also
// written out.
type role uint8

const (
	plain    role = iota
	dim           // labels and what is of less weight
	strong        // headings and the figures that one looks for
	good          // all is well
	warn          // look at it
	bad           // act on it
	accent        // where one is: the view, the key that does something
	selected      // the row under the cursor
	stale         // a figure of the last moment before pushd went away
)

// styles draw the roles in the sixteen colours that every terminal has and its owner chose. Bubble Tea leaves the colours
// out under NO_COLOR.
var styles = [...]lipgloss.Style{
	plain:    lipgloss.NewStyle(),
	dim:      lipgloss.NewStyle().Faint(true),
	strong:   lipgloss.NewStyle().Bold(true),
	good:     lipgloss.NewStyle().Foreground(lipgloss.Green),
	warn:     lipgloss.NewStyle().Foreground(lipgloss.Yellow).Bold(true),
	bad:      lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true),
	accent:   lipgloss.NewStyle().Foreground(lipgloss.Cyan),
	selected: lipgloss.NewStyle().Reverse(true),
	stale:    lipgloss.NewStyle().Faint(true),
}

// piece is text of one role. It holds no escape sequences and no line breaks.
type piece struct {
	role role
	text string
}

// line is one line of a screen, from left to right.
type line []piece

// add appends text of a role.
func (l line) add(r role, text string) line {
	if text == "" {
		return l
	}
	return append(l, piece{r, text})
}

// width is the number of cells of l.
func (l line) width() int {
	n := 0
	for _, p := range l {
		n += cellWidth(p.text)
	}
	return n
}

// pad adds spaces up to n cells.
func (l line) pad(n int) line { return l.add(plain, spaces(n-l.width())) }

// as gives all of l one role.
func (l line) as(r role) line {
	out := make(line, len(l))
	for i, p := range l {
		out[i] = piece{r, p.text}
	}
	return out
}

// fit cuts l to n cells, with the sign for it at the end.
func (l line) fit(g *glyphs, n int) line {
	if l.width() <= n {
		return l
	}
	out := make(line, 0, len(l))
	left := n
	for _, p := range l {
		w := cellWidth(p.text)
		if w < left {
			out = append(out, p)
			left -= w
			continue
		}
		return append(out, piece{p.role, g.cut(p.text+" ", left)}) // the space: something follows, so it is cut in any case
	}
	return out
}

// appendTo draws l, neighbours of one role at once.
func (l line) appendTo(b *strings.Builder) {
	for i := 0; i < len(l); {
		r, text := l[i].role, l[i].text
		for i++; i < len(l) && l[i].role == r; i++ {
			text += l[i].text
		}
		if r == plain {
			b.WriteString(text)
			continue
		}
		b.WriteString(styles[r].Render(text))
	}
}

// String is l without its roles.
func (l line) String() string {
	var b strings.Builder
	for _, p := range l {
		b.WriteString(p.text)
	}
	return b.String()
}

// beside joins two columns of lines with a gap, the left one leftWidth cells wide.
func beside(g *glyphs, left, right []line, leftWidth, gap int) []line {
	out := make([]line, max(len(left), len(right)))
	for i := range out {
		var l line
		if i < len(left) {
			l = append(l, left[i].fit(g, leftWidth)...)
		}
		if i < len(right) && len(right[i]) > 0 {
			l = append(l.pad(leftWidth+gap), right[i]...)
		}
		out[i] = l
	}
	return out
}
