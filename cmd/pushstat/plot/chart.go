package plot

import (
	"math"
	"time"
)

// Chart is a picture.
type Chart struct {
	Title    string
	Subtitle string         // a line below the title
	Location *time.Location // in which times are shown; nil means UTC
	Panels   []Panel
	Marks    []Mark
}

// Panel is one diagram with an axis of its own for the values.
type Panel struct {
	Title string
	Unit  Unit
	Log   bool // the axis has a decade where others have a step; zero is its bottom line
	Lines []Line
}

// Line is one value over time. Points are in the order of time.
type Line struct {
	Name   string // in the legend
	Note   string // beside the name, such as the highest value
	Filled bool   // the area below it is shaded
	Points []Point
}

// Point is a value at a time. NaN is a gap: nothing is known there.
type Point struct {
	Time  time.Time
	Value float64
}

// Mark is an event on the axis of time.
type Mark struct {
	Time time.Time
	Text string
}

// Gap is the value of a point at which nothing is known.
var Gap = math.NaN()

// span returns the first and the last time of all points; ok is false when they are not two.
func (c *Chart) span() (first, last time.Time, ok bool) {
	for _, p := range c.Panels {
		for _, l := range p.Lines {
			if len(l.Points) == 0 {
				continue
			}
			from, to := l.Points[0].Time, l.Points[len(l.Points)-1].Time
			if first.IsZero() || from.Before(first) {
				first = from
			}
			if last.IsZero() || to.After(last) {
				last = to
			}
		}
	}
	return first, last, last.After(first)
}

// bounds returns the lowest value above zero and the highest one of a panel; both are 0 where nothing is above zero.
func (p *Panel) bounds() (lowest, highest float64) {
	for _, l := range p.Lines {
		for _, pt := range l.Points {
			if !(pt.Value > 0) || math.IsInf(pt.Value, 1) {
				continue
			}
			if lowest == 0 || pt.Value < lowest {
				lowest = pt.Value
			}
			highest = max(highest, pt.Value)
		}
	}
	return lowest, highest
}
