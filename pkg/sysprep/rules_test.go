package sysprep

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// wrong is a host on which one thing is wrong.
type wrong struct {
	id      string
	changes map[string]string // of the host tuned
	target  Target            // N is a million unless told
	unit    map[string]string // properties of pushd.service
	log     string            // the kernel's
	want    Outcome
	wanted  string // of the finding
	fix     string // part of a remedy
	remedy  RemedyKind
}

// wrongs has each check with each of its verdicts other than ok.
var wrongs = []wrong{
	{id: "memory", changes: map[string]string{"proc/meminfo": "MemTotal: 4018160 kB"}, want: Fail, fix: "hold at most ", remedy: RemedyText},
	{id: "cgroup.memory", changes: map[string]string{"sys/fs/cgroup/user.slice/memory.max": "1073741824"}, want: Fail, fix: "MemoryMax=", remedy: RemedyText},
	{id: "cgroup.memory", changes: map[string]string{"sys/fs/cgroup/user.slice/memory.max": "1073741824"}, target: Target{Unit: "pushd.service", PID: 7}, want: Fail, fix: "MemoryMax=", remedy: RemedySystemd},
	{id: "cgroup.memory", changes: map[string]string{"sys/fs/cgroup/user.slice/memory.high": "1073741824"}, want: Warn, fix: "MemoryHigh=", remedy: RemedyText},
	{id: "vm.overcommit_memory", changes: sysctlChange("vm.overcommit_memory", "2"), want: Warn, wanted: "0 or 1", fix: "vm.overcommit_memory=0", remedy: RemedyText},
	{id: "transparent_hugepage", changes: map[string]string{"sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never"}, want: Warn, wanted: "madvise", fix: "echo madvise", remedy: RemedyText},
	{id: "fs.nr_open", changes: sysctlChange("fs.nr_open", "1010000"), want: Fail, wanted: "1104096", fix: "sysctl -w fs.nr_open=1104096", remedy: RemedySysctl},
	{id: "fs.nr_open", changes: sysctlChange("fs.nr_open", "1048576"), want: Warn, wanted: "1104096", remedy: RemedySysctl},
	{id: "rlimit.nofile", changes: map[string]string{"proc/self/limits": "Max open files 1024 524288 files"}, want: Fail, wanted: "1021024", fix: "LimitNOFILE=1021024", remedy: RemedySystemd},
	{id: "rlimit.nofile", changes: map[string]string{"proc/self/limits": "Max open files 1024 2000000 files"}, want: Warn, wanted: "1021024", fix: "LimitNOFILE=1021024:2000000", remedy: RemedySystemd},
	{id: "rlimit.nofile", changes: map[string]string{"proc/7/limits": "Max open files 1024 4096 files"}, target: Target{PID: 7}, want: Fail, wanted: "1021024", fix: "not while it runs", remedy: RemedySystemd},
	{id: "fs.file-max", changes: sysctlChange("fs.file-max", "1010000"), want: Fail, wanted: "1165536", fix: "fs.file-max=1165536", remedy: RemedySysctl},
	{id: "fs.epoll.max_user_watches", changes: sysctlChange("fs.epoll.max_user_watches", "894477"), want: Fail, wanted: "1060000", remedy: RemedySysctl},
	{id: "fs.epoll.max_user_watches", changes: sysctlChange("fs.epoll.max_user_watches", "2109999"), target: Target{Role: RoleBoth}, want: Fail, wanted: "2110000", remedy: RemedySysctl},
	{id: "net.core.somaxconn", changes: sysctlChange("net.core.somaxconn", "128"), want: Fail, wanted: "8192", fix: "then restart pushd", remedy: RemedySysctl},
	{id: "net.core.somaxconn", changes: sysctlChange("net.core.somaxconn", "4096"), want: Warn, wanted: "8192", remedy: RemedySysctl},
	{id: "net.ipv4.tcp_max_syn_backlog", changes: sysctlChange("net.ipv4.tcp_max_syn_backlog", "128", "net.ipv4.tcp_syncookies", "0"), want: Warn, wanted: "8192", remedy: RemedySysctl},
	{id: "net.ipv4.tcp_syncookies", changes: sysctlChange("net.ipv4.tcp_syncookies", "0"), want: Warn, wanted: "1", remedy: RemedySysctl},
	{id: "net.core.netdev_max_backlog", changes: sysctlChange("net.core.netdev_max_backlog", "300"), want: Warn, wanted: "1000", remedy: RemedySysctl},
	{id: "net.core.netdev_max_backlog", changes: map[string]string{sysctlPath("net.core.netdev_max_backlog"): "1000", "proc/net/softnet_stat": "0f 1a 0"}, target: Target{Role: RoleBoth}, want: Warn, wanted: "16384", remedy: RemedySysctl},
	{id: "net.ipv4.tcp_migrate_req", changes: sysctlChange("net.ipv4.tcp_migrate_req", "0"), target: Target{Workers: 2}, want: Warn, wanted: "1", remedy: RemedySysctl},
	{id: "net.ipv4.tcp_mem", changes: sysctlChange("net.ipv4.tcp_mem", "287898 383867 575796"), want: Warn, wanted: "625000 833333 1250000", fix: "tcp_mem='625000 833333 1250000'", remedy: RemedySysctl},
	{id: "net.ipv4.tcp_mem", changes: sysctlChange("net.ipv4.tcp_mem", "10000000 10000000 10000000"), want: Fail, fix: "lower than now", remedy: RemedyText},
	{id: "net.ipv4.tcp_mem", changes: sysctlChange("net.ipv4.tcp_mem", "786432000 2097152000 3145728000"), want: Fail, fix: "lower than now", remedy: RemedyText},
	{id: "net.ipv4.tcp_mem", changes: sysctlChange("net.ipv4.tcp_mem", "500000 500000 500000"), want: Fail, wanted: "625000 833333 1250000", remedy: RemedySysctl},
	{id: "net.ipv4.tcp_mem", changes: map[string]string{sysctlPath("net.ipv4.tcp_mem"): "100000 200000 440000", "proc/meminfo": "MemTotal: 4194304 kB"}, want: Warn, fix: "no setting helps", remedy: RemedyText},
	{id: "net.ipv4.tcp_rmem", changes: sysctlChange("net.ipv4.tcp_rmem", "1024 4096 16384"), want: Warn, wanted: "4096 131072 409600", remedy: RemedySysctl},
	{id: "net.ipv4.tcp_wmem", changes: sysctlChange("net.ipv4.tcp_wmem", "1024 4096 16384"), want: Warn, wanted: "4096 16384 409600", remedy: RemedySysctl},
	{id: "net.core.rmem_max", changes: sysctlChange("net.core.rmem_max", "16384"), want: Warn, wanted: "212992", remedy: RemedySysctl},
	{id: "net.core.wmem_max", changes: sysctlChange("net.core.wmem_max", "16384"), want: Warn, wanted: "212992", remedy: RemedySysctl},
	{id: "net.ipv4.tcp_moderate_rcvbuf", changes: sysctlChange("net.ipv4.tcp_moderate_rcvbuf", "0"), want: Warn, wanted: "1", remedy: RemedySysctl},
	{id: "net.ipv4.tcp_timestamps", changes: sysctlChange("net.ipv4.tcp_timestamps", "0"), want: Warn, wanted: "1", remedy: RemedySysctl},
	{id: "net.ipv4.tcp_tw_recycle", changes: map[string]string{"etc/sysctl.d/50-old.conf": "net.ipv4.tcp_tw_recycle = 1"}, want: Fail, wanted: "absent", fix: "/etc/sysctl.d/50-old.conf", remedy: RemedyText},
	{id: "net.ipv4.tcp_tw_recycle", changes: sysctlChange("net.ipv4.tcp_tw_recycle", "1"), want: Fail, wanted: "0", remedy: RemedyText},
	{id: "net.ipv4.tcp_max_tw_buckets", changes: sysctlChange("net.ipv4.tcp_max_tw_buckets", "5000"), want: Warn, wanted: "262144", remedy: RemedySysctl},
	{id: "net.ipv4.tcp_max_tw_buckets", changes: sysctlChange("net.ipv4.tcp_max_tw_buckets", "262144"), target: Target{Role: RoleLoadgen}, want: Warn, wanted: "1000000", remedy: RemedySysctl},
	{id: "net.ipv4.tcp_max_orphans", changes: sysctlChange("net.ipv4.tcp_max_orphans", "65536"), want: Warn, wanted: "250000", remedy: RemedySysctl},
	{id: "net.ipv4.ip_local_port_range", target: Target{N: 50_000, Role: RoleLoadgen}, want: Fail, wanted: "1024 65535", fix: "ip_local_port_range='1024 65535'", remedy: RemedySysctl},
	{id: "net.ipv4.ip_local_port_range", target: Target{N: 28_000, Role: RoleLoadgen}, want: Warn, wanted: "1024 65535", remedy: RemedySysctl},
	{id: "net.ipv4.ip_local_port_range", target: Target{Role: RoleLoadgen, Sources: 4}, want: Fail, wanted: "1024 65535, 17 times", fix: "use 17 source addresses", remedy: RemedyText},
	{id: "net.netfilter.nf_conntrack_max", changes: sysctlChange("net.netfilter.nf_conntrack_max", "262144"), want: Fail, wanted: "1315536", remedy: RemedySysctl},
	{id: "net.netfilter.nf_conntrack_max", changes: sysctlChange("net.netfilter.nf_conntrack_max", "1000000"), want: Warn, wanted: "1315536", remedy: RemedySysctl},
	{id: "net.netfilter.nf_conntrack_buckets", changes: sysctlChange("net.netfilter.nf_conntrack_buckets", "65536"), want: Warn, wanted: "657768", remedy: RemedySysctl},
	{id: "net.ipv4.neigh.default.gc_thresh3", changes: map[string]string{"proc/net/arp": strings.Repeat("10.0.0.1 0x1 0x2 02:00:00:00:00:01 * eth0\n", 900)}, want: Warn, wanted: "1798", remedy: RemedySysctl},
	{id: "pushd.max_connections", target: Target{Pushd: &Pushd{PID: 7, MaxConnections: 19_000}}, want: Fail, wanted: "1000000", fix: "--max-connections 1000000", remedy: RemedyText},
	{id: "systemd.LimitNOFILE", unit: map[string]string{"LimitNOFILE": "524288"}, want: Fail, wanted: "1021024", fix: "LimitNOFILE=1021024", remedy: RemedySystemd},
	{id: "systemd.TasksMax", unit: map[string]string{"TasksMax": "8"}, want: Fail, wanted: "68", fix: "TasksMax=68", remedy: RemedySystemd},
	{id: "systemd.TimeoutStopSec", unit: map[string]string{"TimeoutStopUSec": "30s"}, want: Warn, wanted: "70s", fix: "TimeoutStopSec=70s", remedy: RemedySystemd},
	{id: "container.nofile", changes: map[string]string{".dockerenv": "", "proc/self/limits": "Max open files 1024 4096 files"}, want: Warn, wanted: "1021024", fix: "--ulimit nofile=1021024:1021024", remedy: RemedyText},
	{id: "cgroup.pids", changes: map[string]string{"sys/fs/cgroup/user.slice/pids.max": "20"}, want: Fail, wanted: "68", fix: "TasksMax=68", remedy: RemedyText},
	{id: "evidence.listen", changes: map[string]string{"proc/net/netstat": "TcpExt: ListenOverflows ListenDrops\nTcpExt: 20000 20000"}, want: Warn, wanted: "0 lost", fix: "sysprep watch", remedy: RemedyText},
	{id: "evidence.softnet", changes: map[string]string{"proc/net/softnet_stat": "000f4240 000003e8 0"}, want: Warn, wanted: "0 dropped", fix: "the queue is long enough", remedy: RemedyText},
	{id: "evidence.tcp_memory", changes: map[string]string{"proc/net/sockstat": "TCP: inuse 12 orphan 0 tw 34 alloc 14 mem 1500000"}, want: Warn, wanted: "1333333 pages", remedy: RemedyText},
	{id: "evidence.tcp_memory", changes: map[string]string{"proc/net/netstat": "TcpExt: TCPAbortOnMemory\nTcpExt: 7"}, want: Warn, wanted: "0 aborted", remedy: RemedyText},
	{id: "evidence.orphans", changes: map[string]string{"proc/net/sockstat": "TCP: inuse 12 orphan 260000 tw 34 alloc 14 mem 15"}, want: Warn, fix: "tcp_max_orphans", remedy: RemedyText},
	{id: "evidence.time_wait", changes: map[string]string{"proc/net/sockstat": "TCP: inuse 12 orphan 2 tw 1999999 alloc 14 mem 15"}, want: Warn, fix: "tcp_max_tw_buckets", remedy: RemedyText},
	{id: "evidence.files", changes: sysctlChange("fs.file-nr", "95000 0 100000", "fs.file-max", "100000"), want: Warn, fix: "fs.file-max=200000", remedy: RemedyText},
	{id: "evidence.conntrack", changes: sysctlChange("net.netfilter.nf_conntrack_count", "2090000"), want: Warn, fix: "nf_conntrack_max", remedy: RemedyText},
	{id: "evidence.paws", changes: map[string]string{"proc/net/netstat": "TcpExt: PAWSEstab\nTcpExt: 2000000"}, want: Warn, wanted: "0 rejected", remedy: RemedyText},
	{id: "evidence.kernel_log", log: "[1.0] TCP: too many orphaned sockets\n[2.0] TCP: out of memory -- consider tuning tcp_mem\n", want: Warn, wanted: "nothing", fix: "sysprep explain net.ipv4.tcp_max_orphans", remedy: RemedyText},
	{id: "sysctl.drift", changes: map[string]string{"etc/sysctl.d/50-a.conf": "net.core.somaxconn=1", "etc/sysctl.d/95-b.conf": "net.core.somaxconn = 32768"}, want: Warn, wanted: "0", fix: "sysctl --system", remedy: RemedyText},
}

