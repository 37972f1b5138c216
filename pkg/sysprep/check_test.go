package sysprep

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// find returns the finding of one check.
func find(t *testing.T, r Report, id string) Finding {
	t.Helper()
	for _, f := range r.Checks {
		if f.ID == id {
			return f
		}
	}
	t.Fatalf("the report has no check %s", id)
	return Finding{}
}

// The ids are a contract with scripts: one that is missing here was renamed, which needs a reason.
func TestIDsAreUniqueAndStable(t *testing.T) {
	want := strings.Fields(`
		memory cgroup.memory vm.overcommit_memory transparent_hugepage vm.min_free_kbytes vm.swappiness vm.max_map_count
		fs.nr_open rlimit.nofile fs.file-max fs.epoll.max_user_watches
		net.core.somaxconn net.ipv4.tcp_max_syn_backlog net.ipv4.tcp_syncookies net.ipv4.tcp_synack_retries
		net.core.netdev_max_backlog net.ipv4.tcp_migrate_req
		net.ipv4.tcp_mem net.ipv4.tcp_rmem net.ipv4.tcp_wmem net.core.rmem_max net.core.wmem_max net.ipv4.tcp_moderate_rcvbuf
		net.ipv4.tcp_notsent_lowat
		net.ipv4.tcp_timestamps net.ipv4.tcp_tw_recycle net.ipv4.tcp_tw_reuse net.ipv4.tcp_max_tw_buckets net.ipv4.tcp_max_orphans
		net.ipv4.tcp_fin_timeout net.ipv4.tcp_retries2 net.ipv4.tcp_keepalive_time net.ipv4.tcp_slow_start_after_idle
		net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports
		net.ipv4.tcp_ehash_entries net.netfilter.nf_conntrack_max net.netfilter.nf_conntrack_buckets net.ipv4.neigh.default.gc_thresh3
		pushd.max_connections systemd.LimitNOFILE systemd.TasksMax systemd.TimeoutStopSec systemd.DefaultLimitNOFILE
		container.nofile cgroup.pids kernel.pid_max kernel.threads-max
		evidence.listen evidence.backlog evidence.softnet evidence.tcp_memory evidence.orphans evidence.time_wait evidence.files
		evidence.conntrack evidence.paws evidence.kernel_log sysctl.drift`)
	got := Checks()
	if len(got) != len(want) {
		t.Fatalf("there are %d checks, want %d", len(got), len(want))
	}
	seen := map[string]bool{}
	for i, c := range got {
		if c.ID != want[i] || seen[c.ID] {
			t.Errorf("check %d is %s, want %s, once", i, c.ID, want[i])
		}
		seen[c.ID] = true
		if !strings.HasSuffix(c.Explain, ".") || len(c.Explain) < 45 {
			t.Errorf("%s is explained as %q, want sentences", c.ID, c.Explain)
		}
	}
}

// The capacity is consistent with the verdicts: at the capacity nothing that bounds it fails, and one more fails in the
// check that is named as the first limit.
func TestCapacityIsWhereTheFirstCheckFails(t *testing.T) {
	for _, name := range hostNames {
		for _, target := range []Target{{N: 15_000}, {N: 15_000, Role: RoleBoth, Sources: 100}, {N: 15_000, Role: RoleLoadgen, Destinations: 64}, {N: 15_000, Workers: 3}} {
			h := hostOf(t, name, nil)
			r := Run(h, target, Selection{})
			if r.Capacity == nil || r.FirstLimit == nil || len(r.Limits) < 3 {
				t.Fatalf("%s: capacity %v, first limit %v, %d limits, want all of them", name, r.Capacity, r.FirstLimit, len(r.Limits))
			}
			for i, l := range r.Limits {
				if i > 0 && l.Holds < r.Limits[i-1].Holds {
					t.Errorf("%s: limit %s of %d stands behind a higher one", name, l.ID, l.Holds)
				}
			}
			for _, f := range Run(h, target.with(*r.Capacity), Selection{}).Checks {
				if f.Outcome == Fail && f.Holds != nil {
					t.Errorf("%s: %s fails at the capacity of %d", name, f.ID, *r.Capacity)
				}
			}
			if f := find(t, Run(h, target.with(*r.Capacity+1), Selection{}), *r.FirstLimit); f.Outcome != Fail && f.Outcome != Warn {
				t.Errorf("%s: %s is %s above the capacity of %d, want fail", name, f.ID, f.Outcome, *r.Capacity)
			}
		}
	}
}

