package sysprep

import (
	"bufio"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
)

// withNetns gives a fixture's process 77 a network namespace, beside that of the process that checks.
func withNetns(t *testing.T, theirs string) *Host {
	t.Helper()
	files := hostFiles(t, "tuned")
	link := func(name, target string) {
		files[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
	}
	link("proc/self/ns/net", "net:[4026531840]")
	link("proc/77/ns/net", theirs)
	files["proc/77/limits"] = &fstest.MapFile{Data: []byte("Max open files 1100000 1100000 files\n")}
	files["proc/77/cgroup"] = &fstest.MapFile{Data: []byte("0::/user.slice\n")}
	return NewHost(files, 4096)
}

// What is seen of the network here says nothing about a process with a network namespace of its own.
func TestProcessInAnotherNetworkNamespace(t *testing.T) {
	target := Target{N: 15_000, PID: 77}
	same, other := Run(withNetns(t, "net:[4026531840]"), target, Selection{}), Run(withNetns(t, "net:[4026532177]"), target, Selection{})
	for i, f := range other.Checks {
		switch before := same.Checks[i]; {
		case ofNetns(f.ID) && (f.Outcome != Skip || !strings.Contains(f.Why, "nsenter -t 77 -n")):
			t.Errorf("%s of a process in another network namespace is %s: %q", f.ID, f.Outcome, f.Why)
		case !ofNetns(f.ID) && f.Outcome != before.Outcome:
			t.Errorf("%s is %s for the namespace of the process, and was %s", f.ID, f.Outcome, before.Outcome)
		}
	}
	for _, id := range []string{"net.core.somaxconn", "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.netfilter.nf_conntrack_max", "evidence.listen"} {
		if f := find(t, same, id); f.Outcome != OK {
			t.Errorf("%s of a process in the same namespace is %s: %s", id, f.Outcome, f.Why)
		}
	}
	for _, id := range []string{"memory", "fs.nr_open", "net.ipv4.tcp_mem", "net.core.netdev_max_backlog", "rlimit.nofile", "evidence.files"} {
		if ofNetns(id) {
			t.Errorf("%s is taken for a check of the network namespace", id)
		}
	}
}

func TestRealProcessInAnotherNetworkNamespace(t *testing.T) {
	h, err := Open("/")
	if err != nil {
		t.Skip(err)
	}
	for _, own := range []bool{false, true} {
		cmd := exec.Command("sh", "-c", "echo; read line")
		if own {
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
			if os.Geteuid() != 0 {
				t.Skip("this takes root")
			}
		}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Skipf("no process of its own can be started: %v", err)
		}
		_, readErr := bufio.NewReader(out).ReadString('\n') // it runs, and not the copy of this program before it
		f := one(t, h, "net.core.somaxconn", Target{N: 1000, PID: cmd.Process.Pid})
		in.Close()
		if err := cmd.Wait(); readErr != nil {
			t.Fatal(readErr, err)
		}
		if skipped := strings.Contains(f.Why, "network namespace"); skipped != own || own && f.Outcome != Skip {
			t.Errorf("net.core.somaxconn for a process with its own namespace %v is %s: %q", own, f.Outcome, f.Why)
		}
	}
}

// The Go runtime of a pushd takes no more CPUs than the quota of its control groups, and pushd no more than 64 loops.
func TestListenersFollowTheQuota(t *testing.T) {
	tests := []struct {
		cpus, group, name, content string
		want                       int64
	}{
		{"0-15", "0::/user.slice", "", "", 16},
		{"0-15", "0::/user.slice", "sys/fs/cgroup/user.slice/cpu.max", "max 100000", 16},
		{"0-15", "0::/user.slice", "sys/fs/cgroup/user.slice/cpu.max", "400000 100000", 4},
		{"0-15", "0::/user.slice", "sys/fs/cgroup/user.slice/cpu.max", "350000 100000", 4},
		{"0-15", "0::/a/b", "sys/fs/cgroup/a/cpu.max", "300000 100000", 3}, // of a parent
		{"0-15", "0::/user.slice", "sys/fs/cgroup/user.slice/cpu.max", "50000 100000", 2},
		{"0-1", "0::/user.slice", "sys/fs/cgroup/user.slice/cpu.max", "400000 100000", 2},
		{"0", "0::/user.slice", "sys/fs/cgroup/user.slice/cpu.max", "50000 100000", 1},
		{"0-15", "0::/user.slice", "sys/fs/cgroup/user.slice/cpu.max", "bad", 16},
		{"0-15", "4:cpu,cpuacct:/x", "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "500000", 5},
		{"0-15", "4:cpu,cpuacct:/x", "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "-1", 16},
		{"0-127", "0::/user.slice", "", "", 64},
	}
	for _, tt := range tests {
		changes := map[string]string{"proc/77/status": "Cpus_allowed_list:\t" + tt.cpus, "proc/77/cgroup": tt.group,
			"sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000"}
		if tt.name != "" {
			changes[tt.name] = tt.content
		}
		if got := hostOf(t, "tuned", changes).listeners(Target{PID: 77, Workers: 2}); got != 2*tt.want {
			t.Errorf("2 processes on CPUs %s with %s %q have %d listeners, want %d", tt.cpus, tt.name, tt.content, got, 2*tt.want)
		}
	}
	h := hostOf(t, "tuned", map[string]string{"proc/self/status": "Cpus_allowed_list:\t0-15", "sys/fs/cgroup/user.slice/cpu.max": "200000 100000"})
	if f := one(t, h, "net.core.somaxconn", Target{N: 1_000_000}); f.Wanted != "16384" {
		t.Errorf("16 CPUs and a quota of 2 want a backlog of %s (%s), want 16384", f.Wanted, f.Formula)
	}
}