// informs are the checks that only show something; nothing has to be done about it.
var informs = []string{"vm.min_free_kbytes", "vm.swappiness", "vm.max_map_count", "kernel.pid_max", "kernel.threads-max", "net.ipv4.tcp_synack_retries", "net.ipv4.tcp_notsent_lowat",
	"net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_retries2", "net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_slow_start_after_idle", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_ehash_entries", "systemd.DefaultLimitNOFILE",
	"evidence.backlog"} // the last has tests of its own

// goodUnit is a unit that is ready for a million.
func goodUnit() map[string]string {
	return map[string]string{"LoadState": "loaded", "MainPID": "7", "LimitNOFILE": "1048576", "TasksMax": "18446744073709551615", "TimeoutStopUSec": "1min 30s"}
}

func (w wrong) host(t *testing.T) (*Host, Target) {
	changes := map[string]string{"proc/7/limits": "Max open files 1100000 1100000 files", "proc/7/cgroup": "0::/user.slice"}
	for name, content := range w.changes {
		changes[name] = content
	}
	h := hostOf(t, "tuned", changes)
	unit := goodUnit()
	for key, value := range w.unit {
		unit[key] = value
	}
	withUnit(h, unit)
	h.kernelLog = func() (string, error) { return w.log, nil }
	target := w.target
	if target.N == 0 {
		target.N = million
	}
	if w.unit != nil {
		target.Unit, target.PID = "pushd.service", 7
	}
	return h, target
}

