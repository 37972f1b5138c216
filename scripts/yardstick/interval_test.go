package main

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The ranks are those of the sign test's table, counted from 1.
func TestMedianIntervalIsThatOfTheSignTest(t *testing.T) {
	for _, tt := range []struct {
		n          int
		confidence float64
		low, high  float64
	}{
		{1, 0.95, 1, 1},
		{5, 0.95, 1, 5}, // 93.8 %: no more is to be had
		{6, 0.95, 1, 6},
		{8, 0.95, 1, 8},
		{9, 0.95, 2, 8},
		{15, 0.95, 4, 12},
		{16, 0.95, 4, 13},
		{20, 0.95, 6, 15},
		{30, 0.95, 10, 21},
		{15, 0.975, 3, 13},
		{16, 0.975, 4, 13}, // 97.9 %
		{32, 0.975, 10, 23},
		{16, 0, 8, 9},
	} {
		v := make([]float64, tt.n)
		for i := range v {
			v[i] = float64(tt.n - i) // the order in which they come does not matter
		}
		if low, high := medianInterval(v, tt.confidence); low != tt.low || high != tt.high {
			t.Errorf("medianInterval(1 to %d, %g) = %g, %g, want %g, %g",
				tt.n, tt.confidence, low, high, tt.low, tt.high)
		}
	}
}

func TestMedianIntervalHoldsTheMedianAsOftenAsItSays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const runs = 20_000
	held := 0
	for range runs {
		v := make([]float64, 16)
		for i := range v {
			v[i] = r.ExpFloat64() // far from symmetric; its median is the logarithm of 2
		}
		if low, high := medianInterval(v, 0.975); low <= 0.6931472 && 0.6931472 <= high {
			held++
		}
	}
	if share := float64(held) / runs; share < 0.975 || share > 0.983 {
		t.Errorf("the interval holds the median in %.2f %% of runs, want 97.9 %%", 100*share)
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		v    []float64
		want float64
	}{
		{[]float64{7}, 7},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 2, 100}, 3},
	} {
		given := slices.Clone(tt.v)
		if got := median(tt.v); got != tt.want {
			t.Errorf("median(%v) = %g, want %g", tt.v, got, tt.want)
		}
		if !slices.Equal(tt.v, given) {
			t.Errorf("median changed %v to %v", given, tt.v)
		}
	}
}
