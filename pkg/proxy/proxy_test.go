package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/pkg/exchange"
	"holdfast/pkg/grip"
	"holdfast/pkg/route"
)

func TestResponsesPassThrough(t *testing.T) {
	for _, test := range []struct {
		name, method, response string
		want                   string
		length                 int64
	}{
		{"short", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", `[5] 200 "hi"`, 2},
		{"empty", "GET", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", `[5] 404 ""`, 0},
		{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Trailer: a\r\n\r\n", `[1 2 3] 200 "hi"`, -1},
		{"until the end", "GET", "HTTP/1.0 200 OK\r\n\r\nhi", `[1 2 3] 200 "hi"`, -1},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n", `[5] 200 ""`, 12345},
		{"HEAD without a length", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", `[5] 200 ""`, -1},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", `[5] 204 ""`, -1},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nEtag: x\r\n\r\n", `[5] 304 ""`, -1},
		{"interim", "GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", `[5] 200 "hi"`, 2},
		{"continue", "POST", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nhi", `[5] 999 "hi"`, 2},
		{"more than said", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi there", `[5] 200 "hi"`, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProxy(t, Options{})
			req := get("/")
			req.Method = test.method
			c := do(t, p, routeTo(saying(t, test.response)), req, "")
			if got := c.String(); got != test.want || c.head.Length != test.length {
				t.Errorf("answer = %s with length %d, want %s and %d", got, c.head.Length, test.want, test.length)
			}
		})
	}
}

func TestFieldsOfAResponse(t *testing.T) {
	p := newProxy(t, Options{})
	addr := saying(t, "HTTP/1.1 200 Fine\r\nx-b: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"+
		"Content-Encoding: br\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n")
	c := do(t, p, routeTo(addr), get("/"), "")
	if got, want := fmt.Sprint(c.head.Reason, c.head.Fields), "Fine[{Content-Encoding br} {Location /x} {Set-Cookie a} {Set-Cookie b} {X-B 1}]"; got != want {
		t.Errorf("head = %s, want %s", got, want)
	}
}

func TestHolds(t *testing.T) {
	const fields = "HTTP/1.1 200 OK\r\nGrip-Channel: a; prev-id=1\r\nX-A: 1\r\nContent-Length: 2\r\n"
	long := strings.Repeat("0123456789", 10_001)
	for _, test := range []struct {
		name, method, response string
		body                   string // of the request
		want                   string // what went out, and the plan
	}{
		{"response", "GET", fields + "Grip-Hold: response\r\nGrip-Timeout: 7\r\n\r\nhi", "", `[6] "" hold 1 of 1 for 7s, 200 [{X-A 1}] 2 "hi", again GET ""`},
		{"with its body", "POST", fields + "Grip-Hold: response\r\n\r\nhi", "body", `[6] "" hold 1 of 1 for 55s, 200 [{X-A 1}] 2 "hi", again POST "body"`},
		{"status", "GET", fields + "Grip-Hold: response\r\nGrip-Status: 204 Nothing\r\n\r\nhi", "", `[6] "" hold 1 of 1 for 55s, 204 Nothing[{X-A 1}] -1 "", again GET ""`},
		{"exposed", "GET", fields + "X-B: 2\r\nGrip-Expose-Headers: x-b\r\nGrip-Hold: response\r\n\r\nhi", "", `[6] "" hold 1 of 1 for 55s, 200 [{X-B 2}] 2 "hi", again GET ""`},
		{"HEAD", "HEAD", fields + "Grip-Hold: response\r\n\r\n", "", `[6] "" hold 1 of 1 for 55s, 200 [{X-A 1}] 2 "", again HEAD ""`},
		{"stream", "GET", "HTTP/1.1 200 OK\r\nGrip-Hold: stream\r\nGrip-Channel: a, b\r\n\r\nhi", "", `[6] "" hold 2 of 2 for 55s, 200 [] -1 "hi"`},
		{"stream of a HEAD", "HEAD", "HTTP/1.1 200 OK\r\nGrip-Hold: stream\r\nGrip-Channel: a\r\n\r\n", "", `[5] 200 ""`},
		{"stream of 404", "GET", "HTTP/1.1 404 No\r\nGrip-Hold: stream\r\nContent-Length: 2\r\n\r\nhi", "", `[6] "" hold 2 of 0 for 55s, 404 No[] -1 "hi"`},
		{"JSON", "GET", jsonResponse(`{"hold":{"channels":[{"name":"a"}]},"response":{"code":202,"body":"timeout"}}`), "", `[6] "" hold 1 of 1 for 55s, 202 [] 7 "timeout", again GET ""`},
		{"JSON without a hold", "GET", jsonResponse(`{"response":{"code":201,"reason":"Made","headers":{"X-C":"3"},"body-bin":"aGk="}}`), "", `[5] 201 "hi"`},
		{"channel only", "GET", "HTTP/1.1 200 OK\r\nGrip-Channel: a\r\nContent-Length: 2\r\n\r\nhi", "", `[5] 200 "hi"`},
		{"long stream", "GET", "HTTP/1.1 200 OK\r\nGrip-Hold: stream\r\nGrip-Channel: a\r\n\r\n" + long, "", `[1 2 2 2 2 6] 200 ` + fmt.Sprintf("%q", long) + ` hold 2 of 1 for 55s, begun`},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProxy(t, Options{})
			r := routeTo(saying(t, test.response))
			r.Targets[0].Subs = []string{"s"}
			req := get("/")
			req.Method = test.method
			c := do(t, p, r, req, test.body)
			got := c.String()
			if pl := c.plan; pl != nil {
				in := pl.Instruct
				got += fmt.Sprintf(" hold %d of %d for %v", in.Hold, len(in.Channels), in.Timeout)
				if pl.Begun {
					got += ", begun"
				} else {
					got += fmt.Sprintf(", %d %s%v %d %q", pl.Head.Status, pl.Head.Reason, pl.Head.Fields, pl.Head.Length, pl.Body)
				}
				if pl.Again != nil {
					got += fmt.Sprintf(", again %s %q", pl.Again.Request.Method, pl.Again.Body)
				}
				if pl.Route != any(r) || len(pl.Subs) != 1 {
					t.Errorf("plan = %+v", pl)
				}
			}
			if test.name == "long stream" { // into how many pieces it comes is not said
				got = "[1 2 2 2 2 6]" + got[strings.IndexByte(got, ']')+1:]
			}
			if got != test.want {
				t.Errorf("got  %.300s\nwant %.300s", got, test.want)
			}
		})
	}
}

// TestLargeRequestsAreNotHeld: a body that could not be sent again makes 400 of any instruction.
func TestLargeRequestsAreNotHeld(t *testing.T) {
	for _, early := range []bool{false, true} { // the backend answers before it has read the body
		for _, size := range []int64{exchange.MaxKept, exchange.MaxKept + 1} {
			addr := raw(t, func(nc net.Conn, _ int) {
				br := bufio.NewReader(nc)
				readHead(br)
				if !early {
					_, _ = io.CopyN(io.Discard, br, size)
				}
				_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nGrip-Hold: response\r\nContent-Length: 2\r\n\r\nhi")
				_, _ = io.Copy(io.Discard, br)
			})
			p := newProxy(t, Options{})
			req := get("/")
			req.Method = "POST"
			c := do(t, p, routeTo(addr), req, strings.Repeat("x", int(size)))
			switch {
			case size > exchange.MaxKept:
				if c.head == nil || c.head.Status != 400 || string(c.body) != "Request too large to accept GRIP instruct.\n" {
					t.Errorf("%d bytes, early = %v: %v, want 400", size, early, c)
				}
			case c.plan == nil || int64(len(c.plan.Again.Body)) != size:
				t.Errorf("%d bytes, early = %v: %v, want a hold with the whole body", size, early, c)
			}
		}
	}
}

func TestHeldRequestIsSentAgain(t *testing.T) {
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Grip-Hold", "response")
		w.Header().Set("Grip-Channel", "t3; prev-id=5")
		_, _ = fmt.Fprint(w, r.Method, " ", r.URL, " ", string(b), " ", r.Header["Grip-Last"])
	})
	p := newProxy(t, Options{})
	req := get("/x?y")
	req.Method = "POST"
	c := do(t, p, routeTo(addr), req, "body")
	for round, want := range []string{"POST /x?y body []", "POST /x?y body [t3; last-id=0]", "POST /x?y body [t3; last-id=1]"} {
		if c.plan == nil || string(c.plan.Body) != want {
			t.Fatalf("round %d: %v, want a hold with %q", round, c, want)
		}
		next := &client{done: make(chan struct{}), room: make(chan struct{}, 1)}
		next.x = c.plan.Repeat(t.Context(), next, 1, 2, []grip.LastID{{Channel: "t3", ID: fmt.Sprint(round)}})
		p.Start(next.x)
		c = next.wait(t)
	}
}

