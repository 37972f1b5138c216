// Yardstick measures pushd against rawlimit, a bare C server without channels, parsing or limits:
// what this machine's kernel allows for one send per message. Both are loaded by the same client
// (swarm), in turns in one run, and the medians of the pairs are compared, because the speed of a
// machine drifts by more than the two differ.
//
//	go run ./scripts/yardstick -bin bin [-bench ../shared/bench] [-n 15000] [-pairs 5] [-sections ...]
//
// With -old it compares two builds of pushd instead, by the same sections, and says of each whether
// the new one is worse:
//
//	go run ./scripts/yardstick -old DIR [-bin bin] [-pairs 16] [-sections ...] [-record FILE]
//
// DIR is a directory of binaries or a source tree, which is built first. The exit status is 0 when
// nothing is worse, 1 when something is worse or undecided, 2 when it could not be measured (go run
// makes 1 of that).
//
// It needs a C compiler, about 2 GiB of memory and 20,000 file descriptors, uses loopback only, and
// ends by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// setup is what every section needs.
type setup struct {
	ctx        context.Context // of the whole run
	limit      time.Duration   // after which ctx ends
	bin, tools string          // directories of our binaries and of the C programs
	name       string          // of the pushd that is started: two at once differ in it
	env        []string        // more for the environment of what is started
	n, pairs   int
}

// section is measured against rawlimit by run, and of two builds by compare.
type section struct {
	name, what string
	run        func(*setup) error
	compare    []comparison
}

var sections = []section{
	{"accept", "accept, parse, answer: connections per second", accept,
		[]comparison{accepting(1, exactAllocs, "/stream", noOptions)}},
	{"broadcast", "100 bytes to everybody on one channel: time to the last delivery, CPU", broadcast,
		[]comparison{broadcasting("/stream")}},
	{"websocket", "the two above over WebSocket", websocket, []comparison{
		named("accept", accepting(1, exactAllocs, "/ws", noOptions, "-m", "ws")),
		named("broadcast", broadcasting("/ws", "-m", "ws")),
	}},
	{"memory", "memory of pushd for each idle connection", memory, []comparison{
		weighing("stream", 18_000, swarmOf("http", "/stream?channel=g%04d", channels)),
		weighing("events", 18_000, swarmOf("http", "/events?channel=g%04d", channels)),
		weighing("WebSocket", 18_000, swarmOf("ws", "/ws?channel=g%04d", channels)),
		weighing("poll", 7000, ownPolls),
		weighing("events, a channel each", 18_000, swarmOf("http", "/events?channel=g%05d", 0)),
	}},
	{"fanout", "1,000 channels x 15, as fast as one publisher can", fanout,
		[]comparison{flooding(true, 20_000)}},
	{"single", "one channel, one subscriber, as fast as one publisher can", single,
		[]comparison{flooding(false, 300_000)}},
	{"history", "what it costs a publisher that channels keep 100 items", history,
		[]comparison{keeping("one subscriber", 1), keeping("nobody", 0)}},
	{"proxied", "streams that a backend has held", proxied,
		[]comparison{accepting(5, cost("", ""), "/stream", withBackend)}},
	{"latency", "1,000 channels x 15, 200 messages a second: publish to receive", latency,
		[]comparison{steady()}},
	{"watching", "CPU for deliveries while somebody watches, against nobody", watching,
		[]comparison{beingWatched()}},
	{"neighbour", "the wait of an answer behind mass events", neighbour,
		[]comparison{besideBroadcasts(), behindEvents()}},
}

func main() {
	var s setup
	bench := flag.String("bench", "../shared/bench", "`directory` of rawlimit.c and swarm.c")
	chosen := flag.String("sections", "", "`sections` to run, comma-separated; default all")
	old := flag.String("old", "", "`directory` of an old build, or of its sources: compare two builds")
	recorded := flag.String("record", "", "`file` that keeps pairs of two builds: they are not measured again")
	flag.StringVar(&s.bin, "bin", "bin", "`directory` of pushd; with -old, of the new build")
	flag.IntVar(&s.n, "n", 15000, "connections")
	flag.IntVar(&s.pairs, "pairs", 0, "`pairs` of runs (default 5; with -old 16)")
	flag.DurationVar(&s.limit, "limit", 2*time.Hour, "`time` after which the run ends in any case")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	s.ctx = ctx
	v, err := run(&s, *bench, *chosen, *old, *recorded)
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "yardstick:", err)
		os.Exit(2)
	case v != notWorse:
		os.Exit(1)
	}
}

func run(s *setup, bench, names, old, recorded string) (verdict, error) {
	chosen, err := choose(names)
	if err != nil {
		return worse, err
	}
	if s.pairs == 0 {
		s.pairs = 5
		if old != "" {
			s.pairs = 16
		}
	}
	late := fmt.Errorf("not done after %v (-limit)", s.limit)
	ctx, cancel := context.WithTimeoutCause(s.ctx, s.limit, late)
	defer cancel()
	s.ctx, s.name = ctx, "pushd"
	if s.tools, err = os.MkdirTemp("", "yardstick"); err != nil {
		return worse, err
	}
	defer os.RemoveAll(s.tools)
	for _, name := range []string{"rawlimit", "swarm"} {
		cc := exec.Command("cc", "-O2", "-w", "-o", filepath.Join(s.tools, name), filepath.Join(bench, name+".c"), "-lpthread")
		if out, err := cc.CombinedOutput(); err != nil {
			return worse, fmt.Errorf("compile %s: %w\n%s", name, err, out)
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	fmt.Printf("%d connections, medians of %d pairs; %d CPUs, Linux %s, %s\n",
		s.n, s.pairs, runtime.NumCPU(), strings.TrimSpace(string(kernel)), runtime.Version())
	v := notWorse
	if old == "" {
		err = s.againstRawlimit(chosen)
	} else {
		v, err = s.againstOld(chosen, old, recorded)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = errors.Join(cause, err) // what was killed for it says something else
	}
	return v, err
}

// choose returns the sections with the names, which are separated by commas; all for "".
func choose(names string) ([]section, error) {
	if names == "" {
		return sections, nil
	}
	var chosen []section
	for _, name := range strings.Split(names, ",") {
		i := slices.IndexFunc(sections, func(sec section) bool { return sec.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no section %q", name)
		}
		chosen = append(chosen, sections[i])
	}
	return chosen, nil
}

func (s *setup) againstRawlimit(chosen []section) error {
	for _, sec := range chosen {
		fmt.Printf("\n%s: %s\n", sec.name, sec.what)
		if err := sec.run(s); err != nil {
			return fmt.Errorf("%s: %w", sec.name, err)
		}
	}
	return nil
}

func (s *setup) againstOld(chosen []section, old, recorded string) (verdict, error) {
	before, err := resolve(s.ctx, "old", old, s.tools)
	if err != nil {
		return worse, err
	}
	after, err := resolve(s.ctx, "new", s.bin, s.tools)
	if err != nil {
		return worse, err
	}
	var rec *record
	if recorded != "" {
		about := subject{Old: before.hash, New: after.hash, N: s.n}
		if rec, err = openRecord(recorded, about); err != nil {
			return worse, err
		}
		defer rec.close()
	}
	return versus(s, before, after, rec, chosen)
}
