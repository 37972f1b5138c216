package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

const (
	channels    = 1000
	subscribers = 15 // of each channel, for latency
	// path names one of the channels for each connection, in swarm's notation.
	path = "/stream?channel=g%04d"
)

// compare prints the medians of pairs, ours against theirs; inverse says that less is better.
func compare(what, unit string, raw, ours []float64, inverse bool, want string) {
	r, o := median(raw), median(ours)
	ratio := o / r
	if inverse {
		ratio = r / o
	}
	fmt.Printf("  %-34s rawlimit %10.1f  pushd %10.1f %-10s ratio %.2f  (wanted %s)\n", what, r, o, unit, ratio, want)
}

const messageSize = 100

var padding = strings.Repeat("x", messageSize)

// message returns an item of 100 bytes that begins with the time, as swarm wants it.
func message(channel string, now time.Time) publish.Item {
	b := strconv.AppendInt(append(make([]byte, 0, messageSize), "@TS="...), now.UnixNano(), 10)
	b = append(b, ';')
	content := string(append(b, padding[len(b):]...))
	return publish.Item{
		Channel: channel, Formats: publish.HTTPStream | publish.WSMessage,
		Stream: publish.Stream{Content: content}, Message: publish.Message{Content: content},
	}
}

func accept(s *setup) error { return s.accept("/stream") }

func broadcast(s *setup) error { return s.broadcast("/stream") }

func websocket(s *setup) error {
	if err := s.accept("/ws", "-m", "ws"); err != nil {
		return err
	}
	return s.broadcast("/ws", "-m", "ws")
}

// accept opens the connections to both servers; endpoint is pushd's, and args go to swarm.
func (s *setup) accept(endpoint string, args ...string) error {
	var raw, ours []float64
	for range s.pairs {
		r, addr, err := s.rawlimit()
		if err != nil {
			return err
		}
		sw, c, err := s.swarm(addr, s.n, args...)
		if err != nil {
			return err
		}
		sw.end()
		r.end()
		raw = append(raw, c.Rate)

		d, err := s.pushd()
		if err != nil {
			return err
		}
		held := append([]string{"-p", endpoint + "?channel=g%04d", "-K", fmt.Sprint(channels)}, args...)
		if sw, c, err = s.swarm(d.addr, s.n, held...); err != nil {
			return err
		}
		sw.end()
		d.stop()
		ours = append(ours, c.Rate)
	}
	compare("connections", "/s", raw, ours, false, ">= 0.85")
	return nil
}

// toAll publishes to channel a and waits for the acknowledgement.
func (d *daemon) toAll() error {
	_, err := d.ctl.Publish(context.Background(), []publish.Item{message("a", time.Now())})
	return err
}

// broadcasts is how many messages are sent to everybody in one run.
const broadcasts = 7

func (s *setup) broadcast(endpoint string, args ...string) error {
	var rawTime, ourTime, rawCPU, ourCPU []float64
	million := 1e6 / float64(s.n*broadcasts)
	for range s.pairs {
		r, addr, err := s.rawlimit()
		if err != nil {
			return err
		}
		times, cpu, err := s.broadcastTo(r, addr, "/", func() error { return r.ask(&struct{}{}, "b 100") }, args...)
		if err != nil {
			return err
		}
		r.end()
		rawTime, rawCPU = append(rawTime, median(times)), append(rawCPU, cpu*million)

		d, err := s.pushd()
		if err != nil {
			return err
		}
		times, cpu, err = s.broadcastTo(d.process, d.addr, endpoint+"?channel=a", d.toAll, args...)
		if err != nil {
			return err
		}
		d.stop()
		ourTime, ourCPU = append(ourTime, median(times)), append(ourCPU, cpu*million)
	}
	compare("publish to last delivery", "ms", rawTime, ourTime, true, ">= 0.85")
	compare("CPU per million deliveries", "s", rawCPU, ourCPU, true, ">= 0.80")
	return nil
}

// broadcastTo holds the connections and has send reach them all several times. It returns the milliseconds to the last
// delivery of each, and the server's CPU seconds for all.
func (s *setup) broadcastTo(server *process, addr, path string, send func() error, args ...string) (times []float64, cpu float64, err error) {
	sw, _, err := s.swarm(addr, s.n, append([]string{"-p", path}, args...)...)
	if err != nil {
		return nil, 0, err
	}
	defer sw.end()
	time.Sleep(300 * time.Millisecond) // what the connecting left behind
	before := server.cpu()
	for range broadcasts {
		ms, err := s.oneBroadcast(sw, send)
		if err != nil {
			return nil, 0, err
		}
		times = append(times, ms)
	}
	return times, server.cpu() - before, nil
}