func TestAnswerBeforeTheRequestsEnd(t *testing.T) {
	addr := saying(t, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
	p := newProxy(t, Options{})
	req := get("/")
	req.Method, req.Length = "POST", 1<<30
	c := begin(t.Context(), p, routeTo(addr), req)
	if c.wait(t); c.String() != `[5] 413 "no"` {
		t.Errorf("answer = %v, want 413", c)
	}
	until(t, "the rest of the body is thrown away", func() bool { return c.x.Push(make([]byte, 1<<20)) == 1<<20 })
}

// TestBackendDiesWhileTheClientSends: net/http would wait for the client's next bytes before it says so.
func TestBackendDiesWhileTheClientSends(t *testing.T) {
	addr := raw(t, func(nc net.Conn, _ int) { readHead(bufio.NewReader(nc)) })
	p := newProxy(t, Options{})
	req := get("/")
	req.Method, req.Length = "POST", 1000
	c := begin(t.Context(), p, routeTo(addr), req)
	c.x.Push([]byte("abc")) // and no more
	if c.wait(t); c.head.Status != 502 || p.stats.Errors(CauseEOF) != 1 {
		t.Errorf("answer = %v, errors for eof = %d, want 502 and 1", c, p.stats.Errors(CauseEOF))
	}
}

func TestClientsBodyThatBreaksOff(t *testing.T) {
	addr := backend(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) })
	p := newProxy(t, Options{})
	req := get("/")
	req.Method, req.Length = "POST", -1
	c := begin(t.Context(), p, routeTo(addr), req)
	c.x.Push([]byte("abc"))
	c.x.PushEnd(errors.New("bad chunk"))
	if c.wait(t); c.head.Status != 400 || p.stats.Errors(CauseBody) != 1 {
		t.Errorf("answer = %v, want 400", c)
	}
}

