package plot

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Unit is what the values of a panel are.
type Unit uint8

// The units.
const (
	Count    Unit = iota // a number: 250k, 1M
	Bytes                // in powers of 1024: 64 MiB
	Duration             // in seconds: 100 µs, 1 ms
)

// wantedTicks is about how many steps an axis of values has.
const wantedTicks = 4

// scale maps values to heights between 0 (bottom) and 1 (top).
type scale struct {
	unit  Unit
	log   bool
	low   float64 // bottom of a logarithmic axis
	high  float64 // top
	ticks []float64
}

// newScale fits the values of a panel.
func newScale(p *Panel) scale {
	lowest, highest := p.bounds()
	if p.Unit != Duration {
		lowest = max(lowest, 1) // less than one is as good as none
	}
	s := scale{unit: p.Unit, log: p.Log && highest > lowest}
	if s.log {
		s.fitDecades(lowest, highest)
		return s
	}
	if highest == 0 {
		highest = 1
	}
	step := niceStep(p.Unit, highest/wantedTicks)
	s.high = math.Ceil(highest/step-1e-9) * step
	for i := 0; float64(i)*step <= s.high*(1+1e-9); i++ {
		s.ticks = append(s.ticks, float64(i)*step)
	}
	return s
}

// fitDecades makes the axis whole decades, at least one; ticks are left out where they would stand too close.
func (s *scale) fitDecades(lowest, highest float64) {
	first, last := math.Floor(math.Log10(lowest)+1e-9), math.Ceil(math.Log10(highest)-1e-9)
	if last <= first {
		last = first + 1
	}
	every := math.Ceil((last - first) / (wantedTicks + 2))
	s.low, s.high = math.Pow(10, first), math.Pow(10, last)
	for d := first; d <= last; d += every {
		s.ticks = append(s.ticks, math.Pow(10, d))
	}
}

// height is where v stands. What is below a logarithmic axis stands at its bottom.
func (s *scale) height(v float64) float64 {
	if s.log {
		return math.Log10(max(v, s.low)/s.low) / math.Log10(s.high/s.low)
	}
	return max(v, 0) / s.high
}

// niceStep is the smallest round step that is not below raw: of 1, 2, 2.5 and 5, in powers of ten, or of two for bytes.
func niceStep(unit Unit, raw float64) float64 {
	if unit == Bytes {
		return math.Pow(2, max(0, math.Ceil(math.Log2(raw)-1e-9)))
	}
	base := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if step := m * base; step >= raw*(1-1e-9) && (unit != Count || m != 2.5 || base >= 10) {
			return step
		}
	}
	return 10 * base
}

// Format writes v with its unit, in three digits at most unless it is a small whole number.
func (u Unit) Format(v float64) string {
	switch u {
	case Bytes:
		return scaled(v, 1024, " ", []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"})
	case Duration:
		return formatSeconds(v)
	}
	return scaled(v, 1000, "", []string{"", "k", "M", "G", "T"})
}

func formatSeconds(v float64) string {
	switch {
	case v <= 0:
		return "0"
	case v < 0.9995e-6:
		return digits(v*1e9) + " ns"
	case v < 0.9995e-3:
		return digits(v*1e6) + " µs"
	case v < 0.9995:
		return digits(v*1e3) + " ms"
	}
	return digits(v) + " s"
}

func scaled(v, base float64, space string, units []string) string {
	if v == 0 {
		return "0"
	}
	unit := 0
	for v >= base*0.9995 && unit < len(units)-1 {
		v /= base
		unit++
	}
	if units[unit] == "" {
		space = ""
	}
	return digits(v) + space + units[unit]
}

// digits writes three digits of v, and no zeros at the end of a fraction.
func digits(v float64) string {
	decimals := 0
	switch {
	case v < 9.995:
		decimals = 2
	case v < 99.95:
		decimals = 1
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// timeSteps are the steps of an axis of time, below whole days.
var timeSteps = []time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
}

// timeTick is a place on the axis of time.
type timeTick struct {
	at   time.Time
	text string
}

// maxTimeTicks is how many labels fit side by side.
const maxTimeTicks = 10

// timeTicks are round times of the clock from first to last.
func timeTicks(first, last time.Time) []timeTick {
	span := last.Sub(first)
	for _, step := range timeSteps {
		if span/step < maxTimeTicks {
			return clockTicks(first, last, step)
		}
	}
	days, layout := 1, "Jan 2"
	for _, n := range []int{1, 2, 7, 14, 28, 91, 182} {
		if days = n; span/(time.Duration(n)*24*time.Hour) < maxTimeTicks {
			break
		}
	}
	if years := last.Year() - first.Year(); years > maxTimeTicks/2 { // a clock that was wrong
		days, layout = 366*(years/maxTimeTicks+1), "2006"
	}
	var ticks []timeTick
	year, month, day := first.Date()
	for at := time.Date(year, month, day, 0, 0, 0, 0, first.Location()); !at.After(last); at = at.AddDate(0, 0, days) {
		if !at.Before(first) {
			ticks = append(ticks, timeTick{at, at.Format(layout)})
		}
	}
	return ticks
}

// clockTicks counts from the midnight before, so that the times are round where the clock of the place has an odd offset. Midnight shows
// the new date.
func clockTicks(first, last time.Time, step time.Duration) []timeTick {
	layout := "15:04"
	switch {
	case step < time.Second:
		layout = "15:04:05.000"
	case step < time.Minute:
		layout = "15:04:05"
	}
	year, month, day := first.Date()
	midnight := time.Date(year, month, day, 0, 0, 0, 0, first.Location())
	at := midnight.Add(first.Sub(midnight).Truncate(step))
	var ticks []timeTick
	for ; !at.After(last); at = at.Add(step) {
		if at.Before(first) {
			continue
		}
		text := at.Format(layout)
		if h, m, s := at.Clock(); h+m+s == 0 && at.Nanosecond() == 0 {
			text = at.Format("Jan 2")
		}
		ticks = append(ticks, timeTick{at, text})
	}
	return ticks
}
