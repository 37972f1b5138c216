package tui

import (
	"cmp"
	"slices"
)

// column is one column of a table.
type column struct {
	title string
	width int
	left  bool // text; numbers stand at the right
	grows bool // takes the cells that are left
	extra int  // 0: always shown, as the sorted one is; else left out while there is no room, the greatest first
}

// table lays rows out in columns.
type table struct {
	columns []column
	sorted  int // index of the column that the rows are sorted by, -1 for none
}

// list is the place in a list of rows: the one under the cursor, which is followed when the rows move, and the first one
// shown.
type list struct {
	cursor int
	top    int
	key    string // of the row under the cursor
}

// move moves the cursor by n rows of count.
func (l *list) move(n, count int, key func(int) string) {
	l.cursor = min(max(l.cursor+n, 0), max(count-1, 0))
	l.key = ""
	if count > 0 {
		l.key = key(l.cursor)
	}
}

// settle finds the row under the cursor again after the rows have changed. One that is gone leaves the cursor where it is.
func (l *list) settle(count int, key func(int) string) {
	for i := range count {
		if l.key != "" && key(i) == l.key {
			l.cursor = i
			return
		}
	}
	l.move(0, count, key)
}

// window returns the rows to show when there is room for height of count.
func (l *list) window(height, count int) (from, to int) {
	height = max(height, 1)
	l.top = min(l.top, max(0, count-height))
	l.top = min(l.top, l.cursor)
	l.top = max(l.top, l.cursor-height+1)
	return l.top, min(count, l.top+height)
}

// markWidth is the cells in front of each row, for the sign at the selected one.
const markWidth = 2

// visible chooses the columns for a width, and gives the growing one its cells.
func (t *table) visible(width int) []column {
	cols := append([]column(nil), t.columns...)
	need := func() int {
		n := markWidth
		for _, c := range cols {
			if c.width > 0 {
				n += c.width + 1
			}
		}
		return n - 1
	}
	for need() > width {
		worst := -1
		for i, c := range cols {
			if c.width > 0 && c.extra > 0 && i != t.sorted && (worst < 0 || c.extra > cols[worst].extra) {
				worst = i
			}
		}
		if worst < 0 {
			break
		}
		cols[worst].width = 0
	}
	for i := range cols {
		if cols[i].grows && cols[i].width > 0 {
			cols[i].width = max(cols[i].width+width-need(), 4)
		}
	}
	return cols
}

// header draws the titles. The sorted column's is marked.
func (t *table) header(g *glyphs, width int) line {
	return t.line(g, width, spaces(markWidth), func(i int, c column) piece {
		if i == t.sorted {
			return piece{strong, c.title + g.down}
		}
		return piece{dim, c.title}
	})
}

// row draws one row; cells has a piece for each column, shown or not.
func (t *table) row(g *glyphs, width int, cells []piece, cursor bool) line {
	cell := func(i int, _ column) piece { return cells[i] }
	if cursor {
		return t.line(g, width, g.mark+" ", cell).pad(width).as(selected)
	}
	return t.line(g, width, spaces(markWidth), cell)
}

// line puts the visible cells beside each other behind mark.
func (t *table) line(g *glyphs, width int, mark string, cell func(i int, c column) piece) line {
	l := line{}.add(plain, mark)
	first := true
	for i, c := range t.visible(width) {
		if c.width == 0 {
			continue
		}
		if !first {
			l = l.add(plain, " ")
		}
		first = false
		p := cell(i, c)
		l = l.add(p.role, align(g, p.text, c))
	}
	return l.fit(g, width)
}

// align cuts or fills text to the column.
func align(g *glyphs, text string, c column) string {
	text = g.cut(text, c.width)
	if c.left {
		return padRight(text, c.width)
	}
	return padLeft(text, c.width)
}

// rows draws the header and as many of count rows as fit into height lines; at says where in a longer list this is.
func (t *table) rows(g *glyphs, l *list, width, height, count int, cells func(i int) []piece) []line {
	out := []line{t.header(g, width)}
	from, to := l.window(height-1, count)
	for i := from; i < to && len(out) < height; i++ {
		out = append(out, t.row(g, width, cells(i), i == l.cursor))
	}
	return out
}

// scroll acts on the keys that move through a list and reports whether key was one.
func (l *list) scroll(m *model, key string, count int, rowKey func(int) string) bool {
	page := max(1, m.height-linesAbove-linesBelow-3)
	switch key {
	case "j", "down":
		l.move(1, count, rowKey)
	case "k", "up":
		l.move(-1, count, rowKey)
	case "pgdown", "ctrl+f", "ctrl+d":
		l.move(page, count, rowKey)
	case "pgup", "ctrl+b":
		l.move(-page, count, rowKey)
	case "g", "home":
		l.move(-count, count, rowKey)
	case "G", "end":
		l.move(count, count, rowKey)
	default:
		return false
	}
	return true
}

// sortRows sorts by worth, the greatest first, and keeps the order of equals.
func sortRows[T any](rows []T, worth func(*T) float64) {
	slices.SortStableFunc(rows, func(a, b T) int { return cmp.Compare(worth(&b), worth(&a)) })
}
