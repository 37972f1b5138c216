package netloop

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/pkg/stats"
)

func TestBind(t *testing.T) {
	fds, addr, err := Bind("127.0.0.1:0", 3, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(fds) != 3 || addr.Addr() != netip.MustParseAddr("127.0.0.1") || addr.Port() == 0 {
		t.Errorf("Bind = %v, %v, want three sockets on a port of 127.0.0.1", fds, addr)
	}
	for _, fd := range fds {
		defer unix.Close(fd)
		if got, err := localAddr(fd); err != nil || got != addr {
			t.Errorf("socket %d listens on %v, %v, want %v", fd, got, err, addr)
		}
	}
	before := openFiles(t)
	if _, _, err := Bind(addr.String(), 2, false); err == nil || !strings.Contains(err.Error(), addr.String()) {
		t.Errorf("Bind of a port in use = %v, want an error that names %v", err, addr)
	}
	if after := openFiles(t); after != before {
		t.Errorf("the failed Bind left %d files open", after-before)
	}
	shared, again, err := Bind(addr.String(), 2, true)
	if err != nil || again != addr {
		t.Errorf("Bind of a port to be shared = %v, %v, want %v", again, err, addr)
	}
	for _, fd := range shared {
		unix.Close(fd)
	}
}

func TestBindRefuses(t *testing.T) {
	for _, addr := range []string{"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1", "192.0.2.1:0", "[::1:80"} {
		if fds, bound, err := Bind(addr, 1, false); err == nil {
			t.Errorf("Bind(%q) = %v, %v, want an error", addr, fds, bound)
		}
	}
}

func TestBindWithoutHostTakesAll(t *testing.T) {
	r, _ := startLoop(t, nil)
	fds, addr, err := Bind(":0", 1, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.loop.Listen(fds[0]); err != nil {
		t.Fatal(err)
	}
	dial(t, fmt.Sprintf("127.0.0.1:%d", addr.Port()))
	r.connection(t, 0)
}

func TestAcceptedSocketsInheritOptions(t *testing.T) {
	r, addr := startLoop(t, nil)
	dial(t, addr)
	checkOptions(t, r, r.connection(t, 0))
}

func checkOptions(t *testing.T, r *recorder, c uint32) {
	t.Helper()
	tests := []struct {
		name         string
		level, opt   int
		want, atMost int
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1, 1},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1, 1},
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 60_000, 60_000},
		{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer, 2 * sendBuffer}, // the kernel doubles what wmem_max allows
	}
	r.call(func() {
		fd := int(r.loop.slots.At(c).fd)
		for _, tt := range tests {
			if got, err := unix.GetsockoptInt(fd, tt.level, tt.opt); err != nil || got < tt.want || got > tt.atMost {
				t.Errorf("%s of an accepted socket = %d, %v, want %d to %d", tt.name, got, err, tt.want, tt.atMost)
			}
		}
		for _, flag := range []struct{ cmd, bit int }{{unix.F_GETFL, unix.O_NONBLOCK}, {unix.F_GETFD, unix.FD_CLOEXEC}} {
			if got, err := unix.FcntlInt(uintptr(fd), flag.cmd, 0); err != nil || got&flag.bit == 0 {
				t.Errorf("fcntl %d of an accepted socket = %#x, %v, want %#x in it", flag.cmd, got, err, flag.bit)
			}
		}
	})
}

// answerRefused has those over the limit told so.
func answerRefused(r *recorder) {
	r.open = func(c uint32, refused bool) {
		if refused {
			r.loop.Send(c, []byte("refused"))
			r.loop.Finish(c, stats.CloseOverload)
		}
	}
}

func TestLimit(t *testing.T) {
	t.Run("alone", func(t *testing.T) { testLimit(t, nil) })
	t.Run("with a rate", func(t *testing.T) { testLimit(t, NewRate(100)) })
}

