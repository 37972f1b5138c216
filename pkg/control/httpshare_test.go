package control

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/pkg/hub"
	"holdfast/pkg/share"
)

// fullChannel is a hub in which nothing goes out on the channel "full".
type fullChannel struct{}

func (*fullChannel) Publish(ctx context.Context, b *hub.Batch) error {
	if b.Deliveries[0].Item.Channel == "full" {
		<-ctx.Done()
		return ctx.Err()
	}
	b.Done(b)
	return nil
}

// from returns the edit of a request that comes from a client's address.
func from(remote string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = remote }
}

// apart returns the first of name1, name2 and so on whose key in the pools is none of the others.
func apart(s *HTTPServer, name string, others ...uint32) string {
	for i := 1; ; i++ {
		next := name + strconv.Itoa(i)
		if !slices.ContainsFunc(others, func(k uint32) bool { return share.Same(k, s.key(next)) }) {
			return next
		}
	}
}

func itemOf(channel, content string) string {
	return `{"items":[{"channel":"` + channel + `","formats":{"http-stream":{"content":"` + content + `"}}}]}`
}

// What is held back are the publishers of the channel that is full, on whatever connections.
func TestFloodOfOneChannelDoesNotHoldBackOthers(t *testing.T) {
	for name, content := range map[string]string{"small": "x", "large": strings.Repeat("x", 100_000)} {
		synctest.Test(t, func(t *testing.T) {
			const flood, waiting = 200, 50
			s := NewHTTP(HTTPOptions{Publisher: &fullChannel{}})
			s.bodies, s.waiting = share.New(10<<20), share.New(12<<20) // for 100 and 120 large ones
			var refused atomic.Int32
			for i := range flood {
				go func() {
					if post(s, "POST", "/publish/", itemOf("full", content), from(fmt.Sprintf("127.0.0.1:%d", i))).Code == 503 {
						refused.Add(1)
					}
				}()
			}
			synctest.Wait()
			if n := refused.Load(); n > flood-waiting {
				t.Errorf("%s: %d of %d requests for a full channel are refused at once, want %d to wait", name, n, flood, waiting)
			}
			start := time.Now()
			w := post(s, "POST", "/publish/", itemOf(apart(s, "other", s.key("full")), content),
				from(apart(s, "127.0.0.1:", s.key("full"))))
			if took := time.Since(start); w.Code != 200 || took != 0 {
				t.Errorf("%s: a publisher of another channel is answered %d after %v, want 200 at once", name, w.Code, took)
			}
			time.Sleep(publishTimeout)
			synctest.Wait()
			if n := refused.Load(); n != flood {
				t.Errorf("%s: %d of %d requests for a full channel were refused in the end", name, n, flood)
			}
			for pool, p := range map[string]interface{ Used() int64 }{"places": s.places, "bodies": s.bodies, "waiting": s.waiting} {
				if p.Used() != 0 {
					t.Errorf("%s: %d of %s were never given back", name, p.Used(), pool)
				}
			}
		})
	}
}

// A client that sends half of many requests has a share of the places, not all.
func TestHalfSentRequestsHoldAShareOfTheirAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewHTTP(HTTPOptions{Publisher: &fakeHub{}})
		half, end := io.Pipe()
		begin := func(remote string) chan int {
			code := make(chan int, 1)
			go func() {
				code <- post(s, "POST", "/publish/", "", func(r *http.Request) {
					r.RemoteAddr, r.Body, r.ContentLength = remote, half, 100
				}).Code
			}()
			synctest.Wait()
			return code
		}
		const share = maxHTTPRequests / 2
		var held []chan int
		for i := range share {
			held = append(held, begin(fmt.Sprintf("192.0.2.1:%d", i)))
		}
		if code := post(s, "POST", "/publish/", oneItem, from("192.0.2.1:9999")).Code; code != 503 {
			t.Errorf("request %d of an address: %d, want 503", share+1, code)
		}
		if code := post(s, "POST", "/publish/", oneItem, from(apart(s, "192.0.2.", s.key("192.0.2.1"))+":1")).Code; code != 200 {
			t.Errorf("a request of another address: %d, want 200", code)
		}
		for i := range 64 { // local clients have one address, so each connection is one
			held = append(held, begin(apart(s, fmt.Sprintf("127.0.0.1:%d", i), s.key("192.0.2.1"))))
		}
		if code := post(s, "POST", "/publish/", oneItem, from(apart(s, "127.0.0.1:", s.key("192.0.2.1")))).Code; code != 200 {
			t.Errorf("a local request beside 64 half-sent ones: %d, want 200", code)
		}
		end.CloseWithError(io.ErrUnexpectedEOF)
		for _, code := range held {
			if got := <-code; got != 400 {
				t.Errorf("half a request: %d, want 400", got)
			}
		}
		if n := s.places.Used(); n != 0 {
			t.Errorf("%d places were never given back", n)
		}
	})
}

// publishOn publishes an item on a connection, which is kept.
func publishOn(nc net.Conn, r *bufio.Reader) error {
	fmt.Fprintf(nc, "POST /publish/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(oneItem), oneItem)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
		return fmt.Errorf("status %d, %w", resp.StatusCode, err)
	}
	return nil
}

// Publishers that keep their connections, and half-sent requests, keep nobody out, nor the probes.
func TestKeptConnectionsShutNobodyOut(t *testing.T) {
	addr := serveHTTP(t, HTTPOptions{Publisher: &fakeHub{}})
	dial := func() (net.Conn, *bufio.Reader) {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		nc.SetDeadline(time.Now().Add(httpReadTimeout / 2)) //nolint:errcheck // fails only when closed
		return nc, bufio.NewReader(nc)
	}
	for range 64 {
		nc, _ := dial()
		fmt.Fprint(nc, "POST /publish/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
	}
	for i := range 2 * maxHTTPClients {
		if err := publishOn(dial()); err != nil {
			t.Fatalf("publisher %d: %v", i+1, err)
		}
	}
	nc, r := dial()
	fmt.Fprint(nc, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("GET /health: %v, %v, want 200", resp, err)
	}
}

// More half-sent requests than there are places: those over are refused at once, not when their
// bodies are due, and probes are answered meanwhile.
func TestHalfSentRequestsOverAllPlacesAreRefused(t *testing.T) {
	addr := serveHTTP(t, HTTPOptions{Publisher: &fakeHub{}})
	dial := func(request string) *bufio.Reader {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		nc.SetDeadline(time.Now().Add(httpReadTimeout / 2)) //nolint:errcheck // fails only when closed
		fmt.Fprint(nc, request)
		return bufio.NewReader(nc)
	}
	const half = "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
	for range 2 * maxHTTPClients {
		dial(fmt.Sprintf(half, "/publish/"))
	}
	for path, want := range map[string]int{"/publish/": 503, "/nowhere": 0} {
		resp, err := http.ReadResponse(dial(fmt.Sprintf(half, path)), nil)
		if err != nil || want > 0 && resp.StatusCode != want || !resp.Close {
			t.Errorf("half a POST %s: %v, %v, want an answer that ends the connection", path, resp, err)
		}
	}
	resp, err := http.ReadResponse(dial("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("GET /health: %v, %v, want 200", resp, err)
	}
}
