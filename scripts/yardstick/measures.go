package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"time"

	"holdfast/pkg/stats"
)

// What two builds are compared by. Each of these opens a build and returns a short measurement, so
// that the two can take turns every second or so.

func perSecond(name string) figure { return figure{name: name, unit: "1/s", rule: faster} }

func cost(name, unit string) figure { return figure{name: name, unit: unit, rule: less} }

func unjudged(name, unit string) figure { return figure{name: name, unit: unit, rule: shown} }

// pushdWith starts a pushd with subscribers; args go to swarm.
func (s *setup) pushdWith(
	n int, options []string, args ...string,
) (d *daemon, sw *process, end func(), err error) {
	if d, err = s.pushd(options...); err != nil {
		return nil, nil, nil, err
	}
	if n == 0 {
		return d, nil, d.stop, nil
	}
	if sw, _, err = s.swarm(d.addr, n, args...); err != nil {
		d.stop()
		return nil, nil, nil, err
	}
	return d, sw, func() { sw.end(); d.stop() }, nil
}

// accepting opens the connections again and again, 1/share of them; options are pushd's and args go
// to swarm.
func accepting(
	share int, allocs figure, endpoint string,
	options func(*setup) ([]string, func(), error), args ...string,
) comparison {
	allocs.name = "allocations of each"
	return comparison{
		figures: []figure{perSecond("connections"), cost("CPU of each", "us"), allocs},
		turns:   6, takes: 7 * time.Second,
		open: func(s *setup) (*opened, error) {
			more, end, err := options(s)
			if err != nil {
				return nil, err
			}
			metrics, err := freeAddr()
			if err != nil {
				return nil, err
			}
			d, err := s.pushd(append(more, "--metrics-listen", metrics)...)
			if err != nil {
				end()
				return nil, err
			}
			n := s.n / share
			held := append([]string{"-p", endpoint + "?channel=g%04d", "-K", fmt.Sprint(channels)}, args...)
			return &opened{
				close:   func() { d.stop(); end() },
				measure: func() ([]float64, error) { return s.come(d, n, "http://"+metrics+"/metrics", held) },
			}, nil
		},
	}
}

// come has n connections come, measures, and waits until they are gone.
func (s *setup) come(d *daemon, n int, metrics string, args []string) ([]float64, error) {
	allocated, err := allocations(metrics)
	if err != nil {
		return nil, err
	}
	cpu := d.cpu()
	sw, c, err := s.swarm(d.addr, n, args...)
	if err != nil {
		return nil, err
	}
	cpu = d.cpu() - cpu
	allocs, err := allocated()
	sw.end()
	if err != nil {
		return nil, err
	}
	err = d.until(func(snap *stats.Snapshot) bool { return snap.Connections.Total == 0 })
	return []float64{c.Rate, cpu / float64(n) * 1e6, allocs / float64(n)}, err
}

func noOptions(*setup) ([]string, func(), error) { return nil, func() {}, nil }

func withBackend(s *setup) ([]string, func(), error) {
	file, end, err := s.backend()
	return []string{"--routes", file}, end, err
}

// broadcasting sends to everybody on one channel.
func broadcasting(endpoint string, args ...string) comparison {
	return comparison{
		figures: []figure{
			cost("publish to last delivery", "ms"),
			cost("CPU per million deliveries", "s"),
		},
		turns: 10, takes: 5 * time.Second,
		open: func(s *setup) (*opened, error) {
			args := append([]string{"-p", endpoint + "?channel=a"}, args...)
			d, sw, end, err := s.pushdWith(s.n, nil, args...)
			if err != nil {
				return nil, err
			}
			return &opened{close: end, measure: func() ([]float64, error) {
				cpu := d.cpu()
				ms, err := s.oneBroadcast(sw, d.toAll)
				return []float64{ms, (d.cpu() - cpu) / float64(s.n) * 1e6}, err
			}}, nil
		},
	}
}

// roomy has pushd wait for a client that has no CPU for a while, on a machine where others run too.
var roomy = []string{"--max-queued", "64MiB", "--queue-memory", "1GiB"}

// flooding publishes as fast as it can: to everybody over the channels, or to one subscriber.
func flooding(everybody bool, messages int) comparison {
	return comparison{
		figures: []figure{perSecond("deliveries"), cost("CPU per million deliveries", "s")},
		turns:   6, takes: 8 * time.Second,
		open: func(s *setup) (*opened, error) {
			n, k := 1, 1
			if everybody {
				n, k = s.n, channels
			}
			d, sw, end, err := s.pushdWith(n, roomy, "-p", path, "-K", fmt.Sprint(k))
			if err != nil {
				return nil, err
			}
			return &opened{close: end, measure: func() ([]float64, error) {
				cpu := d.cpu()
				m, _, err := flood(d, sw, n, k, messages)
				return []float64{m.Rate, (d.cpu() - cpu) / float64(messages*n/k) * 1e6}, err
			}}, nil
		},
	}
}

