package tui

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"holdfast/cmd/internal/app"
)

// glyphs are the signs that a screen is drawn with. Each is one cell wide.
type glyphs struct {
	ascii  bool
	levels []rune // a bar that grows in one cell, from nothing
	shade  rune   // below the top of a column
	full   string // a filled cell of a bar
	empty  string // one that is not filled
	more   string // something was cut off here
	down   string // there is more below
	mark   string // the selected row, so that it does not take a colour to see it
	micro  string // the unit of microseconds, with its s
}

var unicodeGlyphs = glyphs{
	levels: []rune(" ▁▂▃▄▅▆▇█"), shade: '░', full: "█", empty: "░", more: "…", down: "▼", mark: "▶", micro: "µs",
}

// asciiGlyphs are for terminals whose locale is not UTF-8.
var asciiGlyphs = glyphs{
	ascii: true, levels: []rune(" .:-=+*%#"), shade: ':', full: "#", empty: ".", more: "~", down: "v", mark: ">", micro: "us",
}

// utf8Locale reports whether the locale in the environment says UTF-8. The first variable that is set decides, as in
// setlocale(3).
func utf8Locale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// clean makes foreign text (a channel, an address, an error of somebody else) safe to draw: control characters, direction
// marks and invalid bytes become U+FFFD, a variation selector is left out, and of the combining marks on one character all
// but the first, which could otherwise be stacked over other lines. Where the terminal is not UTF-8, "?" stands for all
// that is not ASCII.
func (g *glyphs) clean(s string) string {
	s = app.Printable(s)
	if isPlain(s) {
		return s
	}
	marks := 1 // a mark without a character before it is one too many
	return strings.Map(func(r rune) rune {
		switch {
		case r < unicode.MaxASCII:
			marks = 0
		case unicode.Is(unicode.Variation_Selector, r):
			return -1
		case unicode.Is(unicode.M, r):
			if marks++; marks > 1 || g.ascii {
				return -1
			}
		default:
			marks = 0
			if g.ascii {
				return '?'
			}
		}
		return r
	}, s)
}

func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// cellWidth is the number of cells that s takes. s holds no escape sequences.
func cellWidth(s string) int {
	if isPlain(s) {
		return len(s)
	}
	return ansi.StringWidthWc(s)
}

// cut shortens s to at most n cells; what was cut shows the sign for it at its end.
func (g *glyphs) cut(s string, n int) string {
	switch {
	case n <= 0:
		return ""
	case cellWidth(s) <= n:
		return s
	}
	return firstCells(s, n-1) + g.more
}

// cutMiddle shortens s to at most n cells and keeps both ends, which is what tells paths apart.
func (g *glyphs) cutMiddle(s string, n int) string {
	if cellWidth(s) <= n || n < 5 {
		return g.cut(s, n)
	}
	head := firstCells(s, (n-1)/2)
	return head + g.more + lastCells(s, n-1-cellWidth(head))
}

// firstCells is the beginning of s in at most n cells, counted rune by rune as cellWidth does. A
// function that counts by grapheme clusters gives another sum where a mark that takes a cell
// follows a character.
func firstCells(s string, n int) string {
	for i, r := range s {
		if n -= cellWidth(string(r)); n < 0 {
			return s[:i]
		}
	}
	return s
}

// lastCells is the end of s in at most n cells. It does not begin with a mark, which would stand on
// what is before it.
func lastCells(s string, n int) string {
	at := len(s)
	for at > 0 {
		r, size := utf8.DecodeLastRuneInString(s[:at])
		if n -= cellWidth(string(r)); n < 0 {
			break
		}
		at -= size
	}
	return strings.TrimLeftFunc(s[at:], func(r rune) bool { return unicode.Is(unicode.M, r) })
}

func padRight(s string, n int) string { return s + spaces(n-cellWidth(s)) }

func padLeft(s string, n int) string { return spaces(n-cellWidth(s)) + s }

func spaces(n int) string { return strings.Repeat(" ", max(0, n)) }
