// Yardstick measures pushd against rawlimit, a bare C server without channels, parsing or limits: what this machine's
// kernel allows for one send per message. Both are loaded by the same client (swarm), in turns in one run, and the medians
// of the pairs are compared, because the speed of a machine drifts by more than the two differ.
//
//	go run ./scripts/yardstick -bin bin [-bench ../shared/bench] [-n 15000] [-pairs 5] [-only accept,broadcast,...]
//
// It needs a C compiler, about 2 GiB of memory and 20,000 file descriptors, uses loopback only, and ends by itself.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// setup is what every section needs.
type setup struct {
	bin, tools string // directories of our binaries and of the C programs
	n, pairs   int
}

var sections = []struct {
	name, what string
	run        func(*setup) error
}{
	{"accept", "accept, parse, answer: connections per second", accept},
	{"broadcast", "100 bytes to everybody on one channel: time to the last delivery, CPU", broadcast},
	{"websocket", "the two above over WebSocket", websocket},
	{"memory", "user memory of pushd for each idle connection", memory},
	{"fanout", "1,000 channels x 15, as fast as one publisher can", fanout},
	{"single", "one channel, one subscriber, as fast as one publisher can", single},
	{"history", "what it costs a publisher that channels keep 100 items", history},
	{"proxied", "streams that a backend has held", proxied},
	{"latency", "1,000 channels x 15, 200 messages a second: publish to receive", latency},
	{"watching", "CPU for deliveries while somebody watches, against nobody", watching},
	{"neighbour", "the wait of an answer behind mass events", neighbour},
}

func main() {
	var s setup
	bench := flag.String("bench", "../shared/bench", "directory of rawlimit.c and swarm.c")
	only := flag.String("only", "", "sections to run, comma-separated; default all")
	flag.StringVar(&s.bin, "bin", "bin", "directory of pushd")
	flag.IntVar(&s.n, "n", 15000, "connections")
	flag.IntVar(&s.pairs, "pairs", 5, "pairs of runs to take the median of")
	flag.Parse()
	if err := run(&s, *bench, *only); err != nil {
		fmt.Fprintln(os.Stderr, "yardstick:", err)
		os.Exit(1)
	}
}

func run(s *setup, bench, only string) error {
	var err error
	if s.tools, err = os.MkdirTemp("", "yardstick"); err != nil {
		return err
	}
	defer os.RemoveAll(s.tools)
	for _, name := range []string{"rawlimit", "swarm"} {
		cc := exec.Command("cc", "-O2", "-w", "-o", filepath.Join(s.tools, name), filepath.Join(bench, name+".c"), "-lpthread")
		if out, err := cc.CombinedOutput(); err != nil {
			return fmt.Errorf("compile %s: %w\n%s", name, err, out)
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	fmt.Printf("%d connections, medians of %d pairs; %d CPUs, Linux %s, %s\n",
		s.n, s.pairs, runtime.NumCPU(), strings.TrimSpace(string(kernel)), runtime.Version())
	for _, sec := range sections {
		if only != "" && !slices.Contains(strings.Split(only, ","), sec.name) {
			continue
		}
		fmt.Printf("\n%s: %s\n", sec.name, sec.what)
		if err := sec.run(s); err != nil {
			return fmt.Errorf("%s: %w", sec.name, err)
		}
	}
	return nil
}
