package main

import (
	"math"
	"slices"
)

// median is the value in the middle, or the mean of the two in the middle.
func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// medianInterval returns the sign-test interval of the median: the narrowest pair of order
// statistics, equally far from both ends, between which the true median lies with at least the
// given confidence. It assumes nothing about the distribution. With too few values for that
// confidence it is the whole range.
func medianInterval(v []float64, confidence float64) (low, high float64) {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	allowed := (1 - confidence) / 2 // on each side
	k, outside := 0, math.Pow(0.5, float64(n))
	// p is the probability that k of n values lie below the true median.
	for p := outside; k < (n-1)/2; k++ {
		p *= float64(n-k) / float64(k+1)
		if outside+p > allowed {
			break
		}
		outside += p
	}
	return v[k], v[n-1-k]
}
