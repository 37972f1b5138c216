package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var (
	before = build{name: "old", bin: "a", hash: "1"}
	after  = build{name: "new", bin: "b", hash: "2"}
)

// fake is a comparison that measures nothing and notes who had a turn.
func fake(turns int, rate map[string]float64, notes *[]string) comparison {
	return comparison{
		figures: []figure{perSecond("rate")}, turns: turns,
		open: func(s *setup) (*opened, error) {
			return &opened{
				measure: func() ([]float64, error) {
					*notes = append(*notes, s.name+" "+s.bin)
					return []float64{rate[s.name]}, nil
				},
				close: func() { *notes = append(*notes, "close "+s.name) },
			}, nil
		},
	}
}

func TestBuildsTakeTurns(t *testing.T) {
	for swap, want := range map[bool]string{
		false: "old a, new b, new b, old a, old a, new b, close new, close old",
		true:  "new b, old a, old a, new b, new b, old a, close old, close new",
	} {
		var notes []string
		c := fake(3, map[string]float64{"old": 1, "new": 2}, &notes)
		p, err := (&setup{}).pair(c, before, after, swap)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(notes, ", "); got != want {
			t.Errorf("swap %v: turns\n%s, want\n%s", swap, got, want)
		}
		if got := fmt.Sprint(p.Old, p.New); got != "[[1] [1] [1]] [[2] [2] [2]]" {
			t.Errorf("swap %v: old and new = %s", swap, got)
		}
	}
}

func TestErrorNamesTheBuild(t *testing.T) {
	c := fake(1, nil, new([]string))
	c.open = func(s *setup) (*opened, error) {
		if s.name == "new" {
			return nil, errors.New("it lost a message")
		}
		return &opened{close: func() {}}, nil
	}
	_, err := (&setup{}).pair(c, before, after, false)
	if err == nil || err.Error() != "new build: it lost a message" {
		t.Errorf("pair: err = %v", err)
	}
}

// mixed returns so many rates of half the speed, and then so many of the whole.
func mixed(half, whole int) []float64 {
	return append(slices.Repeat([]float64{0.5}, half), slices.Repeat([]float64{1}, whole)...)
}

// The rates of the new build change at every pair, so that nothing is decided after the first look.
func TestUndecidedIsMeasuredTwiceAsLong(t *testing.T) {
	for name, tt := range map[string]struct {
		rates []float64 // of the new build, over and over; the old one has 1
		pairs int
		want  verdict
	}{
		"the same":    {[]float64{1}, 16, notWorse},
		"worse":       {[]float64{0.85}, 16, worse},
		"undecided":   {[]float64{0.8, 1.2}, 32, undecided},
		"only at 32":  {mixed(4, 28), 32, notWorse},
		"clear at 16": {mixed(3, 13), 16, notWorse},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			c := fake(1, nil, new([]string))
			c.open = func(s *setup) (*opened, error) {
				return &opened{close: func() {}, measure: func() ([]float64, error) {
					if s.name == "old" {
						return []float64{1}, nil
					}
					n++
					return []float64{tt.rates[(n-1)%len(tt.rates)]}, nil
				}}, nil
			}
			got, err := (&setup{pairs: 16}).compare(c, "section", before, after, nil)
			if err != nil || got != tt.want || n != tt.pairs {
				t.Errorf("compare = %v, %v after %d pairs, want %v after %d", got, err, n, tt.want, tt.pairs)
			}
		})
	}
}

func TestRecordedPairsAreNotMeasuredAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "record")
	about := subject{Old: "1", New: "2", N: 100}
	var notes []string
	c := fake(1, map[string]float64{"old": 1, "new": 1}, &notes)
	for _, tt := range []struct{ pairs, measured int }{{5, 5}, {16, 11}, {16, 0}} {
		rec, err := openRecord(file, about)
		if err != nil {
			t.Fatal(err)
		}
		notes = nil
		if _, err := (&setup{pairs: tt.pairs}).compare(c, "section", before, after, rec); err != nil {
			t.Fatal(err)
		}
		rec.close()
		if got := len(notes) / 4; got != tt.measured {
			t.Errorf("%d pairs: %d were measured, want %d", tt.pairs, got, tt.measured)
		}
		// What a killed run may leave behind.
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(`{"what":"sec`) //nolint:errcheck // the next run would say so
		f.Close()
	}
	about.New = "3"
	_, err := openRecord(file, about)
	if err == nil || !strings.Contains(err.Error(), "take another file") {
		t.Errorf("a record of another build: err = %v", err)
	}
}

func TestSectionsAreChosenByName(t *testing.T) {
	got, err := choose("single,accept")
	if err != nil || len(got) != 2 || got[0].name != "single" || got[1].name != "accept" {
		t.Errorf("choose = %v, %v", got, err)
	}
	if _, err := choose("acept"); err == nil || err.Error() != `no section "acept"` {
		t.Errorf(`choose("acept"): err = %v`, err)
	}
	for _, sec := range sections {
		if len(sec.compare) == 0 {
			t.Errorf("section %s cannot be compared", sec.name)
		}
		for _, c := range sec.compare {
			if c.turns < 1 || c.takes == 0 || len(c.figures) == 0 {
				t.Errorf("section %s, %q: %+v", sec.name, c.name, c)
			}
		}
	}
}

func TestBuildIsADirectoryOfBinaries(t *testing.T) {
	dir := t.TempDir()
	_, err := resolve(t.Context(), "old", dir, dir)
	if err == nil || !strings.Contains(err.Error(), "neither go.mod nor pushd") {
		t.Errorf("an empty directory: err = %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pushd"), []byte("pushd"), 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := resolve(t.Context(), "old", dir, dir)
	if err != nil || b.name != "old" || b.bin != dir || len(b.hash) != 12 {
		t.Errorf("resolve = %+v, %v", b, err)
	}
}

// A source tree is built, even where binaries of another day are in it.
func TestBuildIsASourceTree(t *testing.T) {
	dir, scratch := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"go.mod":            "module small\n\ngo 1.26\n",
		"cmd/pushd/main.go": "package main\n\nfunc main() {}\n",
		"bin/pushd":         "of another day",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b, err := resolve(t.Context(), "old", dir, scratch)
	if err != nil || b.bin != filepath.Join(scratch, "old") {
		t.Errorf("resolve = %+v, %v", b, err)
	}
}

func TestSamples(t *testing.T) {
	const text = "# HELP a b\na 1.5e+06\nb{c=\"d\"} 2\ne 3\n"
	got, err := samples(strings.NewReader(text))
	if err != nil || len(got) != 2 || got["a"] != 1.5e6 || got["e"] != 3 {
		t.Errorf("samples = %v, %v", got, err)
	}
	if _, err := samples(strings.NewReader("a x\n")); err == nil {
		t.Error("no number: no error")
	}
}
