package netloop

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/pkg/stats"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		runChild()
		return
	}
	code := m.Run()
	if left := loopGoroutines(5 * time.Second); left != "" && code == 0 {
		fmt.Fprintf(os.Stderr, "goroutines of loops are left:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// loopGoroutines returns the stacks of the goroutines of loops that are still there after at most patience.
func loopGoroutines(patience time.Duration) (left string) {
	buf := make([]byte, 1<<20)
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		left = ""
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "netpoll.(*Epoll).wait") {
				left += g + "\n\n"
			}
		}
		if left == "" || time.Now().After(end) {
			return left
		}
	}
}

// recorder is a Handler that keeps what it is told and does what the test says. Its functions run on the loop.
type recorder struct {
	loop *Loop
	data func(c uint32, b []byte, seen int) (used int) // nil: all bytes are used
	open func(c uint32, refused bool)
	due  func(c uint32)
	end  func() (more bool)

	mu      sync.Mutex
	opened  []uint32
	gone    []uint32
	drained []uint32
	got     map[uint32]string
}

func (r *recorder) Open(c uint32, refused bool) {
	r.mu.Lock()
	r.opened = append(r.opened, c)
	r.mu.Unlock()
	if r.open != nil {
		r.open(c, refused)
	}
}

func (r *recorder) Data(c uint32, b []byte, seen int) (used int) {
	used = len(b)
	if r.data != nil {
		used = r.data(c, b, seen)
	}
	r.mu.Lock()
	r.got[c] += string(b[:used])
	r.mu.Unlock()
	return used
}

func (r *recorder) Gone(c uint32) {
	r.mu.Lock()
	r.gone = append(r.gone, c)
	r.mu.Unlock()
}

func (r *recorder) Drained(c uint32) {
	r.mu.Lock()
	r.drained = append(r.drained, c)
	r.mu.Unlock()
}

func (r *recorder) Due(c uint32) {
	if r.due != nil {
		r.due(c)
	}
}

// Task runs the test's own functions.
func (r *recorder) Task(t Task) { t.(func())() }

func (r *recorder) BatchEnd() (more bool) { return r.end != nil && r.end() }

// connection waits for the nth opened connection, from 0, and returns its number.
func (r *recorder) connection(t testing.TB, n int) (c uint32) {
	t.Helper()
	eventually(t, fmt.Sprintf("connection %d is open", n), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if n < len(r.opened) {
			c = r.opened[n]
			return true
		}
		return false
	})
	return c
}

func (r *recorder) isGone(c uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.gone {
		if g == c {
			return true
		}
	}
	return false
}

func (r *recorder) bytes(c uint32) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got[c]
}

// startLoop runs a loop that listens on a port of the kernel's choice. change may alter configuration and handler.
func startLoop(t testing.TB, change func(*Config, *recorder)) (*recorder, string) {
	t.Helper()
	r := &recorder{got: map[uint32]string{}}
	cfg := Config{
		Log: slog.New(slog.DiscardHandler), Stats: new(stats.Loop), Limit: NewLimit(10_000),
		Queue: NewBudget(64 << 20), MaxQueued: 16 << 20, MaxInput: 1 << 10,
	}
	if change != nil {
		change(&cfg, r)
	}
	var err error
	if r.loop, err = New(cfg, func(l *Loop) Handler { r.loop = l; return r }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.loop.Stop(); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if n := cfg.Queue.used.Load(); n != 0 {
			t.Errorf("%d bytes are charged to the budget after Stop, want 0", n)
		}
		if n := cfg.Limit.Connections(); n != 0 {
			t.Errorf("%d connections are counted after Stop, want 0", n)
		}
	})
	return r, listen(t, r.loop)
}

func listen(t testing.TB, l *Loop) string {
	t.Helper()
	fds, addr, err := Bind("127.0.0.1:0", 1, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Listen(fds[0]); err != nil {
		t.Fatal(err)
	}
	return addr.String()
}

// call runs fn on the loop and waits for its end.
func (r *recorder) call(fn func()) {
	done := make(chan struct{})
	r.loop.Post(func() {
		fn()
		close(done)
	})
	<-done
}

// eventually waits until ok holds, and fails the test when that takes 10 s.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not in 10 s: %s", what)
		}
	}
}

// dial connects to addr. The connection is closed with the test.
func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	return dialWith(t, addr, net.Dialer{})
}

// dialSlow connects with the smallest receive buffer, so that little fits between the loop and a client that does not
// read.
func dialSlow(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	return dialWith(t, addr, net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		ctlErr := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
		})
		if ctlErr != nil {
			return ctlErr
		}
		return err
	}})
}

func dialWith(t testing.TB, addr string, d net.Dialer) *net.TCPConn {
	t.Helper()
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

func write(t testing.TB, conn io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(conn, s); err != nil {
		t.Fatal(err)
	}
}

func readAll(t testing.TB, conn io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("after %d bytes: %v", len(b), err)
	}
	return string(b)
}
