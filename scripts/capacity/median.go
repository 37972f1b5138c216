package main

import "slices"

// median is the one in the middle, or the mean of the two.
func median(v []int64) int64 {
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