func TestEachSingleThingWrong(t *testing.T) {
	for i, w := range wrongs {
		t.Run(fmt.Sprintf("%d-%s", i, w.id), func(t *testing.T) {
			h, target := w.host(t)
			f := one(t, h, w.id, target)
			if f.Outcome != w.want || w.wanted != "" && f.Wanted != w.wanted {
				t.Fatalf("%s is %s (%s -> %s: %s), want %s and %s", w.id, f.Outcome, f.Current, f.Wanted, f.Why, w.want, w.wanted)
			}
			if !strings.Contains(f.FixNow+"\n"+f.FixForGood, w.fix) || f.FixNow == "" || f.FixForGood == "" {
				t.Errorf("the remedies are %q and %q, want %q in them", f.FixNow, f.FixForGood, w.fix)
			}
			if f.Remedy == nil || f.Remedy.Kind != w.remedy {
				t.Errorf("the remedy is %+v, want %s", f.Remedy, w.remedy)
			}
			if f.Why == "" || f.Formula == "" || f.Current == "" {
				t.Errorf("why %q, formula %q, current %q; want all of them", f.Why, f.Formula, f.Current)
			}
		})
	}
}

// The same host without what is wrong passes, so that the check tells them apart.
func TestEachCheckPassesOnAHostThatIsReady(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range informs {
		seen[id] = true
	}
	for _, w := range wrongs {
		seen[w.id] = true
		target := Target{N: million, Unit: "pushd.service", PID: 7, Pushd: &Pushd{PID: 7, MaxConnections: million}}
		if w.target.Role == RoleLoadgen {
			target = Target{N: million, Role: RoleLoadgen, Sources: 64}
		}
		h, _ := wrong{}.host(t)
		if f := one(t, h, w.id, target); f.Outcome != OK || f.Remedy != nil || f.FixNow != "" {
			t.Errorf("%s on a host that is ready is %s (%s -> %s: %s), want ok", w.id, f.Outcome, f.Current, f.Wanted, f.Why)
		}
	}
	for _, c := range Checks() {
		if !seen[c.ID] {
			t.Errorf("no host in this test has %s wrong", c.ID)
		}
	}
}

