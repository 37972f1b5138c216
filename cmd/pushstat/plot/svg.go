package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// The layout, in pixels.
const (
	width       = 1000
	left        = 84 // room for the labels of the axes of values
	right       = 28
	top         = 78 // title and subtitle
	headHeight  = 30 // title and legend of a panel
	panelHeight = 132
	panelGap    = 14
	bottom      = 54 // labels of the axis of time
	plotWidth   = width - left - right
	maxTitle    = 58 // characters beside the date
)

// ErrEmpty is that of a chart without two points at different times.
var ErrEmpty = errors.New("plot: fewer than two points in time")

// style has the colours twice, and dashes that tell lines apart without them.
const style = `.pushstat{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums}
.pushstat .bg{fill:#ffffff}
.pushstat text{fill:#57606a;font-size:12px}
.pushstat .title{fill:#1f2328;font-size:22px;font-weight:600}
.pushstat .sub{fill:#57606a;font-size:13.5px}
.pushstat .head{fill:#1f2328;font-size:14px;font-weight:600}
.pushstat .key{fill:#1f2328;font-size:12.5px}
.pushstat .grid{stroke:#eaecef;stroke-width:1;fill:none}
.pushstat .axis{stroke:#b6bec7;stroke-width:1;fill:none}
.pushstat .mark{stroke:#cf222e;stroke-width:1.2;stroke-dasharray:5 4;fill:none}
.pushstat .marktext{fill:#cf222e;font-size:11.5px}
.pushstat .line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.pushstat .dense{stroke-width:1}
.pushstat .area{stroke:none;fill-opacity:.13}
.pushstat .s0{stroke:#0b62d6}.pushstat .s1{stroke:#c2410c}.pushstat .s2{stroke:#15803d}.pushstat .s3{stroke:#7e3fc4}.pushstat .s4{stroke:#57606a}
.pushstat .a0{fill:#0b62d6}.pushstat .a1{fill:#c2410c}.pushstat .a2{fill:#15803d}.pushstat .a3{fill:#7e3fc4}.pushstat .a4{fill:#57606a}
.pushstat .s1{stroke-dasharray:7 3.5}.pushstat .s2{stroke-dasharray:2 3.5}.pushstat .s3{stroke-dasharray:10 3 2 3}.pushstat .s4{stroke-dasharray:14 4}
@media (prefers-color-scheme:dark){
.pushstat .bg{fill:#0d1117}
.pushstat text,.pushstat .sub{fill:#9aa4af}
.pushstat .title,.pushstat .head,.pushstat .key{fill:#e6edf3}
.pushstat .grid{stroke:#21262d}
.pushstat .axis{stroke:#484f58}
.pushstat .mark{stroke:#ff7b72}.pushstat .marktext{fill:#ff7b72}
.pushstat .area{fill-opacity:.2}
.pushstat .s0{stroke:#58a6ff}.pushstat .s1{stroke:#ffa657}.pushstat .s2{stroke:#56d364}.pushstat .s3{stroke:#d2a8ff}.pushstat .s4{stroke:#9aa4af}
.pushstat .a0{fill:#58a6ff}.pushstat .a1{fill:#ffa657}.pushstat .a2{fill:#56d364}.pushstat .a3{fill:#d2a8ff}.pushstat .a4{fill:#9aa4af}
}`

// colours is the number of classes s0, s1 and so on in style.
const colours = 5

// picture is a chart being drawn.
type picture struct {
	bytes.Buffer
	chart       *Chart
	first, last time.Time
}

// Write draws c as an SVG file.
func (c *Chart) Write(w io.Writer) error {
	first, last, ok := c.span()
	if !ok {
		return ErrEmpty
	}
	place := c.Location
	if place == nil {
		place = time.UTC
	}
	p := &picture{chart: c, first: first.In(place), last: last.In(place)}
	p.draw()
	_, err := w.Write(p.Bytes())
	return err
}

