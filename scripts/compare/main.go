// Compare runs the Go benchmarks of two source trees in turns, and has benchstat say whether the
// new one has lost:
//
//	go run ./scripts/compare -old DIR -benchstat PACKAGE [-new .] [-packages pkg/hub,pkg/ws]
//	  [-bench REGEXP] [-count 10] [-benchtime 50ms] [-limit 1h] [-keep DIR]
//
// The test binaries of both trees are built first, and run from their own directories. A loss is a
// change for the worse that is significant and larger than the machine makes by itself (see
// losses). The exit status is 0 when there is none, 1 when there is one or the runs differ too much
// to tell, 2 when it could not be measured (go run makes 1 of that).
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// verdict is on all of the benchmarks.
type verdict int

const (
	notWorse verdict = iota
	undecided
	worse
)

// options are what the flags say.
type options struct {
	trees     [2]string // old, new
	packages  string
	bench     string
	benchtime time.Duration
	count     int
	limit     time.Duration
	benchstat string
	keep      string
}

func main() {
	var o options
	flag.StringVar(&o.trees[0], "old", "", "`directory` of the old source tree")
	flag.StringVar(&o.trees[1], "new", ".", "`directory` of the new source tree")
	flag.StringVar(&o.packages, "packages", "", "`directories` of packages, comma-separated; default all")
	flag.StringVar(&o.bench, "bench", ".", "`regexp` of the benchmarks")
	flag.DurationVar(&o.benchtime, "benchtime", 50*time.Millisecond, "`time` of a benchmark")
	flag.IntVar(&o.count, "count", 10, "rounds of each tree")
	flag.DurationVar(&o.limit, "limit", time.Hour, "`time` after which the run ends in any case")
	flag.StringVar(&o.benchstat, "benchstat", "", "`package` of benchstat, with its version")
	flag.StringVar(&o.keep, "keep", "", "`directory` for old.txt and new.txt, what benchstat read")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	v, err := run(ctx, o)
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(2)
	case v != notWorse:
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (v verdict, err error) {
	if o.trees[0] == "" || o.benchstat == "" {
		return worse, errors.New("it needs -old and -benchstat: make compare OLD=DIR gives both")
	}
	late := fmt.Errorf("not done after %v (-limit)", o.limit)
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, late)
	defer cancel()
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = errors.Join(cause, err)
		}
	}()
	scratch, err := os.MkdirTemp("", "compare")
	if err != nil {
		return worse, err
	}
	defer os.RemoveAll(scratch)
	if o.keep == "" {
		o.keep = scratch
	}
	if o.count < leastRounds {
		return worse, fmt.Errorf("-count %d: significance takes %d rounds", o.count, leastRounds)
	}
	packages, err := common(o)
	if err != nil {
		return worse, err
	}
	fmt.Printf("%d packages, %d rounds of each tree, %v a benchmark; ends after %v in any case\n",
		len(packages), o.count, o.benchtime, o.limit)
	for i, name := range []string{"old", "new"} {
		if err := buildTests(ctx, o.trees[i], packages, filepath.Join(scratch, name)); err != nil {
			return worse, err
		}
	}
	if err := o.rounds(ctx, packages, scratch); err != nil {
		return worse, err
	}
	return o.report(ctx)
}

// common returns the packages that have benchmarks in both trees.
func common(o options) ([]string, error) {
	var has [2][]string
	for i, tree := range o.trees {
		var err error
		if has[i], err = withBenchmarks(tree); err != nil {
			return nil, err
		}
	}
	var chosen []string
	for _, p := range has[1] {
		switch {
		case o.packages != "" && !slices.Contains(strings.Split(o.packages, ","), p):
		case slices.Contains(has[0], p):
			chosen = append(chosen, p)
		default:
			fmt.Printf("%s has no benchmarks in the old tree: not compared\n", p)
		}
	}
	for _, p := range has[0] {
		if !slices.Contains(has[1], p) {
			fmt.Printf("%s has no benchmarks in the new tree: not compared\n", p)
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("no package has benchmarks in both trees")
	}
	return chosen, nil
}

// withBenchmarks returns the directories below a tree that have benchmarks.
func withBenchmarks(tree string) ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(tree, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != tree && foreign(e.Name()):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(text, []byte("\nfunc Benchmark")) {
			return err
		}
		dir, err := filepath.Rel(tree, filepath.Dir(path))
		if err == nil && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
		return err
	})
	return dirs, err
}

