package sysprep

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What is proved here: the bad value makes real sockets fail, the remedy that sysprep applies makes them work, and undo
// brings the bad value back. Not tried are fs.* and vm.*, tcp_mem, tcp_max_orphans, netdev_max_backlog, rmem_max, wmem_max
// and nf_conntrack_max, for they have one value for the whole machine: so ENOSPC of epoll is not shown.

// A queue that is too short lets clients hang, and the kernel counts what it dropped.
func TestRemedyOfSomaxconn(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	const clients = 200
	h, c := netnsHost(t)
	spoil(t, h, "net.core.somaxconn", "8")
	l, addr := listen(t, 0, 65_535)

	stalled, overflows := connectAll(t, h, addr, clients)
	if stalled < clients/2 || overflows == 0 {
		t.Fatalf("with somaxconn 8, %d of %d clients hang and ListenOverflows grew by %d; want most, and some", stalled, clients, overflows)
	}
	t.Logf("with somaxconn 8: %d of %d clients hang, ListenOverflows +%d", stalled, clients, overflows)

	remedy(t, h, c, Target{N: 1000}, "net.core.somaxconn")
	if err := unix.Listen(l, 65_535); err != nil { // as a restart does; connections that wait stay
		t.Fatal(err)
	}
	acceptAll(t, l)
	if stalled, overflows = connectAll(t, h, addr, clients); stalled != 0 || overflows != 0 {
		t.Errorf("with the remedy, %d of %d clients hang and ListenOverflows grew by %d; want none", stalled, clients, overflows)
	}
}

// connectAll opens n connections that nobody accepts, and counts those that are not established after a while.
func connectAll(t *testing.T, h *Host, addr *unix.SockaddrInet4, n int) (stalled int, overflows int64) {
	t.Helper()
	before := counter(t, h, "TcpExt.ListenOverflows")
	fds := make([]int, n)
	for i := range fds {
		fd, err := trySocket()
		if err != nil {
			t.Fatalf("socket: %v", err)
		}
		defer unix.Close(fd) // no attempt goes on after this
		if err := unix.Connect(fd, addr); err != nil && !errors.Is(err, unix.EINPROGRESS) {
			t.Fatalf("connect: %v", err)
		}
		fds[i] = fd
	}
	deadline := time.Now().Add(300 * time.Millisecond) // the kernel tries again after a second
	for _, fd := range fds {
		if !wait(t, fd, unix.POLLOUT, max(0, time.Until(deadline))) {
			stalled++
		}
	}
	return stalled, counter(t, h, "TcpExt.ListenOverflows") - before
}

func acceptAll(t *testing.T, l int) {
	t.Helper()
	for {
		fd, _, err := unix.Accept4(l, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			t.Fatalf("accept: %v", err)
		}
		unix.Close(fd)
	}
}

// A load generator runs out of local ports.
func TestRemedyOfPortRange(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	const key, clients = "net.ipv4.ip_local_port_range", 100
	h, c := netnsHost(t)
	spoil(t, h, key, "40000 40009")
	_, addr := listen(t, 20_000, 1000) // outside of the range
	open := func() (n int, err error) {
		for ; n < clients; n++ {
			fd := socket(t)
			if err := unix.Connect(fd, addr); err != nil && !errors.Is(err, unix.EINPROGRESS) {
				return n, err
			}
		}
		return n, nil
	}
	n, err := open()
	if n != 10 || !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Fatalf("with 10 local ports, %d connections and then %v; want 10 and EADDRNOTAVAIL", n, err)
	}
	t.Logf("with 10 local ports: %d connections, then %v", n, err)
	remedy(t, h, c, Target{N: 50_000, Role: RoleLoadgen}, key)
	if n, err = open(); n != clients || err != nil {
		t.Errorf("with the remedy, %d connections and then %v; want %d more", n, err, clients)
	}
}

// The kernel refuses a range that begins below the ports of everybody, as a published tuning has it.
func TestPublishedPortRangeIsRefused(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	const key = "net.ipv4.ip_local_port_range"
	h, _ := netnsHost(t)
	before, err := h.sysctlText(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeSetting("/"+sysctlPath(key), "500 65535"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("setting %s to 500 65535: %v, want EINVAL", key, err)
	}
	if after, err := h.sysctlText(key); err != nil || after != before {
		t.Errorf("then it is %q, %v, want %q as before", after, err, before)
	}
}

// Small receive buffers make small windows.
func TestRemedyOfReceiveBuffers(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	h, c := netnsHost(t)
	spoil(t, h, "net.ipv4.tcp_rmem", "1024 4096 16384") // as published
	client, _ := pairOf(t)
	small, less := tcpInfo(t, client).Snd_wnd, taken(t, client)
	if small == 0 {
		t.Skip("this kernel does not tell the window")
	}
	if small > 4096 {
		t.Fatalf("with a receive buffer of 4096 the window is %d, want less", small)
	}
	remedy(t, h, c, Target{N: 1000}, "net.ipv4.tcp_rmem")
	client, _ = pairOf(t)
	window := tcpInfo(t, client).Snd_wnd
	if window < 16*small || window < 32<<10 {
		t.Errorf("with the remedy the window is %d, was %d; want a request of 32 KiB to fit at once", window, small)
	}
	t.Logf("the first window: %d bytes, then %d; taken of a client unread: %d bytes, then %d", small, window, less, taken(t, client))
}

// taken is what the other end takes although nobody reads there.
func taken(t *testing.T, fd int) int {
	t.Helper()
	sent := fill(t, fd)
	queued, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ)
	if err != nil {
		t.Fatal(err)
	}
	return sent - queued
}

