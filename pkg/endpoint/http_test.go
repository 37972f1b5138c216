package endpoint

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// served is an HTTP endpoint in a bubble. A request for /hold is in hand until release is sent to,
// one for /probe is free.
type served struct {
	t       *testing.T
	pipes   *pipes
	release chan struct{}
	inHand  chan struct{} // told when a /hold has come to the handler
	stop    func()
}

const (
	testWait = 5 * time.Second
	testRead = 10 * time.Second
	testIdle = time.Minute
)

func serve(t *testing.T, requests, connections int) *served {
	t.Helper()
	s := &served{
		t: t, pipes: newPipes(),
		release: make(chan struct{}), inHand: make(chan struct{}, 100),
	}
	e := HTTP{
		Name: "test", Requests: requests, Connections: connections, Wait: testWait,
		Free:        func(r *http.Request) bool { return r.URL.Path == "/probe" },
		ReadTimeout: testRead, WriteTimeout: time.Minute, IdleTimeout: testIdle,
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Serve(ctx, s.pipes, s) }()
	s.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
	return s
}

func (s *served) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/hold" {
		s.inHand <- struct{}{}
		<-s.release
	}
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "here %s", body)
}

// client is one connection.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (s *served) dial() *client {
	c := s.pipes.dial()
	s.t.Cleanup(func() { c.Close() })
	return &client{s.t, c, bufio.NewReader(c)}
}

func (c *client) send(path string) { fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path) }

// status reads an answer: 0 when the connection has ended instead.
func (c *client) status() int {
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0
	}
	io.Copy(io.Discard, res.Body) //nolint:errcheck // a pipe in memory
	return res.StatusCode
}

// want asks on c and fails unless the answer is code, at once.
func (c *client) want(path string, code int) {
	c.t.Helper()
	began := time.Now()
	c.send(path)
	if got := c.status(); got != code {
		c.t.Errorf("%s: status %d, want %d", path, got, code)
	}
	if took := time.Since(began); took != 0 {
		c.t.Errorf("%s was answered after %s, want at once", path, took)
	}
	synctest.Wait() // the connection is idle again
}

// Clients that keep their connections take nobody's place: the next one is served at once, and they
// while there is room.
func TestIdleConnectionsYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 2, 16)
		defer s.stop()
		var kept []*client
		for range 100 {
			c := s.dial()
			c.want("/", 200)
			kept = append(kept, c)
			time.Sleep(time.Millisecond) // of the bubble's clock: so that one is idle for longest
		}
		for _, c := range kept[84:] {
			c.want("/", 200)
		}
		if got := kept[83].status(); got != 0 {
			t.Errorf("the 17th connection from the end: status %d, want that it was closed", got)
		}
	})
}

// The bound is for requests in hand: more wait for a place, probes do not.
func TestRequestsInHandAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 2, 16)
		defer s.stop()
		for range 2 {
			s.dial().send("/hold")
		}
		synctest.Wait()
		next := s.dial()
		next.send("/")
		synctest.Wait() // places are given in this order
		late := s.dial()
		fmt.Fprint(late, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
		s.dial().want("/probe", 200)
		began := time.Now()
		time.AfterFunc(testWait-time.Second, func() { s.release <- struct{}{} })
		if got := next.status(); got != 200 || time.Since(began) != testWait-time.Second {
			t.Errorf("a request that waited for a place: %d after %s, want 200 when there was one",
				got, time.Since(began))
		}
		time.Sleep(testRead - time.Second) // 13 s after its head
		io.WriteString(late, "b")
		if got := late.status(); got != 200 {
			t.Errorf("a body that came 9 s after its request had a place: %d, want 200", got)
		}
		s.release <- struct{}{}
	})
}

