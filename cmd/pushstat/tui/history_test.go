package tui

import (
	"math"
	"strings"
	"testing"
)

func TestSeriesKeepsTheNewest(t *testing.T) {
	var s series
	for i := range historyLen + 10 {
		s.add(float64(i))
	}
	got := s.last(nil, 3)
	if len(got) != 3 || got[0] != historyLen+7 || got[2] != historyLen+9 {
		t.Errorf("last(3) = %v, want the three newest of %d", got, historyLen+10)
	}
	if all := s.last(nil, 10*historyLen); len(all) != historyLen || all[0] != 10 {
		t.Errorf("there are %d readings from %v on, want %d from 10 on", len(all), all[0], historyLen)
	}
}

func TestCurve(t *testing.T) {
	var s series
	for _, v := range []float64{0, 1, math.NaN(), 4, 8} {
		s.add(v)
	}
	if got, want := unicodeGlyphs.curve(&s, 7), "  ▁▁ ▄▇"; got != want {
		t.Errorf("curve = %q, want %q", got, want)
	}
	if got, want := unicodeGlyphs.curve(&s, 2), "▄▇"; got != want {
		t.Errorf("curve = %q, want %q", got, want)
	}
	if got, want := asciiGlyphs.curve(&s, 5), ".. =%"; got != want {
		t.Errorf("ascii curve = %q, want %q", got, want)
	}
	want := "    █\n    ░\n   █░\n▁▄ ░░"
	if got := strings.Join(unicodeGlyphs.chart(&s, 5, 4), "\n"); got != want {
		t.Errorf("chart =\n%s\nwant\n%s", got, want)
	}
	var none series
	if got := unicodeGlyphs.curve(&none, 3); got != "   " {
		t.Errorf("curve of nothing = %q", got)
	}
}

func TestBar(t *testing.T) {
	for _, tt := range []struct {
		part, whole float64
		want        string
	}{{0, 10, "░░░░"}, {5, 10, "██░░"}, {20, 10, "████"}, {-1, 10, "░░░░"}, {1, 0, "░░░░"}} {
		if got := unicodeGlyphs.bar(tt.part, tt.whole, 4); got != tt.want {
			t.Errorf("bar(%v of %v) = %q, want %q", tt.part, tt.whole, got, tt.want)
		}
	}
}
