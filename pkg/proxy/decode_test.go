package proxy

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// coded returns s in a coding of HTTP.
func coded(t testing.TB, coding, s string) string {
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip", "x-gzip", "GZIP":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "bare deflate":
		w, _ = flate.NewWriter(&b, 9)
	default:
		return s
	}
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A hold's answer goes out with what items add, so it is kept without its coding.
func TestHoldsAreDecoded(t *testing.T) {
	const hold = "Grip-Hold: response\r\nGrip-Channel: a\r\n"
	for _, coding := range []string{"gzip", "x-gzip", "GZIP", "deflate", "bare deflate"} {
		body := coded(t, coding, "nothing yet\n")
		p := newProxy(t, Options{})
		c := do(t, p, routeTo(saying(t, fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s",
			hold, strings.TrimPrefix(coding, "bare "), len(body), body))), get("/"), "")
		if c.plan == nil || string(c.plan.Body) != "nothing yet\n" || c.plan.Head.Length != 12 {
			t.Errorf("%s: %v, plan %+v", coding, c, c.plan)
			continue
		}
		for _, f := range c.plan.Head.Fields {
			if f.Name == "Content-Encoding" {
				t.Errorf("%s: fields = %v", coding, c.plan.Head.Fields)
			}
		}
	}
	body := coded(t, "gzip", `{"hold":{"channels":[{"name":"a"}]},"response":{"body":"later"}}`)
	p := newProxy(t, Options{})
	c := do(t, p, routeTo(saying(t, "HTTP/1.1 200 OK\r\nContent-Type: application/grip-instruct\r\n"+
		"Content-Encoding: gzip\r\n\r\n"+body)), get("/"), "")
	if c.plan == nil || string(c.plan.Body) != "later" || len(c.plan.Instruct.Channels) != 1 {
		t.Errorf("JSON: %v, plan %+v", c, c.plan)
	}
}

// What inflates to more than may be held is refused, and so is what is no gzip. A first body of a
// stream flows through, however long it is.
func TestDecodingIsBounded(t *testing.T) {
	zeros := coded(t, "gzip", strings.Repeat("0", 32<<20))
	const head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nGrip-Channel: a\r\nGrip-Hold: "
	p := newProxy(t, Options{})
	if c := do(t, p, routeTo(saying(t, head+"response\r\n\r\n"+zeros)), get("/"), ""); c.head.Status != 502 || p.stats.Errors(CauseTooLarge) != 1 {
		t.Errorf("32 MiB in %d bytes: %v", len(zeros), c)
	}
	if c := do(t, p, routeTo(saying(t, head+"response\r\n\r\nnope")), get("/"), ""); c.head.Status != 502 {
		t.Errorf("no gzip: %v", c)
	}
	half := coded(t, "gzip", "nothing yet\n")[:15]
	if c := do(t, p, routeTo(saying(t, head+"response\r\n\r\n"+half)), get("/"), ""); c.head.Status != 502 {
		t.Errorf("half of it: %v", c)
	}
	if c := do(t, p, routeTo(saying(t, head+"response\r\nContent-Length: 0\r\n\r\n")), get("/"), ""); c.plan == nil || len(c.plan.Body) != 0 {
		t.Errorf("an empty body: %v", c)
	}
	c := begin(t.Context(), p, routeTo(saying(t, head+"stream\r\n\r\n"+zeros)), get("/"), func(c *client) { c.count = true })
	if c.wait(t); c.plan == nil || !c.plan.Begun || c.size != 32<<20 {
		t.Errorf("a long first body: %d bytes, plan %+v", c.size, c.plan)
	}
}

// Without a hold a coding is the client's affair.
func TestOtherAnswersKeepTheirCoding(t *testing.T) {
	body := coded(t, "gzip", "hello")
	for _, fields := range []string{"", "Grip-Channel: a\r\n"} {
		p := newProxy(t, Options{})
		c := do(t, p, routeTo(saying(t, fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s",
			fields, len(body), body))), get("/"), "")
		if c.field("Content-Encoding") != "gzip" || string(c.body) != body {
			t.Errorf("%q: %v with %v", fields, c, c.head.Fields)
		}
	}
}

// Old servers name the transfer coding identity, which is none, wherever their heads are split.
func TestIdentityIsNoTransferCoding(t *testing.T) {
	for _, head := range []string{
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.0 200 OK\r\nX-A: 1\r\ntransfer-encoding:IDENTITY \r\nConnection: close\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nX-B: 2\r\n\r\n",
	} {
		for split := range len(head) {
			addr := raw(t, func(nc net.Conn, _ int) {
				_, _ = nc.Read(make([]byte, 4<<10))
				_ = nc.(*net.TCPConn).SetNoDelay(true)
				_, _ = io.WriteString(nc, head[:split])
				_, _ = io.WriteString(nc, head[split:]+"ok")
			})
			p := newProxy(t, Options{})
			if c := do(t, p, routeTo(addr), get("/"), ""); c.head.Status != 200 || string(c.body) != "ok" {
				t.Fatalf("%q, split at %d: %v", head, split, c)
			}
			p.Close()
		}
	}
	// Another coding stays what it is: chunked is understood, others are refused.
	p := newProxy(t, Options{})
	if c := do(t, p, routeTo(saying(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")),
		get("/"), ""); string(c.body) != "ok" {
		t.Errorf("identity, chunked: %v", c)
	}
	if c := do(t, p, routeTo(saying(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok")), get("/"), ""); c.head.Status != 502 {
		t.Errorf("gzip: %v", c)
	}
}

// However the head comes in pieces, what is left of it is the same, and nothing behind it changes.
func FuzzIdentityStripper(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nA: b\r\n\r\nTransfer-Encoding: identity\r\n"), 5)
	f.Add([]byte("HTTP/1.1 100 Continue\n\nHTTP/1.1 200\nTransfer-Encoding: x, identity\n\nbody"), 1)
	f.Add([]byte("T\nTransfer-Encoding:\r\n"+strings.Repeat("T", 200)+"\n\n"), 7)
	f.Fuzz(func(t *testing.T, head []byte, size int) {
		size = max(1, min(size, len(head)))
		whole := strip(head, max(1, len(head)))
		if got := strip(head, size); !bytes.Equal(got, whole) {
			t.Errorf("%q in pieces of %d is %q, whole %q", head, size, got, whole)
		}
		if _, body, found := bytes.Cut(head, []byte("\n\n")); found && !bytes.HasSuffix(whole, body) && !bytes.HasPrefix(body, []byte("HTTP")) {
			if !bytes.Contains(body, []byte("\n")) {
				t.Errorf("%q is %q: its body has changed", head, whole)
			}
		}
	})
}

// strip strips a head that comes in pieces.
func strip(head []byte, size int) (all []byte) {
	var s identityStripper
	s.begin()
	for len(head) > 0 {
		n := min(size, len(head))
		b := append(bytes.Clone(s.kept), head[:n]...)
		head, s.kept = head[n:], s.kept[:0]
		all = append(all, s.strip(b, len(head) == 0)...)
	}
	return all
}
