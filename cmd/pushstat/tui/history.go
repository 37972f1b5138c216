package tui

import "math"

// historyLen is how many readings are kept for the curves: more than the widest curve has cells.
const historyLen = 512

// series is the last readings of one figure. The zero value is empty.
type series struct {
	values []float64 // a ring once it has historyLen values
	next   int       // where the next one goes in a full ring
}

// add appends a reading. NaN stands for one that could not be had, and is drawn as a gap.
func (s *series) add(v float64) {
	if len(s.values) < historyLen {
		s.values = append(s.values, v)
		return
	}
	s.values[s.next] = v
	s.next = (s.next + 1) % historyLen
}

// last appends the newest n readings to dst, the oldest first.
func (s *series) last(dst []float64, n int) []float64 {
	n = min(n, len(s.values))
	for i := len(s.values) - n; i < len(s.values); i++ {
		dst = append(dst, s.values[(s.next+i)%len(s.values)])
	}
	return dst
}

// curve draws the newest readings in cells cells, one line, the newest at the right. It runs from zero to the greatest of
// them, so that a curve that does not move is a flat line and not noise. It leaves the top of its line free, so that curves
// under each other do not run into one block.
func (g *glyphs) curve(s *series, cells int) string {
	return g.columns(s, cells, 1, len(g.levels)-2)[0]
}

// chart draws the newest readings as columns of height lines, the top line first. Below its top a column is shaded.
func (g *glyphs) chart(s *series, cells, height int) []string {
	return g.columns(s, cells, height, (len(g.levels)-1)*height)
}

// columns draws readings as columns of at most top steps.
func (g *glyphs) columns(s *series, cells, height, top int) []string {
	values := s.last(make([]float64, 0, cells), cells)
	_, most := s.extent(cells)
	steps := len(g.levels) - 1
	rows := make([][]rune, height)
	for y := range rows {
		rows[y] = []rune(spaces(cells))
	}
	for i, v := range values {
		if math.IsNaN(v) {
			continue
		}
		filled := 1 // there was a reading, and it was (nearly) nothing
		if most > 0 {
			filled = max(1, int(math.Round(v/most*float64(top))))
		}
		x := cells - len(values) + i
		for y := range rows {
			here := filled - steps*(height-1-y) // eighths in this line and above it
			switch {
			case here > steps:
				rows[y][x] = g.shade
			case here > 0:
				rows[y][x] = g.levels[here]
			}
		}
	}
	out := make([]string, height)
	for y := range rows {
		out[y] = string(rows[y])
	}
	return out
}

// bar draws part of whole in cells cells.
func (g *glyphs) bar(part, whole float64, cells int) string {
	filled := 0
	if whole > 0 {
		filled = int(math.Round(min(max(part/whole, 0), 1) * float64(cells)))
	}
	out := make([]byte, 0, 3*cells)
	for i := range cells {
		if i < filled {
			out = append(out, g.full...)
		} else {
			out = append(out, g.empty...)
		}
	}
	return string(out)
}

// extent returns the newest reading and the greatest of the newest n, without gaps; 0 when there is none.
func (s *series) extent(n int) (newest, top float64) {
	for _, v := range s.last(make([]float64, 0, n), n) {
		if !math.IsNaN(v) {
			newest, top = v, max(top, v)
		}
	}
	return newest, top
}
