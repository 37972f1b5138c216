package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/pkg/exchange"
)

// streaming is a backend whose /sse goes on until the test ends, and which answers all else at
// once.
func streaming(t *testing.T) (addr string) {
	done := make(chan struct{})
	addr = backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/sse" {
			_, _ = io.WriteString(w, "quick")
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-done:
		}
	})
	t.Cleanup(func() { close(done) })
	return addr
}

func (c *client) begun() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head != nil
}

// Answers whose head has passed take no place from requests that wait, of their route or another.
func TestOpenAnswersTakeNoPlace(t *testing.T) {
	addr := streaming(t)
	p := newProxy(t, Options{Concurrency: 2, Total: 4, MaxIdle: 1})
	var open []*client
	for range 20 {
		c := begin(t.Context(), p, routeTo(addr), get("/sse"))
		until(t, "the head has passed", c.begun)
		open = append(open, c)
	}
	for range 3 {
		if c := do(t, p, routeTo(addr), get("/x"), ""); string(c.body) != "quick" {
			t.Errorf("beside 20 open answers: %v, want the answer", c)
		}
	}
	for _, c := range open {
		c.x.Abandon()
	}
	until(t, "all places are free", func() bool { return p.stats.InFlight.Load() == 0 })
}

// Those that waited go in when an answer before them goes on.
func TestRequestsGoInWhenAnAnswerOpens(t *testing.T) {
	addr := streaming(t)
	p := newProxy(t, Options{Concurrency: 1})
	var all []*client
	for range 10 {
		all = append(all, begin(t.Context(), p, routeTo(addr), get("/sse")))
	}
	for _, c := range all {
		until(t, "the head has passed", c.begun)
		c.x.Abandon()
	}
}

// Open answers have a bound of their own, of which no route gets all. Above it they are refused;
// other answers are not.
func TestOpenAnswersAreBounded(t *testing.T) {
	addr := streaming(t)
	log, logged := logTo()
	p := newProxy(t, Options{Concurrency: 4, Total: 8, MaxOpen: 10, MaxIdle: 1, Log: log})
	one, other := routeTo(addr), routeTo(addr)
	other.ID = "other"
	var open []*client
	refused := 0
	for range 12 {
		c := begin(t.Context(), p, one, get("/sse"))
		if until(t, "it is answered", c.begun); c.head.Status == 503 {
			refused++
			if c.field("Retry-After") == "" || !strings.Contains(string(c.body), "Too many answers are open.") {
				t.Errorf("refused with %v", c)
			}
			continue
		}
		open = append(open, c)
	}
	if len(open) != 8 || refused != 4 || p.stats.Errors(CauseBusy) != 4 || !strings.Contains(logged(), "cause=busy") {
		t.Errorf("%d are open and %d refused (%d counted), want 8 and 4 of 10 places; logged %s",
			len(open), refused, p.stats.Errors(CauseBusy), logged())
	}
	if c := do(t, p, one, get("/x"), ""); string(c.body) != "quick" {
		t.Errorf("a short answer of that route: %v", c)
	}
	c := begin(t.Context(), p, other, get("/sse"))
	if until(t, "it is answered", c.begun); c.head.Status != 200 {
		t.Errorf("an open answer of another route: %v", c)
	}
	c.x.Abandon()
	open[0].x.Abandon()
	until(t, "two places are free", func() bool { return p.stats.InFlight.Load() == 7 })
	c = begin(t.Context(), p, one, get("/sse"))
	if until(t, "it is answered", c.begun); c.head.Status != 200 {
		t.Errorf("when one has left: %v", c)
	}
	for _, c := range append(open[1:], c) {
		c.x.Abandon()
	}
}