// A remedy of a kernel setting, once it is carried out, makes the check pass.
func TestRemediesCureWhatTheyAreFor(t *testing.T) {
	for _, w := range wrongs {
		if w.remedy != RemedySysctl {
			continue
		}
		h, target := w.host(t)
		before := one(t, h, w.id, target)
		r := before.Remedy
		if r == nil || r.Key != w.id || r.Path != sysctlPath(w.id) || r.Before == "" {
			t.Errorf("%s: the remedy is %+v", w.id, r)
			continue
		}
		cured := w
		cured.changes = map[string]string{}
		for name, content := range w.changes {
			cured.changes[name] = content
		}
		cured.changes[r.Path] = r.Value
		h, target = cured.host(t)
		if f := one(t, h, w.id, target); f.Outcome != OK {
			t.Errorf("%s is %s after %s=%q (%s -> %s)", w.id, f.Outcome, r.Key, r.Value, f.Current, f.Wanted)
		}
		if !noneLower(r.Before, r.Value) && w.id != "net.ipv4.ip_local_port_range" {
			t.Errorf("%s: the remedy lowers %q to %q", w.id, r.Before, r.Value)
		}
	}
}

// noneLower reports whether no number of b is below that of a.
func noneLower(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	for i := range x {
		m, err1 := parseLimit(x[i])
		n, err2 := parseLimit(y[i])
		if err1 != nil || err2 != nil || n < m {
			return false
		}
	}
	return len(x) == len(y)
}

