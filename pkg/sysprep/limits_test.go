package sysprep

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestMemoryHighDoesNotHideTheLimit(t *testing.T) {
	tests := []struct {
		high, most string
		want       Outcome
		bounded    bool
	}{
		{"2147483648", "3221225472", Fail, true},
		{"2147483648", "17179869184", Warn, true},
		{"2147483648", "max", Warn, false},
		{"max", "17179869184", OK, true},
		{"17179869184", "3221225472", Fail, true},
	}
	for _, tt := range tests {
		h := hostOf(t, "container-v2", map[string]string{"sys/fs/cgroup/memory.max": tt.most, "sys/fs/cgroup/memory.high": tt.high})
		f := one(t, h, "cgroup.memory", Target{N: million})
		if f.Outcome != tt.want || (f.Holds != nil) != tt.bounded {
			t.Errorf("memory.high %s and memory.max %s: %s, holds %v, want %s and a bound %v", tt.high, tt.most, f.Outcome, f.Holds, tt.want, tt.bounded)
		}
	}
}

// tcp_mem is the machine's: the limit of one unit is no reason to lower it for all.
func TestTCPMemBesideALimitedUnit(t *testing.T) {
	h := hostOf(t, "linux-6.18", map[string]string{"proc/self/cgroup": "0::/system.slice/pushd.service",
		"sys/fs/cgroup/system.slice/pushd.service/memory.max": fmt.Sprint(2 << 30)})
	f := one(t, h, "net.ipv4.tcp_mem", Target{N: 10_000})
	if f.Outcome != OK || !strings.Contains(f.Note, "control group may have, 2.0 GiB") {
		t.Errorf("the kernel's own tcp_mem beside MemoryMax=2G is %s, %q (%s), want ok with a note", f.Outcome, f.Note, f.Why)
	}
}

// A target beyond all measure fails; it neither wraps nor panics.
func TestTargetsBeyondMeasure(t *testing.T) {
	h := hostOf(t, "linux-6.18", nil)
	for _, target := range []Target{{N: million, MsgBytes: 10 << 30}, {N: MaxN, MsgBytes: 1 << 30}, {N: MaxN, MsgBytes: 1 << 36, Role: RoleBoth},
		{N: MaxN, MsgBytes: 1 << 40}, {N: 10 * million, MsgBytes: math.MaxInt64 / 2}} {
		if f := one(t, h, "memory", target); f.Outcome != Fail || f.Holds == nil || strings.HasPrefix(f.Wanted, "-") {
			t.Errorf("%d connections and messages of %d bytes: memory is %s, wanted %s, holds %v", target.N, target.MsgBytes, f.Outcome, f.Wanted, f.Holds)
		}
		if f := one(t, h, "net.ipv4.tcp_mem", target); f.Outcome == OK || strings.Contains(f.FixForGood, "= -") {
			t.Errorf("%d connections and messages of %d bytes: tcp_mem is %s: %s", target.N, target.MsgBytes, f.Outcome, f.FixForGood)
		}
	}
	for _, sources := range []int{1000, 500_000, million} {
		f := one(t, h, "net.ipv4.ip_local_port_range", Target{N: million, Role: RoleLoadgen, Sources: sources, Destinations: million, Ports: million})
		if f.Outcome != OK || f.Holds != nil {
			t.Errorf("%d sources for a million destinations: %s, holds %v: %s", sources, f.Outcome, f.Holds, f.Formula)
		}
	}
}

func TestFormulasStopAtTheHighest(t *testing.T) {
	const most = math.MaxInt64
	for _, tt := range []struct{ got, want int64 }{
		{sum(most, 1), most}, {sum(1, 2), 3}, {sum(most-1, 1), most}, {product(most, 2), most}, {product(0, most), 0}, {product(most, 0), 0},
		{product(1<<31, 1<<31), 1 << 62}, {product(1<<32, 1<<31), most}, {ceilDiv(most, 2), 1 << 62}, {ceilDiv(7, 7), 1}, {ceilDiv(8, 7), 2},
		{ceilPercent(most, 125), most}, {ceilPercent(1, 102), 2}, {ceilPercent(100, 102), 102}, {ceilPercent(199, 110), 219}, {ceilPercent(1<<62, 50), 1 << 61},
	} {
		if tt.got != tt.want {
			t.Errorf("got %d, want %d", tt.got, tt.want)
		}
	}
}

