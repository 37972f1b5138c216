package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/token"
)

// A poll that is answered from the history leaves the connection for the next one.
func TestPollAnsweredFromHistoryKeepsItsConnection(t *testing.T) {
	s, ctl := startServer(t, func(o *Options) {
		o.History, o.HistoryMemory = []hub.HistoryRule{{Pattern: "*", Items: 10}}, 1<<20
	})
	defer s.Shutdown()
	defer ctl.Close()
	for i := range 3 {
		if _, err := ctl.Publish(context.Background(), []publish.Item{responseItem("a", publish.Response{Body: fmt.Sprint("m", i)})}); err != nil {
			t.Fatal(err)
		}
	}
	p := dialPoller(t, s.addr())
	last := "x"
	for i := range 3 {
		p.ask("GET /poll?channel=a&last-id=" + last + " HTTP/1.1\r\nHost: x\r\n\r\n")
		res, err := http.ReadResponse(p.r, nil)
		if err != nil {
			t.Fatalf("answer %d on the same connection: %v", i, err)
		}
		last = res.Header.Get("Last-Event-ID")
		body, err := io.ReadAll(res.Body)
		if string(body) != fmt.Sprint("m", i) || err != nil {
			t.Errorf("answer %d: %q, %v", i, body, err)
		}
	}
}

// Requests that are pipelined beyond --max-header are answered, with tokens as without.
func TestPipeliningWithTokens(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	for _, guarded := range []bool{false, true} {
		s, ctl := startServer(t, func(o *Options) {
			if guarded {
				o.TokenKey, _ = token.ParseKey(secret, nil)
			}
		})
		tok, _ := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix(), "channels": []string{"a"}}).SignedString([]byte(secret))
		p := dialPoller(t, s.addr())
		const n = 200
		p.ask(strings.Repeat("HEAD /events?channel=a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+tok+"\r\n\r\n", n))
		got := 0
		for range n {
			res, err := http.ReadResponse(p.r, &http.Request{Method: "HEAD"})
			if err != nil {
				t.Errorf("guarded %v: after %d answers of %d: %v", guarded, got, n, err)
				break
			}
			if res.StatusCode != 200 {
				t.Errorf("status %d", res.StatusCode)
			}
			got++
		}
		ctl.Close()
		s.Shutdown()
	}
}

// The next requests may be sent while a poll is held, however many.
func TestPollsPipelined(t *testing.T) {
	s, ctl := startServer(t, nil)
	defer s.Shutdown()
	defer ctl.Close()
	p := dialPoller(t, s.addr())
	p.ask("GET /poll?channel=a HTTP/1.1\r\nHost: x\r\n\r\n" + strings.Repeat("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 600))
	eventually(t, "the poll is held", func() bool { return s.Snapshot().Connections.Poll == 1 })
	if _, err := ctl.Publish(context.Background(), []publish.Item{responseItem("a", publish.Response{Body: "x"})}); err != nil {
		t.Fatal(err)
	}
	for i := range 601 {
		res, err := http.ReadResponse(p.r, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatalf("body of answer %d: %v", i, err)
		}
	}
}

// Whatever a client says it saw last, it gets a clear answer, and its neighbour what is published.
func TestStrangeLastEventIDs(t *testing.T) {
	s, ctl := startServer(t, func(o *Options) {
		o.History, o.HistoryMemory = []hub.HistoryRule{{Pattern: "*", Items: 10}}, 1<<20
	})
	defer s.Shutdown()
	defer ctl.Close()
	neighbour := open(t, s.addr(), "/stream?channel=a", "")
	for i := range 3 {
		if _, err := ctl.Publish(t.Context(), []publish.Item{streamItem("a", fmt.Sprint("m", i, "\n"))}); err != nil {
			t.Fatal(err)
		}
		want(t, neighbour, fmt.Sprint("m", i, "\n"))
	}
	all := "data: m0"
	p := dialPoller(t, s.addr())
	p.ask("GET /events?channel=a&last=1 HTTP/1.1\r\nHost: x\r\n\r\n")
	own := readUntil(t, p.r, "data: m2")
	own = own[strings.LastIndex(own, "\nid: ")+len("\nid: "):] // before is the position
	own, _, _ = strings.Cut(own, "\n")
	epoch, _, _ := strings.Cut(own, "-")
	for name, tt := range map[string]struct{ id, want string }{
		"its own":           {own, "retry: "},
		"another epoch":     {"zzzzzzzzz-2", "event: gap"},
		"the future":        {epoch + "-99", "event: gap"},
		"a future position": {epoch + ".99", "event: gap"},
		"a position":        {epoch + ".2", "data: m2"},
		"not a number":      {epoch + "-x", "event: gap"},
		"number 0":          {epoch + "-0", "event: gap"},
		"7 KB":              {strings.Repeat("x", 7<<10), "event: gap"},
		"10 KB":             {strings.Repeat("x", 10<<10), "HTTP/1.1 431 "},
		"control bytes":     {"a\x01b", "HTTP/1.1 400 "},
		"not UTF-8":         {"\xff\xfe", "event: gap"},
	} {
		p := dialPoller(t, s.addr())
		p.ask("GET /events?channel=a HTTP/1.1\r\nHost: x\r\nLast-Event-ID: " + tt.id + "\r\n\r\n")
		got := readUntil(t, p.r, tt.want)
		if tt.want == "event: gap" {
			readUntil(t, p.r, all)
		} else if strings.Contains(got, "event: gap") {
			t.Errorf("%s: a gap in %q", name, got)
		}
		p.Close()
	}
	if _, err := ctl.Publish(t.Context(), []publish.Item{streamItem("a", "at last\n")}); err != nil {
		t.Fatal(err)
	}
	want(t, neighbour, "at last\n")
}

// readUntil reads until text has come, and returns everything.
func readUntil(t *testing.T, r *bufio.Reader, text string) string {
	t.Helper()
	var got strings.Builder
	for !strings.Contains(got.String(), text) {
		b, err := r.ReadByte()
		if err != nil {
			t.Fatalf("%q has not come, but %q, %v", text, got.String(), err)
		}
		got.WriteByte(b)
	}
	return got.String()
}
