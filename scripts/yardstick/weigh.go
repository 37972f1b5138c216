package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"holdfast/pkg/stats"
)

const (
	// bytesTolerance is how much more of the heap a held connection may take. The records of a
	// connection are made of numbers of four bytes, so that the least they can grow by is 4.
	bytesTolerance = 3
	// allocsTolerance is how many allocations more a connection may take from accept to held, and
	// to its end. One more for each would be 1. The rest is for what pushd does besides, which
	// allocates as time goes by: a busy machine gave up to 0.15.
	allocsTolerance = 0.25
)

var exactAllocs = figure{rule: same, tolerance: allocsTolerance}

// opener opens n held connections, which end closes.
type opener func(s *setup, d *daemon, n int) (end func(), err error)

// weighing measures what a held connection takes of pushd's heap. pushd collects its garbage all
// the time here (GOGC=1). The resident memory is printed as well, but holds what the Go runtime
// keeps for later. There are most connections at most.
func weighing(name string, most int, open opener) comparison {
	return comparison{
		name: name,
		figures: []figure{
			{name: "heap of each", unit: "B", rule: same, tolerance: bytesTolerance},
			unjudged("resident memory of each", "B"),
		},
		turns: 1, takes: 5 * time.Second,
		open: func(s *setup) (*opened, error) {
			s.env = append(s.env, "GOGC=1")
			d, err := s.pushd()
			if err != nil {
				return nil, err
			}
			return &opened{close: d.stop, measure: func() ([]float64, error) {
				return s.weigh(d, min(s.n, most), open)
			}}, nil
		},
	}
}

// weigh has connections come and go, so that what they leave behind is there, and weighs the next
// ones.
func (s *setup) weigh(d *daemon, n int, open opener) ([]float64, error) {
	end, err := open(s, d, n/4)
	if err != nil {
		return nil, err
	}
	end()
	gone := func(snap *stats.Snapshot) bool { return snap.Connections.Total == 0 }
	if err := d.until(gone); err != nil {
		return nil, err
	}
	live, resident, err := d.settle()
	if err != nil {
		return nil, err
	}
	if end, err = open(s, d, n); err != nil {
		return nil, err
	}
	defer end()
	heldLive, heldResident, err := d.settle()
	return []float64{(heldLive - live) / float64(n), (heldResident - resident) / float64(n)}, err
}

// settle asks for statistics, which makes garbage, until some collections have come and gone, and
// returns the bytes in use and the resident ones. The goal that pushd's runtime sets itself at the
// end of each collection is what it found in use and 1 MiB, as long as that is more than the 1 % of
// GOGC. The least counts: what is allocated during a collection counts as in use.
func (d *daemon) settle() (live, resident float64, err error) {
	const first = 4     // collections that empty the pools
	const enough = 10   // readings of different collections
	const mib = 1 << 20 // what the runtime adds
	live, resident = math.Inf(1), math.Inf(1)
	var start, seen uint64
	for readings := 0; readings < enough; time.Sleep(time.Millisecond) { // in which a collection ends
		snap, err := d.stats()
		if err != nil {
			return 0, 0, err
		}
		if start == 0 {
			start = snap.GC.Cycles
		}
		if snap.GC.Cycles < start+first || snap.GC.Cycles == seen {
			continue
		}
		seen = snap.GC.Cycles
		live = min(live, float64(snap.HeapGoalBytes-mib))
		resident = min(resident, float64(snap.RSSAnonBytes))
		readings++
	}
	return live, resident, nil
}

// allocations returns a function that tells how often pushd has allocated since, without what the
// telling itself takes.
func allocations(metrics string) (since func() (float64, error), err error) {
	var at [2]float64
	for i := range at {
		if at[i], err = mallocs(metrics); err != nil {
			return nil, err
		}
	}
	return func() (float64, error) {
		now, err := mallocs(metrics)
		return now - at[1] - (at[1] - at[0]), err
	}, nil
}

// mallocs reads how often pushd has allocated.
func mallocs(metrics string) (float64, error) {
	const name = "go_memstats_mallocs_total"
	res, err := http.Get(metrics)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	values, err := samples(res.Body)
	if err != nil {
		return 0, err
	}
	v, found := values[name]
	if !found {
		return 0, fmt.Errorf("%s has no %s", metrics, name)
	}
	return v, nil
}

// samples reads metrics without labels.
func samples(in io.Reader) (map[string]float64, error) {
	values := map[string]float64{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		name, value, found := strings.Cut(lines.Text(), " ")
		if !found || strings.HasPrefix(name, "#") || strings.Contains(name, "{") {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("metric %s: %w", name, err)
		}
		values[name] = v
	}
	return values, lines.Err()
}

// swarmOf opens connections of one kind over k channels, or with a channel each when k is 0.
func swarmOf(mode, path string, k int) opener {
	return func(s *setup, d *daemon, n int) (func(), error) {
		of := k
		if of == 0 {
			of = n
		}
		sw, _, err := s.swarm(d.addr, n, "-m", mode, "-p", path, "-K", fmt.Sprint(of))
		if err != nil {
			return nil, err
		}
		return sw.end, nil
	}
}

// ownPolls opens long polls, which are connections of this process.
func ownPolls(_ *setup, d *daemon, n int) (end func(), err error) { return openPolls(d, n) }
