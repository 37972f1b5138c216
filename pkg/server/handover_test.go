package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/client"
	"holdfast/pkg/publish"
)

// knock connects and sends a request, whose answer may come later.
func knock(t *testing.T, addr, request string) *bufio.Reader {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("connect to %s: %v", addr, err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(conn, request)
	return bufio.NewReader(conn)
}

func wantStatus(t *testing.T, what string, r *bufio.Reader, code int) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if res.StatusCode != code {
		t.Fatalf("%s: %s, want %d", what, res.Status, code)
	}
}

const publishBody = `{"items": [{"channel": "late", "formats": {"http-stream": {"content": "x"}}}]}`

var (
	publishRequest = fmt.Sprintf("POST /publish/ HTTP/1.1\r\nHost: localhost\r\n"+
		"Content-Length: %d\r\nConnection: close\r\n\r\n%s", len(publishBody), publishBody)
	scrapeRequest = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	streamRequest = "GET /stream?channel=new HTTP/1.1\r\nHost: x\r\n\r\n"
)

// A pushd goes on from the sockets of another one. Nobody who connects is refused in between, the
// clients that the first one holds are served until it stops, and whoever comes after that finds
// the second one at every address, as often as it is handed on.
func TestNextServerGoesOnFromDetachedSockets(t *testing.T) {
	for _, loops := range [][]int{{2, 2, 2}, {3, 1, 2}, {1, 3, 1}} {
		t.Run(fmt.Sprint("loops ", loops), func(t *testing.T) {
			before := files(t)
			t.Cleanup(func() { // when the clients have closed theirs
				eventually(t, "all files are closed", func() bool { return files(t) <= before })
			})
			s, ctl := startServer(t, func(o *Options) {
				withMetrics(o)
				o.Loops, o.DrainTimeout = loops[0], 200*time.Millisecond
				o.Listen = []string{"127.0.0.1:0", "127.0.0.2:0"}
			})
			addrs := s.Addrs()
			for _, n := range loops[1:] {
				s, ctl = handOver(t, s, ctl, n)
				if !slices.Equal(s.Addrs(), addrs) {
					t.Fatalf("the next pushd is at %s, want %s", s.Addrs(), addrs)
				}
				for _, b := range s.loops.bound {
					if len(b.fds) < n {
						t.Errorf("%d sockets on %s for %d loops", len(b.fds), b.addr, n)
					}
				}
			}
			ctl.Close()
			s.Shutdown()
			for _, name := range []string{s.opts.Socket, s.opts.Socket + ".lock"} {
				if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s after the last pushd: %v, want it gone", name, err)
				}
			}
			for _, addr := range addrs {
				if c, err := net.Dial("tcp", addr.String()); err == nil {
					c.Close()
					t.Errorf("somebody listens on %s after the last pushd", addr)
				}
			}
		})
	}
}

