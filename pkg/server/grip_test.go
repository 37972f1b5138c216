package server

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/pkg/client"
	"holdfast/pkg/publish"
)

// behind runs a pushd in front of a backend. lines are further routes, before the one for everything.
func behind(t *testing.T, backend http.HandlerFunc, change func(*Options), lines ...string) (*Server, *client.Conn) {
	t.Helper()
	b := httptest.NewServer(backend)
	t.Cleanup(b.Close)
	file := filepath.Join(t.TempDir(), "routes")
	addr := strings.TrimPrefix(b.URL, "http://")
	text := strings.ReplaceAll(strings.Join(append(lines, "* BACKEND"), "\n")+"\n", "BACKEND", addr)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s, ctl := startServer(t, func(o *Options) {
		o.Routes = file
		o.BackendTimeout = 2 * time.Second
		if change != nil {
			change(o)
		}
	})
	t.Cleanup(func() {
		ctl.Close()
		s.Shutdown()
	})
	return s, ctl
}

// roundTrip sends a request on a connection of its own and returns everything that comes until pushd closes it, or for 300 ms.
func roundTrip(t *testing.T, s *Server, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(c)
	return string(b)
}

const closing = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

func TestProxiedRequests(t *testing.T) {
	s, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("%s %s: the backend reads %q, %v", r.Method, r.URL, body, err)
		}
		if r.URL.Path == "/none" {
			w.WriteHeader(204)
			return
		}
		w.Header().Set("X-Seen", fmt.Sprintf("%s %s %s %d %v", r.Method, r.URL, r.Host, r.ContentLength, r.Header["Grip-Foo"]))
		if r.URL.Path == "/chunks" {
			for i := range 3 {
				fmt.Fprint(w, i, ";")
				w.(http.Flusher).Flush()
			}
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)+1))
		fmt.Fprintf(w, "%s\n", body)
	}, nil)
	for name, tt := range map[string]struct{ request, head, body string }{
		"GET":            {"GET /x?q=1" + closing + "\r\n", "X-Seen: GET /x?q=1 x 0 []\r\n", "\n"},
		"Grip headers":   {"GET /x" + closing + "Grip-Foo: 1\r\n\r\n", "X-Seen: GET /x x 0 []\r\n", "\n"},
		"HEAD":           {"HEAD /x" + closing + "\r\n", "Content-Length: 1\r\n", ""},
		"POST":           {"POST /x" + closing + "Content-Length: 5\r\n\r\nhello", "X-Seen: POST /x x 5 []\r\n", "hello\n"},
		"chunked":        {"PUT /x" + closing + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\n on\r\n0\r\n\r\n", "X-Seen: PUT /x x ", "hello on\n"},
		"chunked answer": {"GET /chunks" + closing + "\r\n", "Transfer-Encoding: chunked\r\n", "0;1;2;"},
		"old client":     {"GET /chunks HTTP/1.0\r\n\r\n", "Connection: close\r\n", "0;1;2;"},
		"204":            {"GET /none" + closing + "\r\n", "HTTP/1.1 204 No Content\r\n", ""},
		"continue":       {"POST /x" + closing + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", "ok\n"},
	} {
		got := roundTrip(t, s, tt.request)
		head, body, _ := strings.Cut(strings.TrimPrefix(got, "HTTP/1.1 100 Continue\r\n\r\n"), "\r\n\r\n")
		if strings.Contains(head, "chunked") {
			all, err := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(body)))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			body = string(all)
		}
		if !strings.Contains(got, tt.head) || body != tt.body {
			t.Errorf("%s:\n%q\nwant %q and body %q (head %q)", name, got, tt.head, tt.body, head)
		}
	}
	// One connection, request after request, also with bodies, also sent ahead.
	got := roundTrip(t, s, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /3"+closing+"\r\n")
	if strings.Count(got, "HTTP/1.1 200 OK") != 3 || !strings.Contains(got, "abc\n") || !strings.Contains(got, "GET /3 x") {
		t.Errorf("pipelined: %q", got)
	}
	if n := s.Snapshot().Connections.Total; n != 0 {
		eventually(t, "all are gone", func() bool { return s.Snapshot().Connections.Total == 0 })
	}
}

func TestGripStreamHold(t *testing.T) {
	s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Grip-Hold", "stream")
		w.Header().Set("Grip-Channel", r.URL.Query().Get("topic"))
		w.Header().Set("Grip-Keep-Alive", `:\n\n; format=cstring; timeout=1`)
		io.WriteString(w, "event: message\ndata: stream open\n\n")
	}, nil)
	c := dialPoller(t, s.addr())
	c.ask("GET /stream?topic=a HTTP/1.1\r\nHost: x\r\n\r\n")
	head := readUntil(t, c.r, "stream open\n\n\r\n")
	if strings.Contains(head, "Grip-") || !strings.Contains(head, "Transfer-Encoding: chunked") || strings.Contains(head, "Content-Length") {
		t.Errorf("head %q", head)
	}
	eventually(t, "it is held", func() bool { return s.Snapshot().Connections.Stream == 1 })
	acks, err := ctl.Publish(t.Context(), []publish.Item{streamItem("a", "hello\n")})
	if err != nil || acks[0].Receivers != 1 {
		t.Fatalf("publish: %v, %v", acks, err)
	}
	readUntil(t, c.r, "6\r\nhello\n\r\n")
	start := time.Now()
	readUntil(t, c.r, "3\r\n:\n\n\r\n")
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("the keep-alive came after %v", d)
	}
	end := streamItem("a", "")
	end.Stream.Action = publish.Close
	if _, err := ctl.Publish(t.Context(), []publish.Item{end}); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c.r); !strings.HasSuffix(string(rest), "0\r\n\r\n") || err != nil {
		t.Errorf("after the close action %q, %v", rest, err)
	}
}