// What kernels and containers do differently.
func TestHosts(t *testing.T) {
	tests := []struct {
		host, id string
		n        int64
		want     Outcome
		part     string // of why, a remedy or a note
	}{
		{"linux-4.19", "net.core.somaxconn", 15_000, Fail, "sysctl -w net.core.somaxconn=4096"},
		{"linux-4.19", "net.ipv4.tcp_migrate_req", 15_000, Skip, "Linux 4.19.0-26-amd64 does not have it; it came with 5.14"},
		{"linux-4.19", "rlimit.nofile", 15_000, Fail, "CAP_SYS_RESOURCE is missing"},
		{"linux-4.19", "cgroup.memory", 15_000, OK, ""},
		{"linux-5.4", "net.core.somaxconn", 15_000, OK, ""},
		{"linux-5.4", "net.ipv4.tcp_migrate_req", 15_000, Skip, "came with 5.14"},
		{"linux-5.4", "net.ipv4.tcp_ehash_entries", million, Skip, "came with 6.1"},
		{"linux-5.15", "net.ipv4.tcp_migrate_req", 15_000, OK, ""},
		{"linux-5.15", "net.ipv4.tcp_ehash_entries", 15_000, Skip, "came with 6.1"},
		{"linux-6.1", "net.ipv4.tcp_ehash_entries", 15_000, OK, ""},
		{"linux-6.1", "net.core.rmem_max", 15_000, OK, ""},
		{"linux-6.18", "rlimit.nofile", 15_000, Warn, "raise their soft limit"},
		{"linux-6.18", "rlimit.nofile", million, Fail, "sudo prlimit"},
		{"linux-6.18", "net.ipv4.tcp_mem", million, Warn, "sysctl -w net.ipv4.tcp_mem='625000 833333 1250000'"},
		{"netns", "net.ipv4.tcp_mem", million, Skip, "network namespace of its own"},
		{"netns", "net.ipv4.tcp_max_orphans", million, Skip, "network namespace of its own"},
		{"netns", "net.core.netdev_max_backlog", million, Skip, "network namespace of its own"},
		{"netns", "net.ipv4.neigh.default.gc_thresh3", million, Skip, "network namespace of its own"},
		{"netns", "net.core.somaxconn", million, Warn, "sysctl -w net.core.somaxconn=8192"}, // its own, and to be set from here
		{"netns", "net.ipv4.tcp_ehash_entries", million, OK, ""},
		{"container-v2", "memory", million, OK, ""},
		{"container-v2", "cgroup.memory", million, Fail, "docker update --memory"},
		{"container-v2", "cgroup.memory", 15_000, OK, ""},
		{"container-v2", "net.core.somaxconn", 60 * 16 * 5000, Warn, "--sysctl net.core.somaxconn=8192"},
		{"container-v2", "rlimit.nofile", million, Fail, "docker run --ulimit nofile=1021024:1021024"},
		{"container-v1", "cgroup.memory", million, Fail, "docker update --memory"},
		{"container-v1", "cgroup.pids", million, OK, ""},
		{"arm64", "memory", million, Fail, "hold at most"},
		{"arm64", "net.ipv4.tcp_mem", 15_000, OK, ""},
		{"arm64", "net.ipv4.tcp_mem", million, Warn, "tcp_mem='205848 274464 411696'"}, // 40% of the memory in pages of 64 KiB,
	}
	for _, tt := range tests {
		f := one(t, hostOf(t, tt.host, nil), tt.id, Target{N: tt.n})
		if text := f.Why + f.FixNow + f.FixForGood + f.Note; f.Outcome != tt.want || !strings.Contains(text, tt.part) {
			t.Errorf("%s of %s for %d is %s (%s -> %s): %q, want %s with %q", tt.id, tt.host, tt.n, f.Outcome, f.Current, f.Wanted, text, tt.want, tt.part)
		}
	}
}

