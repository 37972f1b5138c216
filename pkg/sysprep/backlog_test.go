package sysprep

import (
	"net"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"
)

// The kernel is asked about a listener with a backlog of its own.
func TestBacklogOfARealListener(t *testing.T) {
	h, err := Open("/")
	if err != nil {
		t.Skip(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 7); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := name.(*unix.SockaddrInet4).Port
	conn, err := net.DialTCP("tcp4", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	all, err := h.backlogs()
	if err != nil {
		t.Skip(err)
	}
	own, err := h.listenersOf(os.Getpid(), all)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, b := range own {
		found = found || b.port == port && b.queued == 1 && b.most == 7
	}
	if !found {
		t.Errorf("the listener on port %d with 1 of 7 is not among %+v", port, own)
	}
	f := one(t, h, "evidence.backlog", Target{N: 1000, PID: os.Getpid()})
	if f.Outcome != Warn || !strings.Contains(f.Why, "shorter queue") {
		t.Errorf("a backlog of 7 is %s: %s", f.Outcome, f.Why)
	}
}

func TestBacklogs(t *testing.T) {
	tests := []struct {
		all   []backlog
		least int64
		want  Outcome
		part  string
	}{
		{[]backlog{{80, 1, 0, 4096}, {81, 2, 3, 4096}}, 4096, OK, "3 of 4096"},
		{[]backlog{{80, 1, 0, 128}}, 0, OK, "0 of 128"},
		{[]backlog{{80, 1, 0, 4096}, {81, 2, 0, 128}}, 4096, Warn, "port 81"},
		{[]backlog{{80, 1, 10, 4096}, {81, 2, 129, 128}}, 0, Warn, "port 81 is full"},
	}
	for _, tt := range tests {
		if f := judgeBacklogs(tt.all, tt.least); f.Outcome != tt.want || !strings.Contains(f.Current+f.Why, tt.part) {
			t.Errorf("judgeBacklogs(%v, %d) = %s, %q, %q, want %s with %q", tt.all, tt.least, f.Outcome, f.Current, f.Why, tt.want, tt.part)
		}
	}
	h := NewHost(fstest.MapFS{}, 4096)
	if f := one(t, h, "evidence.backlog", Target{N: 1}); f.Outcome != Skip {
		t.Errorf("the queues of a copy are %s, want skip", f.Outcome)
	}
	h.backlogs = func() ([]backlog, error) { return nil, nil }
	if f := one(t, h, "evidence.backlog", Target{N: 1}); f.Outcome != OK || f.Current != "no listener" {
		t.Errorf("a host without listeners is %s, %s", f.Outcome, f.Current)
	}
}

func FuzzBacklogs(f *testing.F) {
	f.Add([]byte("\x14\x00\x00\x00\x03\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(append([]byte("\x58\x00\x00\x00\x14\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00"), make([]byte, 72)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, _, err := parseBacklogs(b)
		if err != nil && all != nil {
			t.Errorf("parseBacklogs(%x) = %v and %v", b, all, err)
		}
		for _, l := range all {
			if l.queued < 0 || l.most < 0 || l.port < 0 || l.port > 65_535 {
				t.Errorf("parseBacklogs(%x) = %+v", b, l)
			}
		}
	})
}
