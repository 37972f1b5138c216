package netloop

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/pkg/stats"
)

// wholeLines uses complete lines only.
func wholeLines(_ uint32, b []byte, _ int) int { return bytes.LastIndexByte(b, '\n') + 1 }

func TestDataAtEverySplit(t *testing.T) {
	const message = "first line\nsecond\n\nlast line\n"
	var before []byte // what the handler left in the call before
	var bad string
	var calls int
	r, addr := startLoop(t, func(_ *Config, r *recorder) {
		r.data = func(c uint32, b []byte, seen int) int {
			if seen != len(before) || !bytes.Equal(b[:seen], before) {
				bad = "seen does not tell what was left before"
			}
			used := wholeLines(c, b, seen)
			before = append(before[:0], b[used:]...)
			calls++
			return used
		}
	})
	conn := dial(t, addr)
	c := r.connection(t, 0)
	want := ""
	for i := 1; i < len(message); i++ {
		var callsBefore int
		r.call(func() { callsBefore = calls })
		write(t, conn, message[:i])
		eventually(t, "the first part has arrived", func() (ok bool) {
			r.call(func() { ok = calls > callsBefore })
			return ok
		})
		write(t, conn, message[i:])
		want += message
		eventually(t, "both parts have arrived", func() bool { return len(r.bytes(c)) >= len(want) })
		if got := r.bytes(c); got != want {
			t.Fatalf("split at %d: got %q, want %q", i, got[len(want)-len(message):], message)
		}
	}
	r.call(func() {
		if bad != "" {
			t.Error(bad)
		}
		if n := r.loop.inputs.bufs.Len(); n != 0 {
			t.Errorf("%d connections keep input, want 0", n)
		}
	})
}

// oneLine uses one line in each call and asks for the next.
func oneLine(r *recorder) func(c uint32, b []byte, seen int) int {
	return func(c uint32, b []byte, _ int) int {
		n := bytes.IndexByte(b, '\n') + 1
		if n > 0 && n < len(b) {
			r.loop.Again(c)
		}
		return n
	}
}

// What waits for its turn is no excess of input, however much it is.
func TestAgainTakesTurnsOverAllInput(t *testing.T) {
	const lines = 5000
	message := strings.Repeat("0123456789\n", lines) // far more than MaxInput, and than one read
	for _, halfClose := range []bool{false, true} {
		r, addr := startLoop(t, func(_ *Config, r *recorder) { r.data = oneLine(r) })
		conn := dial(t, addr)
		c := r.connection(t, 0)
		write(t, conn, message)
		if halfClose {
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "every line was used", func() bool { return len(r.bytes(c)) >= len(message) || !halfClose && r.isGone(c) })
		if got := r.bytes(c); got != message {
			t.Errorf("halfClose=%v: used %d bytes, want the %d written", halfClose, len(got), len(message))
		}
		if halfClose {
			eventually(t, "the connection ends when its input is used", func() bool { return r.isGone(c) })
		}
	}
}

// A connection that has much to say takes turns with the others.
func TestAgainLetsOthersHaveTheirTurn(t *testing.T) {
	r, addr := startLoop(t, func(_ *Config, r *recorder) { r.data = oneLine(r) })
	blocked := make(chan struct{})
	first := dial(t, addr)
	c1 := r.connection(t, 0)
	second := dial(t, addr)
	c2 := r.connection(t, 1)
	r.loop.Post(func() { <-blocked })
	write(t, first, strings.Repeat("x\n", 400))
	write(t, second, "y\n")
	close(blocked)
	eventually(t, "the second was heard", func() bool { return r.bytes(c2) == "y\n" })
	eventually(t, "the first was heard out", func() bool { return len(r.bytes(c1)) == 800 })
}

func TestMaxInput(t *testing.T) {
	const limit = 1 << 10
	r, addr := startLoop(t, func(_ *Config, r *recorder) { r.data = wholeLines })
	conn := dial(t, addr)
	c := r.connection(t, 0)
	write(t, conn, strings.Repeat("x", limit))
	eventually(t, "the input is kept", func() (ok bool) {
		r.call(func() {
			s := r.loop.slots.At(c)
			ok = s.input != 0 && len(*r.loop.inputs.bufs.At(s.input)) == limit
		})
		return ok
	})
	write(t, conn, "\n")
	eventually(t, "input of just the limit is used", func() bool { return len(r.bytes(c)) == limit+1 })
	write(t, conn, strings.Repeat("x", limit+1))
	eventually(t, "input over the limit ends the connection", func() bool { return r.isGone(c) })
	if n := r.loop.stats.Closed[stats.CloseBadRequest].Load(); n != 1 {
		t.Errorf("%d connections closed for bad requests, want 1", n)
	}
}