// handOver starts a pushd with n loops from the sockets of s, and stops s.
func handOver(t *testing.T, s *Server, ctl *client.Conn, n int) (*Server, *client.Conn) {
	t.Helper()
	var held []*bufio.Reader
	for range 20 {
		held = append(held, open(t, s.addr(), "/stream?channel=old", ""))
	}
	if acks, err := ctl.Publish(t.Context(), []publish.Item{streamItem("old", "1")}); err != nil ||
		acks[0].Receivers != len(held) {
		t.Fatalf("publish: %v, %v", acks, err)
	}
	connections := s.Snapshot().Connections.Total
	if err := s.quiesce(); err != nil {
		t.Fatal(err)
	}
	if _, err := ctl.Publish(t.Context(), []publish.Item{streamItem("old", "no")}); err == nil {
		t.Error("a quiet pushd takes what is published")
	}
	ctl.Close()
	var early []*bufio.Reader
	for i := range 20 {
		early = append(early, knock(t, s.Addrs()[i%2].String(), streamRequest))
	}
	published := knock(t, s.publish.String(), publishRequest)
	scraped := knock(t, s.metrics.String(), scrapeRequest)
	dialled := make(chan *client.Conn)
	dial := func() {
		c, err := client.Dial(context.Background(), s.opts.Socket, client.Options{})
		if err != nil {
			t.Error(err)
		}
		dialled <- c
	}
	go dial()
	k, err := s.detach()
	if err != nil {
		t.Fatal(err)
	}
	if total := s.Snapshot().Connections.Total; total != connections {
		t.Errorf("a quiet pushd has %d connections, %d before", total, connections)
	}

	o := s.opts
	o.Loops = n
	next, err := Start(k.options(o))
	if err != nil {
		t.Fatal(err)
	}
	ctl = <-dialled
	for i, r := range early {
		wantStatus(t, fmt.Sprint("early client ", i), r, 200)
	}
	wantStatus(t, "early publisher", published, 200)
	wantStatus(t, "early scrape", scraped, 200)
	for i := range 20 {
		open(t, next.Addrs()[i%2].String(), "/stream?channel=new", "")
	}
	acks, err := ctl.Publish(t.Context(), []publish.Item{streamItem("new", "x"), streamItem("old", "x")})
	if err != nil || acks[0].Receivers != 40 || acks[1].Receivers != 0 {
		t.Errorf("publish to the next pushd: %v, %v, want 40 and 0 receivers", acks, err)
	}
	if n := publishOne(t, s.loops, streamItem("old", "2")); n != len(held) {
		t.Errorf("%d of the first pushd's clients are served, want %d", n, len(held))
	}
	s.Shutdown()
	for i, r := range held {
		if got, err := io.ReadAll(r); err != nil || string(got) != "12" {
			t.Errorf("held client %d: %q, %v, want 12 and the end of its body", i, got, err)
		}
	}
	if _, err := ctl.Stats(t.Context()); err != nil {
		t.Errorf("the control socket when the first pushd has stopped: %v", err)
	}
	wantStatus(t, "publisher", knock(t, next.publish.String(), publishRequest), 200)
	wantStatus(t, "scrape", knock(t, next.metrics.String(), scrapeRequest), 200)
	wantStatus(t, "client", knock(t, next.addr(), streamRequest), 200)
	return next, ctl
}

// Sockets of a service manager are handed on as such: the last pushd leaves them alone.
func TestSocketsOfAServiceManagerAreHandedOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	clients, err := plain.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer clients.Close()
	control, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	s, ctl := startServer(t, func(o *Options) {
		o.Listen, o.Socket, o.PublishListen = nil, path, ""
		f, _ := clients.(*net.TCPListener).File()
		o.ListenFiles = []*os.File{f}
		o.SocketFile, _ = control.(*net.UnixListener).File()
	})
	ctl.Close()
	if err := s.quiesce(); err != nil {
		t.Fatal(err)
	}
	k, err := s.detach()
	if err != nil {
		t.Fatal(err)
	}
	next, err := Start(k.options(s.opts))
	if err != nil {
		t.Fatal(err)
	}
	s.Shutdown()
	open(t, clients.Addr().String(), "/stream?channel=new", "")
	ctl, err = client.Dial(t.Context(), path, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctl.Close()
	next.Shutdown()
	for _, ln := range []net.Listener{clients, control} {
		c, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
		if err != nil {
			t.Errorf("the socket of the service manager after both: %v", err)
			continue
		}
		c.Close()
	}
}

// A pushd whose sockets nobody takes stops as any other: nothing is left of them.
func TestQuietServerStopsInOrder(t *testing.T) {
	before := files(t)
	s, ctl := startServer(t, func(o *Options) { withMetrics(o); o.DrainTimeout = time.Millisecond })
	ctl.Close()
	if err := s.quiesce(); err != nil {
		t.Fatal(err)
	}
	s.Shutdown()
	for _, addr := range []string{s.addr(), s.publish.String(), s.metrics.String()} {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			t.Errorf("%s is still there", addr)
		}
	}
	if _, err := os.Lstat(s.opts.Socket); err == nil {
		t.Error("the control socket is still there")
	}
	eventually(t, "all files are closed", func() bool { return files(t) <= before })
}

// A file that is no listening socket is refused.
func TestDuplicateRefusesWhatDoesNotListen(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	f, err := nc.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before := files(t)
	for what, tt := range map[string]struct {
		f    *os.File
		want string
	}{"a pipe": {r, "non-socket"}, "a connection": {f, "does not listen"}} {
		_, err := groupByAddress([]*os.File{tt.f})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", what, err, tt.want)
		}
	}
	if n := files(t); n != before {
		t.Errorf("%d files are open, %d before", n, before)
	}
}