// keeping publishes as fast as it can to one channel, which keeps 100 items, and n subscribers.
func keeping(name string, n int) comparison {
	const messages = 200_000
	return comparison{
		name:    name,
		figures: []figure{perSecond("messages"), cost("CPU of each", "ns")},
		turns:   6, takes: 6 * time.Second,
		open: func(s *setup) (*opened, error) {
			options := append([]string{"--history", "100"}, roomy...)
			d, sw, end, err := s.pushdWith(n, options, "-p", "/stream?channel=g0000")
			if err != nil {
				return nil, err
			}
			return &opened{close: end, measure: func() ([]float64, error) {
				rate, cpu, err := floodHistory(d, sw, n, messages)
				return []float64{rate, cpu / messages * 1e9}, err
			}}, nil
		},
	}
}

// steady publishes 200 times a second. The tail is the machine's, and is not judged.
func steady() comparison {
	return comparison{
		figures: []figure{
			cost("p50", "us"), cost("p90", "us"), unjudged("p99", "us"), cost("CPU of a second", "ms"),
		},
		turns: 5, takes: 12 * time.Second,
		open: func(s *setup) (*opened, error) {
			names := channelNames(max(1, s.n/subscribers))
			n := len(names) * subscribers
			d, sw, end, err := s.pushdWith(n, nil, "-p", path, "-K", fmt.Sprint(len(names)))
			if err != nil {
				return nil, err
			}
			return &opened{close: end, measure: func() ([]float64, error) {
				cpu := d.cpu()
				m, err := steadily(sw, 1, subscribers, d.roundRobin(names))
				return []float64{m.Latency.P50, m.Latency.P90, m.Latency.P99, (d.cpu() - cpu) * 1e3}, err
			}}, nil
		},
	}
}

// beingWatched publishes steadily to everybody while screens and a scraper watch.
func beingWatched() comparison {
	const seconds = 2
	return comparison{
		figures: []figure{cost("CPU per million deliveries", "s")},
		turns:   4, takes: 20 * time.Second,
		open: func(s *setup) (*opened, error) {
			metrics, err := freeAddr()
			if err != nil {
				return nil, err
			}
			options := []string{"--metrics-listen", metrics}
			d, _, end, err := s.pushdWith(s.n, options, "-p", "/stream?channel=a")
			if err != nil {
				return nil, err
			}
			unwatch, err := s.startWatchers(metrics)
			if err != nil {
				end()
				return nil, err
			}
			return &opened{
				close: func() { unwatch(); end() },
				measure: func() ([]float64, error) {
					cpu := d.cpu()
					err := steadyBroadcast(d, seconds)
					return []float64{(d.cpu() - cpu) / float64(watchedRate*seconds*s.n) * 1e6}, err
				},
			}, nil
		},
	}
}

// besideBroadcasts asks for answers while broadcasts go on without pause.
func besideBroadcasts() comparison {
	return comparison{
		name:    "beside broadcasts",
		figures: []figure{cost("an answer, p50", "us"), unjudged("an answer, p99", "us")},
		turns:   5, takes: 13 * time.Second,
		open: func(s *setup) (*opened, error) {
			d, _, end, err := s.pushdWith(s.n, nil, "-p", "/stream?channel=a")
			if err != nil {
				return nil, err
			}
			conn, err := net.Dial("tcp", d.addr)
			if err != nil {
				end()
				return nil, err
			}
			r := bufio.NewReader(conn)
			return &opened{
				close: func() { conn.Close(); end() },
				measure: func() ([]float64, error) {
					load := func() { d.toAll() } //nolint:errcheck // an answer that fails tells
					p, err := answers(conn, r, time.Second, 0, load)
					return []float64{float64(p[0].Microseconds()), float64(p[1].Microseconds())}, err
				},
			}, nil
		},
	}
}

// behindEvents asks for an answer behind something from every held connection. The connections are
// this process's.
func behindEvents() comparison {
	return comparison{
		name:    "behind mass events",
		figures: []figure{cost("an answer", "ms")},
		turns:   8, takes: 8 * time.Second,
		open: func(s *setup) (*opened, error) {
			d, err := s.pushd()
			if err != nil {
				return nil, err
			}
			n := min(s.n, 7000) // of two builds at once
			held, err := openAll(d.addr, n, func(int) string {
				return "GET /stream?channel=a HTTP/1.1\r\nHost: x\r\n\r\n"
			})
			var conn net.Conn
			if err == nil {
				conn, err = net.Dial("tcp", d.addr)
			}
			if err == nil {
				held = append(held, conn)
				err = d.until(func(snap *stats.Snapshot) bool { return snap.Connections.Stream == n })
			}
			end := func() { closeAll(held); d.stop() }
			if err != nil {
				end()
				return nil, err
			}
			r := bufio.NewReader(conn)
			return &opened{close: end, measure: func() ([]float64, error) {
				ms, err := behindAll(d, held[:n], conn, r)
				return []float64{ms}, err
			}}, nil
		},
	}
}

func closeAll[T io.Closer](all []T) {
	for _, c := range all {
		c.Close()
	}
}

// named returns the comparison with a name, for sections of several.
func named(name string, c comparison) comparison {
	c.name = name
	return c
}