// Kernels before 6.1 do not show the table of sockets, of whose size the default of tcp_max_tw_buckets is half.
func TestTimeWaitBucketsOfOldKernels(t *testing.T) {
	for _, kernel := range []string{"linux-4.19", "linux-5.4", "linux-5.15", "linux-6.1"} {
		for value, want := range map[string]Outcome{"5000": Warn, "131072": OK, "262144": OK} {
			h := hostOf(t, kernel, sysctlChange("net.ipv4.tcp_max_tw_buckets", value))
			if f := one(t, h, "net.ipv4.tcp_max_tw_buckets", Target{N: million}); f.Outcome != want {
				t.Errorf("%s: tcp_max_tw_buckets %s is %s (wanted %s), want %s", kernel, value, f.Outcome, f.Wanted, want)
			}
		}
	}
	for mem, want := range map[string]int64{"24684084": 262_144, "16000000": 131_072, "2029260": 16_384, "528000000": 524_288, "100": 1} {
		if got := hostOf(t, "linux-5.15", map[string]string{"proc/meminfo": "MemTotal: " + mem + " kB"}).likelyEhash(); got != want {
			t.Errorf("with %s kB of memory the table has %d, want %d", mem, got, want)
		}
	}
}

func TestNeighboursAreAllCounted(t *testing.T) {
	var arp strings.Builder
	arp.WriteString("IP address       HW type     Flags       HW address            Mask     Device\n")
	for i := range 8000 {
		fmt.Fprintf(&arp, "%-16s 0x1         0x2         02:00:00:00:%02x:%02x     *        eth0\n", fmt.Sprintf("10.0.%d.%d", i/250, i%250), i/256, i%256)
	}
	if arp.Len() < 2*maxFileBytes {
		t.Fatalf("the table has %d bytes only", arp.Len())
	}
	h := hostOf(t, "linux-6.18", map[string]string{"proc/net/arp": arp.String(), sysctlPath("net.ipv4.neigh.default.gc_thresh3"): "8192"})
	if f := one(t, h, "net.ipv4.neigh.default.gc_thresh3", Target{N: 10_000}); f.Outcome != Warn || f.Wanted != "16000" {
		t.Errorf("8000 neighbours of 8192 are %s, wanted %s: %s", f.Outcome, f.Wanted, f.Formula)
	}
}

func TestPortListsAreSets(t *testing.T) {
	tests := []struct {
		file, live string
		drifts     bool
	}{
		{"7999,8000", "7999-8000", false},
		{"8000,7999,7999", "7999-8000", false},
		{"7999-8000", "7999-8000", false},
		{"7999-8001", "7999-8000", true},
		{"7999,8000", "", true},
	}
	for _, tt := range tests {
		h := hostOf(t, "linux-6.18", map[string]string{"etc/sysctl.d/50-x.conf": reservedPortsKey + " = " + tt.file, sysctlPath(reservedPortsKey): tt.live})
		if d, err := h.drifted(); err != nil || len(d) > 0 != tt.drifts {
			t.Errorf("%s in a file and %s in force: %+v, %v, want a difference %v", tt.file, tt.live, d, err, tt.drifts)
		}
	}
	// ranges that lie over each other cost no more than one
	if n, err := countPorts(strings.Repeat("0-65535,", 30_000)+"7", 1024, 1024); n != 1 || err != nil {
		t.Errorf("countPorts of 30,000 wide ranges = %d, %v, want 1", n, err)
	}
	if n, err := countPorts("7999,7999-8003,70", 1024, 8001); n != 3 || err != nil {
		t.Errorf("countPorts = %d, %v, want 3: ports that are listed twice count once", n, err)
	}
}

// The range begins where this kernel lets it begin.
func TestPortRangeBeginsWhereTheKernelAllows(t *testing.T) {
	for start, want := range map[string]string{"1024": "1024 65535", "2048": "2048 65535", "80": "1024 65535"} {
		h := hostOf(t, "linux-6.18", sysctlChange("net.ipv4.ip_unprivileged_port_start", start))
		if f := one(t, h, "net.ipv4.ip_local_port_range", Target{N: 50_000, Role: RoleLoadgen}); f.Wanted != want || f.Remedy == nil || f.Remedy.Value != want {
			t.Errorf("with ip_unprivileged_port_start=%s the range wanted is %s, want %s: %+v", start, f.Wanted, want, f.Remedy)
		}
	}
}

func TestConntrackBesideTheHost(t *testing.T) {
	small := sysctlChange("net.netfilter.nf_conntrack_max", "262144", "net.netfilter.nf_conntrack_buckets", "65536", "net.netfilter.nf_conntrack_count", "0")
	for _, id := range []string{"net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_buckets"} {
		if f := one(t, hostOf(t, "tuned", small), id, Target{N: million}); f.Outcome != OK {
			t.Errorf("%s of a host that tracks nothing is %s: %s", id, f.Outcome, f.Why)
		}
		if f := one(t, hostOf(t, "netns", small), id, Target{N: million}); f.Outcome != Skip || !strings.Contains(f.Why, "this network namespace") {
			t.Errorf("%s in a child namespace that tracks nothing is %s: %s", id, f.Outcome, f.Why)
		}
		small[sysctlPath("net.netfilter.nf_conntrack_count")] = "100"
		if f := one(t, hostOf(t, "tuned", small), id, Target{N: million}); f.Outcome == OK || !strings.Contains(f.FixForGood, "/etc/modules-load.d/") {
			t.Errorf("%s is %s, and for good %q, want the module too", id, f.Outcome, f.FixForGood)
		}
		small[sysctlPath("net.netfilter.nf_conntrack_count")] = "0"
	}
}

