package sysprep

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// outsideEnv names, to the test program in a network namespace of its own, the namespace that it came from.
const outsideEnv = "HOLDFAST_TEST_OUTSIDE_NETNS"

func netnsName(t *testing.T) string {
	t.Helper()
	name, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Skipf("no network namespaces: %v", err)
	}
	return name
}

// inNamespace runs the rest of the test in a process with a network namespace of its own, so that nothing that it sets
// below net reaches this machine. It reports true there; outside it waits, takes over the outcome and reports false.
func inNamespace(t *testing.T) bool {
	t.Helper()
	here := netnsName(t)
	if outside := os.Getenv(outsideEnv); outside != "" {
		if outside == here {
			t.Fatal("this is no network namespace of its own")
		}
		raiseLoopback(t)
		return true
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), outsideEnv+"="+here)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		t.Fatalf("in a network namespace: %v\n%s", err, out)
	case err != nil:
		t.Skipf("no network namespace can be made here, so the remedy is not tried: %v", err)
	case strings.Contains(string(out), "--- SKIP: "+t.Name()):
		t.Skipf("in a network namespace:\n%s", out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Fatalf("the test did not run in the network namespace:\n%s", out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "_test.go:") {
			t.Log(strings.TrimSpace(line))
		}
	}
	return false
}

// raiseLoopback brings the loopback interface of a new namespace up.
func raiseLoopback(t *testing.T) {
	t.Helper()
	fd := socket(t)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		t.Fatalf("bring lo up: %v", err)
	}
}

// netnsHost is a root with the real /proc of the namespace, and everything else in a directory of the test's own.
func netnsHost(t *testing.T) (*Host, *Changer) {
	t.Helper()
	root := t.TempDir()
	for _, name := range []string{"proc", "sys"} {
		if err := os.Symlink("/"+name, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "etc/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	h, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	c := NewChanger(h, root)
	c.writeLive = writeSetting // through the link, on purpose
	return h, c
}

// spoil sets a bad value, of a key that belongs to the namespace.
func spoil(t *testing.T, h *Host, key, value string) {
	t.Helper()
	if ScopeOf(key) != ScopeNetns || !strings.HasPrefix(key, "net.") {
		t.Fatalf("%s belongs to the machine", key)
	}
	if err := writeSetting("/"+sysctlPath(key), value); err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			t.Skipf("%s cannot be set in this namespace: %v", key, err)
		}
		t.Fatal(err)
	}
	if got, err := h.sysctlText(key); err != nil || got != value {
		t.Fatalf("%s is %q, %v after it was set to %q", key, got, err, value)
	}
}

// remedy makes the plan for one check and applies it. Undo comes at the end of the test, and must bring the bad value
// back.
func remedy(t *testing.T, h *Host, c *Changer, target Target, id string) {
	t.Helper()
	s := apply(t, h, c, target, id)
	t.Cleanup(func() {
		undone, err := c.Undo(context.Background(), false)
		if err != nil {
			t.Errorf("Undo: %v", err)
		}
		for _, u := range undone {
			if u.State != StepDone {
				t.Errorf("Undo: %+v", u)
			}
		}
		if s.Kind != RemedySysctl {
			return
		}
		if now, err := h.sysctlText(s.Key); err != nil || now != s.Before {
			t.Errorf("after Undo %s is %q, %v, want %q", s.Key, now, err, s.Before)
		}
	})
}

func apply(t *testing.T, h *Host, c *Changer, target Target, id string) Step {
	t.Helper()
	p, r := MakePlan(h, target, Selection{Only: []string{id}})
	if len(p.Steps) != 1 || p.Steps[0].State != StepPlanned {
		t.Fatalf("the plan for %s is %+v, want one step; the check says %+v", id, p.Steps, r.Checks)
	}
	p, err := c.Apply(t.Context(), p)
	s := p.Steps[0]
	if err != nil || s.State != StepDone {
		t.Fatalf("Apply: %v, %+v", err, s)
	}
	t.Logf("%s: %s -> %s", s.Key, s.Before, s.After)
	if p, _ := MakePlan(h, target, Selection{Only: []string{id}}); len(p.Steps) != 0 {
		t.Errorf("once applied, the plan for %s is %+v, want nothing to do", id, p.Steps)
	}
	return s
}

// socket makes a TCP socket that does not block, closed at the end of the test.
func socket(t *testing.T) int {
	t.Helper()
	fd, err := trySocket()
	if err != nil {
		t.Fatalf("socket: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func trySocket() (int, error) {
	return unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// listen listens on a loopback port; 0 lets the kernel choose.
func listen(t *testing.T, port, backlog int) (int, *unix.SockaddrInet4) {
	t.Helper()
	fd := socket(t)
	err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}), unix.Listen(fd, backlog))
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatalf("getsockname: %v", err)
	}
	return fd, name.(*unix.SockaddrInet4)
}

// connect begins to connect.
func connect(t *testing.T, addr *unix.SockaddrInet4) int {
	t.Helper()
	fd := socket(t)
	if err := unix.Connect(fd, addr); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		t.Fatalf("connect: %v", err)
	}
	return fd
}

// wait polls a socket for events, and reports whether any came in time.
func wait(t *testing.T, fd int, events int16, timeout time.Duration) bool {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		n, err := unix.Poll(fds, int(timeout.Milliseconds()))
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n == 1
		}
	}
}

// pairOf returns the two ends of a connection.
func pairOf(t *testing.T) (client, server int) {
	t.Helper()
	l, addr := listen(t, 0, 16)
	client = connect(t, addr)
	if !wait(t, l, unix.POLLIN, 5*time.Second) {
		t.Fatal("no connection came in 5 s")
	}
	server, _, err := unix.Accept4(l, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatalf("accept: %v", err)
	}
	t.Cleanup(func() { unix.Close(server) })
	if !wait(t, client, unix.POLLOUT, 5*time.Second) {
		t.Fatal("the connection was not made in 5 s")
	}
	return client, server
}

// fill writes until the kernel takes no more, and returns how many bytes it took.
func fill(t *testing.T, fd int) int {
	t.Helper()
	block := make([]byte, 64<<10)
	total := 0
	for total < 64<<20 {
		n, err := unix.SendmsgN(fd, block, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if errors.Is(err, unix.EAGAIN) {
			if !wait(t, fd, unix.POLLOUT, 200*time.Millisecond) {
				return total
			}
			continue
		}
		if err != nil {
			t.Fatalf("send: %v", err)
		}
		total += n
	}
	return total
}

func tcpInfo(t *testing.T, fd int) *unix.TCPInfo {
	t.Helper()
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatalf("TCP_INFO: %v", err)
	}
	return info
}

func counter(t *testing.T, h *Host, name string) int64 {
	t.Helper()
	c, err := h.netCounters()
	if err != nil {
		t.Fatal(err)
	}
	n, err := c.need(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