func testLimit(t *testing.T, rate *Rate) {
	t.Parallel()
	const most = 5
	r, addr := startLoop(t, func(cfg *Config, r *recorder) {
		cfg.Limit, cfg.Rate = NewLimit(most), rate
		answerRefused(r)
	})
	var heldConns []*net.TCPConn
	for i := range most {
		heldConns = append(heldConns, dial(t, addr))
		r.connection(t, i)
	}
	// Twice as many as are refused in a second come at once.
	blocked := make(chan struct{})
	r.loop.Post(func() { <-blocked })
	var over []*net.TCPConn
	for range 2 * refusalsPerSecond {
		over = append(over, dial(t, addr))
	}
	close(blocked)
	eventually(t, "accepting pauses", func() (ok bool) {
		r.call(func() { ok = r.loop.paused && r.loop.atLimit })
		return ok
	})
	if n := r.loop.cfg.Limit.Connections(); n > most+2*refusalsPerSecond {
		t.Errorf("%d connections are open, want at most %d", n, most+2*refusalsPerSecond)
	}
	before := r.loop.stats.Batches.Load()
	<-time.After(acceptRecheck / 2)
	if n := r.loop.stats.Batches.Load() - before; n > 30 {
		t.Errorf("%d batches in half a second of a pause, want hardly any", n)
	}
	if got := readAll(t, over[0]); got != "refused" {
		t.Errorf("the first over the limit read %q, want refused", got)
	}
	// Those who waited get their answer in a later second; only the one that ended each pause goes without.
	answered := 0
	for _, conn := range over {
		if b, _ := io.ReadAll(conn); string(b) == "refused" {
			answered++
		}
		conn.Close()
	}
	if answered < len(over)-8 {
		t.Errorf("%d of %d over the limit were answered", answered, len(over))
	}
	// The held ones never noticed.
	for i, conn := range heldConns {
		write(t, conn, "still here")
		c := r.connection(t, i)
		eventually(t, "a held connection is heard", func() bool { return r.bytes(c) == "still here" })
	}
	eventually(t, "those refused are gone", func() bool { return r.loop.cfg.Limit.Connections() == most })
	heldConns[0].Close()
	eventually(t, "there is room", func() bool { return r.loop.cfg.Limit.Connections() == most-1 })
	last := dial(t, addr)
	write(t, last, "hello")
	eventually(t, "the newcomer is heard", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, got := range r.got {
			if strings.HasSuffix(got, "hello") { // the number may be an old one
				return true
			}
		}
		return false
	})
}

// A listener that is added during a pause waits for its end, like the others.
func TestListenDuringAPause(t *testing.T) {
	t.Parallel()
	r, _ := startLoop(t, nil)
	r.call(func() {
		r.loop.pauseAccept(time.Now().Add(acceptRecheck+4*tickLength), true)
		r.loop.cfg.Limit.n.Add(10_000)
	})
	addr := listen(t, r.loop)
	conn := dial(t, addr)
	before := r.loop.stats.Batches.Load()
	<-time.After(2 * tickLength)
	if n := r.loop.stats.Batches.Load() - before; n > 10 {
		t.Errorf("%d batches in %v of a pause, want hardly any", n, 2*tickLength)
	}
	r.loop.cfg.Limit.n.Add(-10_000)
	write(t, conn, "hello")
	c := r.connection(t, 0)
	eventually(t, "the newcomer is heard", func() bool { return r.bytes(c) == "hello" })
}

const childEnv = "HOLDFAST_NETLOOP_CHILD"

// childRoom is the number of files that the child may open for connections.
const childRoom = 20

// runChild is the process of TestNoFilesLeft: a loop that echoes, with few files to open. It answers each line on
// standard input with its batches and connections.
func runChild() {
	r := &recorder{got: map[uint32]string{}}
	r.data = func(c uint32, b []byte, _ int) int {
		r.loop.Send(c, b)
		return len(b)
	}
	cfg := Config{Log: slog.New(slog.DiscardHandler), Stats: new(stats.Loop), Limit: NewLimit(10_000), Queue: NewBudget(1 << 20), MaxQueued: 1 << 20, MaxInput: 1 << 10}
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	loop, err := New(cfg, func(l *Loop) Handler { r.loop = l; return r })
	check(err)
	fds, addr, err := Bind("127.0.0.1:0", 1, false)
	check(err)
	<-time.After(time.Millisecond) // the runtime opens its own files with the first timer
	open, err := os.ReadDir("/proc/self/fd")
	check(err)
	room := unix.Rlimit{Cur: uint64(len(open) - 1 + childRoom), Max: uint64(len(open) - 1 + childRoom)}
	check(unix.Setrlimit(unix.RLIMIT_NOFILE, &room))
	check(loop.Listen(fds[0]))
	fmt.Println(addr)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(cfg.Stats.Batches.Load(), cfg.Limit.Connections())
	}
}

// With no file descriptor left the loop waits without spinning, those held are served, and accepting goes on when some
// have left.
func TestNoFilesLeft(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("child: %v", err)
		}
	})
	var addr string
	if _, err := fmt.Fscanln(out, &addr); err != nil {
		t.Fatal(err)
	}
	ask := func() (batches, conns int) {
		write(t, in, "\n")
		if _, err := fmt.Fscanln(out, &batches, &conns); err != nil {
			t.Fatal(err)
		}
		return batches, conns
	}
	echoes := func(conn *net.TCPConn) {
		t.Helper()
		write(t, conn, "hello")
		got := make([]byte, 5)
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
			t.Fatalf("echo = %q, %v, want hello", got, err)
		}
	}
	var conns []*net.TCPConn
	for range 2 * childRoom {
		conns = append(conns, dial(t, addr))
	}
	eventually(t, "the child has no room left", func() bool { _, n := ask(); return n >= childRoom-2 })
	_, n := ask()
	before, _ := ask()
	<-time.After(acceptRecheck)
	if after, _ := ask(); after-before > 100 {
		t.Errorf("%d batches in %v without a file descriptor left, want hardly any", after-before, acceptRecheck)
	}
	for _, conn := range conns[:n] {
		echoes(conn)
	}
	for _, conn := range conns[:n/2] {
		conn.Close()
	}
	for _, conn := range conns[n : n+n/2] {
		echoes(conn)
	}
}
