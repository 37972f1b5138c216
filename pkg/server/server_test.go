package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/client"
	"holdfast/pkg/publish"
)

// startServer runs a pushd with its control socket and listeners in places of its own.
func startServer(t *testing.T, change func(*Options)) (*Server, *client.Conn) {
	t.Helper()
	o := NewOptions()
	o.Loops = 2
	o.Listen = []string{"127.0.0.1:0"}
	o.PublishListen = "127.0.0.1:0"
	o.Socket = filepath.Join(t.TempDir(), "pushd.sock")
	o.DrainTimeout = 500 * time.Millisecond
	if change != nil {
		change(&o)
	}
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(context.Background(), o.Socket, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func (s *Server) addr() string { return s.Addrs()[0].String() }

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

func files(t *testing.T) int {
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func TestShutdownEndsStreamsInOrderAndLeavesNothing(t *testing.T) {
	filesBefore, goroutinesBefore := files(t), runtime.NumGoroutine()
	s, ctl := startServer(t, nil)
	var streams []*bufio.Reader
	for i := range 200 {
		streams = append(streams, open(t, s.addr(), fmt.Sprintf("/stream?channel=c%d", i%7), ""))
	}
	held := runtime.NumGoroutine()
	snap, err := ctl.Stats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if snap.Connections.Stream != 200 || snap.Subscriptions != 200 || snap.Channels != 7 {
		t.Errorf("snapshot %+v, want 200 streams on 7 channels", snap)
	}
	ctl.Close()
	done := make(chan struct{})
	go func() { s.Shutdown(); close(done) }()
	for i, r := range streams {
		if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
			t.Fatalf("stream %d ended with %q, %v, want the end of its body", i, rest, err)
		}
	}
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("Shutdown has not returned 10 s after the last stream ended")
	}
	if _, err := os.Stat(s.opts.Socket); err == nil {
		t.Error("the control socket is still there")
	}
	if held > goroutinesBefore+60 {
		t.Errorf("%d goroutines with 200 held connections, %d before", held, goroutinesBefore)
	}
	eventually(t, "goroutines and files are gone", func() bool {
		return runtime.NumGoroutine() <= goroutinesBefore && files(t) <= filesBefore+200 // the clients' own
	})
}

func TestStartTellsWhatIsInTheWay(t *testing.T) {
	s, ctl := startServer(t, nil)
	defer s.Shutdown()
	defer ctl.Close()
	o := s.opts
	if _, err := Start(o); err == nil || !strings.Contains(err.Error(), o.Socket) {
		t.Errorf("a second pushd on the socket: %v, want an error that names it", err)
	}
	o.Socket = filepath.Join(t.TempDir(), "other.sock")
	o.Listen = []string{s.addr()}
	before := files(t)
	if _, err := Start(o); err == nil || !strings.Contains(err.Error(), s.addr()) {
		t.Errorf("a second pushd on the address: %v, want an error that names it", err)
	}
	eventually(t, "the failed start has given everything back", func() bool { return files(t) <= before })
	o.ReusePort = true
	o.PublishListen = ""
	second, err := Start(o)
	if err != nil {
		t.Fatalf("a second pushd with ReusePort: %v", err)
	}
	second.Shutdown()
}

// stuck opens a stream and never reads from it.
func stuck(t *testing.T, addr, target string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target)
	return c
}

