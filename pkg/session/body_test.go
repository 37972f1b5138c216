package session

import (
	"strings"
	"sync/atomic"
	"testing"

	"holdfast/pkg/route"
	"holdfast/pkg/stats"
)

const chunkedGet = "GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

// What follows an empty body is the next request.
func TestRequestsBehindEmptyChunkedBodies(t *testing.T) {
	f := newFake(t)
	id, c := f.request(strings.Repeat(chunkedGet+"0\r\n\r\n", maxPipelined+2) + "GET /ready" + host)
	_, bodies := responses(t, c.out.String())
	want := strings.Repeat("ok\n", maxPipelined+2) + "ready\n"
	if got := strings.Join(bodies, ""); got != want || f.state(id) != stays {
		t.Errorf("answers %q, the connection %s; want %q and that it stays", got, f.state(id), want)
	}
}

// A body that does not end is not waited for longer than a head is.
func TestEmptyBodyThatDoesNotEnd(t *testing.T) {
	for _, before := range []string{"", "GET /ready" + host} {
		f := newFake(t)
		id, c := f.request(before + chunkedGet + "0\r\n")
		if c.over || c.armed != testOptions.HeaderTimeout {
			t.Fatalf("over=%v, deadline %v, want the header timeout", c.over, c.armed)
		}
		f.clients.Due(id)
		if !strings.Contains(c.out.String(), "HTTP/1.1 408 ") || c.why != stats.CloseTimeoutHead {
			t.Errorf("answer %q, closed for %v, want 408", c.out.String(), c.why)
		}
	}
}

// Head and trailers together are bounded: a loop closes a connection of which more is left.
func TestEmptyBodyIsBoundedWithItsHead(t *testing.T) {
	f := newFake(t)
	_, c := f.request(chunkedGet + "0\r\nX: ")
	for range testOptions.MaxHeader {
		if f.write(f.last, "y"); c.over {
			break
		}
	}
	if got := c.out.String(); !strings.HasPrefix(got, "HTTP/1.1 413 ") || len(c.in) > testOptions.MaxHeader {
		t.Errorf("answer %q with %d bytes left, want 413", got, len(c.in))
	}
}

// withRoutes returns a fake that serves by a routes file.
func withRoutes(t *testing.T, file string) *fakeTransport {
	t.Helper()
	table, err := route.Parse("routes", []byte(file), route.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := newFake(t)
	f.clients.opts.Routes = new(atomic.Pointer[route.Table])
	f.clients.opts.Routes.Store(table)
	return f
}

// A route that fences off a path is not passed by an escaped letter.
func TestRoutesOfEscapedPaths(t *testing.T) {
	f := withRoutes(t, "*,path_beg=/%66ence/ direct\n* direct,channel=all\n")
	for path, want := range map[string]string{
		"/fence/health":        "HTTP/1.1 200 OK",
		"/%66%65nce/health":    "HTTP/1.1 200 OK",
		"/fence/%68ealth":      "HTTP/1.1 200 OK",
		"/%66ence/h%65alth":    "HTTP/1.1 200 OK",
		"/%66ence/poll":        "HTTP/1.1 400 Bad Request", // no channel: the other route has one
		"/%2566ence/poll":      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream",
		"/fence%2fpoll":        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream",
		"/%66ence/%2568ealth":  "HTTP/1.1 404 Not Found",
		"/%66ence/demo%2fconn": "HTTP/1.1 404 Not Found",
	} {
		_, c := f.request("GET " + path + host)
		if got := c.out.String(); !strings.HasPrefix(got, want) {
			t.Errorf("GET %s: answer %q, want %s", path, got, want)
		}
	}
}

// The daemon's option is the default of the request's.
func TestStreamOpeningOfTheDaemon(t *testing.T) {
	opts := testOptions
	opts.StreamOpening = true
	for query, want := range map[string]string{
		"": "22\r\n" + streamOpen + "\r\n", "&opening=1": "22\r\n" + streamOpen + "\r\n", "&opening=0": "",
	} {
		f := newFakeWith(t, opts)
		_, c := f.request("GET /stream?channel=a" + query + host)
		if got := steady(c.out.String()); got != holdHead+chunk+want {
			t.Errorf("%q: answer %q, want %q behind the head", query, got, want)
		}
	}
}
