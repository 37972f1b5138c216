package netloop

import (
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/pkg/stats"
)

// Somebody else may have a descriptor of a client's socket, a child process for one. What the
// client sends after the loop has closed its own is nobody's, and no panic.
func TestClosedConnectionThatSomebodyElseHolds(t *testing.T) {
	for _, hold := range []bool{false, true} {
		r, addr := startLoop(t, nil)
		conn := dial(t, addr)
		c := r.connection(t, 0)
		var other int
		r.call(func() {
			if hold {
				r.loop.Hold(c)
			}
			var err error
			if other, err = unix.Dup(int(r.loop.slots.At(c).fd)); err != nil {
				t.Error(err)
			}
			r.loop.Close(c, stats.CloseDone)
		})
		r.call(func() {}) // its slot is free now
		before := r.loop.stats.Batches.Load()
		write(t, conn, "is anybody there?")
		next := dial(t, addr)
		r.connection(t, 1) // the number comes back
		write(t, next, "hello")
		eventually(t, "the next one is heard", func() bool { return r.bytes(c) != "" })
		if got := r.bytes(c); got != "hello" {
			t.Errorf("hold=%v: heard %q, want hello", hold, got)
		}
		if n := r.loop.stats.Batches.Load() - before; n > 100 {
			t.Errorf("hold=%v: %d batches, want a few", hold, n)
		}
		unix.Close(other)
	}
}

// An event may name a number whose page of slots is gone, a slot that nobody uses, or another
// connection.
func TestStaleEventsNameNobody(t *testing.T) {
	r, addr := startLoop(t, nil)
	conn := dial(t, addr)
	c := r.connection(t, 0)
	r.call(func() {
		gen := int32(r.loop.slots.At(c).gen)
		for _, ev := range []unix.EpollEvent{
			{Fd: 1 << 20, Pad: gen}, {Fd: 1 << 20}, {Fd: -1, Pad: gen}, // no such page
			{Fd: int32(c + 1)}, {Fd: int32(c + 1), Pad: gen}, {Fd: 0}, // not in use: all zero
			{Fd: int32(c), Pad: gen + 1}, {Fd: int32(c)}, // another connection
		} {
			if s := r.loop.named(&ev); s != nil {
				t.Errorf("an event for number %d, generation %d, finds descriptor %d, want none", ev.Fd, ev.Pad, s.fd)
			}
		}
		if s := r.loop.named(&unix.EpollEvent{Fd: int32(c), Pad: gen}); s != r.loop.slots.At(c) {
			t.Error("the connection's own event does not find it")
		}
		r.loop.births = 1<<16 - 1 // all generations have been there
	})
	conn.Close()
	dial(t, addr)
	c = r.connection(t, 1)
	r.call(func() {
		if gen := r.loop.slots.At(c).gen; gen == 0 {
			t.Error("a connection has generation 0, as slots have that are not in use")
		}
	})
}

// BenchmarkClose is what it takes to register a socket and to close it.
func BenchmarkClose(b *testing.B) {
	r, _ := startLoop(b, nil)
	r.call(func() {
		for b.Loop() {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err != nil {
				b.Fatal(err)
			}
			r.loop.cfg.Limit.enter()
			c, _, err := r.loop.register(fds[0])
			if err != nil {
				b.Fatal(err)
			}
			r.loop.close(c, stats.CloseDone)
			unix.Close(fds[1])
			r.loop.freeDead()
			r.gone = r.gone[:0]
		}
	})
}