func TestFailover(t *testing.T) {
	good := backend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "good") })
	dead, garbage := refusing(t), saying(t, "garbage\r\n\r\n")
	withTLS := func(r *route.Route) *route.Route { r.Targets[0].TLS = true; return r }
	for _, test := range []struct {
		name  string
		route *route.Route
		want  string
	}{
		{"refused", routeTo(dead, good), "good"},
		{"TLS", withTLS(routeTo(good, good)), "good"},
		{"all", routeTo(dead, dead), "Unable to connect to any targets. Tried: " + dead + ", " + dead + "\n"},
		{"a bad response is an answer", routeTo(garbage, good), generic},
	} {
		p := newProxy(t, Options{Debug: true})
		req := get("/")
		req.Method = "POST"
		if c := do(t, p, test.route, req, "body"); string(c.body) != test.want {
			t.Errorf("%s: %v, want %q", test.name, c, test.want)
		}
	}
}

// gated is a backend that answers "done" once it is let go on.
func gated(t *testing.T) (addr string, arrived *atomic.Int64, open func()) {
	arrived = new(atomic.Int64)
	ctx, open := context.WithCancel(context.Background())
	addr = backend(t, func(w http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		select {
		case <-ctx.Done():
			_, _ = io.WriteString(w, "done")
		case <-r.Context().Done():
		}
	})
	t.Cleanup(open)
	return addr, arrived, open
}

