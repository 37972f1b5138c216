package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"holdfast/pkg/publish"
)

// A stream of HTTP/1.1 ends with its connection, and its head says so (RFC 9112, 9.6). Otherwise a
// proxy in front sends its next request on a connection that is closing, and its client gets 502.
// An answer that a backend ends by itself, and the answer to HEAD, leave the connection usable.
func TestStreamsSayThatTheirConnectionCloses(t *testing.T) {
	long := strings.Repeat("x", 150_000)
	s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/passed" {
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "passed on")
			return
		}
		w.Header().Set("Grip-Hold", "stream")
		w.Header().Set("Grip-Channel", "a")
		if r.URL.Path == "/filtered" {
			w.Header().Set("Grip-Channel", "a; filter=skip-self")
		}
		if r.URL.Path == "/long" {
			_, _ = io.WriteString(w, long)
		}
		_, _ = io.WriteString(w, "opened")
	}, nil)
	for _, path := range []string{"/held", "/filtered", "/long"} {
		c := dialPoller(t, s.addr())
		c.ask("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		head := readUntil(t, c.r, "\r\n\r\n")
		if !strings.Contains(head, "\r\nConnection: close\r\n") {
			t.Errorf("%s: the head is %q, want Connection: close", path, head)
		}
		eventually(t, "it is held", func() bool { return s.Snapshot().Connections.Stream == 1 })
		end := streamItem("a", "")
		end.Stream.Action = publish.Close
		if _, err := ctl.Publish(t.Context(), []publish.Item{end}); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(c.r); !strings.HasSuffix(string(rest), "opened\r\n0\r\n\r\n") || err != nil {
			t.Errorf("%s: after the close action %.99q, %v, want the last chunk and the end", path, rest, err)
		}
		eventually(t, "it is gone", func() bool { return s.Snapshot().Connections.Stream == 0 })
	}
	c := dialPoller(t, s.addr())
	for _, request := range []string{"GET /passed", "HEAD /held", "HEAD /filtered", "GET /passed"} {
		c.ask(request + " HTTP/1.1\r\nHost: x\r\n\r\n")
		head := readUntil(t, c.r, "\r\n\r\n")
		if strings.HasPrefix(request, "GET") {
			head += readUntil(t, c.r, "0\r\n\r\n")
		}
		if strings.Contains(head, "Connection: close") {
			t.Errorf("%s: the answer is %q, want a connection that stays", request, head)
		}
	}
}
