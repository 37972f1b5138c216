package netloop

import (
	"io"
	"strings"
	"testing"

	"holdfast/pkg/stats"
)

// A client that is still sending when its answer comes reads the whole answer and then the end, not
// a reset: Finish throws away what it sends (RFC 9112 section 9.6), also where nothing was read
// before.
func TestFinishReadsOnAfterAwaitAndPause(t *testing.T) {
	const (
		rest   = 8 << 20 // more than the sockets' buffers take
		answer = "413 content too large"
	)
	for name, stop := range map[string]func(l *Loop, c uint32){
		"awaited": (*Loop).Await,
		"paused":  (*Loop).Pause,
		"both":    func(l *Loop, c uint32) { l.Await(c); l.Pause(c) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stopped := make(chan uint32, 1)
			r, addr := startLoop(t, func(_ *Config, r *recorder) {
				r.data = func(c uint32, b []byte, _ int) int {
					stop(r.loop, c)
					stopped <- c
					return len(b)
				}
			})
			conn := dial(t, addr)
			write(t, conn, "head")
			c := <-stopped
			wrote := make(chan error, 1)
			go func() {
				_, err := io.WriteString(conn, strings.Repeat("x", rest))
				wrote <- err
			}()
			r.call(func() {
				r.loop.Send(c, []byte(answer))
				r.loop.Finish(c, stats.CloseDone)
			})
			if err := <-wrote; err != nil {
				t.Errorf("the client's rest: %v", err)
			}
			if got := readAll(t, conn); got != answer {
				t.Errorf("read %q, want %q", got, answer)
			}
		})
	}
}

// A client that has sent a large body and shut down its side gets the answer that came before the
// body was read: closing with unread bytes would be a reset.
func TestFinishReadsWhatCameBeforeTheClientsEnd(t *testing.T) {
	const answer = "413 content too large"
	for name, end := range map[string]func(l *Loop, c uint32){
		"awaited, then finished": func(l *Loop, c uint32) {
			l.Send(c, []byte(answer))
			l.Finish(c, stats.CloseDone)
		},
		"paused, with an answer under way": func(l *Loop, c uint32) {
			l.Send(c, []byte(answer))
			s := l.slots.At(c)
			s.flags = s.flags&^flagAwaited | flagPaused
			l.read(c, s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			awaited := make(chan uint32, 1)
			r, addr := startLoop(t, func(_ *Config, r *recorder) {
				r.data = func(c uint32, b []byte, _ int) int {
					r.loop.Await(c)
					awaited <- c
					return len(b)
				}
			})
			conn := dial(t, addr)
			write(t, conn, "head")
			c := <-awaited
			write(t, conn, strings.Repeat("x", 60<<10))
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the client's end is seen", func() (ok bool) {
				r.call(func() { ok = r.loop.Ended(c) })
				return ok
			})
			r.call(func() { end(r.loop, c) })
			eventually(t, "the connection is closed", func() bool { return r.loop.cfg.Limit.Connections() == 0 })
			if got := readAll(t, conn); got != answer {
				t.Errorf("read %q, want %q", got, answer)
			}
		})
	}
}

// A client that sends more than its socket's buffer takes while it is held and paused, and leaves,
// is seen to have left. One that sends less goes on when its turn comes, and so does one that is
// not held.
func TestHeldClientThatSendsTooMuchEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		hold bool
		rest int
		ends bool
	}{
		"too much":           {true, 8 << 20, true},
		"just too much":      {true, heldUnread + 1, true},
		"little":             {true, heldUnread - 1, false},
		"much, but not held": {false, 60 << 10, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			paused := make(chan uint32, 1)
			r, addr := startLoop(t, func(_ *Config, r *recorder) {
				first := true
				r.data = func(c uint32, b []byte, _ int) int {
					if !first {
						return len(b)
					}
					first = false
					if tt.hold {
						r.loop.Hold(c)
					}
					r.loop.Pause(c)
					paused <- c
					return len(b)
				}
			})
			conn := dial(t, addr)
			write(t, conn, "head")
			c := <-paused
			done := make(chan struct{})
			go func() {
				io.WriteString(conn, strings.Repeat("x", tt.rest)) // it may fail: the loop ends it
				close(done)
			}()
			if tt.ends {
				eventually(t, "the connection is over", func() bool { return r.isGone(c) })
				<-done
				conn.Close()
				eventually(t, "its socket is closed", func() bool { return r.loop.cfg.Limit.Connections() == 0 })
				return
			}
			<-done
			r.call(func() { r.loop.Again(c) })
			eventually(t, "the rest is heard", func() bool { return len(r.bytes(c)) == len("head")+tt.rest })
		})
	}
}
