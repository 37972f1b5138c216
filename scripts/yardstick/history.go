package main

import (
	"context"
	"fmt"
	"time"
)

// history publishes as fast as it can to one subscriber, and to nobody, with and without a history, in turns.
func history(s *setup) error {
	for _, m := range []struct {
		what     string
		n        int
		messages int
	}{
		{"one subscriber", 1, 1_000_000},
		{"nobody", 0, 1_000_000},
	} {
		var rates, costs [2][]float64 // off, on
		for range s.pairs {
			for on, args := range [][]string{nil, {"--history", "100"}} {
				rate, cpu, err := s.publishing(m.n, m.messages, args)
				if err != nil {
					return err
				}
				rates[on], costs[on] = append(rates[on], rate), append(costs[on], cpu/float64(m.messages)*1e9)
			}
		}
		fmt.Printf("  to %-16s off %9.0f/s %5.0f ns of CPU each, on %9.0f/s %5.0f ns: time %.2f, CPU %.2f (wanted <= 1.30)\n", m.what+":",
			median(rates[0]), median(costs[0]), median(rates[1]), median(costs[1]),
			median(rates[0])/median(rates[1]), median(costs[1])/median(costs[0]))
	}
	return nil
}

// publishing floods one channel of a pushd that was started with args, and returns messages a second and pushd's CPU seconds.
func (s *setup) publishing(n, messages int, args []string) (rate, cpu float64, err error) {
	d, err := s.pushd(args...)
	if err != nil {
		return 0, 0, err
	}
	defer d.stop()
	var sw *process
	if n > 0 {
		if sw, _, err = s.swarm(d.addr, n, "-p", "/stream?channel=g0000"); err != nil {
			return 0, 0, err
		}
		defer sw.end()
	}
	return floodHistory(d, sw, n, messages)
}

// floodHistory is that, to a pushd whose subscribers are there. sw is nil when there are none.
func floodHistory(d *daemon, sw *process, n, messages int) (rate, cpu float64, err error) {
	if sw != nil {
		if err := sw.ask(&struct{}{}, "reset"); err != nil {
			return 0, 0, err
		}
	}
	before, start := d.cpu(), time.Now()
	for range messages {
		it := message("g0000", time.Now())
		if _, err := d.pub.Publish(context.Background(), &it); err != nil {
			return 0, 0, err
		}
	}
	if err := d.pub.Flush(context.Background()); err != nil {
		return 0, 0, err
	}
	if sw != nil {
		var m received
		if err := sw.ask(&m, "expect %d 60", messages*n); err != nil {
			return 0, 0, err
		}
		if m.Messages != messages*n {
			return 0, 0, fmt.Errorf("%d of %d deliveries", m.Messages, messages*n)
		}
	}
	return float64(messages) / time.Since(start).Seconds(), d.cpu() - before, nil
}
