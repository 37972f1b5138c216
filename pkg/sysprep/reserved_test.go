package sysprep

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// portsHost opens and holds connections over loopback, with a short range of local ports.
func portsHost(t *testing.T, reserved string) (*Host, *Changer) {
	t.Helper()
	return fixHost(t, map[string]string{
		"proc/sys/net/ipv4/ip_local_port_range":         "32768 60999\n",
		"proc/sys/net/ipv4/ip_local_reserved_ports":     reserved + "\n",
		"proc/sys/net/ipv4/ip_unprivileged_port_start":  "1024\n",
		"etc/systemd/system/pushd.service.d/.keep.conf": "",
	})
}

var portsOnly = Selection{Only: []string{"net.ipv4.ip_local_port_range", reservedPortsKey}}

// Where the range of local ports is made wider, connections must not take the ports on which pushd
// listens.
func TestPortsOfPushdAreReservedBeforeTheRangeIsWider(t *testing.T) {
	for _, tt := range []struct{ reserved, want string }{
		{"", "5561,7999"}, {"9000-9002", "5561,7999,9000-9002"}, {"7999", "5561,7999"},
		{"7998", "5561,7998-7999"}, {"1024-8000", "1024-8000"},
	} {
		h, c := portsHost(t, tt.reserved)
		before := tree(t, c)
		p, _ := MakePlan(h, Target{N: 40_000, Role: RoleBoth}, portsOnly)
		p, err := c.Apply(t.Context(), p)
		if err != nil || p.Count(StepDone) != len(p.Steps) || len(p.Steps) == 0 {
			t.Fatalf("reserved %q: Apply: %v, %+v, want all done", tt.reserved, err, p.Steps)
		}
		if got := strings.TrimSpace(read(t, c, "proc/sys/net/ipv4/ip_local_port_range")); got != "1024 65535" {
			t.Errorf("reserved %q: the range is %s, want it wide", tt.reserved, got)
		}
		if got := strings.TrimSpace(read(t, c, "proc/sys/net/ipv4/ip_local_reserved_ports")); got != tt.want {
			t.Errorf("reserved %q: %s are reserved now, want %s", tt.reserved, got, tt.want)
		}
		if _, err := c.Undo(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		if got := changes(before, tree(t, c)); got != nil {
			t.Errorf("reserved %q: after undo %q differ", tt.reserved, got)
		}
	}
}

func TestPortsBelowTheRangeAreNotReserved(t *testing.T) {
	h, _ := portsHost(t, "")
	f := one(t, h, reservedPortsKey, Target{N: 1000, Role: RoleBoth})
	if f.Outcome != OK || f.Note != "" {
		t.Errorf("%s, %q; want ok, for the range stays above the ports", f.Outcome, f.Note)
	}
}

// The ports of a running pushd are those that it listens on.
func TestPortsOfARunningPushdAreSeen(t *testing.T) {
	h, c := portsHost(t, "")
	link(t, "socket:[7]", filepath.Join(mkdir(t, c.path("proc/42/fd")), "3"))
	h.backlogs = func() ([]backlog, error) {
		return []backlog{{port: 8443, inode: 7}, {port: 22, inode: 8}, {port: 8443, inode: 7}}, nil
	}
	for _, tt := range []struct {
		pid  int
		want []int
	}{{42, []int{8443}}, {0, []int{5561, 7999}}, {43, []int{5561, 7999}}} {
		if got, err := h.unreserved("", 1024, 65_535, Target{N: 1, PID: tt.pid}); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("ports of process %d = %v, %v, want %v", tt.pid, got, err, tt.want)
		}
	}
}

func mkdir(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestUnitePortsWritesAsTheKernelDoes(t *testing.T) {
	for _, tt := range []struct{ a, b, want string }{
		{"", "", ""}, {"1", "", "1"}, {"3,1", "2", "1-3"}, {"65535", "0", "0,65535"}, {"10-12,20", "13,14", "10-14,20"},
	} {
		if got, ok := unitePorts(tt.a, tt.b); got != tt.want || !ok {
			t.Errorf("unitePorts(%q, %q) = %q, %v, want %q", tt.a, tt.b, got, ok, tt.want)
		}
	}
	if _, ok := unitePorts("x", "1"); ok {
		t.Error("a list that is none is united")
	}
}