// Small send buffers let a server queue next to nothing for a client that is slow for a moment.
func TestRemedyOfSendBuffers(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	h, c := netnsHost(t)
	spoil(t, h, "net.ipv4.tcp_wmem", "1024 4096 16384")
	queued := func() int {
		_, server := pairOf(t)
		total := fill(t, server)
		unsent, err := unix.IoctlGetInt(server, unix.TIOCOUTQ)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("the kernel takes %d bytes for a client that does not read, and holds %d of them", total, unsent)
		return unsent
	}
	small := queued()
	remedy(t, h, c, Target{N: 1000}, "net.ipv4.tcp_wmem")
	if large := queued(); small > 64<<10 || large < 8*small || large < 1<<20 {
		t.Errorf("the kernel holds %d bytes, and %d with the remedy; want less than 64 KiB, and more than 1 MiB", small, large)
	}
}

// Without autotuning a window stays as small as it began, however much its client reads.
func TestRemedyOfModerateRcvbuf(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	const key = "net.ipv4.tcp_moderate_rcvbuf"
	h, c := netnsHost(t)
	spoil(t, h, key, "0")
	grown := func() uint32 {
		client, server := pairOf(t)
		transfer(t, server, client, 32<<20)
		return tcpInfo(t, server).Snd_wnd
	}
	frozen := grown()
	if frozen == 0 {
		t.Skip("this kernel does not tell the window")
	}
	remedy(t, h, c, Target{N: 1000}, key)
	if window := grown(); window < 2*frozen {
		t.Errorf("after 32 MiB the window is %d, and %d with the remedy; want twice as much or more", frozen, window)
	} else {
		t.Logf("the window after 32 MiB: %d bytes, then %d", frozen, window)
	}
}

// transfer sends n bytes from one end to the other, which reads them as they come.
func transfer(t *testing.T, from, to, n int) {
	t.Helper()
	block, sink := make([]byte, 256<<10), make([]byte, 256<<10)
	sent, got := 0, 0
	for got < n {
		if m, err := unix.SendmsgN(from, block, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL); err == nil && sent < n {
			sent += m
		}
		m, err := unix.Read(to, sink)
		switch {
		case errors.Is(err, unix.EAGAIN):
			if !wait(t, to, unix.POLLIN, 5*time.Second) {
				t.Fatalf("after %d of %d bytes nothing came for 5 s", got, n)
			}
		case err != nil || m == 0:
			t.Fatalf("read: %d, %v", m, err)
		default:
			got += m
		}
	}
}

// Without timestamps there is nothing to tell old segments from new ones.
func TestRemedyOfTimestamps(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	const key, optTimestamps = "net.ipv4.tcp_timestamps", 1 // TCPI_OPT_TIMESTAMPS
	h, c := netnsHost(t)
	spoil(t, h, key, "0")
	client, _ := pairOf(t)
	if tcpInfo(t, client).Options&optTimestamps != 0 {
		t.Fatal("a connection has timestamps although they are off")
	}
	remedy(t, h, c, Target{N: 1000}, key)
	if client, _ = pairOf(t); tcpInfo(t, client).Options&optTimestamps == 0 {
		t.Error("with the remedy a connection has no timestamps")
	}
}

