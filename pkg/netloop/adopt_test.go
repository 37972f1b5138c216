package netloop

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// foreignListener opens a listening socket as another process would, with none of our options, blocking and without
// close-on-exec, and returns a descriptor of it to be adopted and one to be kept.
func foreignListener(t *testing.T) (fd, kept int, addr string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 128); err != nil {
		t.Fatal(err)
	}
	ap, err := localAddr(fd)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err = unix.Dup(fd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(kept) })
	return fd, kept, ap.String()
}

// startAdopted runs n loops that accept from one adopted socket.
func startAdopted(t *testing.T, n int, fd int) (loops []*recorder) {
	t.Helper()
	fds, bound, err := Adopt(fd, n)
	if err != nil {
		t.Fatal(err)
	}
	if len(fds) != n || bound.Addr() != netip.MustParseAddr("127.0.0.1") || bound.Port() == 0 {
		t.Fatalf("Adopt = %v, %v, want %d sockets on a port of 127.0.0.1", fds, bound, n)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the adopted descriptor after Adopt: %v, want it closed", err)
	}
	for _, fd := range fds {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("flags of descriptor %d = %#x, %v, want close-on-exec", fd, flags, err)
		}
		r, _ := startLoop(t, nil)
		if err := r.loop.ListenAdopted(fd); err != nil {
			t.Fatal(err)
		}
		loops = append(loops, r)
	}
	return loops
}

// Not parallel, because a descriptor is reused: a closed one is looked at.
func TestAdoptedSocketServesAllLoops(t *testing.T) {
	fd, _, addr := foreignListener(t)
	loops := startAdopted(t, 2, fd)
	for i, r := range loops { // when the other is busy
		blocked := make(chan struct{})
		other := loops[1-i].loop
		held := make(chan struct{})
		other.Post(func() { close(held); <-blocked })
		<-held
		conn := dial(t, addr)
		write(t, conn, "hello")
		c := r.connection(t, 0)
		eventually(t, fmt.Sprintf("the client is heard by loop %d", i), func() bool { return r.bytes(c) == "hello" })
		close(blocked)
	}
}

// Those who connected before have not inherited the options, and get them nevertheless.
func TestAdoptedSocketsHaveOptions(t *testing.T) {
	fd, _, addr := foreignListener(t)
	early := dial(t, addr)
	r := startAdopted(t, 1, fd)[0]
	r.connection(t, 0)
	write(t, early, "hello")
	late := dial(t, addr)
	write(t, late, "hello")
	for i := range 2 {
		c := r.connection(t, i)
		eventually(t, "the client is heard", func() bool { return r.bytes(c) == "hello" })
		checkOptions(t, r, c)
	}
}

// The socket goes on listening for who else holds it, and those who wait in its queue are left to them.
func TestAdoptedSocketOutlivesTheLoops(t *testing.T) {
	fd, kept, addr := foreignListener(t)
	loops := startAdopted(t, 2, fd)
	held := dial(t, addr)
	eventually(t, "one loop has a client", func() bool { return accepted(loops[0])+accepted(loops[1]) == 1 })

	loops[1].loop.StopListening()
	busy, connected, stopped := make(chan struct{}), make(chan struct{}), make(chan struct{})
	loops[0].loop.Post(func() { // what StopListening does, with a client that the loop has not yet seen
		close(busy)
		<-connected
		loops[0].loop.stopAccept()
		close(stopped)
	})
	<-busy
	waiting := dial(t, addr)
	close(connected)
	<-stopped
	before := loops[0].loop.stats.Batches.Load() + loops[1].loop.stats.Batches.Load()
	afterwards := dial(t, addr)

	// The next pushd.
	next := startAdopted(t, 1, mustDup(t, kept))[0]
	for i, conn := range []*net.TCPConn{waiting, afterwards} {
		write(t, conn, "hello")
		c := next.connection(t, i)
		eventually(t, "the next pushd hears who waited", func() bool { return next.bytes(c) == "hello" })
	}
	if n := loops[0].loop.stats.Batches.Load() + loops[1].loop.stats.Batches.Load() - before; n > 10 {
		t.Errorf("%d batches of loops that have stopped listening, want hardly any", n)
	}
	write(t, held, "still here")
	eventually(t, "the held one is heard", func() bool { return loops[0].heard("still here") || loops[1].heard("still here") })
}

// heard reports whether some connection has brought exactly s.
func (r *recorder) heard(s string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, got := range r.got {
		if got == s {
			return true
		}
	}
	return false
}

func mustDup(t *testing.T, fd int) int {
	t.Helper()
	dup, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	return dup
}

func TestAdoptRefuses(t *testing.T) {
	socket := func(family, kind int) func() (int, error) {
		return func() (int, error) { return unix.Socket(family, kind, 0) }
	}
	tests := []struct {
		name string
		open func() (int, error)
		want string
	}{
		{"a file", func() (int, error) { return unix.Open("/dev/null", unix.O_RDONLY, 0) }, "not a socket"},
		{"a closed descriptor", func() (int, error) { return 1 << 20, nil }, "bad file descriptor"},
		{"a Unix socket", socket(unix.AF_UNIX, unix.SOCK_STREAM), "not a socket of IPv4 or IPv6"},
		{"a UDP socket", socket(unix.AF_INET, unix.SOCK_DGRAM), "not a stream socket"},
		{"a socket that does not listen", socket(unix.AF_INET, unix.SOCK_STREAM), "does not listen"},
	}
	for _, tt := range tests {
		fd, err := tt.open()
		if err != nil {
			t.Fatal(err)
		}
		before := openFiles(t)
		fds, bound, err := Adopt(fd, 2)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), fmt.Sprint(fd)) || fds != nil {
			t.Errorf("%s: Adopt(%d) = %v, %v, %v, want an error with %q", tt.name, fd, fds, bound, err, tt.want)
		}
		if after := openFiles(t); after != before {
			t.Errorf("%s: %d files more are open than before", tt.name, after-before)
		}
		unix.Close(fd)
	}
}
