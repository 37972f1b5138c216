package proxy

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/pkg/exchange"
	"holdfast/pkg/route"

	"go.uber.org/goleak"
)

// TestMain fails when a test leaves a goroutine behind. Fuzzing has some of its own.
func TestMain(m *testing.M) {
	if flag.Parse(); flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

const patience = 10 * time.Second // for what should happen at once

// client stands for a loop and the client behind it: it takes every piece at once.
type client struct {
	x    *exchange.Exchange
	done chan struct{} // closed by the last event
	room chan struct{} // has a value when there is room again

	mu    sync.Mutex
	kinds []exchange.Kind // without Room
	head  *exchange.Head
	body  []byte
	size  int64 // of the body
	plan  *exchange.Plan
	count bool // the body is only counted
	check func(b []byte)
}

func (c *client) Post(task any) {
	ev := task.(*exchange.Event)
	if ev.Kind == exchange.Room {
		select {
		case c.room <- struct{}{}:
		default:
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kinds = append(c.kinds, ev.Kind)
	if ev.Head != nil {
		c.head = ev.Head
	}
	c.size += int64(len(ev.Data))
	if !c.count {
		c.body = append(c.body, ev.Data...)
	}
	if c.check != nil {
		c.check(ev.Data)
	}
	switch ev.Kind {
	case exchange.Body:
		ev.X.Took()
	case exchange.End, exchange.Cut, exchange.Answer, exchange.Hold:
		c.plan = ev.Plan
		close(c.done) // a second last event panics
	}
}

func (c *client) wait(t testing.TB) *client {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		buf := make([]byte, 1<<20)
		t.Fatalf("the exchange has not ended; goroutines:\n%s", buf[:runtime.Stack(buf, true)])
	}
	return c
}

// String is the answer for comparisons.
func (c *client) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	fmt.Fprint(&b, c.kinds)
	if c.head != nil {
		fmt.Fprintf(&b, " %d", c.head.Status)
	}
	fmt.Fprintf(&b, " %q", c.body)
	return b.String()
}

func (c *client) field(name string) string {
	for _, f := range c.head.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// newProxy returns a Proxy that is closed at the end, when nothing may be left.
func newProxy(t testing.TB, o Options) *Proxy {
	t.Helper()
	p := New(o)
	t.Cleanup(func() {
		p.Close()
		until(t, "the connections are closed", func() bool { return p.stats.Connections.Load() == 0 })
		if n, w, b := p.stats.InFlight.Load(), p.stats.Waiting(), p.gates.bytes; n != 0 || w != 0 || b != 0 || len(p.gates.routes) != 0 {
			t.Errorf("%d in flight, %d waiting with %d bytes, %d gates in use at the end", n, w, b, len(p.gates.routes))
		}
	})
	return p
}

func until(t testing.TB, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !reached(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not reached: %s", what)
		}
	}
}

func get(target string) exchange.Request {
	return exchange.Request{Method: "GET", Target: target, Host: "front.example", Minor: 1}
}

// begin starts an exchange whose body, if it has one, the caller sends.
func begin(ctx context.Context, p *Proxy, r *route.Route, req exchange.Request, change ...func(*client)) *client {
	c := &client{done: make(chan struct{}), room: make(chan struct{}, 1)}
	for _, fn := range change {
		fn(c)
	}
	c.x = exchange.New(ctx, c, 1, 1, req)
	c.x.Route = r
	p.Start(c.x)
	return c
}

// do runs an exchange to its end.
func do(t testing.TB, p *Proxy, r *route.Route, req exchange.Request, body string) *client {
	t.Helper()
	if body != "" && req.Length == 0 {
		req.Length = int64(len(body))
	}
	c := begin(t.Context(), p, r, req)
	c.send(t, strings.NewReader(body))
	return c.wait(t)
}

// send sends a body, which ends with the reader.
func (c *client) send(t testing.TB, r io.Reader) {
	t.Helper()
	b := make([]byte, 32<<10)
	for {
		n, err := r.Read(b)
		for piece := b[:n]; len(piece) > 0; {
			pushed := c.x.Push(piece)
			if piece = piece[pushed:]; len(piece) == 0 {
				break
			}
			select {
			case <-c.room:
			case <-time.After(patience):
				t.Error("no room for the body")
				return
			}
		}
		if err != nil {
			c.x.PushEnd(nil)
			return
		}
	}
}

func routeTo(addrs ...string) *route.Route {
	r := &route.Route{ID: "r", Host: "*"}
	for _, a := range addrs {
		host, _, _ := net.SplitHostPort(a)
		r.Targets = append(r.Targets, route.Target{Addr: a, Host: host})
	}
	return r
}

// backend starts an HTTP server and returns its address.
func backend(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// raw starts a server that treats each connection by fn, which gets its number from 0, and then closes it.
func raw(t testing.TB, fn func(nc net.Conn, number int)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for number := 0; ; number++ {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
			wg.Go(func() {
				fn(nc, number)
				stop()
				_ = nc.Close()
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); cancel(); wg.Wait() })
	return ln.Addr().String()
}

// readHead reads a request's head.
func readHead(r *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String()
		}
	}
}

// saying is a raw backend that reads a request's head and answers text.
func saying(t testing.TB, text string) string {
	t.Helper()
	return raw(t, func(nc net.Conn, _ int) {
		readHead(bufio.NewReader(nc))
		_, _ = io.WriteString(nc, text)
	})
}

// refusing is an address that refuses connections.
func refusing(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// logTo returns a logger and what it wrote.
func logTo() (*slog.Logger, func() string) {
	var mu sync.Mutex
	var b bytes.Buffer
	w := writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	})
	return slog.New(slog.NewTextHandler(w, nil)), func() string {
		mu.Lock()
		defer mu.Unlock()
		return b.String()
	}
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
