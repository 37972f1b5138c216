package route

import (
	"fmt"
	"strings"
)

// Problem is one mistake or warning, with its place in the file.
type Problem struct {
	File   string
	Line   int    // from 1; 0 when it is about the whole file
	Column int    // from 1, in bytes; 0 when it is about the whole line
	Text   string // what is wrong
	Hint   string // what could be done about it; may be empty
}

// Error returns file:line:column: text; hint.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Column > 0 {
		fmt.Fprintf(&b, ":%d", p.Column)
	}
	b.WriteString(": " + p.Text)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Errors are all mistakes of a file, in the order of their places.
type Errors []*Problem

// Error returns one line for each mistake.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the mistakes one by one.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, p := range e {
		errs[i] = p
	}
	return errs
}

// didYouMean is the hint with the candidate nearest to word, or "" when none is within a third of its letters.
func didYouMean(word string, candidates []string) string {
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		// The difference in length is a lower bound of the distance; it keeps long words cheap.
		if abs(len(word)-len(c)) >= bestDistance {
			continue
		}
		if d := distance(word, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	for _, c := range candidates {
		if best == "" && len(word) > 2 && strings.HasPrefix(c, word) {
			best = c
		}
	}
	if best == "" || len(word) < 2 {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// distance is the number of bytes to insert, delete, replace or swap with their neighbour to make a into b (optimal
// string alignment).
func distance(a, b string) int {
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

func abs(n int) int { return max(n, -n) }