func TestHalfCloseEndsTheConnection(t *testing.T) {
	for _, hold := range []bool{false, true} {
		r, addr := startLoop(t, func(_ *Config, r *recorder) { r.data = wholeLines })
		conn := dial(t, addr)
		c := r.connection(t, 0)
		if hold {
			r.call(func() { r.loop.Hold(c) })
		}
		write(t, conn, "unfinished")
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the connection is gone", func() bool { return r.isGone(c) })
		if got := readAll(t, conn); got != "" {
			t.Errorf("hold=%v: read %q, want nothing", hold, got)
		}
		if n := r.loop.stats.Closed[stats.CloseClient].Load(); n != 1 {
			t.Errorf("hold=%v: %d connections closed by clients, want 1", hold, n)
		}
	}
}

// A request and the end of the client's side may come together: the answer goes first, all of it.
func TestHalfClosedClientGetsItsAnswer(t *testing.T) {
	answer := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB: most of it has to wait
	r, addr := startLoop(t, func(_ *Config, r *recorder) {
		r.data = func(c uint32, b []byte, _ int) int {
			r.loop.Send(c, []byte(answer))
			return len(b)
		}
	})
	conn := dialSlow(t, addr)
	write(t, conn, "question\n")
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c := r.connection(t, 0)
	eventually(t, "the connection is over for the handler", func() bool { return r.isGone(c) })
	if got := readAll(t, conn); got != answer {
		t.Errorf("read %d bytes, want the %d of the answer", len(got), len(answer))
	}
	eventually(t, "the socket is closed", func() bool { return r.loop.cfg.Limit.Connections() == 0 })
}

func TestResetByPeer(t *testing.T) {
	r, addr := startLoop(t, nil)
	conn := dial(t, addr)
	c := r.connection(t, 0)
	r.call(func() { r.loop.Arm(c, lingerTime) })
	if err := conn.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	eventually(t, "the connection is gone", func() bool { return r.isGone(c) })
	if n := r.loop.stats.Closed[stats.CloseClient].Load(); n != 1 {
		t.Errorf("%d connections closed by clients, want 1", n)
	}
	r.call(func() {
		if n := r.loop.slots.Len(); n != 0 {
			t.Errorf("%d slots in use, want 0", n)
		}
	})
}

// The reader of a held connection goes on after Hold, in the other set, with what was there before.
func TestHoldKeepsHearing(t *testing.T) {
	r, addr := startLoop(t, func(_ *Config, r *recorder) {
		r.data = func(c uint32, b []byte, _ int) int {
			if bytes.Equal(b, []byte("hold me")) {
				r.loop.Hold(c)
			}
			return len(b)
		}
	})
	conn := dial(t, addr)
	c := r.connection(t, 0)
	write(t, conn, "hold me")
	eventually(t, "it is held", func() bool { return r.bytes(c) == "hold me" })
	write(t, conn, " and hear me")
	eventually(t, "it is heard", func() bool { return r.bytes(c) == "hold me and hear me" })
	r.call(func() { r.loop.Close(c, stats.CloseDone) })
	if got := readAll(t, conn); got != "" {
		t.Errorf("read %q, want nothing", got)
	}
}

// Connections that all have something to say at the same moment keep neither the mailbox waiting nor, when they are held,
// somebody who asks.
func TestManyReadyConnectionsKeepNobodyWaiting(t *testing.T) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	conns := min(5000, int(lim.Cur)/2-200) // both ends are ours
	var said, saidBeforeTask, saidBeforeAsker int
	var asker uint32
	r, addr := startLoop(t, func(cfg *Config, r *recorder) {
		cfg.Limit = NewLimit(conns + 1)
		r.data = func(c uint32, b []byte, _ int) int {
			if c == asker {
				saidBeforeAsker = said
			}
			said++
			return len(b)
		}
	})
	for _, hold := range []bool{false, true} {
		asks := dial(t, addr)
		a := r.connection(t, 0)
		r.call(func() { asker = a })
		var clients []*net.TCPConn
		blocked := make(chan struct{})
		for i := range conns {
			conn := dial(t, addr)
			clients = append(clients, conn)
			c := r.connection(t, i+1)
			if hold {
				r.call(func() { r.loop.Hold(c) })
			}
		}
		r.loop.Post(func() { <-blocked })
		for _, conn := range clients {
			write(t, conn, "x")
		}
		write(t, asks, "?")
		taken := make(chan struct{})
		r.loop.Post(func() { saidBeforeTask = said; close(taken) })
		close(blocked)
		<-taken
		eventually(t, "all were heard", func() (ok bool) {
			r.call(func() { ok = said == conns+1 })
			return ok
		})
		r.call(func() {
			if saidBeforeTask > 4*batchEvents {
				t.Errorf("hold=%v: a task waited behind %d of %d ready connections, want at most %d", hold, saidBeforeTask, conns, 4*batchEvents)
			}
			if hold && saidBeforeAsker > 4*batchEvents {
				t.Errorf("a request waited behind %d of %d held connections, want at most %d", saidBeforeAsker, conns, 4*batchEvents)
			}
			said = 0
		})
		asks.Close()
		for _, conn := range clients {
			conn.Close()
		}
		eventually(t, "all are gone", func() (ok bool) {
			r.call(func() { ok = r.loop.slots.Len() == 0 })
			return ok
		})
		r.mu.Lock()
		r.opened = nil
		r.mu.Unlock()
	}
}