// What is seen from a container says where it has to be set.
func TestHostSettingsAreSetOnTheHost(t *testing.T) {
	h := hostOf(t, "container-v2", sysctlChange("fs.file-max", "1000", "net.core.rmem_max", "16384"))
	for _, id := range []string{"fs.file-max", "net.core.rmem_max"} {
		f := one(t, h, id, Target{N: million})
		if !strings.HasPrefix(f.FixNow, "# on the host, not in here:\n") || f.Remedy.Scope != ScopeHost {
			t.Errorf("%s in a container is set by %q", id, f.FixNow)
		}
	}
	h = hostOf(t, "netns", sysctlChange("fs.file-max", "1000", "net.core.rmem_max", "16384"))
	if f := one(t, h, "fs.file-max", Target{N: million}); f.FixNow != "sysctl -w fs.file-max=1165536" {
		t.Errorf("fs.file-max in a network namespace is set by %q, want a sysctl", f.FixNow)
	}
	if f := one(t, h, "net.core.rmem_max", Target{N: million}); !strings.HasPrefix(f.FixNow, "# on the host, not in here:\n") {
		t.Errorf("net.core.rmem_max in a network namespace is set by %q", f.FixNow)
	}
}

func TestContainerSigns(t *testing.T) {
	for want, change := range map[string]map[string]string{
		"":               {},
		"docker":         {".dockerenv": ""},
		"podman":         {"run/.containerenv": ""},
		"kubernetes":     {"run/secrets/kubernetes.io/serviceaccount": "x"},
		"lxc":            {"proc/self/cgroup": "0::/lxc/web"},
		"systemd-nspawn": {"run/systemd/container": "systemd-nspawn"},
	} {
		if got := hostOf(t, "linux-6.18", change).Container(); got != want {
			t.Errorf("Container of %v = %q, want %q", change, got, want)
		}
	}
}