// A server that closes first has its TIME_WAIT sockets cut short.
func TestRemedyOfTimeWaitBuckets(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	const key, clients = "net.ipv4.tcp_max_tw_buckets", 50
	h, c := netnsHost(t)
	spoil(t, h, key, "5")
	l, addr := listen(t, 0, 1000)
	overflow := func() int64 {
		before := counter(t, h, "TcpExt.TCPTimeWaitOverflow")
		for range clients {
			client, err := trySocket()
			if err != nil {
				t.Fatalf("socket: %v", err)
			}
			if err := unix.Connect(client, addr); err != nil && !errors.Is(err, unix.EINPROGRESS) {
				t.Fatalf("connect: %v", err)
			}
			if !wait(t, l, unix.POLLIN, 5*time.Second) {
				t.Fatal("no connection came in 5 s")
			}
			server, _, err := unix.Accept4(l, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if err != nil {
				t.Fatalf("accept: %v", err)
			}
			unix.Close(server)
			if !wait(t, client, unix.POLLIN, 5*time.Second) {
				t.Fatal("the end did not come in 5 s")
			}
			unix.Close(client)
		}
		return counter(t, h, "TcpExt.TCPTimeWaitOverflow") - before
	}
	lost := overflow()
	if lost < clients/2 {
		t.Fatalf("with 5 buckets, TCPTimeWaitOverflow grew by %d for %d connections, want most of them", lost, clients)
	}
	t.Logf("with 5 buckets: TCPTimeWaitOverflow +%d for %d connections", lost, clients)
	apply(t, h, c, Target{N: 1000}, key)
	if lost = overflow(); lost != 0 {
		t.Errorf("with the remedy, TCPTimeWaitOverflow grew by %d, want 0", lost)
	}

	// more of them live now than the old value allows, so undo leaves it
	undone, err := c.Undo(t.Context(), false)
	if err != nil || len(undone) != 1 || undone[0].State != StepBlocked || !strings.Contains(undone[0].Reason, "in TIME_WAIT, more than the old value of 5") {
		t.Errorf("Undo: %+v, %v, want the setting left because of its use", undone, err)
	}
	if now, err := h.sysctlText(key); err != nil || now == "5" {
		t.Errorf("after Undo %s is %s, %v, want it left", key, now, err)
	}
	if _, ok, err := c.readRecord(); !ok || err != nil {
		t.Errorf("the record is gone (%v), but something is left to undo", err)
	}
}

// The limit on open files comes from the unit: with the old one accept fails, with that of the drop-in it does not.
func TestRemedyOfOpenFiles(t *testing.T) {
	if !inNamespace(t) { // for a process of its own, whose limit may be lowered
		return
	}
	const clients = 200
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	target := Target{N: 1000}
	if int64(limit.Max) < fdsNeeded(target.N) {
		t.Skipf("the hard limit of %d leaves nothing to raise", limit.Max)
	}
	h, c := netnsHost(t)
	l, addr := listen(t, 0, 1000)
	waiting := make([]int, clients) // opened before the limit is lowered
	for i := range waiting {
		waiting[i] = connect(t, addr)
	}
	setSoft := func(soft uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: soft, Max: limit.Max}); err != nil {
			t.Fatalf("set RLIMIT_NOFILE to %d: %v", soft, err)
		}
	}
	setSoft(256)
	var accepted int
	var err error
	for err == nil && accepted < clients {
		var fd int
		if fd, _, err = unix.Accept4(l, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC); err == nil {
			defer unix.Close(fd)
			accepted++
		}
	}
	setSoft(512) // to open the files below
	if !errors.Is(err, unix.EMFILE) {
		t.Fatalf("with 256 files, accept gave %d connections and then %v, want EMFILE", accepted, err)
	}
	t.Logf("with 256 files: %d connections, then %v", accepted, err)

	remedy(t, h, &Changer{Root: c.Root, host: h, writeLive: writeSetting}, target, "rlimit.nofile")
	text, readErr := os.ReadFile(filepath.Join(c.Root, DropInFile(DefaultUnit)))
	if readErr != nil {
		t.Fatal(readErr)
	}
	value := parseProperties(string(text))["LimitNOFILE"]
	soft, parseErr := strconv.ParseUint(strings.Split(value, ":")[0], 10, 64)
	if parseErr != nil {
		t.Fatalf("the drop-in has LimitNOFILE=%q: %v", value, parseErr)
	}
	setSoft(soft) // as systemd does at the unit's next start
	for accepted < clients {
		fd, _, err := unix.Accept4(l, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			t.Fatalf("with LimitNOFILE=%s, accept gave %d connections and then %v, want all %d", value, accepted, err, clients)
		}
		defer unix.Close(fd)
		accepted++
	}
}

// A process that closes its listener resets the clients that wait in its queue, unless they move to the next listener of
// the port.
func TestRemedyOfMigrateReq(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	const key, clients = "net.ipv4.tcp_migrate_req", 64
	h, c := netnsHost(t)
	spoil(t, h, key, "0")
	// reset counts the clients that lose their connection when one of two listeners closes.
	reset := func(port int) (n int) {
		addr := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}
		var listeners [2]int
		for i := range listeners {
			fd, err := trySocket()
			if err != nil {
				t.Fatal(err)
			}
			err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), unix.Bind(fd, addr), unix.Listen(fd, 128))
			if err != nil {
				t.Fatalf("listen: %v", err)
			}
			listeners[i] = fd
		}
		defer unix.Close(listeners[1])
		fds := make([]int, clients)
		for i := range fds {
			fds[i] = connect(t, addr)
			if !wait(t, fds[i], unix.POLLOUT, 5*time.Second) {
				t.Fatal("a connection was not made in 5 s")
			}
		}
		unix.Close(listeners[0])
		for _, fd := range fds {
			if _, err := unix.Read(fd, make([]byte, 1)); errors.Is(err, unix.ECONNRESET) {
				n++
			}
		}
		return n
	}
	lost := reset(20_001)
	if lost == 0 {
		t.Fatalf("none of %d clients was reset when one of two listeners closed, want about half", clients)
	}
	t.Logf("%d of %d clients are reset when one of two listeners closes", lost, clients)
	remedy(t, h, c, Target{N: 1000, Workers: 2}, key)
	if lost = reset(20_002); lost != 0 {
		t.Errorf("with the remedy %d of %d clients are reset, want none", lost, clients)
	}
}
