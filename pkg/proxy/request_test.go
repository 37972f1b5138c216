package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/pkg/exchange"
	"holdfast/pkg/grip"
	"holdfast/pkg/route"
)

// heard is a raw backend that answers 200 and hands over what it got: a head, and as much of a body as there is at once.
func heard(t *testing.T) (addr string, requests chan string) {
	requests = make(chan string, 10)
	return raw(t, func(nc net.Conn, _ int) {
		br := bufio.NewReader(nc)
		head := readHead(br)
		body := make([]byte, 1000)
		n := 0
		if strings.Contains(head, "Transfer-Encoding") || strings.Contains(head, "Content-Length") && !strings.Contains(head, "Length: 0") {
			n, _ = br.Read(body)
		}
		requests <- head + string(body[:n])
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	}), requests
}

func TestRequestAsTheBackendGetsIt(t *testing.T) {
	const feature = "Grip-Feature: " + grip.Feature + "\r\n"
	plain := []exchange.Field{
		{Name: "Host", Value: "front.example"}, {Name: "x-foo", Value: "bar"}, {Name: "User-Agent", Value: "u"},
		{Name: "X-Forwarded-For", Value: "9.9.9.9"}, {Name: "Grip-Foo", Value: "1"}, {Name: "Connection", Value: "X-Hop, keep-alive"},
		{Name: "X-Hop", Value: "1"}, {Name: "Accept-Encoding", Value: "gzip"}, {Name: "Expect", Value: "100-continue"},
	}
	for _, test := range []struct {
		name   string
		change func(o *Options, r *route.Route, req *exchange.Request)
		body   string
		want   string
	}{
		{"plain", func(_ *Options, _ *route.Route, req *exchange.Request) { req.Fields = plain }, "",
			"GET /x?q=1 HTTP/1.1\r\nHost: front.example\r\nUser-Agent: u\r\n" + feature + "X-Foo: bar\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n"},
		{"no_grip", func(_ *Options, r *route.Route, req *exchange.Request) { r.NoGRIP, req.Fields = true, plain }, "",
			"GET /x?q=1 HTTP/1.1\r\nHost: front.example\r\nUser-Agent: u\r\nAccept-Encoding: gzip\r\nX-Foo: bar\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n"},
		{"options", func(o *Options, r *route.Route, req *exchange.Request) {
			o.CDNLoop, o.Proto = "me", grip.ParseForwardedProto("true", false)
			o.For, _ = grip.ParseForwardedFor("truncate:0,append")
			req.Peer, req.Secure, req.Fields = netip.MustParseAddr("192.0.2.1"), true, plain[9:]
			r.Headers = []route.Header{{Name: "X-Env", Value: "a, b"}}
		}, "", "GET /x?q=1 HTTP/1.1\r\nHost: front.example\r\nCdn-Loop: me\r\n" + feature +
			"X-Env: a, b\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Protocol: https\r\n\r\n"},
		{"no host", func(_ *Options, _ *route.Route, req *exchange.Request) { req.Host = "" }, "",
			"GET /x?q=1 HTTP/1.1\r\nHost: localhost\r\n" + feature + "\r\n"},
		{"as_host", func(_ *Options, r *route.Route, _ *exchange.Request) { r.AsHost = "route.example:81" }, "",
			"GET /x?q=1 HTTP/1.1\r\nHost: route.example:81\r\n" + feature + "\r\n"},
		{"host=", func(_ *Options, r *route.Route, _ *exchange.Request) {
			r.AsHost, r.Targets[0].AsHost = "route.example", "target.example"
		}, "",
			"GET /x?q=1 HTTP/1.1\r\nHost: target.example\r\n" + feature + "\r\n"},
		{"path", func(_ *Options, r *route.Route, req *exchange.Request) {
			r.PathBeg, r.Replace, r.ReplaceBeg, req.Target = "/v2/", true, "/api/", "/v2/%7E?%zz"
		}, "", "GET /api/%7E?%zz HTTP/1.1\r\nHost: front.example\r\n" + feature + "\r\n"},
		{"last", func(_ *Options, _ *route.Route, req *exchange.Request) { req.Target = "last" }, "",
			"GET /last HTTP/1.1\r\nHost: front.example\r\n" + feature + "Grip-Last: t3; last-id=5\r\nGrip-Last: t4; last-id=\"a,b\"\r\n\r\n"},
		{"POST without a body", func(_ *Options, _ *route.Route, req *exchange.Request) { req.Method = "POST" }, "",
			"POST /x?q=1 HTTP/1.1\r\nHost: front.example\r\nContent-Length: 0\r\n" + feature + "\r\n"},
		{"DELETE without a body", func(_ *Options, _ *route.Route, req *exchange.Request) { req.Method = "DELETE" }, "",
			"DELETE /x?q=1 HTTP/1.1\r\nHost: front.example\r\nContent-Length: 0\r\n" + feature + "\r\n"},
		{"OPTIONS *", func(_ *Options, _ *route.Route, req *exchange.Request) { req.Method, req.Target = "OPTIONS", "*" }, "",
			"OPTIONS * HTTP/1.1\r\nHost: front.example\r\n" + feature + "\r\n"},
		{"a body with its length", func(_ *Options, _ *route.Route, req *exchange.Request) {
			req.Method, req.Length, req.Fields = "PUT", 3, []exchange.Field{{Name: "Content-Encoding", Value: "gzip"}, {Name: "Content-Length", Value: "3"}}
		}, "abc", "PUT /x?q=1 HTTP/1.1\r\nHost: front.example\r\nContent-Length: 3\r\nContent-Encoding: gzip\r\n" + feature + "\r\nabc"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr, requests := heard(t)
			o, r, req := Options{}, routeTo(addr), get("/x?q=1")
			test.change(&o, r, &req)
			p := newProxy(t, o)
			var last []grip.LastID
			if test.name == "last" {
				last = []grip.LastID{{Channel: "t3", ID: "5"}, {Channel: "t4", ID: "a,b"}}
			}
			c := &client{done: make(chan struct{}), room: make(chan struct{}, 1)}
			plan := exchange.Plan{Again: &exchange.Again{Request: req, Body: []byte(test.body)}, Route: r}
			c.x = plan.Repeat(t.Context(), c, 1, 1, last)
			p.Start(c.x)
			if c.wait(t); c.head.Status != 200 {
				t.Fatalf("answer = %v", c)
			}
			if got := <-requests; got != test.want {
				t.Errorf("the backend got\n%q, want\n%q", got, test.want)
			}
		})
	}
}

