// Package nearest finds the name that somebody meant who wrote another.
package nearest

import "strings"

const maxLength = 100 // bytes of a word for which a name is looked for: the work grows with its square

// Name returns the candidate that word was probably meant to be, or "" when none is near: one within a third of the word's letters,
// else one that begins with it.
func Name(word string, candidates []string) string {
	if len(word) < 3 || len(word) > maxLength {
		return ""
	}
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if d := Distance(word, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	for _, c := range candidates {
		if best == "" && strings.HasPrefix(c, word) {
			best = c
		}
	}
	return best
}

// Distance is the number of bytes to insert, delete, replace or swap with their neighbour to make a into b (optimal string
// alignment).
func Distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
