package sysprep

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestParseN(t *testing.T) {
	tests := []struct {
		in   string
		want int64
	}{
		{"1", 1},
		{"15000", 15_000},
		{"15_000", 15_000},
		{"1_000_000", 1_000_000},
		{"20k", 20_000},
		{"250K", 250_000},
		{"1M", 1_000_000},
		{"1m", 1_000_000},
		{"1.5M", 1_500_000},
		{"0.25k", 250},
		{"1.000001M", 1_000_001},
		{"1G", MaxN},
		{"1000000000", MaxN},
	}
	for _, tt := range tests {
		if got, err := ParseN(tt.in); err != nil || got != tt.want {
			t.Errorf("ParseN(%q) = %d, %v, want %d", tt.in, got, err, tt.want)
		}
	}
}

func TestParseNRefusesWhatIsNoCount(t *testing.T) {
	const noNumber, outOfRange = "is no number of connections", "out of range"
	tests := []struct{ in, want string }{
		{"", noNumber}, {"k", noNumber}, {"abc", noNumber}, {"-5", noNumber}, {"+5", noNumber}, {" 5", noNumber},
		{"1e6", noNumber}, {"0x10", noNumber}, {"1,000", noNumber}, {"1Mi", noNumber}, {"1MM", noNumber}, {"1T", noNumber},
		{"_1", noNumber}, {"1_", noNumber}, {"1__0", noNumber}, {"1._5M", noNumber}, {"1.5_0M", noNumber},
		{"1.5", noNumber}, {"1.M", noNumber}, {".5M", noNumber}, {"1.2.3M", noNumber}, {"1.2345k", noNumber}, {"١٢", noNumber},
		{"0", outOfRange}, {"0M", outOfRange}, {"1000000001", outOfRange}, {"2G", outOfRange},
		{strings.Repeat("9", 19), outOfRange}, {strings.Repeat("9", 40), outOfRange},
	}
	for _, tt := range tests {
		if got, err := ParseN(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseN(%q) = %d, %v, want an error with %q", tt.in, got, err, tt.want)
		}
	}
}

func TestHoldsIsTheLargestThatFits(t *testing.T) {
	for _, limit := range []int64{-1, 0, 1024, 1025, 1026, 20_000, 1_021_023, 1_021_024, 1_048_576} {
		got := holds(limit, fdsNeeded)
		if got == nil {
			t.Fatalf("holds(%d, fdsNeeded) = nil, want a number", limit)
		}
		if *got > 0 && fdsNeeded(*got) > limit || fdsNeeded(*got+1) <= limit {
			t.Errorf("holds(%d, fdsNeeded) = %d, but that needs %d and one more %d",
				limit, *got, fdsNeeded(*got), fdsNeeded(*got+1))
		}
	}
	for _, limit := range []int64{fdsNeeded(MaxN), math.MaxInt64} {
		if got := holds(limit, fdsNeeded); got != nil {
			t.Errorf("holds(%d, fdsNeeded) = %d, want no bound", limit, *got)
		}
	}
}

func FuzzParseN(f *testing.F) {
	for _, s := range []string{"15000", "1_000", "250k", "1.5M", "1.M", "_1", "99999999999999999999G"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseN(s)
		if err != nil {
			if n != 0 {
				t.Errorf("ParseN(%q) = %d with error %v, want 0", s, n, err)
			}
			return
		}
		if n < 1 || n > MaxN {
			t.Errorf("ParseN(%q) = %d, out of range", s, n)
		}
		if again, err := ParseN(fmt.Sprint(n)); err != nil || again != n {
			t.Errorf("ParseN(%q) = %d, but that reads back as %d, %v", s, n, again, err)
		}
	})
}