func (p *picture) draw() {
	height := top + len(p.chart.Panels)*(headHeight+panelHeight+panelGap) - panelGap + bottom
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" class="pushstat" role="img" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d">`+"\n", width, height)
	fmt.Fprintf(p, "<title>%s</title>\n<style>%s</style>\n", escape(p.chart.Title), style)
	fmt.Fprintf(p, `<rect class="bg" width="%d" height="%d"/>`+"\n", width, height)
	p.text("title", "start", left, 36, shortened(p.chart.Title, maxTitle))
	p.text("sub", "start", left, 58, p.chart.Subtitle)
	p.text("", "end", width-right, 36, p.date())
	y := top
	for i := range p.chart.Panels {
		y += headHeight
		p.panel(&p.chart.Panels[i], float64(y))
		y += panelHeight + panelGap
	}
	p.timeAxis(float64(y - panelGap))
	p.WriteString("</svg>\n")
}

// x is where a time stands.
func (p *picture) x(t time.Time) float64 {
	return left + plotWidth*float64(t.Sub(p.first))/float64(p.last.Sub(p.first))
}

// panel draws one diagram whose top is at y.
func (p *picture) panel(panel *Panel, y float64) {
	s := newScale(panel)
	p.text("head", "start", left, y-10, panel.Title)
	p.legend(panel.Lines, y-10)
	for _, t := range timeTicks(p.first, p.last) {
		p.line("grid", p.x(t.at), y, p.x(t.at), y+panelHeight)
	}
	for i, v := range s.ticks {
		class := "grid"
		if i == 0 {
			class = "axis"
		}
		at := y + panelHeight*(1-s.height(v))
		p.line(class, left, at, width-right, at)
		label := s.unit.Format(v)
		if i == 0 && s.log && s.unit == Count {
			label = "0" // what stands on the bottom line is below its decade
		}
		p.text("", "end", left-10, at+4, label)
	}
	for i, l := range panel.Lines {
		points := thin(l.Points, func(pt Point) int { return int(p.x(pt.Time)) })
		line, area := p.path(points, s, y)
		if l.Filled {
			fmt.Fprintf(p, `<path class="area a%d" d="%s"/>`+"\n", i%colours, area)
		}
		class := "line"
		if len(points) > plotWidth { // more than a point for each pixel
			class = "line dense"
		}
		fmt.Fprintf(p, `<path class="%s s%d" d="%s"/>`+"\n", class, i%colours, line)
	}
	for _, x := range p.marks() {
		p.line("mark", x.at, y, x.at, y+panelHeight)
	}
}

// path is the line through points, and the outline of the area below it. Gaps part it into pieces.
func (p *picture) path(points []Point, s scale, y float64) (line, area string) {
	var l, a bytes.Buffer
	floor := y + panelHeight
	for len(points) > 0 {
		n := 0
		for n < len(points) && !math.IsNaN(points[n].Value) {
			n++
		}
		for i, pt := range points[:n] {
			x, v := p.x(pt.Time), y+panelHeight*(1-s.height(pt.Value))
			if i == 0 {
				fmt.Fprintf(&l, "M%s %s", number(x), number(v))
				fmt.Fprintf(&a, "M%s %s", number(x), number(floor))
			} else {
				fmt.Fprintf(&l, "L%s %s", number(x), number(v))
			}
			fmt.Fprintf(&a, "L%s %s", number(x), number(v))
		}
		switch {
		case n == 1:
			l.WriteString("h.1") // the round end of a line is a dot
			fallthrough
		case n > 1:
			fmt.Fprintf(&a, "L%s %sZ", number(p.x(points[n-1].Time)), number(floor))
		}
		points = points[min(n+1, len(points)):]
	}
	return l.String(), a.String()
}

// legend names the lines, from the right edge to the left.
func (p *picture) legend(lines []Line, y float64) {
	const swatch, space = 26, 20
	x := float64(width - right)
	for i := len(lines) - 1; i >= 0; i-- {
		x -= textWidth(lines[i].Name + " " + lines[i].Note)
		fmt.Fprintf(p, `<text x="%s" y="%s"><tspan class="key">%s</tspan> %s</text>`+"\n", number(x), number(y), escape(lines[i].Name), escape(lines[i].Note))
		x -= swatch + 6
		fmt.Fprintf(p, `<path class="line s%d" d="M%s %sh%d"/>`+"\n", i%colours, number(x), number(y-4), swatch)
		x -= space
	}
}

// shortened cuts s at n characters.
func shortened(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// textWidth is about how wide a line of the legend is in any usual font.
func textWidth(s string) float64 { return 6.7 * float64(utf8.RuneCountInString(s)) }

// namedMark is where an event stands; text is empty where the one before is too close.
type namedMark struct {
	at   float64
	text string
}

// marks are the events, of several in the same pixel one.
func (p *picture) marks() []namedMark {
	const apart = 60
	var all []namedMark
	named, drawn := math.Inf(-1), math.Inf(-1)
	for _, m := range p.chart.Marks {
		x := p.x(m.Time)
		if x < left || x > width-right || x-drawn < 1 {
			continue
		}
		drawn = x
		if x-named < apart {
			all = append(all, namedMark{at: x})
			continue
		}
		named = x
		all = append(all, namedMark{at: x, text: m.Text})
	}
	return all
}

// timeAxis writes times and events below the last panel.
func (p *picture) timeAxis(y float64) {
	for _, t := range timeTicks(p.first, p.last) {
		p.line("axis", p.x(t.at), y, p.x(t.at), y+5)
		p.text("", "middle", p.x(t.at), y+20, t.text)
	}
	for _, m := range p.marks() {
		p.text("marktext", "middle", m.at, y+37, m.text)
	}
}

// date is the day or the days of the axis of time, and whose clock it has.
func (p *picture) date() string {
	zone, _ := p.first.Zone()
	day := p.first.Format(time.DateOnly)
	if to := p.last.Format(time.DateOnly); to != day {
		day += " to " + to
	}
	return day + ", " + zone
}

func (p *picture) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(p, `<path class="%s" d="M%s %sL%s %s"/>`+"\n", class, number(x1), number(y1), number(x2), number(y2))
}

func (p *picture) text(class, anchor string, x, y float64, s string) {
	if s == "" {
		return
	}
	if class != "" {
		class = ` class="` + class + `"`
	}
	fmt.Fprintf(p, `<text%s text-anchor="%s" x="%s" y="%s">%s</text>`+"\n", class, anchor, number(x), number(y), escape(s))
}

// number writes a coordinate to a tenth of a pixel.
func number(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

func escape(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s)) //nolint:errcheck // a Buffer takes everything
	return b.String()
}
