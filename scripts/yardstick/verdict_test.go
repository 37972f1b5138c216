package main

import (
	"math"
	"strings"
	"testing"
)

func TestRatiosAreAboveOneWhereTheNewBuildIsBetter(t *testing.T) {
	for _, tt := range []struct {
		figure
		before, after, want float64
	}{
		{perSecond("rate"), 100, 120, 1.2},
		{cost("CPU", "s"), 120, 100, 1.2},
		{cost("CPU", "s"), 100, 200, 0.5},
		{unjudged("p99", "us"), 100, 150, 1.5},
		{figure{rule: same}, 80, 84, 4},
	} {
		if got := tt.compare(tt.before, tt.after); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%+v: compare(%g, %g) = %g, want %g", tt.figure, tt.before, tt.after, got, tt.want)
		}
	}
}

// spread returns 16 values, of which the interval is low to high: the fourth and the thirteenth.
func spread(low, high float64) []float64 {
	mid := (low + high) / 2
	return []float64{0, 0, 0, low, mid, mid, mid, mid, mid, mid, mid, mid, high, 9e9, 9e9, 9e9}
}

func TestVerdicts(t *testing.T) {
	bytes := figure{rule: same, tolerance: 2}
	ratio := perSecond("rate")
	for _, tt := range []struct {
		name  string
		f     figure
		pairs []float64
		want  verdict
	}{
		{"the same", ratio, spread(0.98, 1.02), notWorse},
		{"at the bound", ratio, spread(0.95, 1.0), notWorse},
		{"better", ratio, spread(1.2, 1.4), notWorse},
		{"an end below the bound", ratio, spread(0.9499, 1.2), undecided},
		{"slower, but perhaps by less than 5 %", ratio, spread(0.9, 0.96), undecided},
		{"slower", ratio, spread(0.8, 0.9499), worse},
		{"too few pairs", ratio, []float64{1, 1, 1, 1, 1, 1}, undecided},
		{"slower, too few pairs", ratio, []float64{0.5, 0.5, 0.5, 0.5, 0.5, 0.5}, undecided},
		{"not all are numbers", ratio, append(spread(1, 1), math.NaN()), undecided},
		{"not judged", unjudged("p99", "us"), spread(0.1, 0.2), notWorse},
		{"no more bytes", bytes, spread(-1, 2), notWorse},
		{"fewer bytes", bytes, spread(-8, -4), notWorse},
		{"perhaps more bytes", bytes, spread(-1, 2.5), undecided},
		{"more bytes", bytes, spread(3.5, 4.5), worse},
	} {
		if got := tt.f.judge(tt.pairs); got.verdict != tt.want {
			t.Errorf("%s: judge(%v) = %+v, want %v", tt.name, tt.pairs, got, tt.want)
		}
	}
}

func TestVerdictIsOfTheWorstFigure(t *testing.T) {
	c := comparison{turns: 1, figures: []figure{perSecond("rate"), cost("CPU", "s")}}
	pairs := func(cpu float64) (p []pair) {
		for range leastPairs {
			p = append(p, pair{Old: [][]float64{{100, 5}}, New: [][]float64{{100, cpu}}})
		}
		return p
	}
	for cpu, want := range map[float64]verdict{5: notWorse, 6: worse} {
		lines, got := c.judge(pairs(cpu))
		if got != want || len(lines) != 2 || !strings.HasSuffix(lines[1], want.String()) {
			t.Errorf("judge with %g s of CPU = %v\n%s\nwant %v", cpu, got, strings.Join(lines, "\n"), want)
		}
	}
}

// A machine that slows down from turn to turn does not change what a pair says.
func TestPairIsTheMedianOfItsTurns(t *testing.T) {
	p := pair{
		Old: [][]float64{{100}, {50}, {10}, {100}, {100}},
		New: [][]float64{{90}, {45}, {9}, {1000}, {1}}, // the last two were disturbed
	}
	if got := perSecond("rate").turns(p, 0); math.Abs(got-0.9) > 1e-9 {
		t.Errorf("turns = %g, want 0.9", got)
	}
}