func TestClientThatNeverReads(t *testing.T) {
	for _, rule := range []Overflow{OverflowClose, OverflowDrop} {
		t.Run(string(rule), func(t *testing.T) {
			s, ctl := startServer(t, func(o *Options) { o.Overflow = rule; o.MaxQueued = 64 << 10 })
			defer s.Shutdown()
			defer ctl.Close()
			stuck(t, s.addr(), "/stream?channel=a")
			neighbour := open(t, s.addr(), "/stream?channel=a", "")
			eventually(t, "both are held", func() bool { return s.Snapshot().Connections.Stream == 2 })
			content := strings.Repeat("x", 32<<10)
			items := 0
			overflowed := func() bool {
				snap := s.Snapshot()
				return snap.Closed["slow"] > 0 || snap.Dropped["queue-full"] > 0
			}
			for ; items < 1000 && !overflowed(); items++ {
				if _, err := ctl.Publish(context.Background(), []publish.Item{streamItem("a", content)}); err != nil {
					t.Fatal(err)
				}
				want(t, neighbour, content)
			}
			snap := s.Snapshot()
			if snap.QueuedBytes > 128<<10 {
				t.Errorf("%d bytes are queued, want at most about 64 KiB", snap.QueuedBytes)
			}
			switch rule {
			case OverflowClose:
				if snap.Closed["slow"] != 1 || snap.Connections.Stream != 1 || snap.QueuedBytes != 0 {
					t.Errorf("after %d items: %+v, want the slow client closed and its queue gone", items, snap)
				}
			case OverflowDrop:
				if snap.Dropped["queue-full"] == 0 || snap.Connections.Stream != 2 {
					t.Errorf("after %d items: %+v, want items dropped and both clients held", items, snap)
				}
			}
		})
	}
}

// Random opens, closes, publishes: at the end, when everybody has left, every gauge is zero and the sums agree.
func TestGaugesReturnToZero(t *testing.T) {
	s, ctl := startServer(t, nil)
	defer s.Shutdown()
	defer ctl.Close()
	const clients, rounds = 50, 4
	for range rounds {
		var conns []net.Conn
		for i := range clients {
			conns = append(conns, stuck(t, s.addr(), fmt.Sprintf("/events?channel=c%d&channel=all", i)))
		}
		eventually(t, "all are held", func() bool { return s.Snapshot().Connections.Events == clients })
		acks, err := ctl.Publish(context.Background(), []publish.Item{streamItem("all", "x"), streamItem("c3", "x"), streamItem("none", "x")})
		if err != nil || acks[0].Receivers != clients || acks[1].Receivers != 1 || acks[2].Receivers != 0 {
			t.Fatalf("acks %+v, %v", acks, err)
		}
		for _, c := range conns {
			c.Close()
		}
		eventually(t, "all have left", func() bool { return s.Snapshot().Connections.Total == 0 })
	}
	snap := s.Snapshot()
	if snap.Channels != 0 || snap.Subscriptions != 0 || snap.QueuedBytes != 0 {
		t.Errorf("gauges %+v, want zeros", snap)
	}
	if snap.Accepted != clients*rounds || snap.Closed["client"] != clients*rounds || snap.Published != 3*rounds || snap.Delivered != (clients+1)*rounds {
		t.Errorf("counters %+v", snap)
	}
	var accepted, delivered, out uint64
	for _, l := range snap.Loops {
		accepted, delivered, out = accepted+l.Accepted, delivered+l.Delivered, out+l.BytesOut
	}
	if accepted != snap.Accepted || delivered != snap.Delivered || out != snap.BytesOut {
		t.Errorf("the loops' sums are %d, %d, %d, the totals %d, %d, %d", accepted, delivered, out, snap.Accepted, snap.Delivered, snap.BytesOut)
	}
}

// With --overflow drop nobody is closed for being slow, by a keep-alive neither.
func TestKeepAliveSparesAStuckClient(t *testing.T) {
	s, ctl := startServer(t, func(o *Options) {
		o.Overflow, o.MaxQueued, o.StreamKeepAlive = OverflowDrop, 16<<10, 300*time.Millisecond
	})
	defer s.Shutdown()
	defer ctl.Close()
	stuck(t, s.addr(), "/stream?channel=a")
	eventually(t, "it is held", func() bool { return s.Snapshot().Connections.Stream == 1 })
	content := strings.Repeat("x", 32<<10)
	for i := 0; i < 1000 && s.Snapshot().Dropped["queue-full"] == 0; i++ {
		if _, err := ctl.Publish(context.Background(), []publish.Item{streamItem("a", content)}); err != nil {
			t.Fatal(err)
		}
	}
	queued := s.Snapshot().QueuedBytes
	<-time.After(time.Second) // three keep-alives, each of which would fill the queue a little more
	if snap := s.Snapshot(); snap.Connections.Stream != 1 || snap.Dropped["queue-full"] == 0 || snap.QueuedBytes > queued {
		t.Errorf("%+v, want items dropped, the client held, and no more queued than the %d bytes before", snap, queued)
	}
}