func TestHangingBackendDelaysNoOtherRoute(t *testing.T) {
	const concurrency, outstanding = 20, 1000
	addr, arrived, open := gated(t)
	p := newProxy(t, Options{Concurrency: concurrency})
	slow := routeTo(addr)
	slow.ID = "slow"
	fast := routeTo(backend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fast") }))
	before := runtime.NumGoroutine()
	var clients []*client
	for range outstanding {
		clients = append(clients, begin(t.Context(), p, slow, get("/")))
	}
	until(t, "the backend has all it gets", func() bool { return arrived.Load() == concurrency })
	if w, f := p.stats.Waiting(), p.stats.InFlight.Load(); w != outstanding-concurrency || f != concurrency {
		t.Errorf("%d wait, %d are in flight", w, f)
	}
	if n := runtime.NumGoroutine() - before; n > 8*concurrency { // 3 of a request here, and those of the backend
		t.Errorf("%d goroutines for %d outstanding requests", n, outstanding)
	}
	for range 20 {
		began := time.Now()
		if c := do(t, p, fast, get("/"), ""); string(c.body) != "fast" || time.Since(began) > time.Second {
			t.Errorf("the other route: %v after %v", c, time.Since(began))
		}
	}
	open()
	for _, c := range clients {
		if c.wait(t); string(c.body) != "done" {
			t.Fatalf("answer = %v", c)
		}
	}
}

func TestQueueIsInOrderAndLeftByClients(t *testing.T) {
	addr, arrived, open := gated(t)
	p := newProxy(t, Options{Concurrency: 1})
	r := routeTo(addr)
	order := make(chan int, 10)
	note := func(i int) func(*client) {
		return func(c *client) { c.check = func([]byte) { order <- i } }
	}
	var clients []*client
	for i := range 5 {
		clients = append(clients, begin(t.Context(), p, r, get("/"), note(i)))
	}
	until(t, "the first is there", func() bool { return arrived.Load() == 1 })
	for _, i := range []int{2, 4, 1} {
		clients[i].x.Abandon()
	}
	until(t, "three have left", func() bool { return p.stats.Waiting() == 1 })
	open()
	for _, want := range []int{0, 3} {
		if clients[want].wait(t); <-order != want {
			t.Errorf("not %d next", want)
		}
	}
	if arrived.Load() != 2 {
		t.Errorf("%d requests arrived, want 2", arrived.Load())
	}
}

func TestFullQueueAnswers503(t *testing.T) {
	addr, arrived, _ := gated(t)
	p := newProxy(t, Options{Concurrency: 1, MaxWaitingBytes: 3000})
	r := routeTo(addr)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begin(ctx, p, r, get("/"))
	until(t, "the first is there", func() bool { return arrived.Load() == 1 })
	begin(ctx, p, r, get("/"))
	begin(ctx, p, r, get("/"))
	c := do(t, p, r, get("/"), "")
	if c.head.Status != 503 || c.field("Retry-After") == "" || p.stats.Errors(CauseBusy) != 1 {
		t.Errorf("answer = %v %v, want 503", c, c.head)
	}
	if p.stats.Waiting() != 2 {
		t.Errorf("%d wait, want 2", p.stats.Waiting())
	}
}

// TestVanishedClientsLeaveNothingBehind abandons exchanges at every stage.
func TestVanishedClientsLeaveNothingBehind(t *testing.T) {
	thinking, arrived, _ := gated(t)
	flow := func(head string) string {
		return raw(t, func(nc net.Conn, _ int) {
			readHead(bufio.NewReader(nc))
			_, _ = io.WriteString(nc, head)
			for err := error(nil); err == nil; {
				_, err = nc.Write(make([]byte, 32<<10))
			}
		})
	}
	listening := raw(t, func(nc net.Conn, _ int) { _, _ = io.Copy(io.Discard, nc) })
	for _, test := range []struct {
		name  string
		addr  string
		body  bool
		stage func(c *client, p *Proxy) bool // reached
	}{
		{"while the backend thinks", thinking, false, func(*client, *Proxy) bool { return arrived.Load() > 0 }},
		{"while it sends its body", listening, true, func(_ *client, p *Proxy) bool { return p.stats.Connections.Load() > 0 }},
		{"while the answer flows", flow("HTTP/1.1 200 OK\r\n\r\n"), false, func(c *client, _ *Proxy) bool { return c.bytes() > 1<<20 }},
		{"while a hold begins", flow("HTTP/1.1 200 OK\r\nGrip-Hold: stream\r\n\r\n"), false, func(c *client, _ *Proxy) bool { return c.bytes() > 1<<20 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProxy(t, Options{})
			req := get("/")
			if test.body {
				req.Method, req.Length = "POST", 1<<20
			}
			before := runtime.NumGoroutine()
			for range 20 {
				c := begin(t.Context(), p, routeTo(test.addr), req)
				c.x.Push([]byte("abc"))
				until(t, "the stage", func() bool { return test.stage(c, p) })
				c.x.Abandon()
			}
			until(t, "all are over", func() bool {
				return p.stats.InFlight.Load() == 0 && p.stats.Connections.Load() == 0 && runtime.NumGoroutine() <= before+2
			})
			if n := p.stats.Gone.Load(); n != 20 {
				t.Errorf("%d clients are known to be gone, want 20", n)
			}
		})
	}
}

func (c *client) bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}

func TestClose(t *testing.T) {
	addr, arrived, _ := gated(t)
	p := newProxy(t, Options{Concurrency: 1})
	r := routeTo(addr)
	a, b := begin(t.Context(), p, r, get("/")), begin(t.Context(), p, r, get("/"))
	until(t, "the first is there", func() bool { return arrived.Load() == 1 })
	p.Close()
	c := begin(t.Context(), p, r, get("/"))
	for _, c := range []*client{a, b, c} {
		if c.wait(t); c.String() != `[4] ""` {
			t.Errorf("got %v, want a cut", c)
		}
	}
}
