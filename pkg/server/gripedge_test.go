package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holdfast/pkg/publish"
)

func within(t *testing.T, what string, d time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(d); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, d)
		}
	}
}

func responseHold(w http.ResponseWriter, channel string) {
	w.Header().Set("Grip-Hold", "response")
	w.Header().Set("Grip-Timeout", "30")
	w.Header().Set("Grip-Channel", channel)
	fmt.Fprint(w, "nothing")
}

func TestGripResponseHoldSeesClientLeave(t *testing.T) {
	s, _ := behind(t, func(w http.ResponseWriter, r *http.Request) { responseHold(w, "a") }, nil)
	c, _ := net.Dial("tcp", s.addr())
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "held", func() bool { return s.Snapshot().Connections.Poll == 1 })
	c.Close()
	within(t, "the hold of a client that has closed its connection ends", 3*time.Second, func() bool { return s.Snapshot().Connections.Total == 0 })
}

func TestGripHoldThatBeginsInDrain(t *testing.T) {
	s, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(700 * time.Millisecond)
		responseHold(w, "a")
	}, func(o *Options) { o.DrainTimeout = 3 * time.Second; o.Loops = 1 })
	got := make(chan string, 5)
	for range 5 {
		go func() {
			c, _ := net.Dial("tcp", s.addr())
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			c.SetDeadline(time.Now().Add(10 * time.Second))
			b, err := io.ReadAll(c)
			got <- fmt.Sprintf("%q %v", b, err)
		}()
	}
	time.Sleep(200 * time.Millisecond)
	start := time.Now()
	s.Shutdown()
	t.Logf("shutdown took %v", time.Since(start))
	for range 5 {
		if g := <-got; !strings.Contains(g, "nothing") {
			t.Errorf("held during the drain: got %s", g)
		}
	}
}

func TestGripIdleAfterAnswerInDrain(t *testing.T) {
	s, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "begun\n")
		w.(http.Flusher).Flush()
		time.Sleep(time.Second)
		fmt.Fprint(w, "done\n")
	}, func(o *Options) { o.DrainTimeout = 8 * time.Second })
	c := dialPoller(t, s.addr())
	c.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	readUntil(t, c.r, "begun\n")
	start := time.Now()
	s.Shutdown()
	if d := time.Since(start); d > 4*time.Second {
		t.Errorf("Shutdown took %v: the answer was complete after 1 s and the connection stayed idle", d)
	}
}

func TestGripStaleStorm(t *testing.T) {
	var asked atomic.Int32
	s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/s" {
			w.Header().Set("Grip-Hold", "stream")
			w.Header().Set("Grip-Channel", "b")
			io.WriteString(w, "open\n")
			return
		}
		asked.Add(1)
		responseHold(w, "b; prev-id=5")
	}, nil)
	c := dialPoller(t, s.addr())
	c.ask("GET /s HTTP/1.1\r\nHost: x\r\n\r\n")
	readUntil(t, c.r, "open\n")
	eventually(t, "held", func() bool { return s.Snapshot().Connections.Stream == 1 })
	it := streamItem("b", "x\n")
	it.ID = "7"
	if _, err := ctl.Publish(t.Context(), []publish.Item{it}); err != nil {
		t.Fatal(err)
	}
	d := dialPoller(t, s.addr())
	d.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	time.Sleep(2 * time.Second)
	if n := asked.Load(); n > 10 {
		t.Errorf("one client had the backend asked %d times in 2 s", n)
	}
	d.Close()
	time.Sleep(200 * time.Millisecond)
	before := asked.Load()
	time.Sleep(time.Second)
	if n := asked.Load() - before; n > 0 {
		t.Errorf("after the client has left: asked %d times more in 1 s", n)
	}
}