func TestUnits(t *testing.T) {
	h := withUnit(hostOf(t, "tuned", map[string]string{"proc/7/cgroup": "0::/system.slice/pushd.service"}), goodUnit())
	if pid, err := h.MainPID("pushd.service"); pid != 7 || err != nil {
		t.Errorf("MainPID = %d, %v, want 7", pid, err)
	}
	if _, err := h.MainPID("nope.service"); !errors.Is(err, ErrNoUnit) {
		t.Errorf("MainPID of an unknown unit = %v, want ErrNoUnit", err)
	}
	if got := h.UnitOf(7); got != "pushd.service" {
		t.Errorf("UnitOf(7) = %q, want pushd.service", got)
	}
	if got := h.UnitOf(8); got != "" {
		t.Errorf("UnitOf of a process that is gone = %q", got)
	}
	withUnit(h, map[string]string{"LoadState": "loaded", "MainPID": "0"})
	if _, err := h.MainPID("pushd.service"); err == nil || !strings.Contains(err.Error(), "does not run") {
		t.Errorf("MainPID of a unit that does not run = %v", err)
	}
	if f := one(t, h, "rlimit.nofile", Target{N: 1, Unit: "pushd.service"}); f.Outcome != Skip || !strings.Contains(f.Why, "systemd.LimitNOFILE") {
		t.Errorf("rlimit.nofile of a unit that does not run is %s: %s", f.Outcome, f.Why)
	}
	for max, want := range map[string]Outcome{"infinity": OK, "1073741824": Fail, "60000000000": OK, "x": Skip} {
		withUnit(h, map[string]string{"LoadState": "loaded", "MainPID": "0", "MemoryMax": max})
		if f := one(t, h, "cgroup.memory", Target{N: million, Unit: "pushd.service"}); f.Outcome != want {
			t.Errorf("cgroup.memory of a unit with MemoryMax=%s is %s (%s), want %s", max, f.Outcome, f.Why, want)
		}
	}
	if f := one(t, h, "cgroup.pids", Target{N: 1, Unit: "pushd.service"}); f.Outcome != Skip {
		t.Errorf("cgroup.pids of a unit that does not run is %s, want skip", f.Outcome)
	}
	h.systemd = func(string) (map[string]string, error) { return nil, errNoSystemd }
	if f := one(t, h, "systemd.LimitNOFILE", Target{N: 1, Unit: "pushd.service"}); f.Outcome != Skip || !strings.Contains(f.Why, "no systemd") {
		t.Errorf("systemd.LimitNOFILE without systemd is %s: %s", f.Outcome, f.Why)
	}
}

func TestAProcessThatIsGone(t *testing.T) {
	h := hostOf(t, "tuned", nil)
	for _, id := range []string{"rlimit.nofile", "cgroup.memory", "cgroup.pids"} {
		if f := one(t, h, id, Target{N: 1, PID: 4711}); f.Outcome != Skip || !strings.Contains(f.Why, "the process has ended") {
			t.Errorf("%s of a process that is gone is %s: %s", id, f.Outcome, f.Why)
		}
	}
	if h.HasProcess(4711) {
		t.Error("HasProcess(4711) on a host without it")
	}
}

func TestAtStart(t *testing.T) {
	h := hostOf(t, "linux-6.18", nil)
	if failed, refuse := AtStart(h, Target{N: 15_000}, false); len(failed) != 0 || refuse {
		t.Errorf("AtStart for 15,000 = %v, refuse %v, want nothing", failed, refuse)
	}
	failed, refuse := AtStart(h, Target{N: 10 * million}, false)
	ids := ""
	for _, f := range failed {
		ids += f.ID + " "
	}
	if ids != "memory fs.epoll.max_user_watches " || !refuse {
		t.Errorf("AtStart for 10 million = %s, refuse %v", ids, refuse)
	}
	h = hostOf(t, "linux-6.18", sysctlChange("net.core.somaxconn", "128"))
	if failed, refuse := AtStart(h, Target{N: 1000}, true); len(failed) != 1 || refuse {
		t.Errorf("a short backlog on loopback: %v, refuse %v, want it named and no refusal", failed, refuse)
	}
	if failed, refuse := AtStart(h, Target{N: 1000}, false); len(failed) != 1 || !refuse {
		t.Errorf("a short backlog in public: %v, refuse %v, want both", failed, refuse)
	}
}

