package proxy

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"holdfast/pkg/exchange"
	"holdfast/pkg/http1"
)

// FuzzBackend has a backend answer any bytes: what comes of them is one whole answer that can be written as HTTP, or one that has begun
// and is seen to break off.
func FuzzBackend(f *testing.F) {
	for _, test := range badResponses {
		if len(test.response) < 4<<10 {
			f.Add([]byte(test.response))
		}
	}
	for _, seed := range []string{
		ok + "Content-Length: 2\r\nX-A: 1\r\n\r\nhi",
		ok + "Transfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2;x=y\r\nhi\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 103 Early\r\n\r\nHTTP/1.0 299 Odd\r\n\r\nto the end",
		hold("Grip-Hold: response\r\nGrip-Channel: a; prev-id=1; filter=skip-self, b\r\nGrip-Set-Meta: user=al\r\nGrip-Expose-Headers: x\r\n"),
		hold("Grip-Hold: stream\r\nGrip-Channel: a\r\nGrip-Keep-Alive: \\n; format=cstring; timeout=5; mode=interval\r\nGrip-Status: 203 So\r\n"),
		jsonResponse(`{"hold":{"channels":[{"name":"a"}]},"response":{"code":404,"headers":{"X":"1"},"body":"x"}}`),
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: a\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	var response atomic.Pointer[[]byte]
	addr := raw(f, func(nc net.Conn, _ int) {
		readHead(bufio.NewReader(nc))
		_, _ = nc.Write(*response.Load())
	})
	p := newProxy(f, Options{})
	r := routeTo(addr)
	r.AutoCORS = true
	f.Fuzz(func(t *testing.T, answer []byte) {
		response.Store(&answer)
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			req := get("/")
			req.Method = method
			checkEvents(t, do(t, p, r, req, ""), method)
		}
	})
}

// checkEvents checks the order of events, and that no head can break the framing of an answer.
func checkEvents(t *testing.T, c *client, method string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.kinds[len(c.kinds)-1]
	begun := c.kinds[0] == exchange.Begin
	whole := len(c.kinds) == 1 && (last == exchange.Answer || last == exchange.Hold)
	if !whole && !(begun && (last == exchange.End || last == exchange.Cut || last == exchange.Hold)) {
		t.Errorf("events = %v", c.kinds)
	}
	head := c.head
	if last == exchange.Hold && !c.plan.Begun {
		head = c.plan.Head
	}
	if head == nil {
		t.Fatalf("no head; events = %v", c.kinds)
	}
	if head.Status < 200 || head.Status > 999 || !http1.ValidFieldValue(head.Reason) || head.Length < -1 {
		t.Errorf("head = %+v", head)
	}
	for _, field := range head.Fields {
		name := http.CanonicalHeaderKey(field.Name)
		if !http1.ValidFieldName(field.Name) || !http1.ValidFieldValue(field.Value) || strings.HasPrefix(name, "Grip-") ||
			name == "Content-Length" || name == "Transfer-Encoding" || name == "Connection" {
			t.Errorf("field %+v reaches the client", field)
		}
	}
	if last == exchange.Answer && method == http.MethodHead && len(c.body) > 0 {
		t.Errorf("the answer to HEAD has the body %q", c.body)
	}
	if last == exchange.End && method == http.MethodGet && head.Length >= 0 && head.Length != c.size {
		t.Errorf("a complete body of %d bytes has %d", head.Length, c.size)
	}
}