func TestChunkedRequestBody(t *testing.T) {
	for _, early := range []bool{false, true} {
		addr, requests := heard(t)
		p := newProxy(t, Options{Concurrency: 1})
		req := get("/")
		req.Method, req.Length = "POST", -1
		c := &client{done: make(chan struct{}), room: make(chan struct{}, 1)}
		c.x = exchange.New(t.Context(), c, 1, 1, req)
		c.x.Route = routeTo(addr)
		want := "Transfer-Encoding: chunked\r\n"
		if early { // all of it is there when the request begins
			want = "Content-Length: 3\r\n"
			c.x.Push([]byte("abc"))
			c.x.PushEnd(nil)
		}
		p.Start(c.x)
		if !early {
			c.x.Push([]byte("abc"))
		}
		if got := <-requests; !strings.Contains(got, want) {
			t.Errorf("early = %v: the backend got %q, want %q", early, got, want)
		}
		c.x.PushEnd(nil)
		c.wait(t)
	}
}

func TestTargetsAreWrittenAsTheyCame(t *testing.T) {
	for _, target := range []string{
		"/", "/a/b?c=d", "/?", "/a?", "/%2F%2f", "//", "//evil.example/x", "///", "//a%2Fb?c", "//a b", "/a?b?c", "/:80", "/\xff", "//%zz", "/a;b=c?d=%",
	} {
		u := &url.URL{Scheme: "http", Host: "b.example:80"}
		setTarget(u, &route.Route{}, target, "front.example")
		want := target
		if target == "//a b" || target == "//%zz" { // cannot be kept: absolute-form
			want = "http://front.example" + target
		}
		if got := u.RequestURI(); got != want {
			t.Errorf("%q is sent as %q, want %q", target, got, want)
		}
	}
}

func TestSignature(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("6b6579\n"), 0o600); err != nil { // "key" in hexadecimal
		t.Fatal(err)
	}
	key, err := grip.ParseSigKey("default", nil)
	if err != nil {
		t.Fatal(err)
	}
	upstream := func(secret string) *grip.UpstreamKey {
		k, err := grip.ParseUpstreamKey(secret, nil)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for _, test := range []struct {
		spec   string
		secret string // that the token is good for; "" for none
		status int
	}{
		{"", "default", 200}, {"file:key", "key", 200}, {"base64:a2V5", "key", 200}, {"file:missing", "", 502},
	} {
		got := make(chan string, 1)
		addr := backend(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Grip-Sig") })
		p := newProxy(t, Options{SigKey: key, Dir: dir})
		r := routeTo(addr)
		r.SigKey = test.spec
		if c := do(t, p, r, get("/"), ""); c.head.Status != test.status {
			t.Errorf("%q: answer = %v, want %d", test.spec, c, test.status)
		}
		if test.secret != "" {
			if err := upstream(test.secret).Verify(<-got, time.Now()); err != nil {
				t.Errorf("%q: %v", test.spec, err)
			}
		}
	}
}

func TestTrustedClientsSpeakGRIPThemselves(t *testing.T) {
	sign, _ := grip.ParseSigKey("secret", nil)
	upstream, _ := grip.ParseUpstreamKey("secret", nil)
	good, _ := sign.Sign("x", time.Now().Add(time.Hour))
	old, _ := sign.Sign("x", time.Now().Add(-time.Hour))
	for token, trusted := range map[string]bool{good: true, old: false, "x": false} {
		addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Grip-Hold", "response")
			_, _ = fmt.Fprint(w, r.Header.Get("Grip-Sig") == token, r.Header.Get("Grip-Feature"))
		})
		p := newProxy(t, Options{UpstreamKey: upstream})
		req := get("/")
		req.Fields = []exchange.Field{{Name: "Grip-Sig", Value: token}}
		c := do(t, p, routeTo(addr), req, "")
		switch {
		case trusted && (c.plan != nil || string(c.body) != "true" || c.field("Grip-Hold") != "response"):
			t.Errorf("trusted: %v %v, want the response as it is", c, c.head)
		case !trusted && (c.plan == nil || string(c.plan.Body) != "false"+grip.Feature):
			t.Errorf("not trusted: %v, want a hold", c)
		}
	}
}