// oneBroadcast has send reach all connections of sw, and returns the milliseconds to the last
// delivery.
func (s *setup) oneBroadcast(sw *process, send func() error) (ms float64, err error) {
	if err := sw.ask(&struct{}{}, "reset"); err != nil {
		return 0, err
	}
	if err := send(); err != nil {
		return 0, err
	}
	var m received
	if err := sw.ask(&m, "expect %d 20", s.n); err != nil {
		return 0, err
	}
	if m.Messages != s.n {
		return 0, fmt.Errorf("%d of %d deliveries", m.Messages, s.n)
	}
	return m.Span * 1e3, nil
}

func memory(s *setup) error {
	swarm := func(mode, path string, channels int) func(*daemon, int) (func(), error) {
		return func(d *daemon, n int) (func(), error) {
			sw, _, err := s.swarm(d.addr, n, "-m", mode, "-p", path, "-K", fmt.Sprint(channels))
			if err != nil {
				return nil, err
			}
			return sw.end, nil
		}
	}
	for _, m := range []struct {
		what string
		open func(d *daemon, n int) (end func(), err error)
		want string
	}{
		{"stream, 1,000 channels", swarm("http", "/stream?channel=g%04d", channels), "<= 200"},
		{"events, 1,000 channels", swarm("http", "/events?channel=g%04d", channels), "<= 200"},
		{"WebSocket, 1,000 channels", swarm("ws", "/ws?channel=g%04d", channels), "<= 200"},
		{"poll, 1,000 channels", openPolls, "<= 200"},
		{"events, a channel each", swarm("http", "/events?channel=g%05d", s.n), "<= 400"},
	} {
		d, err := s.pushd()
		if err != nil {
			return err
		}
		end, err := m.open(d, 2000) // enough for a mass change
		if err != nil {
			return err
		}
		end()
		time.Sleep(4 * time.Second)
		before, err := d.stats()
		if err != nil {
			return err
		}
		if end, err = m.open(d, s.n); err != nil {
			return err
		}
		held, err := d.stats()
		if err != nil {
			return err
		}
		end()
		time.Sleep(4 * time.Second)
		after, err := d.stats()
		if err != nil {
			return err
		}
		d.stop()
		perConn := float64(held.RSSAnonBytes-before.RSSAnonBytes) / float64(s.n)
		change := 100 * float64(after.RSSAnonBytes-before.RSSAnonBytes) / float64(before.RSSAnonBytes)
		fmt.Printf("  %-24s %4.0f B/conn (wanted %s); RssAnon in KiB %d warm, %d held, %d when all had left: %+.0f%% (wanted <= +20%%); goroutines %d, %d\n",
			m.what, perConn, m.want, before.RSSAnonBytes>>10, held.RSSAnonBytes>>10, after.RSSAnonBytes>>10, change,
			before.Goroutines, held.Goroutines)
	}
	return nil
}

// openPolls opens n long polls. (swarm waits for an answer to each request.)
func openPolls(d *daemon, n int) (end func(), err error) {
	conns, err := openAll(d.addr, n, func(i int) string {
		return fmt.Sprintf("GET /poll?channel=g%04d&timeout=300 HTTP/1.1\r\nHost: x\r\n\r\n", i%channels)
	})
	if err == nil {
		err = d.until(func(snap *stats.Snapshot) bool { return snap.Connections.Poll == n })
	}
	return func() {
		for _, c := range conns {
			c.Close()
		}
	}, err
}

// openAll opens n connections from several addresses, and writes a request to each.
func openAll(addr string, n int, request func(i int) string) (conns []net.Conn, err error) {
	for i := range n {
		src := &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/250), byte(1+i%250))}
		c, err := (&net.Dialer{LocalAddr: src}).Dial("tcp", addr)
		if err != nil {
			return conns, err
		}
		conns = append(conns, c)
		if _, err := io.WriteString(c, request(i)); err != nil {
			return conns, err
		}
	}
	return conns, nil
}

func fanout(s *setup) error {
	const messages = 200_000
	var rate, rawRate, blocked []float64
	for range s.pairs {
		r, addr, err := s.rawlimit()
		if err != nil {
			return err
		}
		times, _, err := s.broadcastTo(r, addr, "/", func() error { return r.ask(&struct{}{}, "b 100") })
		if err != nil {
			return err
		}
		r.end()
		rawRate = append(rawRate, float64(s.n)/median(times)*1e3)

		m, wait, err := s.flood(s.n, channels, messages)
		if err != nil {
			return err
		}
		rate, blocked = append(rate, m.Rate), append(blocked, wait.Seconds())
	}
	compare("deliveries", "/s", rawRate, rate, false, ">= 2.00")
	fmt.Printf("  nothing lost; the publisher was held back for %.1f s (median)\n", median(blocked))
	return nil
}

