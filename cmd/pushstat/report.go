package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// headerEvery is the number of lines after which the header comes again.
const headerEvery = 20

// report prints a line for each source at every interval.
type report struct {
	o       options
	sources []*source
	out     io.Writer
	table   *table // nil for JSON

	mu      sync.Mutex
	errs    io.Writer // guarded by mu: sources report their loss side by side
	missing error     // why some of the sources did not answer the last reading, while others did
}

func newReport(o options, out, errs io.Writer) *report {
	r := &report{o: o, out: out, errs: errs}
	for _, path := range o.sockets {
		r.sources = append(r.sources, &source{path: path, timeout: o.timeout})
	}
	if !o.json {
		r.table = newTable(out, o.sockets)
	}
	return r
}

// run prints until it has printed as often as it was asked to, or ctx ends, which is no error.
func (r *report) run(ctx context.Context) error {
	defer func() {
		for _, s := range r.sources {
			s.close()
		}
	}()
	tick := time.NewTicker(r.o.interval)
	defer tick.Stop()
	for printed := 0; ; {
		readings, err := r.read(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if len(readings) > 0 {
			if err := r.print(readings); err != nil {
				return err
			}
			printed++
		}
		if printed == r.o.count && r.o.count > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// read asks all sources side by side. It leaves out those that went away.
func (r *report) read(ctx context.Context) ([]*reading, error) {
	now := time.Now()
	all := make([]*reading, len(r.sources))
	errs := make([]error, len(r.sources))
	var wg sync.WaitGroup
	for i, s := range r.sources {
		wg.Go(func() { all[i], errs[i] = s.read(ctx, now, r.say) })
	}
	wg.Wait()
	var readings []*reading
	for _, reading := range all {
		if reading != nil {
			reading.Time = timestamp(now)
			readings = append(readings, reading)
		}
	}
	r.missing = errors.Join(errs...)
	if len(readings) == 0 && r.missing != nil {
		for _, err := range errs {
			if err != nil {
				return nil, err
			}
		}
	}
	for i, err := range errs {
		if s := r.sources[i]; err != nil && !s.told {
			s.told = true
			r.say(err.Error())
		}
	}
	return readings, nil
}

func (r *report) say(news string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.errs, "pushstat: %s\n", news)
}

// print writes the readings, and their sum when several sources were asked for.
func (r *report) print(readings []*reading) error {
	if len(r.sources) > 1 {
		s := sum(readings)
		s.Time = readings[0].Time
		readings = append(readings, s)
	}
	if r.table != nil {
		return r.table.print(readings)
	}
	enc := json.NewEncoder(r.out)
	for _, reading := range readings {
		if err := enc.Encode(reading); err != nil {
			return err
		}
	}
	return nil
}
