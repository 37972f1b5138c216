package netloop

import (
	"io"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/pkg/stats"
)

// newLoop runs a loop that the test stops itself.
func newLoop(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{got: map[uint32]string{}}
	cfg := Config{
		Log: slog.New(slog.DiscardHandler), Stats: new(stats.Loop), Limit: NewLimit(10_000),
		Queue: NewBudget(64 << 20), MaxQueued: 16 << 20, MaxInput: 1 << 10,
	}
	var err error
	if r.loop, err = New(cfg, func(l *Loop) Handler { r.loop = l; return r }); err != nil {
		t.Fatal(err)
	}
	return r
}

// Once a loop has stopped, the number of its eventfd may be a client's socket.
// Not parallel: it takes a certain number.
func TestPostAfterStopTouchesNoFile(t *testing.T) {
	r := newLoop(t)
	wake := r.loop.wake
	if err := r.loop.Stop(); err != nil {
		t.Fatal(err)
	}
	other, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	if other != wake {
		again, err := unix.FcntlInt(uintptr(other), unix.F_DUPFD_CLOEXEC, wake)
		if err != nil || again != wake {
			t.Fatalf("want descriptor %d, got %d, %v", wake, again, err)
		}
		defer unix.Close(again)
	}
	r.loop.Post(func() { t.Error("a loop that has stopped took a task") })
	var b [8]byte
	if n, err := unix.Read(other, b[:]); err != unix.EAGAIN {
		t.Errorf("read %v, %v of a file that is not the loop's, want nothing", b[:max(n, 0)], err)
	}
}

// Posting while the loop stops is in order, and what is posted later is nobody's.
func TestPostWhileStopping(t *testing.T) {
	t.Parallel()
	for range 10 {
		r := newLoop(t)
		var posters sync.WaitGroup
		stop := make(chan struct{})
		for range 4 {
			posters.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						r.loop.Post(func() {})
						r.loop.Beat()
					}
				}
			})
		}
		if err := r.loop.Stop(); err != nil {
			t.Fatal(err)
		}
		close(stop)
		posters.Wait()
		if n := r.loop.Waiting(); n != 0 {
			t.Errorf("%d tasks wait for a loop that has stopped", n)
		}
	}
}

// breakWait makes the loop's next wait for events fail: its epoll set becomes another file.
func breakWait(t *testing.T, l *Loop) {
	t.Helper()
	ep := int(reflect.ValueOf(l.ep).Elem().FieldByName("fd").Int())
	none, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(none)
	if err := unix.Dup3(none, ep, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	l.Beat() // ends the wait that is under way
}

// A loop that cannot wait for events says so, lets its clients go, and still answers everybody in
// the house.
func TestLoopThatCannotWait(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 10)
	r, addr := startLoop(t, func(c *Config, _ *recorder) {
		c.Failed = func(err error) { failed <- err }
	})
	conn := dial(t, addr)
	r.connection(t, 0)
	breakWait(t, r.loop)
	select {
	case err := <-failed:
		if !strings.Contains(err.Error(), "cannot wait for events: invalid argument") {
			t.Errorf("Failed was told %q", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was told that the loop failed")
	}
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("its client reads %v, want the end", err)
	}
	for range 3 {
		r.call(func() {})
	}
	fds, _, err := Bind("127.0.0.1:0", 1, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.loop.Listen(fds[0]); err == nil {
		t.Error("it listens")
	}
	r.loop.StopListening() // Stop is called by the cleanup
	if n := len(failed); n != 0 {
		t.Errorf("Failed was told %d times more", n)
	}
}

// A loop gives a sign of life when it is idle, and none in the middle of a batch.
func TestBeat(t *testing.T) {
	t.Parallel()
	r, _ := startLoop(t, nil)
	for range 3 {
		eventually(t, "an idle loop lives", r.loop.Beat)
	}
	release, held := make(chan struct{}), make(chan struct{})
	r.loop.Post(func() { close(held); <-release })
	<-held
	r.loop.Beat()
	for range 3 {
		if r.loop.Beat() {
			t.Error("a loop in the middle of a batch gave a sign of life")
		}
	}
	close(release)
	eventually(t, "it goes on", r.loop.Beat)
}