// A wait for a place ends with 503, and so many wait at most that probes are answered.
func TestNoPlaceFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 2, 16)
		defer s.stop()
		var first []*client
		for range 2 {
			c := s.dial()
			c.send("/hold")
			first = append(first, c)
		}
		synctest.Wait()
		began := time.Now()
		answered := make(chan int)
		for range 12 { // 16 connections less those in hand, less an eighth
			go func() {
				c := s.dial()
				c.send("/")
				answered <- c.status()
			}()
		}
		synctest.Wait()
		for range 20 {
			s.dial().want("/", 503)
			s.dial().want("/probe", 200)
		}
		for range 12 {
			if code := <-answered; code != 503 || time.Since(began) != testWait {
				t.Errorf("a request without a place: %d after %s, want 503 after %s",
					code, time.Since(began), testWait)
			}
		}
		close(s.release)
		for _, c := range first {
			if code := c.status(); code != 200 {
				t.Errorf("a request in hand: %d, want 200", code)
			}
		}
		s.dial().want("/", 200)
	})
}

// A client that left while it waited for a place does not take it.
func TestWaitingClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 1, 9)
		defer s.stop()
		s.dial().send("/hold")
		synctest.Wait()
		left := s.dial()
		left.send("/hold")
		synctest.Wait()
		left.Close()
		synctest.Wait()
		s.release <- struct{}{}
		s.dial().want("/", 200)
		if n := len(s.inHand); n != 1 {
			t.Errorf("%d requests came to the handler, want the first alone", n)
		}
	})
}

// Clients that send half a head do not keep others out: the oldest gives way, and an idle one
// before it.
func TestHalfHeadsYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 2, 16)
		defer s.stop()
		var half []*client
		for range 16 {
			c := s.dial()
			fmt.Fprint(c, "GET / HTTP/1.1\r\n")
			half = append(half, c)
			time.Sleep(time.Millisecond)
		}
		idle := s.dial()
		idle.want("/", 200)
		s.dial().want("/probe", 200)
		if got := idle.status(); got != 0 {
			t.Errorf("the idle connection: status %d, want that it was closed", got)
		}
		if got := half[0].status(); got != 0 {
			t.Errorf("the oldest half head: status %d, want that it was closed", got)
		}
		fmt.Fprint(half[1], "Host: x\r\n\r\n")
		if got := half[1].status(); got != 200 {
			t.Errorf("the second half head, completed: status %d, want 200", got)
		}
	})
}

// A kept connection on which the next request has begun is not idle.
func TestBegunRequestIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 2, 16)
		defer s.stop()
		begun := s.dial()
		begun.want("/", 200)
		fmt.Fprint(begun, "GET / HTTP/1.1\r\n")
		synctest.Wait()
		for range 20 {
			time.Sleep(time.Millisecond)
			s.dial().want("/", 200)
		}
		fmt.Fprint(begun, "Host: x\r\n\r\n")
		if got := begun.status(); got != 200 {
			t.Errorf("the request that had begun: status %d, want 200", got)
		}
	})
}

// A failed accept ends neither the endpoint nor its clients.
func TestServeOutlivesFailedAccepts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 2, 16)
		defer s.stop()
		before := s.dial()
		before.want("/", 200)
		for _, err := range []error{syscall.ENOSPC, syscall.ENOMEM, syscall.EPERM} {
			s.pipes.came <- &net.OpError{Op: "accept", Net: "tcp", Err: err}
		}
		time.Sleep(time.Second)
		s.dial().want("/", 200)
		before.want("/", 200)
	})
}

// What a client has sent in part is timed out, and so is one that reads no answer.
func TestSlowClientsAreTimedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 2, 16)
		defer s.stop()
		began := time.Now()
		half := s.dial()
		fmt.Fprint(half, "GET / HT")
		b, err := io.ReadAll(half)
		took := time.Since(began)
		if err != nil || strings.HasPrefix(string(b), "HTTP/1.1 200") || took != testRead {
			t.Errorf("half a head: read %q, %v after %s, want the end", b, err, took)
		}
		deaf := s.dial()
		deaf.send("/")
		time.Sleep(time.Minute + testWait + time.Second)
		if _, err := io.ReadAll(deaf); err != nil {
			t.Errorf("a client that did not read: %v, want the end", err)
		}
	})
}