func TestWhatIsNotServedIsNamed(t *testing.T) {
	p := newProxy(t, Options{})
	r := routeTo(refusing(t))
	r.Targets[0].OverHTTP = true
	for _, test := range []struct {
		req    exchange.Request
		status int
		text   string
	}{
		{exchange.Request{Method: "GET", Target: "/", Fields: []exchange.Field{{Name: "upgrade", Value: "WebSocket"}}}, 501, "WebSocket to a backend is not served on this route.\n"},
		{exchange.Request{Method: "CONNECT", Target: "/"}, 501, "CONNECT is not served on this route.\n"},
		{exchange.Request{Method: "POST", Target: "/", Fields: []exchange.Field{{Name: "Content-Type", Value: "Application/WebSocket-Events; a=b"}}}, 403,
			"Client not allowed to send WebSocket events directly.\n"},
	} {
		if c := do(t, p, r, test.req, ""); c.head.Status != test.status || string(c.body) != test.text {
			t.Errorf("%+v: %v, want %d %q", test.req, c, test.status, test.text)
		}
	}
}

func TestRetryOnADeadPooledConnection(t *testing.T) {
	// Every other connection serves one request, and dies when a second one begins.
	addr := raw(t, func(nc net.Conn, number int) {
		br := bufio.NewReader(nc)
		readHead(br)
		if number%2 == 1 {
			_, _ = br.Discard(br.Buffered())
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nnew")
			return
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
		_, _ = br.Peek(5) // the second request begins
	})
	for method, want := range map[string]string{"GET": "200 new", "PUT": "200 new", "DELETE": "200 new", "OPTIONS": "200 new", "POST": "502", "PATCH": "502"} {
		p := newProxy(t, Options{})
		r := routeTo(addr)
		if c := do(t, p, r, get("/"), ""); string(c.body) != "old" {
			t.Fatalf("first answer = %v", c)
		}
		req := get("/")
		req.Method = method
		body := ""
		if method == "PUT" || method == "POST" {
			body = "body"
		}
		c := do(t, p, r, req, body)
		got := fmt.Sprint(c.head.Status)
		if c.head.Status == 200 {
			got += " " + string(c.body)
		}
		if got != want {
			t.Errorf("%s on a dead connection: %v, want %s", method, c, want)
		}
		if retries := p.stats.Retries.Load(); (retries == 1) != (want != "502") {
			t.Errorf("%s: %d retries", method, retries)
		}
		if want == "502" { // takes the number of the connection that was not needed
			do(t, p, r, get("/"), "")
		}
	}
}

// A backend that closes its connection without an answer is asked at most twice, however many idle connections there are.
func TestRequestIsSentAtMostTwice(t *testing.T) {
	const idle = 20
	var asked atomic.Int32
	var opened sync.WaitGroup
	addr := raw(t, func(nc net.Conn, _ int) {
		br := bufio.NewReader(nc)
		for {
			head := readHead(br)
			switch {
			case head == "":
				return
			case strings.Contains(head, " /warm "):
				opened.Done()
				opened.Wait() // so that no connection serves two of them
				_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			default:
				asked.Add(1)
				length := 0
				if _, after, found := strings.Cut(head, "Content-Length: "); found {
					_, _ = fmt.Sscan(after, &length)
				}
				_, _ = br.Discard(length)
				return
			}
		}
	})
	for _, test := range []struct {
		method, body, key string
		want              int32
	}{
		{"GET", "", "", 2}, {"HEAD", "", "", 2}, {"OPTIONS", "", "", 2}, {"GET", "body", "", 2}, {"PUT", "body", "", 2}, {"DELETE", "", "", 2},
		{"POST", "", "", 1}, {"POST", "body", "", 1}, {"PATCH", "body", "", 1}, {"GET", strings.Repeat("long", 30_000), "", 1},
		{"POST", "", "Idempotency-Key", 2}, {"POST", "body", "x-idempotency-key", 2},
	} {
		name := fmt.Sprintf("%s %d bytes %s", test.method, len(test.body), test.key)
		p := newProxy(t, Options{})
		r := routeTo(addr)
		var all []*client
		opened.Add(idle)
		for range idle {
			all = append(all, begin(t.Context(), p, r, get("/warm")))
		}
		for _, c := range all {
			c.wait(t)
		}
		asked.Store(0)
		req := get("/nothing")
		req.Method = test.method
		if test.key != "" {
			req.Fields = []exchange.Field{{Name: test.key, Value: "1"}}
		}
		c := do(t, p, r, req, test.body)
		if c.head.Status != 502 || p.stats.Errors(CauseEOF) != 1 {
			t.Errorf("%s: %v, errors of cause eof = %d", name, c, p.stats.Errors(CauseEOF))
		}
		if retries := p.stats.Retries.Load(); asked.Load() != test.want || retries != uint64(test.want-1) {
			t.Errorf("%s: the backend was asked %d times, want %d; %d retries", name, asked.Load(), test.want, retries)
		}
		if n := p.stats.Connections.Load(); n < idle-1 {
			t.Errorf("%s: %d connections are left of %d", name, n, idle)
		}
	}
}

func TestMayRepeat(t *testing.T) {
	type state struct{ reused, written, answered bool }
	for _, test := range []struct {
		method string
		state
		err  error
		want bool
	}{
		{"GET", state{reused: true, written: true}, io.EOF, true},
		{"GET", state{written: true}, io.EOF, false}, // a new connection
		{"GET", state{reused: true, written: true, answered: true}, io.ErrUnexpectedEOF, false},
		{"GET", state{reused: true, written: true}, errTimeout, false},
		{"GET", state{reused: true, written: true}, errors.New("ContentLength=9 with Body length 3"), true}, // as the connection broke
		{"POST", state{reused: true, written: true}, io.EOF, false},
		{"POST", state{reused: true}, io.EOF, true}, // nothing was sent
	} {
		p := newProxy(t, Options{})
		x := exchange.New(t.Context(), &client{}, 1, 1, exchange.Request{Method: test.method})
		a := (&job{p: p, x: x}).newAttempt()
		c := &conn{}
		c.written.Store(test.written)
		c.answered.Store(test.answered)
		c.closed.Store(true)
		a.conns, a.reused = []*conn{c}, test.reused
		if got := a.mayRepeat(test.err); got != test.want {
			t.Errorf("%s, %+v, %v: mayRepeat = %v, want %v", test.method, test.state, test.err, got, test.want)
		}
		a.close()
		x.Done()
	}
}

func TestDenied(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "10.1.1.1": true, "172.16.0.1": true, "172.31.255.255": true, "172.32.0.1": false, "192.168.1.1": true,
		"169.254.169.254": true, "0.0.0.0": true, "0.1.2.3": true, "100.64.0.1": true, "224.0.0.1": true, "255.255.255.255": true, "8.8.8.8": false,
		"::1": true, "::": true, "fc00::1": true, "fd12::1": true, "fe80::1%eth0": true, "ff02::1": true, "::ffff:127.0.0.1": true, "::ffff:8.8.8.8": false,
		"64:ff9b::7f00:1": true, "2002:7f00:1::": true, "2001:4860:4860::8888": false,
	} {
		if got := denied(netip.MustParseAddr(addr)); got != want {
			t.Errorf("denied(%s) = %v, want %v", addr, got, want)
		}
	}
}

func TestUntrustedTargetsAreCheckedAtConnectTime(t *testing.T) {
	addr := backend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "inside") })
	_, port, _ := net.SplitHostPort(addr)
	p := newProxy(t, Options{Debug: true})
	trusted := routeTo(addr)
	if c := do(t, p, trusted, get("/"), ""); string(c.body) != "inside" {
		t.Fatalf("trusted: %v", c)
	}
	for _, to := range []string{addr, "localhost:" + port} { // the idle connection to addr must not be used either
		r := routeTo(to, addr)
		r.Targets[0].Untrusted = true
		if c := do(t, p, r, get("/"), ""); c.head.Status != 502 || string(c.body) != "Error: Origin host/IP blocked.\n" {
			t.Errorf("%s: %v, want that it is blocked, and no other target tried", to, c)
		}
	}
	if p.stats.Errors(CauseBlocked) != 2 {
		t.Errorf("errors for blocked = %d", p.stats.Errors(CauseBlocked))
	}
}
