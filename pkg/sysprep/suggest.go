package sysprep

import "strings"

// nearest returns the name that s was probably meant to be, or "" when none is near: the only one that ends in s
// or contains it, or one that is at most two edits and a third of its length away.
func nearest(s string, names []string) string {
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
		if d := distance(s, strings.ToLower(name)); d < bestDistance && d*3 <= len(name) {
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

// distance is the number of insertions, deletions and replacements of bytes that turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