func TestGripContentFilters(t *testing.T) {
	s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Grip-Hold", "stream")
		w.Header().Set("Grip-Channel", "b")
		io.WriteString(w, "open\n")
	}, nil)
	c := dialPoller(t, s.addr())
	c.ask("GET /s HTTP/1.1\r\nHost: x\r\n\r\n")
	readUntil(t, c.r, "open\n")
	eventually(t, "held", func() bool { return s.Snapshot().Connections.Stream == 1 })
	it := streamItem("b", "id: %I\n")
	it.Stream.ContentFilters = []string{"build-id"}
	acks, err := ctl.Publish(t.Context(), []publish.Item{it, streamItem("b", "end\n")})
	if err != nil {
		t.Fatal(err)
	}
	if got := readUntil(t, c.r, "end\n"); strings.Contains(got, "%I") {
		t.Errorf("receivers %v, got %q", acks, got)
	}
}

func TestGripFilteredStreamAndDropRule(t *testing.T) {
	for _, filter := range []string{"", "; filter=skip-self"} {
		s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Grip-Hold", "stream")
			w.Header().Set("Grip-Channel", "b"+filter)
			io.WriteString(w, "open\n")
		}, func(o *Options) { o.Overflow = OverflowDrop })
		stuck(t, s.addr(), "/")
		eventually(t, "held", func() bool { return s.Snapshot().Connections.Stream == 1 })
		big := streamItem("b", strings.Repeat("x", 100<<10))
		for range 150 {
			if _, err := ctl.Publish(t.Context(), []publish.Item{big}); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.Snapshot(); n.Connections.Stream != 1 {
			t.Errorf("filter %q: with --overflow drop the client was closed: %v dropped %v", filter, n.Closed, n.Dropped)
		}
	}
}

func TestGripFilteredItemAndPrevID(t *testing.T) {
	var asked atomic.Int32
	s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Grip-Set-Meta", "user=al")
		responseHold(w, "b; prev-id=5; filter=skip-self")
	}, nil)
	c := dialPoller(t, s.addr())
	c.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "held", func() bool { return s.Snapshot().Connections.Poll == 1 })
	own := responseItem("b", publish.Response{Body: "own"})
	own.ID, own.PrevID, own.Meta = "6", "5", map[string]string{"sender": "al"}
	next := responseItem("b", publish.Response{Body: "next"})
	next.ID, next.PrevID = "7", "6"
	if _, err := ctl.Publish(t.Context(), []publish.Item{own, next}); err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(3 * time.Second))
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatalf("no answer: %v; the backend was asked %d times", err, asked.Load())
	}
	b, _ := io.ReadAll(res.Body)
	t.Logf("%q, asked %d", b, asked.Load())
}

func TestGripUpgradeH2C(t *testing.T) {
	s, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {}, nil, "fixed.example direct,channel=a")
	c := dialPoller(t, s.addr())
	c.ask("GET /x HTTP/1.1\r\nHost: fixed.example\r\nAccept: text/event-stream\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n\r\n")
	line, _ := c.r.ReadString('\n')
	if !strings.Contains(line, "200") {
		t.Errorf("a client that offers h2c gets %q", line)
	}
}

// A client that polls alone is not there between two polls. What is published then is not lost.
func TestGripItemBetweenTwoPolls(t *testing.T) {
	var asked atomic.Int32
	publishNow, published := make(chan struct{}), make(chan struct{})
	s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) {
		switch asked.Add(1) {
		case 1:
			responseHold(w, "b; prev-id=5")
		case 2: // it has read 6, then 7 is published, before the hold stands
			publishNow <- struct{}{}
			<-published
			responseHold(w, "b; prev-id=6")
		default:
			fmt.Fprint(w, "asked with "+r.Header.Get("Grip-Last"))
		}
	}, nil)
	pub := func(id, prev string) {
		it := responseItem("b", publish.Response{Body: "item " + id})
		it.ID, it.PrevID = id, prev
		if _, err := ctl.Publish(t.Context(), []publish.Item{it}); err != nil {
			t.Error(err)
		}
	}
	c := dialPoller(t, s.addr())
	c.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "held", func() bool { return s.Snapshot().Connections.Poll == 1 })
	pub("6", "5")
	if _, body := c.answer(); body != "item 6" {
		t.Fatalf("%q", body)
	}
	c.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-publishNow
	pub("7", "6")
	close(published)
	if _, body := c.answer(); body != "asked with b; last-id=6" {
		t.Errorf("%q", body)
	}
}

