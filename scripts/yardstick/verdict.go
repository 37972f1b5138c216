package main

import (
	"fmt"
	"math"
	"slices"
)

const (
	// leastRatio is the rule: a build is not worse when the interval of its ratio to the old one
	// begins here or above.
	leastRatio = 0.95
	// leastPairs is how many pairs a verdict needs.
	leastPairs = 15
	// looks is how often the pairs of a section are judged at most: after -pairs, and after twice
	// as many.
	looks = 2
	// confidence is that of the interval at each look. The sides of all looks together leave out at
	// most 5 %.
	confidence = 1 - 0.05/looks
)

// rule says how the values of two builds are compared.
type rule int

const (
	shown  rule = iota // the ratio is printed and not judged
	faster             // more is better: new/old, at least leastRatio
	less               // less is better: old/new, at least leastRatio
	same               // new-old, at most the figure's tolerance
)

// figure is one number that a run of a build gives.
type figure struct {
	name, unit string
	rule       rule
	tolerance  float64 // of the rule same, in the unit
}

// compare returns what one pair says: the ratio, above 1 where the new build is better, or the
// difference.
func (f figure) compare(before, after float64) float64 {
	switch f.rule {
	case same:
		return after - before
	case less:
		return before / after
	default:
		return after / before
	}
}

// verdict is what the pairs say about one figure, or about all of a section. A greater one is worse
// news.
type verdict int

const (
	notWorse  verdict = iota
	undecided         // the interval has values on both sides of the bound
	worse             // all of the interval is on the wrong side
)

func (v verdict) String() string {
	return [...]string{"not worse", "undecided", "WORSE"}[v]
}

// result is the verdict on one figure, with what it rests on.
type result struct {
	verdict           verdict
	median, low, high float64
}

// judge says what the pairs of one figure show.
func (f figure) judge(pairs []float64) result {
	r := result{median: median(pairs)}
	r.low, r.high = medianInterval(pairs, confidence)
	good, bad := r.low >= leastRatio, r.high < leastRatio
	if f.rule == same {
		good, bad = r.high <= f.tolerance, r.low > f.tolerance
	}
	switch {
	case f.rule == shown:
		r.verdict = notWorse
	case len(pairs) < leastPairs, slices.ContainsFunc(pairs, math.IsNaN):
		r.verdict = undecided
	case bad:
		r.verdict = worse
	case !good:
		r.verdict = undecided
	}
	return r
}

// line writes the result beside the medians of both builds.
func (f figure) line(before, after, pairs []float64) (string, verdict) {
	r := f.judge(pairs)
	what, said := "ratio", r.verdict.String()
	if f.rule == same {
		what = "more by"
		said += fmt.Sprintf(" (at most %g more)", f.tolerance)
	}
	switch {
	case f.rule == shown:
		said = "not judged"
	case len(pairs) < leastPairs:
		said = fmt.Sprintf("no verdict with fewer than %d pairs", leastPairs)
	}
	name := f.name
	if f.unit != "" {
		name += ", " + f.unit
	}
	return fmt.Sprintf("  %-30s old %10.5g  new %10.5g  %s %.3f, between %.3f and %.3f: %s",
		name, median(before), median(after), what, r.median, r.low, r.high, said), r.verdict
}
