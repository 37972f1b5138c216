package main

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The file is what benchstat wrote about two runs of the same tree, with some rows changed by hand.
func TestParse(t *testing.T) {
	table, err := os.ReadFile(filepath.Join("testdata", "benchstat.csv"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := parse(table)
	if err != nil {
		t.Fatal(err)
	}
	want := []row{
		{"holdfast/pkg/hub", "Walk/conns=1000/waiting=1-2", "sec/op", 2.5e-05, 4.25e-05, true, 151},
		{"holdfast/pkg/hub", "JoinLeave-2", "sec/op", 7.5e-07, 8.5e-07, false, 460},
		{"holdfast/pkg/hub", "JoinLeave-2", "B/op", 0, 0, false, 0},
		{"holdfast/pkg/hub", "JoinLeave-2", "allocs/op", 0, 1, true, math.Inf(1)},
		{"holdfast/pkg/sse", "Decode/100-2", "B/s", 3e8, 2e8, true, 5},
	}
	if !slices.Equal(rows, want) {
		t.Errorf("parse = %v\nwant %v", rows, want)
	}
}

func TestLosses(t *testing.T) {
	for _, tt := range []struct {
		name string
		row
		want bool
	}{
		{"slower", row{unit: "sec/op", old: 100, fresh: 106, significant: true}, true},
		{"slower by chance", row{unit: "sec/op", old: 100, fresh: 206}, false},
		{"hardly slower", row{unit: "sec/op", old: 100, fresh: 104, significant: true}, false},
		{"faster", row{unit: "sec/delivery", old: 100, fresh: 50, significant: true}, false},
		{"fewer a second", row{unit: "items/s", old: 106, fresh: 100, significant: true}, true},
		{"more a second", row{unit: "B/s", old: 100, fresh: 200, significant: true}, false},
		{"the first allocation", row{unit: "allocs/op", old: 0, fresh: 1, significant: true}, true},
		{"one more allocation", row{unit: "allocs/op", old: 3, fresh: 4, significant: true}, true},
		{"of many one more", row{unit: "allocs/op", old: 100, fresh: 101, significant: true}, false},
		{"half a byte", row{unit: "B/op", old: 0, fresh: 0.5, significant: true}, false},
		{"four bytes a connection", row{unit: "B/conn", old: 60.8, fresh: 64.8, significant: true}, true},
	} {
		if got := len(losses([]row{tt.row})) == 1; got != tt.want {
			t.Errorf("%s: %+v is a loss: %v, want %v", tt.name, tt.row, got, tt.want)
		}
	}
}

// Nine rounds that are all slower are significant among 1,000 comparisons: there are 48,620 ways to
// mix them.
func TestLeastRoundsAreEnough(t *testing.T) {
	ways := 1.0
	for i := 1; i <= leastRounds; i++ {
		ways *= float64(leastRounds+i) / float64(i)
	}
	if p := 2 / ways; p >= level(1000) {
		t.Errorf("with %d rounds p is %g at least, not below %g", leastRounds, p, level(1000))
	}
}

func TestBlindCountsTimesThatVary(t *testing.T) {
	times, unclear := blind([]row{
		{unit: "sec/op", spread: 3},
		{unit: "sec/op", spread: 60},
		{unit: "sec/item", spread: math.Inf(1)},
		{unit: "B/op", spread: 300},
	})
	if times != 3 || unclear != 2 {
		t.Errorf("blind = %d, %d, want 3, 2", times, unclear)
	}
}

func TestWithBenchmarks(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"pkg/a/a_test.go":          "package a\n\nfunc BenchmarkA(b *testing.B) {}\n",
		"pkg/a/more_test.go":       "package a\n\nfunc BenchmarkB(b *testing.B) {}\n",
		"pkg/b/b_test.go":          "package b\n\nfunc TestB(t *testing.T) {}\n",
		"pkg/c/testdata/c_test.go": "package c\n\nfunc BenchmarkC(b *testing.B) {}\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := withBenchmarks(dir)
	if want := []string{filepath.Join("pkg", "a")}; err != nil || !slices.Equal(got, want) {
		t.Errorf("withBenchmarks = %v, %v, want %v", got, err, want)
	}
}

func FuzzParse(f *testing.F) {
	table, err := os.ReadFile(filepath.Join("testdata", "benchstat.csv"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(table)
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := parse(b)
		if err != nil && rows != nil {
			t.Errorf("parse gave %d rows and %v", len(rows), err)
		}
	})
}
