package netloop

import (
	"io"
	"strings"
	"testing"

	"holdfast/pkg/stats"
)

// A client that has asked and shut down its side gets the answer that takes a while, and the connection ends then.
func TestAwaitedAnswerOutlastsTheClientsEnd(t *testing.T) {
	answered := false
	r, addr := startLoop(t, func(_ *Config, r *recorder) {
		r.data = func(c uint32, b []byte, _ int) int {
			if !answered {
				r.loop.Await(c)
				return 0
			}
			r.loop.Send(c, append([]byte("answer to "), b...))
			return len(b)
		}
	})
	conn := dial(t, addr)
	c := r.connection(t, 0)
	write(t, conn, "question")
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	neighbour := dial(t, addr) // accepted after the end of the first was seen
	r.connection(t, 1)
	neighbour.Close()
	eventually(t, "the neighbour is gone", func() bool { return r.isGone(r.connection(t, 1)) })
	if r.isGone(c) {
		t.Fatal("the connection is gone before its answer")
	}
	r.call(func() {
		answered = true
		r.loop.Again(c)
	})
	got, err := io.ReadAll(conn)
	if string(got) != "answer to question" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	eventually(t, "the connection is gone", func() bool { return r.isGone(c) })
	if n := r.loop.stats.Closed[stats.CloseClient].Load(); n != 2 {
		t.Errorf("%d connections closed by the client, want 2", n)
	}
}

// While an answer is on its way nothing more is read, so a client that goes on sending is held up and not closed.
func TestAwaitReadsNoMore(t *testing.T) {
	waiting := true
	r, addr := startLoop(t, func(cfg *Config, r *recorder) {
		r.data = func(c uint32, b []byte, _ int) int {
			if waiting {
				r.loop.Await(c)
				return 0
			}
			return len(b)
		}
	})
	conn := dial(t, addr)
	c := r.connection(t, 0)
	write(t, conn, "question")
	eventually(t, "the question has arrived", func() (ok bool) {
		r.call(func() { ok = r.loop.slots.At(c).flags&flagAwaited != 0 })
		return ok
	})
	more := strings.Repeat("x", 64<<10) // more than a handler may leave unused
	write(t, conn, more)
	r.call(func() {})
	r.call(func() {
		waiting = false
		r.loop.Again(c)
	})
	eventually(t, "everything was used", func() bool { return r.bytes(c) == "question"+more })
}

// A client that resets its connection is seen to be gone although nothing is read.
func TestAwaitedClientResets(t *testing.T) {
	r, addr := startLoop(t, func(_ *Config, r *recorder) {
		r.data = func(c uint32, _ []byte, _ int) int {
			r.loop.Await(c)
			return 0
		}
	})
	conn := dial(t, addr)
	c := r.connection(t, 0)
	write(t, conn, "question")
	eventually(t, "the question has arrived", func() (ok bool) {
		r.call(func() { ok = r.loop.slots.At(c).flags&flagAwaited != 0 })
		return ok
	})
	if err := conn.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	eventually(t, "it is gone", func() bool { return r.isGone(c) })
}
