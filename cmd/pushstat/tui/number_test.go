package tui

import (
	"math"
	"testing"
	"time"
)

func TestNumbers(t *testing.T) {
	g := &unicodeGlyphs
	for _, tt := range []struct{ call, got, want string }{
		{"whole(0)", whole(0), "0"},
		{"whole(999)", whole(999), "999"},
		{"whole(1000)", whole(1000), "1,000"},
		{"whole(-1234567)", whole(-1234567), "-1,234,567"},
		{"whole(max)", whole(uint64(math.MaxUint64)), "18,446,744,073,709,551,615"},
		{"short(0)", short(0), "0"},
		{"short(9999)", short(9999), "9999"},
		{"short(9999.6)", short(9999.6), "10.0k"},
		{"short(999499)", short(999499), "999k"},
		{"short(999501)", short(999501), "1.00M"},
		{"short(-5e6)", short(-5e6), "-5.00M"},
		{"short(NaN)", short(math.NaN()), "-"},
		{"perSecond(0)", perSecond(0), "0/s"},
		{"perSecond(0.001)", perSecond(0.001), "0.1/s"},
		{"perSecond(9.94)", perSecond(9.94), "9.9/s"},
		{"perSecond(9.96)", perSecond(9.96), "10/s"},
		{"perSecond(1.25e6)", perSecond(1.25e6), "1.25M/s"},
		{"byteSize(0)", byteSize(0), "0 B"},
		{"byteSize(999)", byteSize(999), "999 B"},
		{"byteSize(1000)", byteSize(1000), "0.98 KiB"},
		{"byteSize(1<<20)", byteSize(1 << 20), "1.00 MiB"},
		{"byteSize(max)", byteSize(uint64(math.MaxUint64)), "16.0 EiB"},
		{"byteSize(-2048)", byteSize(-2048), "-2.00 KiB"},
		{"took(0)", g.took(0), "0 µs"},
		{"took(64µs)", g.took(64 * time.Microsecond), "64.0 µs"},
		{"took(999.6µs)", g.took(999_600 * time.Nanosecond), "1.00 ms"},
		{"took(123ms)", g.took(123 * time.Millisecond), "123 ms"},
		{"took(1.5s)", g.took(1500 * time.Millisecond), "1.50 s"},
		{"took(2min)", g.took(2 * time.Minute), "2m00s"},
		{"ascii took", asciiGlyphs.took(5 * time.Microsecond), "5.00 us"},
		{"age(0)", age(0), "0s"},
		{"age(59.9s)", age(59900 * time.Millisecond), "59s"},
		{"age(61s)", age(61 * time.Second), "1m01s"},
		{"age(25h)", age(25 * time.Hour), "1d01h"},
		{"age(400d)", age(400 * 24 * time.Hour), "400d00h"},
		{"age(-1)", age(-1), "0s"},
		{"percent(0,0)", percent(0, 0), "-"},
		{"percent(1,1000)", percent(1, 1000), "<1%"},
		{"percent(0,10)", percent(0, 10), "0%"},
		{"percent(95,100)", percent(95, 100), "95%"},
		{"shortInterval", shortInterval(time.Minute), "1m"},
		{"shortInterval", shortInterval(90 * time.Second), "1m30s"},
		{"shortInterval", shortInterval(200 * time.Millisecond), "200ms"},
		{"shortInterval", shortInterval(10 * time.Minute), "10m"},
		{"shortInterval", shortInterval(time.Hour), "1h"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s = %q, want %q", tt.call, tt.got, tt.want)
		}
	}
}

// TestNumbersKeepTheirCells: columns count on it, so that no figure is cut.
func TestNumbersKeepTheirCells(t *testing.T) {
	for f := 0.01; f < 1e18; f *= 1.07 {
		if s := short(f); len(s) > 5 {
			t.Errorf("short(%g) = %q has more than 5 cells", f, s)
		}
		if s := perSecond(f); len(s) > 7 {
			t.Errorf("perSecond(%g) = %q has more than 7 cells", f, s)
		}
		if s := byteSize(int64(f)); len(s) > 8 {
			t.Errorf("byteSize(%g) = %q has more than 8 cells", f, s)
		}
		if d := time.Duration(f); d > 0 && d < 10000*24*time.Hour {
			if s := unicodeGlyphs.took(d); cellWidth(s) > 8 {
				t.Errorf("took(%v) = %q has more than 8 cells", d, s)
			}
		}
	}
}
