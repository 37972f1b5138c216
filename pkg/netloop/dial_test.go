package netloop

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/pkg/stats"
)

// dialHandler tells its events on a channel.
type dialHandler struct {
	loop   *Loop
	events chan dialEvent
	early  bool // send before Open
}

type dialEvent struct {
	what string
	conn uint32
	data string
	err  error
}

// onLoop is a task that runs f on the loop.
type onLoop struct{ f func(*Loop) }

func (h *dialHandler) Open(c uint32, refused bool) {
	h.events <- dialEvent{what: "open", conn: c}
	if !h.early {
		h.loop.Send(c, []byte("ping"))
	}
}

func (h *dialHandler) Data(c uint32, b []byte, _ int) int {
	h.events <- dialEvent{what: "data", conn: c, data: string(b)}
	return len(b)
}

func (h *dialHandler) Gone(c uint32)  { h.events <- dialEvent{what: "gone", conn: c} }
func (h *dialHandler) Drained(uint32) {}
func (h *dialHandler) Due(c uint32) {
	h.events <- dialEvent{what: "due", conn: c}
	h.loop.Close(c, stats.CloseTimeoutHead)
}
func (h *dialHandler) Task(t Task)    { t.(*onLoop).f(h.loop) }
func (h *dialHandler) BatchEnd() bool { return false }
func (h *dialHandler) DialFailed(c uint32, err error) {
	h.events <- dialEvent{what: "failed", conn: c, err: err}
}

func (h *dialHandler) next(t *testing.T) dialEvent {
	t.Helper()
	select {
	case e := <-h.events:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event in 10 s")
		return dialEvent{}
	}
}

func (h *dialHandler) want(t *testing.T, what string, conn uint32) dialEvent {
	t.Helper()
	e := h.next(t)
	if e.what != what || e.conn != conn {
		t.Fatalf("event = %+v, want %s of %d", e, what, conn)
	}
	return e
}

func startDialing(t *testing.T, limit int) *dialHandler {
	h := &dialHandler{events: make(chan dialEvent, 100)}
	cfg := Config{
		Log: slog.New(slog.DiscardHandler), Stats: new(stats.Loop), Limit: NewLimit(limit), Queue: NewBudget(1 << 20),
		MaxQueued: 1 << 16, MaxInput: 1 << 10,
	}
	loop, err := New(cfg, func(l *Loop) Handler {
		h.loop = l
		return h
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := loop.Stop(); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if n := cfg.Limit.Connections(); n != 0 {
			t.Errorf("the limit still counts %d connections after Stop", n)
		}
	})
	return h
}

func (h *dialHandler) dial(dst, src netip.AddrPort) (uint32, error) {
	type result struct {
		c   uint32
		err error
	}
	done := make(chan result)
	h.loop.Post(&onLoop{func(l *Loop) {
		c, err := l.Dial(dst, src)
		if err == nil {
			l.Arm(c, 200*time.Millisecond)
			if h.early {
				l.Send(c, []byte("ping"))
			}
		}
		done <- result{c, err}
	}})
	r := <-done
	return r.c, r.err
}

func listenOnce(t *testing.T) (net.Listener, netip.AddrPort) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln, ln.Addr().(*net.TCPAddr).AddrPort()
}

func TestDialedConnectionOpensFromItsSource(t *testing.T) {
	t.Run("sends when open", func(t *testing.T) { testDialed(t, false) })
	t.Run("sends at once", func(t *testing.T) { testDialed(t, true) })
}

func testDialed(t *testing.T, early bool) {
	ln, dst := listenOnce(t)
	h := startDialing(t, 10)
	h.early = early
	c, err := h.dial(dst, netip.MustParseAddrPort("127.9.8.7:0"))
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if got := peer.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); got != netip.MustParseAddr("127.9.8.7") {
		t.Errorf("source = %v, want 127.9.8.7", got)
	}
	h.want(t, "open", c)
	got := make([]byte, 4)
	if _, err := io.ReadFull(peer, got); err != nil || string(got) != "ping" {
		t.Errorf("peer read %q, %v, want ping", got, err)
	}
	io.WriteString(peer, "pong")
	if e := h.want(t, "data", c); e.data != "pong" {
		t.Errorf("data = %q, want pong", e.data)
	}
	peer.Close()
	if e := h.next(t); e.what == "due" {
		h.want(t, "gone", c) // a slow machine
	} else if e.what != "gone" {
		t.Errorf("event = %+v, want gone", e)
	}
}

func TestFailedDialTellsWhyThenGone(t *testing.T) {
	t.Run("sends when open", func(t *testing.T) { testFailed(t, false) })
	t.Run("sends at once", func(t *testing.T) { testFailed(t, true) })
}

func testFailed(t *testing.T, early bool) {
	ln, dst := listenOnce(t)
	ln.Close()
	h := startDialing(t, 10)
	h.early = early
	c, err := h.dial(dst, netip.AddrPort{})
	if errors.Is(err, unix.ECONNREFUSED) {
		return // the kernel may say so at once
	}
	if err != nil {
		t.Fatal(err)
	}
	if e := h.want(t, "failed", c); !errors.Is(e.err, unix.ECONNREFUSED) {
		t.Errorf("err = %v, want ECONNREFUSED", e.err)
	}
	h.want(t, "gone", c)
}

func TestDialKeepsToTheLimit(t *testing.T) {
	_, dst := listenOnce(t)
	h := startDialing(t, 1)
	if _, err := h.dial(dst, netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.dial(dst, netip.AddrPort{}); !errors.Is(err, ErrLimit) {
		t.Errorf("second Dial: %v, want ErrLimit", err)
	}
}

func TestDialFromForeignAddress(t *testing.T) {
	_, dst := listenOnce(t)
	h := startDialing(t, 1)
	if _, err := h.dial(dst, netip.MustParseAddrPort("192.0.2.1:0")); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Fatalf("Dial = %v, want EADDRNOTAVAIL", err)
	}
	if _, err := h.dial(dst, netip.AddrPort{}); err != nil {
		t.Errorf("Dial after a failed one: %v, want room for it", err)
	}
}

// A connection that does not come about has its deadline, and Gone without Open.
func TestDeadlineWhileDialing(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	dst, err := localAddr(fd)
	if err != nil {
		t.Fatal(err)
	}
	h := startDialing(t, 10)
	for range 3 { // nobody accepts: the queue takes one, and the kernel answers no further ones
		if _, err := h.dial(dst, netip.AddrPort{}); err != nil {
			t.Fatal(err)
		}
	}
	opened := map[uint32]bool{}
	unopened := 0
	for gone := 0; gone < 3; {
		switch e := h.next(t); e.what {
		case "open":
			opened[e.conn] = true
		case "gone":
			gone++
			if !opened[e.conn] {
				unopened++
			}
		case "failed", "data":
			t.Errorf("unexpected event %+v", e)
		}
	}
	if unopened == 0 {
		t.Error("every connection was opened, want some to wait in vain")
	}
}