// A download is cut when its client takes nothing for --idle-timeout, and not because it takes little.
func TestGripSlowDownload(t *testing.T) {
	t.Parallel()
	s, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 64<<10)
		for range 24 << 4 {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	}, func(o *Options) { o.IdleTimeout, o.BackendTimeout = 3*time.Second, time.Minute })
	c, err := net.Dial("tcp", s.addr())
	if err == nil {
		err = c.(*net.TCPConn).SetReadBuffer(4096) // the kernel tells what was taken of a large one in large steps
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
	b, total := make([]byte, 4<<10), 0
	for start := time.Now(); time.Since(start) < 8*time.Second; time.Sleep(100 * time.Millisecond) { // 40 kB/s
		n, err := io.ReadFull(c, b)
		total += n
		if snap := s.Snapshot(); snap.Connections.Total == 0 || err != nil {
			t.Fatalf("cut after %v and %d bytes, %v: closed %v", time.Since(start), total, err, snap.Closed)
		}
	}
	within(t, "it takes nothing, and is cut", 20*time.Second, func() bool { return s.Snapshot().Closed["slow"] == 1 })
}

func TestGripPatchThatDoesNotFit(t *testing.T) {
	s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) { responseHold(w, "a") }, nil)
	c := dialPoller(t, s.addr())
	for range 2 { // the connection goes on
		c.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		eventually(t, "held", func() bool { return s.Snapshot().Connections.Poll == 1 })
		it := responseItem("a", publish.Response{BodyPatch: `[{"op":"remove","path":"/b"}]`})
		if acks, err := ctl.Publish(t.Context(), []publish.Item{it}); err != nil || acks[0].Receivers != 0 {
			t.Errorf("receivers %v, %v", acks, err)
		}
		if res, body := c.answer(); res.StatusCode != 502 || body != "Error while proxying to origin.\n" {
			t.Errorf("answered %s %q", res.Status, body)
		}
	}
}

// The length of what GET would have got is not known.
func TestGripHeldHEADTimesOut(t *testing.T) {
	s, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Grip-Timeout", "1")
		w.Header().Set("Grip-Hold", "response")
		w.Header().Set("Grip-Channel", "a")
	}, nil)
	c := dialPoller(t, s.addr())
	c.ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\nHEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	b, err := io.ReadAll(c.r)
	if err != nil || strings.Count(string(b), "HTTP/1.1 200 OK\r\n") != 2 || strings.Contains(string(b), "Content-Length") {
		t.Errorf("%q, %v", b, err)
	}
}

// A client of HTTP/1.0 that gets a part of an answer, whose end is that of the connection, sees that it is no more than a part.
func TestGripCutAnswerToHTTP10(t *testing.T) {
	s, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "a part")
		w.(http.Flusher).Flush()
		time.Sleep(100 * time.Millisecond)
		panic(http.ErrAbortHandler)
	}, nil)
	c := dialPoller(t, s.addr())
	c.ask("GET / HTTP/1.0\r\nHost: x\r\n\r\n")
	if b, err := io.ReadAll(c.r); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q, %v", b, err)
	}
}

// Held requests take memory by what their backend says, and so up to a bound.
func TestGripHoldMemory(t *testing.T) {
	s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) { responseHold(w, "a") }, func(o *Options) { o.HoldMemory = 2 << 10 })
	hold := func() *poller {
		c := dialPoller(t, s.addr())
		c.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		return c
	}
	first, second := hold(), hold()
	eventually(t, "two are held", func() bool { return s.Snapshot().Connections.Poll == 2 })
	third := hold()
	if res, body := third.answer(); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || body != "too many requests are held: come back in a moment\n" {
		t.Errorf("answered %s %q", res.Status, body)
	}
	first.Close()
	if _, err := ctl.Publish(t.Context(), []publish.Item{responseItem("a", publish.Response{Body: "news"})}); err != nil {
		t.Fatal(err)
	}
	if _, body := second.answer(); body != "news" {
		t.Errorf("answered %q", body)
	}
	eventually(t, "nobody is held", func() bool { return s.Snapshot().Connections.Poll == 0 })
	for range 2 {
		hold()
	}
	eventually(t, "two are held again", func() bool { return s.Snapshot().Connections.Poll == 2 })
}