func TestWhatAPushdSaysIsReckonedWith(t *testing.T) {
	h := hostOf(t, "tuned", nil)
	some := Selection{Only: []string{"memory", "net.core.somaxconn"}}
	assumed := Run(h, Target{N: million}, some)
	asked := Run(h, Target{N: million, Pushd: &Pushd{UserBytes: 5000, Loops: 2}}, some)
	if !strings.Contains(find(t, asked, "memory").Formula, "5000 user") || !strings.Contains(find(t, assumed, "memory").Formula, "80 user") {
		t.Errorf("formulas %q and %q", find(t, asked, "memory").Formula, find(t, assumed, "memory").Formula)
	}
	if !strings.Contains(find(t, asked, "net.core.somaxconn").Formula, "over 2 listeners") {
		t.Errorf("somaxconn reckons %q, want 2 listeners", find(t, asked, "net.core.somaxconn").Formula)
	}
	if len(assumed.Assumed) != len(asked.Assumed)+1 {
		t.Errorf("assumed %q and with a pushd %q, want one less", assumed.Assumed, asked.Assumed)
	}
	if r := Run(h, Target{N: million}, Selection{Only: []string{"fs.file-max"}}); len(r.Assumed) != 0 {
		t.Errorf("fs.file-max alone assumes %q, want nothing", r.Assumed)
	}
}

func TestSample(t *testing.T) {
	before, err := hostOf(t, "tuned", nil).Sample()
	if err != nil {
		t.Fatal(err)
	}
	if touched := before.Touched(before); len(touched) != 0 {
		t.Errorf("nothing happened, but %v was touched", touched)
	}
	h := hostOf(t, "tuned", map[string]string{
		"proc/net/netstat":      "TcpExt: ListenOverflows ListenDrops\nTcpExt: 12 12",
		"proc/net/softnet_stat": "05f3be1c 00000002 0",
		"proc/net/sockstat":     "TCP: inuse 12 orphan 260000 tw 34 alloc 14 mem 1500000",
	})
	h.kernelLog = func() (string, error) { return "TCP: too many orphaned sockets", nil }
	after, err := h.Sample()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, touch := range after.Touched(before) {
		got = append(got, fmt.Sprintf("%s+%d", touch.What, touch.Grew))
	}
	want := "ListenOverflows+12 ListenDrops+12 softnet_dropped+2 kernel_log+1 net.ipv4.tcp_mem+0 net.ipv4.tcp_max_orphans+0"
	if strings.Join(got, " ") != want {
		t.Errorf("touched %v, want %s", got, want)
	}
	if _, err := hostOf(t, "tuned", map[string]string{"proc/net/sockstat": "-"}).Sample(); err == nil {
		t.Error("a sample without sockstat has no error")
	}
}

func TestRoles(t *testing.T) {
	for _, role := range roles {
		if got, err := ParseRole(string(role)); got != role || err != nil {
			t.Errorf("ParseRole(%q) = %q, %v", role, got, err)
		}
	}
	for in, want := range map[string]string{"servr": "did you mean server?", "": "is no role", "Server": "did you mean server?", "x\x1b[2J": `\x1b[2J`} {
		if _, err := ParseRole(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseRole(%q) = %v, want %q in it", in, err, want)
		}
	}
	for in, want := range map[string]string{"tcp_mem": "net.ipv4.tcp_mem", "somaxcon": "net.core.somaxconn", "fs.nropen": "fs.nr_open", "zzz": "", "": ""} {
		if got := Suggest(in); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", in, got, want)
		}
	}
}