func TestGripResponseHold(t *testing.T) {
	var asked atomic.Int32
	var mu sync.Mutex
	var last []string
	read := "5" // id of the item that the backend has read of b
	s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		mu.Lock()
		last = append(last, r.Header.Get("Grip-Last"))
		prev := read
		mu.Unlock()
		if r.URL.Path == "/again" && r.Header.Get("Grip-Last") != "" {
			fmt.Fprint(w, "fresh")
			return
		}
		w.Header().Set("Grip-Hold", "response")
		w.Header().Set("Grip-Timeout", "5")
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("X-A", "1")
		if r.URL.Path == "/again" {
			w.Header().Set("Grip-Channel", "b; prev-id="+prev)
		} else {
			w.Header().Set("Grip-Channel", "a")
			w.Header().Set("Grip-Status", "203 Waited")
		}
		fmt.Fprint(w, `{"timeout":true}`)
	}, nil)
	hold := func(path string) *poller {
		c := dialPoller(t, s.addr())
		before := s.Snapshot().Connections.Poll
		c.ask("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		eventually(t, "it is held", func() bool { return s.Snapshot().Connections.Poll > before })
		return c
	}
	publishOne := func(it publish.Item) {
		t.Helper()
		if _, err := ctl.Publish(t.Context(), []publish.Item{it}); err != nil {
			t.Fatal(err)
		}
	}
	c := hold("/")
	publishOne(responseItem("a", publish.Response{Code: 202, Reason: "Yep", Body: "news", Headers: []publish.Header{{Name: "X-A", Value: "2"}, {Name: "X-C", Value: "3"}}}))
	res, body := c.answer()
	if res.Status != "202 Yep" || body != "news" || res.Header.Get("X-A") != "2" || res.Header.Get("X-C") != "3" || res.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("answered %s %v %q", res.Status, res.Header, body)
	}
	c.ask("GET /x HTTP/1.1\r\nHost: x\r\n\r\n") // the connection is used again
	eventually(t, "it is held again", func() bool { return s.Snapshot().Connections.Poll == 1 })
	publishOne(responseItem("a", publish.Response{BodyPatch: `[{"op":"replace","path":"/timeout","value":false}]`}))
	if res, body = c.answer(); body != `{"timeout":false}` {
		t.Errorf("patched: %s %q", res.Status, body)
	}
	start := time.Now()
	c.ask("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
	if res, body = c.answer(); res.Status != "203 Waited" || body != `{"timeout":true}` || time.Since(start) < 5*time.Second {
		t.Errorf("after %v: %s %q", time.Since(start), res.Status, body)
	}

	// A hint has the backend asked again, and so has an item that does not follow what the backend knew.
	before := asked.Load()
	hold("/")
	publishOne(responseItem("a", publish.Response{Action: publish.Hint}))
	eventually(t, "the backend is asked again, and has it held", func() bool {
		return asked.Load() == before+2 && s.Snapshot().Connections.Poll == 1
	})
	c = hold("/again")
	it := responseItem("b", publish.Response{Body: "unseen"})
	it.ID, it.PrevID = "7", "6"
	publishOne(it)
	if _, body = c.answer(); body != "fresh" {
		t.Errorf("after an item out of order: %q", body)
	}
	mu.Lock()
	if got := last[len(last)-1]; got != "b; last-id=5" {
		t.Errorf("Grip-Last: %q", got)
	}
	read = "7"
	mu.Unlock()
	c = hold("/again")
	it.ID, it.PrevID = "8", "7"
	publishOne(it)
	if _, body = c.answer(); body != "unseen" {
		t.Errorf("after an item in order: %q", body)
	}
}

