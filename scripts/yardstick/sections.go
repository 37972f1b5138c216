package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

const (
	channels = 1000
	// path names one of the channels for each connection, in swarm's notation.
	path = "/stream?channel=g%04d"
)

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

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
		times, cpu, err = s.broadcastTo(d.process, d.addr, endpoint+"?channel=a", func() error {
			_, err := d.ctl.Publish(context.Background(), []publish.Item{message("a", time.Now())})
			return err
		}, args...)
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
		if err := sw.ask(&struct{}{}, "reset"); err != nil {
			return nil, 0, err
		}
		if err := send(); err != nil {
			return nil, 0, err
		}
		var m received
		if err := sw.ask(&m, "expect %d 20", s.n); err != nil {
			return nil, 0, err
		}
		if m.Messages != s.n {
			return nil, 0, fmt.Errorf("%d of %d deliveries", m.Messages, s.n)
		}
		times = append(times, m.Span*1e3)
	}
	return times, server.cpu() - before, nil
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

// proxied opens streams that a backend of a few lines, in this process, has held, and measures how fast and in how much memory.
func proxied(s *setup) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	backend := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Grip-Hold", "stream")
		h.Set("Grip-Channel", r.URL.Query().Get("channel"))
		h.Set("Grip-Keep-Alive", `:\n\n; format=cstring; timeout=55`)
		io.WriteString(w, "event: message\ndata: stream open\n\n")
	})}
	go backend.Serve(ln) //nolint:errcheck // it ends with Close
	defer backend.Close()
	file := filepath.Join(s.tools, "routes")
	if err := os.WriteFile(file, []byte("* "+ln.Addr().String()+"\n"), 0o600); err != nil {
		return err
	}
	var rates, direct, held []float64
	for range s.pairs {
		for _, args := range [][]string{nil, {"--routes", file}} {
			rate, bytes, err := s.holding(args)
			if err != nil {
				return err
			}
			if args == nil {
				direct = append(direct, bytes)
				continue
			}
			rates, held = append(rates, rate), append(held, bytes)
		}
	}
	fmt.Printf("  %.0f holds/s (wanted >= 5,000); %.0f B/conn, direct %.0f (wanted at most 100 more)\n", median(rates), median(held), median(direct))
	return nil
}

// holding opens half of the connections to a pushd that was started with args, and then the others, and returns how fast those were
// and how many bytes each of them takes: the first half pays for what the runtime takes once.
func (s *setup) holding(args []string) (rate, bytes float64, err error) {
	d, err := s.pushd(args...)
	if err != nil {
		return 0, 0, err
	}
	defer d.stop()
	half := min(s.n, 12_000) / 2 // the backend's connections need files too
	var rss [2]int64
	for i := range rss {
		sw, c, err := s.swarm(d.addr, half, "-p", path, "-K", fmt.Sprint(channels))
		if err != nil {
			return 0, 0, err
		}
		defer sw.end()
		rate = c.Rate
		time.Sleep(3 * time.Second) // for garbage to be collected
		snap, err := d.stats()
		if err != nil {
			return 0, 0, err
		}
		if snap.Connections.Stream != (i+1)*half {
			return 0, 0, fmt.Errorf("%d of %d are held", snap.Connections.Stream, (i+1)*half)
		}
		rss[i] = snap.RSSAnonBytes
	}
	return rate, float64(rss[1]-rss[0]) / float64(half), nil
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
	const subscribers = 15
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
		if err := steadily(raw, "rawlimit", subscribers, func(int) error { return r.ask(&struct{}{}, "b 100") }); err != nil {
			return err
		}
		err := steadily(ours, "pushd", subscribers, func(i int) error {
			it := message(names[i%len(names)], time.Now())
			_, err := d.pub.Publish(context.Background(), &it)
			return err
		})
		if err != nil {
			return err
		}
	}
	fmt.Println("  (wanted of pushd on a quiet machine: p50 <= 220, p99 <= 400, p99.9 < 1000 us)")
	return nil
}

// steadily sends 200 times a second for five seconds, and prints the latency.
func steadily(sw *process, who string, subscribers int, send func(i int) error) error {
	const seconds, perSecond = 5, 200
	if err := sw.ask(&struct{}{}, "reset"); err != nil {
		return err
	}
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for i := range seconds * perSecond {
		<-tick.C
		if err := send(i); err != nil {
			return err
		}
	}
	var m received
	if err := sw.ask(&m, "expect %d 10", seconds*perSecond*subscribers); err != nil {
		return err
	}
	l := m.Latency
	fmt.Printf("  %-8s  p50 %5.0f  p90 %5.0f  p99 %5.0f  p99.9 %5.0f  max %5.0f us\n", who, l.P50, l.P90, l.P99, l.P999, l.Max)
	return nil
}

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
		d.cmd.Process.Signal(syscall.SIGSTOP)
		for _, c := range held {
			fmt.Fprint(c, "something")
		}
		fmt.Fprint(conn, request)
		t := time.Now()
		d.cmd.Process.Signal(syscall.SIGCONT)
		if err := answer(r); err != nil {
			return err
		}
		waits = append(waits, time.Since(t).Seconds()*1e3)
		time.Sleep(200 * time.Millisecond)
	}
	fmt.Printf("  an answer behind %d connections that are ready at once: %.1f ms (median; wanted <= 10 ms)\n", s.n, median(waits))
	return nil
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
