package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// comparison is one thing that two builds are asked for.
type comparison struct {
	name    string
	figures []figure
	turns   int           // measurements of each build in a pair; the median of the turns counts
	takes   time.Duration // of a pair, about, with the usual number of connections
	open    func(*setup) (*opened, error)
}

// opened is a build that was started and made ready.
type opened struct {
	measure func() ([]float64, error) // in the order of the figures
	close   func()
}

// versus compares two builds and returns the verdict on all of the chosen sections.
func versus(s *setup, before, after build, rec *record, chosen []section) (verdict, error) {
	var takes time.Duration
	for _, sec := range chosen {
		for _, c := range sec.compare {
			takes += c.takes * time.Duration(s.pairs)
		}
	}
	for _, b := range []build{before, after} {
		fmt.Printf("%s: %s (pushd %s)\n", b.name, b.bin, b.hash)
	}
	if before.hash == after.hash {
		fmt.Println("Both are the same binary: this run measures the yardstick.")
	}
	fmt.Printf("%d pairs of each section take about %v on a quiet machine; an undecided section takes twice\n"+
		"as many. The run ends after %v in any case.\n",
		s.pairs, takes.Round(time.Minute), s.limit)
	fmt.Printf("Ratios are above 1 where the new build is better. Intervals are of the median of the pairs, by\n"+
		"the sign test, %.1f %%. A ratio whose interval begins at %.2f or above is not worse.\n",
		100*confidence, leastRatio)
	var lines []string
	all := notWorse
	for _, sec := range chosen {
		if len(sec.compare) == 0 {
			continue
		}
		fmt.Printf("\n%s: %s (load %s)\n", sec.name, sec.what, load())
		of := notWorse
		for _, c := range sec.compare {
			v, err := s.compare(c, sec.name, before, after, rec)
			if err != nil {
				return worse, fmt.Errorf("%s: %w", join(sec.name, c.name), err)
			}
			of = max(of, v)
		}
		fmt.Printf("  verdict: %v\n", of)
		lines = append(lines, fmt.Sprintf("  %-10s %v", sec.name, of))
		all = max(all, of)
	}
	fmt.Printf("\nverdicts:\n%s\nall: %v\n", strings.Join(lines, "\n"), all)
	return all, nil
}

func join(section, part string) string {
	if part == "" {
		return section
	}
	return section + ", " + part
}

// compare takes the pairs of one comparison, prints them, and judges: after s.pairs, and when
// something is undecided then, after twice as many.
func (s *setup) compare(
	c comparison, section string, before, after build, rec *record,
) (verdict, error) {
	what := join(section, c.name)
	pairs := rec.earlier(what, c)
	if len(pairs) > 0 {
		fmt.Printf("  %s: %d pairs of an earlier run\n", what, len(pairs))
	}
	for look := 1; ; look++ {
		for len(pairs) < look*s.pairs {
			p, err := s.pair(c, before, after, len(pairs)%2 == 1)
			if err != nil {
				return worse, fmt.Errorf("pair %d: %w", len(pairs)+1, err)
			}
			p.What = what
			if err := rec.add(p); err != nil {
				return worse, err
			}
			pairs = append(pairs, p)
			s.progress(c, what, len(pairs), p)
		}
		lines, v := c.judge(pairs[:look*s.pairs])
		if v == undecided && look < looks && s.pairs >= leastPairs {
			fmt.Printf("  %s: undecided after %d pairs\n", what, look*s.pairs)
			continue
		}
		if c.name != "" {
			fmt.Printf("  %s, %d pairs:\n", c.name, look*s.pairs)
		} else {
			fmt.Printf("  %d pairs:\n", look*s.pairs)
		}
		fmt.Println(strings.Join(lines, "\n"))
		return v, nil
	}
}

// judge returns a line for each figure, and the worst of the verdicts.
func (c comparison) judge(pairs []pair) (lines []string, v verdict) {
	for i, f := range c.figures {
		var before, after, compared []float64
		for _, p := range pairs {
			before, after = append(before, medianOf(p.Old, i)), append(after, medianOf(p.New, i))
			compared = append(compared, f.turns(p, i))
		}
		line, of := f.line(before, after, compared)
		lines, v = append(lines, line), max(v, of)
	}
	return lines, v
}

// turns returns the median of what the turns of a pair say about the i-th figure, which is f.
func (f figure) turns(p pair, i int) float64 {
	var each []float64
	for turn := range p.Old {
		each = append(each, f.compare(p.Old[turn][i], p.New[turn][i]))
	}
	return median(each)
}

// medianOf returns the median of the i-th figure of all turns.
func medianOf(turns [][]float64, i int) float64 {
	var each []float64
	for _, turn := range turns {
		each = append(each, turn[i])
	}
	return median(each)
}

// progress prints one pair.
func (s *setup) progress(c comparison, what string, n int, p pair) {
	order := "old first"
	if n%2 == 0 {
		order = "new first"
	}
	fmt.Printf("  %s, pair %2d, %s:", what, n, order)
	for i, f := range c.figures {
		fmt.Printf("  %s %.3f", f.name, f.turns(p, i))
	}
	fmt.Println()
}

// pair starts both builds and measures them in turns: a b, b a, a b, and so on, so that both have
// the same share of each place. What the machine does to one of them it then mostly does to the
// other as well.
func (s *setup) pair(c comparison, before, after build, swap bool) (pair, error) {
	builds := [2]build{before, after}
	first := 0
	if swap {
		first = 1
	}
	var sides [2]*opened
	for i := range sides {
		which := (first + i) % 2
		side, err := c.open(s.with(builds[which]))
		if err != nil {
			return pair{}, fmt.Errorf("%s build: %w", builds[which].name, err)
		}
		defer side.close()
		sides[which] = side
	}
	var values [2][][]float64 // of each side and figure, the measurements
	for turn := range c.turns {
		for i := range sides {
			which := (first + i + turn) % 2
			v, err := sides[which].measure()
			if err == nil && len(v) != len(c.figures) {
				err = errors.New("the wrong number of figures")
			}
			if err != nil {
				return pair{}, fmt.Errorf("%s build: %w", builds[which].name, err)
			}
			values[which] = append(values[which], v)
		}
	}
	return pair{Old: values[0], New: values[1]}, nil
}

// with is the setup for one of the builds.
func (s *setup) with(b build) *setup {
	of := *s
	of.bin, of.name = b.bin, b.name
	return &of
}

// load is what the machine's last minute was like.
func load() string {
	b, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(b), " ")
	return first
}