// On a host whose limits are all higher than they have to be, there is nothing to do.
func TestNothingIsEverLowered(t *testing.T) {
	h := hostOf(t, "tuned", nil)
	for _, n := range []int64{1, 15_000, million} {
		for _, f := range Run(h, Target{N: n}, Selection{}).Checks {
			if f.Outcome != OK && f.Outcome != Skip || f.FixNow != "" || f.FixForGood != "" || f.Remedy != nil {
				t.Errorf("%s for %d on a tuned host is %s with the remedy %q, want ok", f.ID, n, f.Outcome, f.FixNow)
			}
		}
	}
}

// Nothing that could not be read may look as if it were fine.
func TestEmptyProcSkipsEverything(t *testing.T) {
	r := Run(NewHost(fstest.MapFS{}, 4096), Target{N: million, Unit: "pushd.service"}, Selection{})
	for _, f := range r.Checks {
		if f.Outcome != Skip || f.Why == "" {
			t.Errorf("%s of an empty tree is %s because %q, want skip with a reason", f.ID, f.Outcome, f.Why)
		}
	}
	if r.Capacity != nil || r.FirstLimit != nil || r.Kernel != "" {
		t.Errorf("an empty tree has capacity %v, first limit %v, kernel %q; want none", r.Capacity, r.FirstLimit, r.Kernel)
	}
}

// Whatever a file holds, a check that cannot read it says so, and never that all is well.
func TestMalformedFilesSkip(t *testing.T) {
	files := map[string]string{
		"memory": "proc/meminfo", "rlimit.nofile": "proc/self/limits", "transparent_hugepage": "sys/kernel/mm/transparent_hugepage/enabled",
		"evidence.listen": "proc/net/netstat", "evidence.softnet": "proc/net/softnet_stat", "evidence.tcp_memory": "proc/net/sockstat",
		"evidence.orphans": "proc/net/sockstat", "evidence.time_wait": "proc/net/sockstat", "evidence.paws": "proc/net/snmp",
		"evidence.files": "proc/sys/fs/file-nr",
	}
	for _, c := range Checks() {
		if h := hostOf(t, "tuned", nil); h.exists(sysctlPath(c.ID)) {
			files[c.ID] = sysctlPath(c.ID)
		}
	}
	for id, name := range files {
		for _, content := range []string{"", "x", "-", "-1 -2", "1 2 x", "12\x00", "1 2 3 4 5 6 7", strings.Repeat("9", 30) + "x"} {
			if content == "" && id == "net.ipv4.ip_local_reserved_ports" || content == "1 2 3 4 5 6 7" && id == "evidence.softnet" {
				continue // no ports are reserved; so few columns an old kernel has
			}
			h := hostOf(t, "tuned", nil)
			h.root.(fstest.MapFS)[name] = &fstest.MapFile{Data: []byte(content)}
			if f := one(t, h, id, Target{N: 1000, Role: RoleBoth, Workers: 2}); f.Outcome != Skip || !strings.Contains(f.Why, "cannot be judged") && !strings.Contains(f.Why, "does not count") {
				t.Errorf("%s of %q is %s because %q, want skip because it cannot be judged", id, content, f.Outcome, f.Why)
			}
		}
	}
}

