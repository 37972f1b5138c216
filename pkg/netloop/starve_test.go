package netloop

import (
	"io"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/pkg/stats"
)

// A socket that says that it has room and takes nothing, as TCP does when it is out of memory, is
// left alone after a few tries, until the next tick. What waits is written when it takes something
// again.
func TestSocketThatTakesNothingIsLeftAlone(t *testing.T) {
	r, addr := startLoop(t, nil)
	conn := dialSlow(t, addr)
	c := r.connection(t, 0)
	var want string
	r.call(func() {
		want = r.stuff(c)
		s := r.loop.slots.At(c)
		for i := range emptyTries { // as edges would have it
			if s.flags&flagStarved != 0 {
				t.Errorf("left alone after %d tries, want %d", i, emptyTries)
			}
			r.loop.flush(c, s)
		}
		if s.flags&flagStarved == 0 || len(r.loop.starving) != 1 {
			t.Fatalf("not left alone after %d tries", emptyTries)
		}
	})
	before := r.loop.stats.Batches.Load()
	eventually(t, "it was tried again and left alone again", func() (ok bool) {
		r.call(func() { ok = r.loop.retryAt > r.loop.now && len(r.loop.starving) == 1 })
		return ok
	})
	if n := r.loop.stats.Batches.Load() - before; n > 1000 {
		t.Errorf("%d batches", n)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Errorf("read %d bytes, %v, want the %d sent", len(got), err, len(want))
	}
	eventually(t, "it is not left alone any more", func() (ok bool) {
		r.call(func() {
			s := r.loop.slots.At(c)
			ok = s.queue == 0 && s.flags&flagStarved == 0 && len(r.loop.starving) == 0
		})
		return ok
	})
}

// Those that are left alone may leave, and their numbers come back; the tries of a batch are
// bounded.
func TestStarvingConnectionsLeave(t *testing.T) {
	r, addr := startLoop(t, nil)
	dialSlow(t, addr)
	c := r.connection(t, 0)
	r.call(func() {
		r.stuff(c)
		s := r.loop.slots.At(c)
		for s.flags&flagStarved == 0 {
			r.loop.flush(c, s)
		}
		for range 3 * batchEvents {
			r.loop.starving = append(r.loop.starving, starving{conn: 1 << 20, gen: 7}) // gone
		}
		r.loop.Close(c, stats.CloseDone)
		r.loop.retryAt = 0
		if !r.loop.retryStarving() || len(r.loop.starving) != 1+2*batchEvents {
			t.Errorf("%d are left after one batch, want %d", len(r.loop.starving), 1+2*batchEvents)
		}
	})
	next := dial(t, addr)
	r.connection(t, 1)
	write(t, next, "hello")
	eventually(t, "the next one of the number is heard", func() bool { return r.bytes(c) == "hello" })
	eventually(t, "nobody is left", func() (ok bool) {
		r.call(func() { ok = len(r.loop.starving) == 0 })
		return ok
	})
}

// A starving connection's edge does not make the loop write.
func TestEdgeOfAStarvingConnection(t *testing.T) {
	r, addr := startLoop(t, nil)
	dialSlow(t, addr)
	c := r.connection(t, 0)
	r.call(func() {
		r.stuff(c)
		s := r.loop.slots.At(c)
		for s.flags&flagStarved == 0 {
			r.loop.flush(c, s)
		}
		if err := unix.SetsockoptInt(int(s.fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20); err != nil {
			t.Error(err)
		}
		sent := r.loop.bytesOut
		forget(r.loop.active, int(s.fd))
		if err := addTo(r.loop.active, c, s); err != nil { // tells at once what is ready
			t.Error(err)
		}
		r.loop.onConnections(r.loop.active)
		if r.loop.bytesOut != sent {
			t.Errorf("%d bytes were written", r.loop.bytesOut-sent)
		}
	})
}