func single(s *setup) error {
	var rates []float64
	for range s.pairs {
		m, _, err := s.flood(1, 1, 2_000_000)
		if err != nil {
			return err
		}
		rates = append(rates, m.Rate)
	}
	fmt.Printf("  %.0f messages/s (wanted >= 800,000)\n", median(rates))
	return nil
}

// flood publishes messages round-robin over k channels to n connections, as fast as it can, and waits for all deliveries.
// It returns how long the publisher was held back by its window.
func (s *setup) flood(n, k, messages int) (m received, blocked time.Duration, err error) {
	d, err := s.pushd()
	if err != nil {
		return m, 0, err
	}
	defer d.stop()
	sw, _, err := s.swarm(d.addr, n, "-p", path, "-K", fmt.Sprint(k))
	if err != nil {
		return m, 0, err
	}
	defer sw.end()
	return flood(d, sw, n, k, messages)
}

// flood is that, to a pushd whose subscribers are there.
func flood(d *daemon, sw *process, n, k, messages int) (m received, blocked time.Duration, err error) {
	if err := sw.ask(&struct{}{}, "reset"); err != nil {
		return m, 0, err
	}
	ctx := context.Background()
	names := channelNames(k)
	last := time.Now()
	for i := range messages {
		now := time.Now()
		if w := now.Sub(last); w > 50*time.Microsecond { // more than an item takes
			blocked += w
		}
		last = now
		it := message(names[i%k], now)
		if _, err := d.pub.Publish(ctx, &it); err != nil {
			return m, 0, err
		}
	}
	if err := d.pub.Flush(ctx); err != nil {
		return m, 0, err
	}
	want := messages * n / k
	if err := sw.ask(&m, "expect %d 60", want); err != nil {
		return m, 0, err
	}
	if m.Messages != want || m.Disconnects > 0 {
		return m, 0, fmt.Errorf("%d of %d deliveries, %d disconnects", m.Messages, want, m.Disconnects)
	}
	return m, blocked, nil
}

func channelNames(k int) []string {
	names := make([]string, k)
	for i := range names {
		names[i] = fmt.Sprintf("g%04d", i)
	}
	return names
}

// latency publishes 200 times a second to 15 subscribers each. What rawlimit needs to send to 15 connections as often is
// printed beside it, because the tail is mostly the machine's.
func latency(s *setup) error {
	d, err := s.pushd()
	if err != nil {
		return err
	}
	defer d.stop()
	ours, _, err := s.swarm(d.addr, s.n, "-p", path, "-K", fmt.Sprint(s.n/subscribers))
	if err != nil {
		return err
	}
	defer ours.end()
	r, addr, err := s.rawlimit()
	if err != nil {
		return err
	}
	defer r.end()
	raw, _, err := s.swarm(addr, subscribers)
	if err != nil {
		return err
	}
	defer raw.end()
	names := channelNames(s.n / subscribers)
	for range s.pairs {
		theirs, err := steadily(raw, 5, subscribers, func(int) error { return r.ask(&struct{}{}, "b 100") })
		if err != nil {
			return err
		}
		printLatency("rawlimit", theirs)
		m, err := steadily(ours, 5, subscribers, d.roundRobin(names))
		if err != nil {
			return err
		}
		printLatency("pushd", m)
	}
	fmt.Println("  (wanted of pushd on a quiet machine: p50 <= 220, p99 <= 400, p99.9 < 1000 us)")
	return nil
}

// roundRobin returns a function that publishes its i-th message.
func (d *daemon) roundRobin(names []string) func(i int) error {
	return func(i int) error {
		it := message(names[i%len(names)], time.Now())
		_, err := d.pub.Publish(context.Background(), &it)
		return err
	}
}

// steadily sends 200 times a second and returns what arrived.
func steadily(sw *process, seconds, subscribers int, send func(i int) error) (m received, err error) {
	const perSecond = 200
	if err := sw.ask(&struct{}{}, "reset"); err != nil {
		return m, err
	}
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for i := range seconds * perSecond {
		<-tick.C
		if err := send(i); err != nil {
			return m, err
		}
	}
	err = sw.ask(&m, "expect %d 10", seconds*perSecond*subscribers)
	return m, err
}

func printLatency(server string, m received) {
	l := m.Latency
	fmt.Printf("  %-8s  p50 %5.0f  p90 %5.0f  p99 %5.0f  p99.9 %5.0f  max %5.0f us\n",
		server, l.P50, l.P90, l.P99, l.P999, l.Max)
}
