package control

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serveEndpoint serves h at an address of its own; stop ends it, and the test fails if it does not end in order.
func serveEndpoint(t *testing.T, e Endpoint, h http.Handler) (addr string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- e.Serve(ctx, ln, h) }()
	return ln.Addr().String(), func() {
		cancel()
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Serve has not returned 10 s after its context ended")
		}
	}
}

func ask(t *testing.T, addr, request string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, request)
	return c, bufio.NewReader(c)
}

// Who sends half a head, or reads no answer, does not stay.
func TestEndpointTimesSlowClientsOut(t *testing.T) {
	const timeout = 100 * time.Millisecond
	ended := make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		for b := make([]byte, 1<<20); err == nil; {
			_, err = w.Write(b)
		}
		ended <- err
	})
	addr, stop := serveEndpoint(t, Endpoint{Name: "test", Clients: 4, ReadTimeout: timeout, WriteTimeout: timeout, IdleTimeout: timeout}, h)
	defer stop()
	_, half := ask(t, addr, "GET / HT")
	if b, err := io.ReadAll(half); err != nil {
		t.Errorf("half a head: read %q, %v, want the end of the connection", b, err)
	}
	ask(t, addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("a client that does not read is still written to after 10 s")
	}
}

// With all places taken, the next client waits for one.
func TestEndpointBoundsItsClients(t *testing.T) {
	const long = 10 * time.Second
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, http.StatusOK, "here") })
	addr, stop := serveEndpoint(t, Endpoint{Name: "test", Clients: 1, ReadTimeout: long, WriteTimeout: long, IdleTimeout: long}, h)
	defer stop()
	const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	first, r := ask(t, addr, request)
	if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("first client: %v, %v", res, err)
	}
	second, r := ask(t, addr, request)
	second.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if b, err := r.Peek(1); err == nil {
		t.Errorf("the second client got %q while the first was there", b)
	}
	first.Close()
	second.SetReadDeadline(time.Now().Add(long))
	if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("second client, after the first has left: %v, %v", res, err)
	}
}

func TestProbesAnswerOnlyTheirQuestions(t *testing.T) {
	draining := false
	p := Probes{Draining: func() bool { return draining }}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.Answer(w, r) {
			answer(w, http.StatusTeapot, "other")
		}
	})
	const long = 10 * time.Second
	addr, stop := serveEndpoint(t, Endpoint{Name: "test", Clients: 4, ReadTimeout: long, WriteTimeout: long, IdleTimeout: long}, h)
	defer stop()
	for _, tt := range []struct {
		draining     bool
		method, path string
		code         int
		body         string
	}{
		{false, "GET", "/health", 200, "ok\n"},
		{true, "GET", "/health", 200, "ok\n"},
		{false, "GET", "/ready", 200, "ready\n"},
		{true, "GET", "/ready", 503, "draining\n"},
		{false, "HEAD", "/ready", 200, ""},
		{false, "POST", "/health", 405, "Method not allowed: POST.\n"},
		{false, "GET", "/ready/", http.StatusTeapot, "other\n"},
	} {
		draining = tt.draining
		req, err := http.NewRequest(tt.method, "http://"+addr+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != tt.code || string(body) != tt.body {
			t.Errorf("%s %s, draining %v: %d %q, want %d %q", tt.method, tt.path, tt.draining, res.StatusCode, body, tt.code, tt.body)
		}
		if tt.code == 405 && !strings.Contains(res.Header.Get("Allow"), "GET") {
			t.Errorf("%s %s: Allow is %q", tt.method, tt.path, res.Header.Get("Allow"))
		}
	}
}
