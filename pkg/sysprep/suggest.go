package sysprep

import (
	"holdfast/pkg/nearest"
	"strings"
)

// nearestName returns the name that s was probably meant to be, or "" when none is near: the only one that ends in s
// or contains it, or one that is at most two edits and a third of its length away.
func nearestName(s string, names []string) string {
	if s == "" || len(s) > 100 {
		return ""
	}
	s = strings.ToLower(s)
	part, parts, tail, tails := "", 0, "", 0
	best, bestDistance := "", 3
	for _, name := range names {
		if strings.HasSuffix(strings.ToLower(name), "."+s) {
			tail, tails = name, tails+1
		}
		if len(s) >= 3 && strings.Contains(strings.ToLower(name), s) {
			part, parts = name, parts+1
		}
		if d := nearest.Distance(s, strings.ToLower(name)); d < bestDistance && d*3 <= len(name) {
			best, bestDistance = name, d
		}
	}
	switch {
	case tails == 1:
		return tail
	case best == "" && parts == 1:
		return part
	}
	return best
}