func TestGripFiltersAndJSON(t *testing.T) {
	s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) {
		user := r.URL.Query().Get("user")
		w.Header().Set("Content-Type", "application/grip-instruct")
		fmt.Fprintf(w, `{"hold":{"mode":"stream","channels":[{"name":"room","filters":["skip-self"]},{"name":"n-%s"}],"meta":{"user":%q}},"response":{"headers":{"X-J":"1"},"body":"hi %s\n"}}`, user, user, user)
	}, nil, "*,path_beg=/p,prefix=p- BACKEND")
	open := func(path, opening string) *bufio.Reader {
		c := dialPoller(t, s.addr())
		c.ask("GET " + path + " HTTP/1.0\r\nHost: x\r\n\r\n")
		if head := readUntil(t, c.r, opening); !strings.Contains(head, "X-J: 1\r\n") {
			t.Errorf("head %q", head)
		}
		return c.r
	}
	al, bo := open("/?user=al", "hi al\n"), open("/?user=bo", "hi bo\n")
	open("/p?user=cy", "hi cy\n")
	eventually(t, "they are held", func() bool { return s.Snapshot().Connections.Stream == 3 })
	it := streamItem("room", "from al\n")
	it.Meta = map[string]string{"sender": "al"}
	acks, err := ctl.Publish(t.Context(), []publish.Item{it, streamItem("n-al", "to al\n"), streamItem("p-n-cy", "to cy\n"), streamItem("n-cy", "to nobody\n")})
	if err != nil || acks[0].Receivers != 1 || acks[1].Receivers != 1 || acks[2].Receivers != 1 || acks[3].Receivers != 0 {
		t.Errorf("receivers %v, %v", acks, err)
	}
	if got := readUntil(t, bo, "from al\n"); got != "from al\n" {
		t.Errorf("bo got %q", got)
	}
	if got := readUntil(t, al, "to al\n"); got != "to al\n" {
		t.Errorf("al got %q", got)
	}
	if n := s.Snapshot().Dropped["filtered"]; n != 1 {
		t.Errorf("%d filtered, want 1", n)
	}
}

func TestRouteTargets(t *testing.T) {
	var dead net.Listener
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := dead.Addr().String()
	dead.Close()
	s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "backend") }, nil,
		"*,path_beg=/channels direct", "fixed.example direct,channel=a", "*,path_beg=/test test", "down.example "+gone, "over.example "+gone+" BACKEND")
	get := func(host, path, more string) string {
		return roundTrip(t, s, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n"+more+"\r\n")
	}
	for _, tt := range []struct{ host, path, status, body string }{
		{"x", "/channels/poll?channel=a&timeout=1", "204 No Content", ""},
		{"x", "/events?channel=a", "200 OK", "backend"},
		{"x", "/test", "200 OK", ""},
		{"x", "/test/nothing", "404 Not Found", "no such test resource"},
		{"down.example", "/", "502 Bad Gateway", "Error while proxying to origin.\n"},
		{"over.example", "/", "200 OK", "backend"},
		{"fixed.example", "/any", "", ""},
	} {
		if tt.status == "" {
			continue
		}
		got := get(tt.host, tt.path, "")
		if !strings.HasPrefix(got, "HTTP/1.1 "+tt.status+"\r\n") || !strings.Contains(got, tt.body) {
			t.Errorf("%s%s: %q, want %s %q", tt.host, tt.path, got, tt.status, tt.body)
		}
	}
	if got := get("x", "/chat", "Upgrade: websocket\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200") && !strings.HasPrefix(got, "HTTP/1.1 501") {
		t.Errorf("upgrade: %q", got)
	}
	c := dialPoller(t, s.addr())
	c.ask("GET /whatever HTTP/1.1\r\nHost: fixed.example\r\nAccept: text/event-stream\r\n\r\n")
	readUntil(t, c.r, "retry: ")
	d := dialPoller(t, s.addr())
	d.ask("GET /test/stream?channel=a HTTP/1.1\r\nHost: x\r\n\r\n")
	readUntil(t, d.r, "[stream opened]\n")
	eventually(t, "both are held", func() bool { return s.Snapshot().Subscriptions == 2 })
	if acks, err := ctl.Publish(t.Context(), []publish.Item{streamItem("a", "x\n")}); err != nil || acks[0].Receivers != 2 {
		t.Errorf("%v, %v", acks, err)
	}
	readUntil(t, c.r, "data: x\n\n")
	readUntil(t, d.r, "x\n")
}

// Bodies of any size pass through in both directions, and a client that leaves ends the request at the backend.
func TestBodiesPassThrough(t *testing.T) {
	const size = 32 << 20
	gone := make(chan struct{})
	s, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-r.Context().Done()
			close(gone)
			return
		}
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil { // else net/http throws 256 KiB of the body away
			t.Error(err)
		}
		h := sha256.New()
		n, err := io.Copy(io.MultiWriter(h, w), r.Body)
		if n != size || err != nil {
			t.Errorf("the backend read %d bytes, %v", n, err)
		}
	}, func(o *Options) { o.MaxQueued = 64 << 10 })
	up := io.LimitReader(&pattern{}, size)
	sent := sha256.New()
	res, err := http.Post("http://"+s.addr()+"/", "application/octet-stream", io.TeeReader(up, sent))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got := sha256.New()
	n, err := io.Copy(got, res.Body)
	if n != size || err != nil || string(got.Sum(nil)) != string(sent.Sum(nil)) {
		t.Errorf("%d bytes came back, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+s.addr()+"/wait", nil)
	time.AfterFunc(200*time.Millisecond, cancel)
	if _, err := http.DefaultClient.Do(req); err == nil {
		t.Error("the request was answered")
	}
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Error("the backend is still working for a client that has left")
	}
}

// pattern yields bytes that differ.
type pattern struct{ n byte }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		p.n = p.n*31 + 7
		b[i] = p.n
	}
	return len(b), nil
}
