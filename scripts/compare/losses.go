package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// row is one figure of one benchmark in both trees.
type row struct {
	pkg, name, unit string
	old, fresh      float64
	significant     bool    // as benchstat says
	spread          float64 // of the runs around their median, in percent: of the tree with more
}

func (r row) String() string {
	return fmt.Sprintf("%s %s: %.4g to %.4g %s", r.pkg, r.name, r.old, r.fresh, r.unit)
}

// parse reads benchstat's CSV of two files. Rows that only one of them has are left out, and the
// means.
func parse(table []byte) ([]row, error) {
	in := csv.NewReader(bytes.NewReader(table))
	in.FieldsPerRecord = -1
	in.LazyQuotes = true
	lines, err := in.ReadAll()
	if err != nil {
		return nil, err
	}
	var rows []row
	var pkg, unit string
	for _, f := range lines {
		switch {
		case strings.HasPrefix(f[0], "pkg: "):
			pkg = strings.TrimPrefix(f[0], "pkg: ")
		case len(f) < 7 || f[0] == "geomean" || f[1] == "" || f[3] == "":
		case f[0] == "":
			if f[2] == "CI" {
				unit = f[1]
			}
		default:
			r := row{pkg: pkg, name: f[0], unit: unit, significant: f[5] != "~"} // "?": from 0 to something
			r.spread = max(percent(f[2]), percent(f[4]))
			var errs [2]error
			r.old, errs[0] = strconv.ParseFloat(f[1], 64)
			r.fresh, errs[1] = strconv.ParseFloat(f[3], 64)
			if err := errors.Join(errs[:]...); err != nil {
				return nil, fmt.Errorf("row %q: %w", f, err)
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// percent reads how far the runs are from their median; what benchstat cannot tell ("?", "∞") is
// far.
func percent(s string) float64 {
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil {
		return math.Inf(1)
	}
	return v
}

// level is the p below which one of n comparisons is significant, so that of all of them together
// one is taken for significant by chance in one run of twenty (Bonferroni).
func level(n int) float64 { return 0.05 / float64(n) }

const (
	// leastRounds is how many runs of each tree it takes: with fewer, even runs that are all slower
	// are not significant among 1,000 comparisons (Mann-Whitney U test).
	leastRounds = 9
	// timeTolerance is how much more time is no loss, however significant: where code comes to lie
	// in the binary changes loops of nanoseconds by a few percent.
	timeTolerance = 1.05
	// memoryTolerance is that for bytes and allocations. A whole one more is a loss where there are
	// few; where there are many, how often buffers grow depends on the number of rounds.
	memoryTolerance = 1.02
	// spreadLimit is the spread, in percent, above which no loss of interest would be significant.
	spreadLimit = 20
	// blindLimit is the share of times with such a spread from which on finding no loss says
	// nothing.
	blindLimit = 0.1
)

// losses returns the rows in which the new tree is significantly worse, by more than the tolerance.
func losses(rows []row) []row {
	harmless := func(r row) bool { return !r.significant || !r.worse() }
	return slices.DeleteFunc(slices.Clone(rows), harmless)
}

// worse reports whether the change is one for the worse, and larger than the tolerance.
func (r row) worse() bool {
	switch {
	case strings.HasSuffix(r.unit, "/s"):
		return r.fresh*timeTolerance < r.old
	case strings.HasPrefix(r.unit, "B"), strings.HasPrefix(r.unit, "allocs"):
		return r.fresh >= r.old+1 && r.fresh > r.old*memoryTolerance
	default:
		return r.fresh > r.old*timeTolerance
	}
}

// blind returns how many rows are about time, and for how many of them the runs are too far apart
// to tell.
func blind(rows []row) (times, unclear int) {
	for _, r := range rows {
		if !strings.HasPrefix(r.unit, "sec/") {
			continue
		}
		times++
		if r.spread > spreadLimit {
			unclear++
		}
	}
	return times, unclear
}