// A request waits for its turn as long as Timeout and is then refused. While a route is full the
// log says so once.
func TestAWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logged := logTo()
		p := New(Options{Concurrency: 1, Timeout: time.Minute, Log: log})
		p.gates.enter(visit{x: exchange.New(t.Context(), nil, 1, 1, get("/")), route: "r", figures: p.ledger.of("r")})
		var all []*client
		for range 3 {
			all = append(all, begin(t.Context(), p, routeTo("127.0.0.1:1"), get("/")))
			time.Sleep(10 * time.Second)
		}
		if n := p.stats.Waiting(); n != 3 {
			t.Errorf("%d wait, want 3", n)
		}
		for i, c := range all {
			<-c.done
			synctest.Wait()
			if c.head.Status != 503 || string(c.body) != "No backend was free in time.\n" || c.field("Retry-After") == "" {
				t.Errorf("after a minute: %v", c)
			}
			if n := p.stats.Waiting(); n != int64(2-i) {
				t.Errorf("%d wait when %d are answered", n, i+1)
			}
		}
		if n := p.stats.Errors(CauseBusy); n != 3 {
			t.Errorf("%d counted as busy, want 3", n)
		}
		if n := strings.Count(logged(), "requests wait"); n != 1 || !strings.Contains(logged(), "route=r") {
			t.Errorf("logged %s\nwant once that requests wait", logged())
		}
		p.gates.next("r")
		p.Close()
	})
}

// The head of an answer of a known length does not wait for its body.
func TestTheHeadGoesBeforeALateBody(t *testing.T) {
	late := make(chan struct{})
	addr := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "4")
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		<-late
		_, _ = io.WriteString(w, "body")
	})
	p := newProxy(t, Options{})
	c := begin(t.Context(), p, routeTo(addr), get("/"))
	until(t, "the head comes before the body", c.begun)
	if c.head.Length != 4 {
		t.Errorf("the head says %d bytes, want 4", c.head.Length)
	}
	close(late)
	if c.wait(t); fmt.Sprint(c) != fmt.Sprint([]exchange.Kind{exchange.Begin, exchange.Body, exchange.End}, ` 200 "body"`) {
		t.Errorf("answered %v", c)
	}
}

// Where too many answers are open, the head of a short one waits for its body and is not refused.
func TestAShortAnswerIsNotRefused(t *testing.T) {
	addr := raw(t, func(nc net.Conn, _ int) {
		_, _ = nc.Read(make([]byte, 4<<10))
		for _, s := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "bo", "dy"} {
			time.Sleep(2 * headWait)
			_, _ = io.WriteString(nc, s)
		}
	})
	p := newProxy(t, Options{MaxOpen: 1})
	p.gates.open = 1
	if c := do(t, p, routeTo(addr), get("/"), ""); fmt.Sprint(c) != fmt.Sprint([]exchange.Kind{exchange.Answer}, ` 200 "body"`) {
		t.Errorf("answered %v", c)
	}
	p.gates.open = 0
}

// A quiet body is waited for with a small buffer, a fast one is read in large pieces.
func TestAQuietBodyIsWaitedForWithASmallBuffer(t *testing.T) {
	body := &sizes{give: []int{10, smallRead, 20_000, exchange.MaxWrite, 10, 20}}
	p := newProxy(t, Options{})
	c := &client{done: make(chan struct{}), count: true}
	x := exchange.New(t.Context(), c, 1, 1, get("/"))
	x.Route = routeTo("127.0.0.1:1")
	if err := p.job(visit{x: x}).stream(body); err != nil {
		t.Fatal(err)
	}
	const large = exchange.MaxWrite
	if want := []int{smallRead, smallRead, large, large, large, smallRead, smallRead}; !slices.Equal(body.asked, want) {
		t.Errorf("reads of %d bytes, want %d", body.asked, want)
	}
	if want := int64(10 + smallRead + 20_000 + large + 30); c.size != want {
		t.Errorf("%d bytes came, want %d", c.size, want)
	}
}

// sizes is a body that comes in pieces of given sizes, and notes the sizes of the buffers.
type sizes struct{ give, asked []int }

func (s *sizes) Read(b []byte) (n int, err error) {
	s.asked = append(s.asked, len(b))
	if len(s.give) == 0 {
		return 0, io.EOF
	}
	n, s.give = s.give[0], s.give[1:]
	return n, nil
}