func TestMalformedMemoryLimitSkips(t *testing.T) {
	h := hostOf(t, "container-v2", map[string]string{"sys/fs/cgroup/memory.max": "much"})
	if f := one(t, h, "cgroup.memory", Target{N: 1000}); f.Outcome != Skip {
		t.Errorf("cgroup.memory under an unreadable limit is %s, want skip", f.Outcome)
	}
}

// A limit of any control group above the process binds, and so does version 1.
func TestLowestMemoryLimitBinds(t *testing.T) {
	tests := []struct {
		name, groups string
		limits       map[string]string
		want         string
	}{
		{"none", "0::/a/b", map[string]string{"a/b/memory.max": "max"}, "unlimited"},
		{"own", "0::/a/b", map[string]string{"a/b/memory.max": "1000000", "a/memory.max": "max"}, "1000000"},
		{"parent", "0::/a/b", map[string]string{"a/b/memory.max": "2000000", "a/memory.max": "1000000"}, "1000000"},
		{"above the host", "0::/a", map[string]string{"a/memory.max": "999999999999"}, "unlimited"},
		{"version 1", "4:memory:/d/1", map[string]string{"memory/d/1/memory.limit_in_bytes": "1000000"}, "1000000"},
		{"version 1, none", "4:memory:/d", map[string]string{"memory/d/memory.limit_in_bytes": "9223372036854771712"}, "unlimited"},
		{"version 1, container", "4:memory:/d/1", map[string]string{"memory/memory.limit_in_bytes": "1000000"}, "1000000"},
	}
	for _, tt := range tests {
		root := fstest.MapFS{
			"proc/meminfo":     {Data: []byte("MemTotal: 32758912 kB\n")},
			"proc/self/cgroup": {Data: []byte(tt.groups + "\n")},
		}
		for name, content := range tt.limits {
			root["sys/fs/cgroup/"+name] = &fstest.MapFile{Data: []byte(content + "\n")}
		}
		if f := one(t, NewHost(root, 4096), "cgroup.memory", Target{N: 1}); f.Current != tt.want {
			t.Errorf("%s: memory is %s (%s), want %s", tt.name, f.Current, f.Why, tt.want)
		}
	}
}

// denied is a file tree in which nothing may be read.
type denied struct{}

func (denied) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func TestUnreadableFilesSkip(t *testing.T) {
	for _, f := range Run(NewHost(denied{}, 4096), Target{N: 1000}, Selection{}).Checks {
		if f.ID != "container.nofile" && f.ID != "evidence.backlog" && f.Group != GroupService && (f.Outcome != Skip || !strings.Contains(f.Why, "may not be read by this user")) {
			t.Errorf("%s of an unreadable tree is %s because %q, want skip for the lack of permission", f.ID, f.Outcome, f.Why)
		}
	}
}

// A part of a file is never judged as if it were the whole.
func TestLongFilesAreNotJudged(t *testing.T) {
	root := fstest.MapFS{"f": {Data: make([]byte, maxFileBytes+1)}, "g": {Data: make([]byte, maxFileBytes)}}
	h := NewHost(root, 4096)
	if s, err := h.text("f"); err == nil || !strings.Contains(err.Error(), "longer than 256 KiB") {
		t.Errorf("text of a long file has %d bytes, %v, want an error", len(s), err)
	}
	if s, err := h.text("g"); err != nil || len(s) != maxFileBytes {
		t.Errorf("text of a file of %d bytes has %d, %v", maxFileBytes, len(s), err)
	}
}

func TestThisHostCanBeChecked(t *testing.T) {
	h, err := Open("/")
	if errors.Is(err, ErrNoProc) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := Run(h, Target{N: 1}, Selection{})
	if f := find(t, r, "rlimit.nofile"); f.Outcome == Skip {
		t.Errorf("rlimit.nofile of this process is skipped: %s", f.Why)
	}
	if r.Kernel == "" {
		t.Error("the kernel's release is not shown")
	}
}