// foreign reports whether a directory of this name holds no packages of ours.
func foreign(name string) bool {
	return strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata"
}

// binary is the name of the test binary of a package.
func binary(pkg string) string {
	return strings.ReplaceAll(pkg, string(filepath.Separator), "-") + ".test"
}

func buildTests(ctx context.Context, tree string, packages []string, into string) error {
	for _, p := range packages {
		file := filepath.Join(into, binary(p))
		c := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-o", file, "./"+p)
		c.Dir = tree
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("build tests of %s: %w\n%s", filepath.Join(tree, p), err, out)
		}
	}
	return nil
}

// rounds runs the benchmarks package by package, old and new in turns: a b, b a, a b, and so on.
func (o options) rounds(ctx context.Context, packages []string, scratch string) error {
	var out [2]*os.File
	for i, name := range []string{"old.txt", "new.txt"} {
		f, err := os.Create(filepath.Join(o.keep, name))
		if err != nil {
			return err
		}
		defer f.Close()
		out[i] = f
	}
	for _, p := range packages {
		began := time.Now()
		for turn := range o.count {
			for i := range out {
				which := (i + turn) % 2
				tree := []string{"old", "new"}[which]
				file := filepath.Join(scratch, tree, binary(p))
				c := exec.CommandContext(ctx, file, "-test.run", "^$", "-test.bench", o.bench, "-test.benchmem",
					"-test.benchtime", o.benchtime.String())
				c.Dir = filepath.Join(o.trees[which], p)
				c.Stdout, c.Stderr = out[which], os.Stderr
				if err := c.Run(); err != nil {
					return fmt.Errorf("benchmarks of %s, %s tree: %w", p, tree, err)
				}
			}
		}
		fmt.Printf("  %s: %v\n", p, time.Since(began).Round(time.Second))
	}
	return nil
}

// report prints what benchstat says, and the losses.
func (o options) report(ctx context.Context) (v verdict, err error) {
	rows, err := o.rows(ctx, 1)
	if err != nil {
		return worse, err
	}
	if len(rows) == 0 {
		return worse, errors.New("no benchmark was run in both trees")
	}
	alpha := level(len(rows))
	if rows, err = o.rows(ctx, alpha); err != nil {
		return worse, err
	}
	text, err := o.run(ctx, alpha, "text")
	if err != nil {
		return worse, err
	}
	fmt.Printf("\n%s\n", text)
	bad := losses(rows)
	for _, r := range bad {
		fmt.Printf("LOSS: %v\n", r)
	}
	fmt.Printf("%d comparisons, significant below p = %.2g: %d losses\n", len(rows), alpha, len(bad))
	times, unclear := blind(rows)
	fmt.Printf("%d of %d times vary by more than %d %% from run to run\n", unclear, times, spreadLimit)
	switch {
	case len(bad) > 0:
		return worse, nil
	case float64(unclear) > blindLimit*float64(times):
		fmt.Println("UNDECIDED: the machine is too busy to show a loss of time")
		return undecided, nil
	}
	fmt.Println("not worse")
	return notWorse, nil
}

// rows returns what benchstat says with a level of significance.
func (o options) rows(ctx context.Context, alpha float64) ([]row, error) {
	table, err := o.run(ctx, alpha, "csv")
	if err != nil {
		return nil, err
	}
	rows, err := parse(table)
	if err != nil {
		return nil, fmt.Errorf("read what benchstat says: %w", err)
	}
	return rows, nil
}

// run runs benchstat.
func (o options) run(ctx context.Context, alpha float64, format string) ([]byte, error) {
	c := exec.CommandContext(ctx, "go", "run", o.benchstat,
		"-alpha", fmt.Sprint(alpha), "-format", format,
		"old="+filepath.Join(o.keep, "old.txt"), "new="+filepath.Join(o.keep, "new.txt"))
	var complaints bytes.Buffer
	c.Stderr = &complaints
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", o.benchstat, err, complaints.Bytes())
	}
	return out, nil
}
