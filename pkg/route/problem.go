package route

import (
	"fmt"
	"holdfast/pkg/nearest"
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

// didYouMean is the hint with the candidate nearest to word, or "" when none is near.
func didYouMean(word string, candidates []string) string {
	if best := nearest.Name(word, candidates); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return ""
}
