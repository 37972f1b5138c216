package main

import (
	"bufio"
	"context"
	"fmt"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
	"io"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"
)

// neighbour asks for an answer again and again while broadcasts are under way, and once behind an event of every held
// connection.
func neighbour(s *setup) error {
	d, err := s.pushd()
	if err != nil {
		return err
	}
	defer d.stop()
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	sw, _, err := s.swarm(d.addr, s.n, "-p", "/stream?channel=a")
	if err != nil {
		return err
	}
	broadcast := func() { d.ctl.Publish(context.Background(), []publish.Item{message("a", time.Now())}) }
	for _, m := range []struct {
		what  string
		pause time.Duration
		load  func()
	}{
		{"alone", time.Second, func() {}},
		{"five broadcasts a second", 200 * time.Millisecond, broadcast},
		{"broadcasts without pause", 0, broadcast},
	} {
		p, err := answers(conn, r, 5*time.Second, m.pause, m.load)
		if err != nil {
			return err
		}
		fmt.Printf("  an answer, %-28s p50 %v  p99 %v  max %v (wanted <= 10 ms)\n", m.what+":", p[0], p[1], p[2])
	}
	sw.end()
	return massEvent(s, d, conn, r)
}

// massEvent stops pushd, has every held connection send something, asks for an answer behind all of that, and measures
// it from the moment at which pushd goes on.
func massEvent(s *setup, d *daemon, conn net.Conn, r *bufio.Reader) error {
	held, err := openAll(d.addr, s.n, func(int) string { return "GET /stream?channel=a HTTP/1.1\r\nHost: x\r\n\r\n" })
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	if err != nil {
		return err
	}
	if err := d.until(func(snap *stats.Snapshot) bool { return snap.Connections.Stream == s.n }); err != nil {
		return err
	}
	var waits []float64
	for range s.pairs {
		ms, err := behindAll(d, held, conn, r)
		if err != nil {
			return err
		}
		waits = append(waits, ms)
	}
	fmt.Printf("  an answer behind %d connections that are ready at once: %.1f ms (median; wanted <= 10 ms)\n", s.n, median(waits))
	return nil
}

// behindAll has all of the held connections send while pushd is stopped, and returns the
// milliseconds that an answer takes from the moment at which pushd goes on.
func behindAll(d *daemon, held []net.Conn, conn net.Conn, r *bufio.Reader) (ms float64, err error) {
	d.cmd.Process.Signal(syscall.SIGSTOP)
	for _, c := range held {
		fmt.Fprint(c, "something")
	}
	fmt.Fprint(conn, request)
	t := time.Now()
	d.cmd.Process.Signal(syscall.SIGCONT)
	if err := answer(r); err != nil {
		return 0, err
	}
	ms = time.Since(t).Seconds() * 1e3
	time.Sleep(200 * time.Millisecond)
	return ms, nil
}

const request = "GET /none HTTP/1.1\r\nHost: x\r\n\r\n"

// answer reads one answer.
func answer(r *bufio.Reader) error {
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// answers measures requests on conn for the time d, while load runs over and over with a pause in between.
func answers(conn net.Conn, r *bufio.Reader, d, pause time.Duration, load func()) (p [3]time.Duration, err error) {
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				load()
				time.Sleep(pause)
			}
		}
	}()
	defer func() { close(stop); <-done }()
	var all []time.Duration
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		t := time.Now()
		fmt.Fprint(conn, request)
		if err := answer(r); err != nil {
			return p, err
		}
		all = append(all, time.Since(t).Round(time.Microsecond))
	}
	slices.Sort(all)
	return [3]time.Duration{all[len(all)/2], all[len(all)*99/100], all[len(all)-1]}, nil
}