func TestTimeWaitThatWasForgotten(t *testing.T) {
	for forgotten, want := range map[int64]Outcome{0: OK, 1000: OK, 1001: Warn, 2_087_624: Warn} {
		h := hostOf(t, "linux-6.18", map[string]string{
			"proc/net/netstat": fmt.Sprintf("TcpExt: TCPTimeWaitOverflow\nTcpExt: %d", forgotten),
			"proc/net/snmp":    "Tcp: ActiveOpens PassiveOpens\nTcp: 400000 600000"})
		f := one(t, h, "evidence.time_wait", Target{N: 1000})
		if f.Outcome != want || want == Warn && (f.Wanted == "" || f.Formula == "" || !strings.Contains(f.FixNow, "tcp_max_tw_buckets=")) {
			t.Errorf("%d forgotten of a million is %s (%s -> %s, now %q), want %s", forgotten, f.Outcome, f.Current, f.Wanted, f.FixNow, want)
		}
	}
}

// The counters of softnet_stat have 32 bits; packets that came since they began anew are no reason to warn.
func TestSoftnetCountersWrap(t *testing.T) {
	for received, want := range map[string]Outcome{"20": Warn, "9000000000": OK} {
		h := hostOf(t, "linux-6.18", map[string]string{"proc/net/softnet_stat": "00000010 00000005 00000000",
			"proc/net/snmp": "Ip: InReceives\nIp: " + received})
		if f := one(t, h, "evidence.softnet", Target{N: 1000}); f.Outcome != want {
			t.Errorf("5 dropped beside %s received is %s: %s, want %s", received, f.Outcome, f.Why, want)
		}
	}
}

// Settings about which nothing has to be done are shown, with a note where they are unusual.
func TestThreadsAndMappingsAreNoted(t *testing.T) {
	for id, value := range map[string]string{"kernel.pid_max": "60", "kernel.threads-max": "60", "vm.max_map_count": "1000"} {
		if f := one(t, hostOf(t, "tuned", sysctlChange(id, value)), id, Target{N: million}); f.Outcome != OK || f.Note == "" || f.Remedy != nil {
			t.Errorf("%s=%s is %s with the note %q, want ok with one", id, value, f.Outcome, f.Note)
		}
	}
}

// The unit that is shipped passes its own checks.
func TestShippedUnit(t *testing.T) {
	h := withUnit(hostOf(t, "linux-6.18", nil), map[string]string{"LoadState": "loaded", "MainPID": "0", "LimitNOFILE": "1048576",
		"TasksMax": "9000", "TimeoutStopUSec": "1min 10s", "MemoryMax": "infinity"})
	for _, id := range []string{"systemd.LimitNOFILE", "systemd.TimeoutStopSec"} {
		if f := one(t, h, id, Target{N: million, Unit: "pushd.service"}); f.Outcome != OK {
			t.Errorf("%s of the unit in scripts is %s, %s -> %s", id, f.Outcome, f.Current, f.Wanted)
		}
	}
}

// The limit of a process that runs is that of its start: what could raise it now is lost with the restart.
func TestNofileOfARunningProcess(t *testing.T) {
	h := hostOf(t, "linux-6.18", map[string]string{"proc/7/limits": "Max open files 1024 4096 files"})
	f := one(t, h, "rlimit.nofile", Target{N: million, PID: 7})
	if f.Outcome != Fail || strings.Contains(f.FixNow, "prlimit") || !strings.Contains(f.FixNow, "not while it runs") {
		t.Errorf("the limit of a running process is %s, now %q", f.Outcome, f.FixNow)
	}
	h.live = true // as on a machine that starts pushd by a script
	if f := one(t, h, "rlimit.nofile", Target{N: million, PID: 7}); strings.Contains(f.FixForGood, "systemctl") || !strings.Contains(f.FixForGood, "ulimit -n 1021024") {
		t.Errorf("without systemd the remedy for good is %q", f.FixForGood)
	}
	inside := judgeNofile(rlimit{1024, 4096}, math.MaxInt64, process{root: true}, Target{N: million, PID: 7})
	if inside.Outcome != Fail || !strings.Contains(inside.FixNow, "root lacks CAP_SYS_RESOURCE") || strings.Contains(inside.FixForGood, "systemctl") {
		t.Errorf("in a container the limit of a running process is %s, now %q, for good %q", inside.Outcome, inside.FixNow, inside.FixForGood)
	}
}
