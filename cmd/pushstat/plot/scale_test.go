package plot

import (
	"fmt"
	"testing"
	"time"
)

func TestFormat(t *testing.T) {
	for _, tt := range []struct {
		unit Unit
		v    float64
		want string
	}{
		{Count, 0, "0"}, {Count, 0.25, "0.25"}, {Count, 7, "7"}, {Count, 999, "999"}, {Count, 999.7, "1k"}, {Count, 1000, "1k"}, {Count, 12345, "12.3k"},
		{Count, 250000, "250k"}, {Count, 1e6, "1M"}, {Count, 1_000_004, "1M"}, {Count, 2.5e9, "2.5G"},
		{Bytes, 0, "0"}, {Bytes, 512, "512 B"}, {Bytes, 1536, "1.5 KiB"}, {Bytes, 64 << 20, "64 MiB"}, {Bytes, 1 << 30, "1 GiB"},
		{Duration, 0, "0"}, {Duration, 15e-9, "15 ns"}, {Duration, 1e-4, "100 µs"}, {Duration, 0.0123, "12.3 ms"}, {Duration, 0.9999, "1 s"}, {Duration, 90, "90 s"},
	} {
		if got := tt.unit.Format(tt.v); got != tt.want {
			t.Errorf("Format(%v) of unit %d = %q, want %q", tt.v, tt.unit, got, tt.want)
		}
	}
}

func TestTicksAreRound(t *testing.T) {
	for _, tt := range []struct {
		unit            Unit
		log             bool
		lowest, highest float64
		want            string
	}{
		{Count, false, 0, 0, "0 0.5 1"},
		{Count, false, 1, 3, "0 1 2 3"},
		{Count, false, 1, 9, "0 5 10"},
		{Count, false, 1, 1_000_000, "0 250k 500k 750k 1M"},
		{Count, false, 1, 1_000_001, "0 500k 1M 1.5M"},
		{Bytes, false, 1, 200 << 20, "0 64 MiB 128 MiB 192 MiB 256 MiB"},
		{Bytes, false, 1, 100, "0 32 B 64 B 96 B 128 B"},
		{Duration, true, 0.0002, 0.05, "100 µs 1 ms 10 ms 100 ms"},
		{Duration, true, 0.001, 0.001, "0 250 µs 500 µs 750 µs 1 ms"},
		{Count, true, 0.001, 50_000, "1 10 100 1k 10k 100k"},
		{Count, true, 1, 1e12, "1 100 10k 1M 100M 10G 1T"},
	} {
		l := Line{Points: []Point{{noon, tt.lowest}, {noon, tt.highest}}}
		got := ""
		for i, v := range newScale(&Panel{Unit: tt.unit, Log: tt.log, Lines: []Line{l}}).ticks {
			if i > 0 {
				got += " "
			}
			got += tt.unit.Format(v)
		}
		if got != tt.want {
			t.Errorf("ticks of %v to %v, unit %d, log %v: %s, want %s", tt.lowest, tt.highest, tt.unit, tt.log, got, tt.want)
		}
	}
}

func TestTimeTicks(t *testing.T) {
	kathmandu := time.FixedZone("+0545", (5*60+45)*60)
	for _, tt := range []struct {
		first time.Time
		span  time.Duration
		want  string
	}{
		{noon, 20 * time.Millisecond, "12:00:00.000 12:00:00.005 12:00:00.010 12:00:00.015 12:00:00.020"},
		{noon.Add(time.Second), 10 * time.Second, "12:00:02 12:00:04 12:00:06 12:00:08 12:00:10"},
		{noon.Add(50 * time.Second), 5 * time.Minute, "12:01 12:02 12:03 12:04 12:05"},
		{noon, 26 * time.Hour, "12:00 15:00 18:00 21:00 Nov 23 03:00 06:00 09:00 12:00"},
		{noon.In(kathmandu), 2 * time.Hour, "17:45 18:00 18:15 18:30 18:45 19:00 19:15 19:30 19:45"},
		{noon, 3 * 24 * time.Hour, "12:00 Nov 23 12:00 Nov 24 12:00 Nov 25 12:00"},
		{noon, 20 * 24 * time.Hour, "Nov 29 Dec 6"},
		{noon, 40 * 365 * 24 * time.Hour, "2031 2036 2041 2046 2051 2056 2061"},
	} {
		got := ""
		for _, tick := range timeTicks(tt.first, tt.first.Add(tt.span)) {
			got += " " + tick.text
		}
		if got != " "+tt.want {
			t.Errorf("%v from %v:%s, want %s", tt.span, tt.first, got, tt.want)
		}
	}
}

// Whatever the span, there are some ticks, in order, inside, and not too many.
func TestTimeTicksOfAnySpan(t *testing.T) {
	for span := 8 * time.Millisecond; span < 3000*24*time.Hour; span = span * 5 / 4 {
		first, last := noon.Add(12345678*time.Microsecond), noon.Add(12345678*time.Microsecond+span)
		ticks := timeTicks(first, last)
		if len(ticks) < 2 || len(ticks) > maxTimeTicks+1 {
			t.Errorf("%v has %d ticks: %v", span, len(ticks), fmt.Sprint(ticks))
		}
		for i, tick := range ticks {
			if tick.at.Before(first) || tick.at.After(last) || i > 0 && !tick.at.After(ticks[i-1].at) {
				t.Errorf("%v: tick %d at %v is out of place", span, i, tick.at)
			}
		}
	}
}
