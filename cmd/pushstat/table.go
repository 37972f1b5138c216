package main

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/fatih/color"

	"holdfast/cmd/internal/app"
)

// column is one column of the report.
type column struct {
	title string
	width int
	cell  func(r *reading) string
	alarm bool // red unless it is zero
}

// columns take 80 cells. Connections that are not held are those that the columns of kinds leave
// out of conns.
var columns = []column{
	{title: "conns", width: 5, cell: func(r *reading) string { return count(float64(r.Connections.Total)) }},
	{title: "events", width: 6, cell: func(r *reading) string { return count(float64(r.Connections.Events)) }},
	{title: "stream", width: 6, cell: func(r *reading) string { return count(float64(r.Connections.Stream)) }},
	{title: "poll", width: 5, cell: func(r *reading) string { return count(float64(r.Connections.Poll)) }},
	{title: "ws", width: 5, cell: func(r *reading) string { return count(float64(r.Connections.WS)) }},
	{title: "acc/s", width: 5, cell: rate(func(t *rates) float64 { return t.Accepted })},
	{title: "clo/s", width: 5, cell: rate(func(t *rates) float64 { return t.Closed })},
	{title: "pub/s", width: 5, cell: rate(func(t *rates) float64 { return t.Published })},
	{title: "dlv/s", width: 5, cell: rate(func(t *rates) float64 { return t.Delivered })},
	{title: "drop/s", width: 6, cell: rate(func(t *rates) float64 { return t.Dropped }), alarm: true},
	{title: "queue", width: 5, cell: func(r *reading) string { return byteSize(r.QueuedBytes) }},
	{title: "rss", width: 5, cell: func(r *reading) string { return byteSize(r.RSSBytes) }},
	{title: "fds", width: 5, cell: func(r *reading) string { return count(float64(r.FDs.Used)) }},
}

func rate(of func(*rates) float64) func(*reading) string {
	return func(r *reading) string {
		if r.Rates == nil {
			return "-"
		}
		return perSecond(of(r.Rates))
	}
}

// table writes readings as aligned lines.
type table struct {
	out    io.Writer
	names  int // width of the column of names, 0 when there is one source
	lines  int // written since the header
	header *color.Color
	red    *color.Color
}

func newTable(out io.Writer, sockets []string) *table {
	t := &table{out: out, header: color.New(color.Bold), red: color.New(color.FgRed)}
	if out != os.Stdout { // the library looks at standard output, and at NO_COLOR
		t.header.DisableColor()
		t.red.DisableColor()
	}
	if len(sockets) > 1 {
		t.names = len("socket")
		for _, s := range sockets {
			t.names = max(t.names, utf8.RuneCountInString(app.Printable(s)))
		}
	}
	return t
}

// print writes one line for each reading, and the header in front of the first and after every headerEvery lines.
func (t *table) print(readings []*reading) error {
	var b strings.Builder
	if t.lines == 0 || t.lines >= headerEvery {
		t.lines = 0
		b.WriteString(t.header.Sprint(t.head()) + "\n")
	}
	for _, r := range readings {
		t.line(&b, r)
		t.lines++
	}
	_, err := io.WriteString(t.out, b.String())
	return err
}

func (t *table) head() string {
	var cells []string
	if t.names > 0 {
		cells = append(cells, padRight("socket", t.names))
	}
	for _, c := range columns {
		cells = append(cells, padLeft(c.title, c.width))
	}
	return strings.Join(cells, " ")
}

func (t *table) line(b *strings.Builder, r *reading) {
	if t.names > 0 {
		name := app.Printable(r.Socket)
		if r.Sockets > 0 {
			name = "total"
		}
		b.WriteString(padRight(name, t.names) + " ")
	}
	for i, c := range columns {
		if i > 0 {
			b.WriteByte(' ')
		}
		text := c.cell(r)
		cell := padLeft(text, c.width)
		if c.alarm && text != "0" && text != "-" {
			cell = t.red.Sprint(cell)
		}
		b.WriteString(cell)
	}
	b.WriteByte('\n')
}

func padLeft(s string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s))) + s
}

func padRight(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}
