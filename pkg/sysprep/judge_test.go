package sysprep

import (
	"math"
	"strings"
	"testing"
	"testing/fstest"
)

const million = 1_000_000

// verdict is what a judging function is held to.
type verdict struct {
	outcome Outcome
	wanted  string
}

func checkVerdict(t *testing.T, what string, f Finding, want verdict) {
	t.Helper()
	if got := (verdict{f.Outcome, f.Wanted}); got != want {
		t.Errorf("%s = %s, wanted %s; want %s, wanted %s", what, got.outcome, got.wanted, want.outcome, want.wanted)
	}
	if f.Why == "" || !strings.HasSuffix(f.Formula, "= "+f.Wanted) {
		t.Errorf("%s: why %q, formula %q; want a reason, and a formula that ends in %s", what, f.Why, f.Formula, f.Wanted)
	}
}

func TestNrOpen(t *testing.T) {
	tests := []struct {
		n, current int64
		want       verdict
	}{
		{million, 1_021_023, verdict{Fail, "1104096"}},
		{million, 1_021_024, verdict{Warn, "1104096"}},
		{million, 1_104_095, verdict{Warn, "1104096"}},
		{million, 1_104_096, verdict{OK, "1104096"}},
		{million, math.MaxInt64, verdict{OK, "1104096"}},
		{15_000, 1_048_576, verdict{OK, "1048576"}},
		{15_000, 1_010_000, verdict{Warn, "1048576"}}, // enough, but below what other units count on
		{15_000, 16_323, verdict{Fail, "1048576"}},
		{949_527, 1_048_576, verdict{OK, "1048576"}},
		{949_528, 1_048_576, verdict{Warn, "1048577"}},
	}
	for _, tt := range tests {
		checkVerdict(t, "judgeNrOpen("+number(tt.current)+")", judgeNrOpen(tt.current, Target{N: tt.n}), tt.want)
	}
}

func TestNofile(t *testing.T) {
	user, root, mayRaise := process{}, process{root: true}, process{root: true, sysResource: true}
	tests := []struct {
		limit   rlimit
		nrOpen  int64
		p       process
		want    verdict
		fixNow  string // part of the remedy
		forGood string
	}{
		{rlimit{1_021_024, 1_021_024}, 1_048_576, user, verdict{OK, "1021024"}, "", ""},
		{rlimit{math.MaxInt64, math.MaxInt64}, 1_048_576, user, verdict{OK, "1021024"}, "", ""},
		{rlimit{1_021_023, 1_021_024}, 1_048_576, user, verdict{Warn, "1021024"}, "ulimit -Sn 1021024", "LimitNOFILE=1021024"},
		{rlimit{1024, 2_000_000}, 1_048_576, root, verdict{Warn, "1021024"}, "ulimit -Sn 1021024", "LimitNOFILE=1021024:2000000"},
		{rlimit{1024, math.MaxInt64}, 1_048_576, user, verdict{Warn, "1021024"}, "ulimit -Sn 1021024", "LimitNOFILE=1021024:infinity"},
		{rlimit{1_021_023, 1_021_023}, 1_048_576, user, verdict{Fail, "1021024"}, "sudo prlimit", "LimitNOFILE=1021024"},
		{rlimit{1_021_023, 1_021_023}, 1_048_576, root, verdict{Fail, "1021024"}, "not from in here", "container"},
		{rlimit{1_021_023, 1_021_023}, 1_048_576, mayRaise, verdict{Warn, "1021024"}, "ulimit -n 1021024", "LimitNOFILE=1021024"},
		{rlimit{1024, 4096}, 1_021_023, mayRaise, verdict{Warn, "1021024"}, "sysctl -w fs.nr_open=1104096", "LimitNOFILE=1021024"},
	}
	for _, tt := range tests {
		f := judgeNofile(tt.limit, tt.nrOpen, tt.p, Target{N: million})
		checkVerdict(t, "judgeNofile("+f.Current+")", f, tt.want)
		if !strings.Contains(f.FixNow, tt.fixNow) || !strings.Contains(f.FixForGood, tt.forGood) {
			t.Errorf("judgeNofile(%s) has remedies %q and %q, want %q and %q in them",
				f.Current, f.FixNow, f.FixForGood, tt.fixNow, tt.forGood)
		}
	}
	f := judgeNofile(rlimit{1024, 524_288}, 1_048_576, user, Target{N: million})
	if want := "1024 soft, 524288 hard"; f.Current != want {
		t.Errorf("current of two limits = %q, want %q", f.Current, want)
	}
	if f.Holds == nil || *f.Holds != 513_003 {
		t.Errorf("a hard limit of 524288 holds %v, want 513003", f.Holds)
	}
}

func TestFileMax(t *testing.T) {
	tests := []struct {
		n, current int64
		want       verdict
	}{
		{million, 1_165_535, verdict{Fail, "1165536"}},
		{million, 1_165_536, verdict{OK, "1165536"}},
		{million, math.MaxInt64, verdict{OK, "1165536"}},
		{15_001, 82_037, verdict{Fail, "82038"}}, // a tenth of 15,001 is rounded up
	}
	for _, tt := range tests {
		checkVerdict(t, "judgeFileMax("+number(tt.current)+")", judgeFileMax(tt.current, 3000, Target{N: tt.n}), tt.want)
	}
	if f := judgeFileMax(million, 3000, Target{N: 1}); !strings.Contains(f.Why, "(3000 in use now)") {
		t.Errorf("why of fs.file-max = %q, want the number in use", f.Why)
	}
	if f := judgeFileMax(million, -1, Target{N: 1}); strings.Contains(f.Why, "in use") {
		t.Errorf("why of fs.file-max = %q, want no number in use", f.Why)
	}
}

func TestEpollWatches(t *testing.T) {
	tests := []struct {
		n, current int64
		want       verdict
	}{
		{million, 1_059_999, verdict{Fail, "1060000"}},
		{million, 1_060_000, verdict{OK, "1060000"}},
		{15_000, 25_749, verdict{Fail, "25750"}},
		{15_000, 5_491_533, verdict{OK, "25750"}},
	}
	for _, tt := range tests {
		checkVerdict(t, "judgeEpollWatches("+number(tt.current)+")", judgeEpollWatches(tt.current, Target{N: tt.n}), tt.want)
	}
}

func TestSomaxconn(t *testing.T) {
	tests := []struct {
		n, current, listeners int64
		want                  verdict
	}{
		{1000, 128, 1, verdict{Fail, "4096"}},
		{1000, 4095, 1, verdict{Fail, "4096"}},
		{1000, 4096, 1, verdict{OK, "4096"}},
		{1000, 65_535, 1, verdict{OK, "4096"}},
		{4096 * 60, 4096, 1, verdict{OK, "4096"}},
		{4096*60 + 1, 4096, 1, verdict{Warn, "8192"}},
		{million, 4096, 1, verdict{Warn, "32768"}},
		{million, 32_768, 1, verdict{OK, "32768"}},
		{million, 8192, 2, verdict{Warn, "16384"}},
		{million, 4096, 8, verdict{OK, "4096"}},
		{MaxN, 65_534, 1, verdict{Warn, "65535"}},
		{MaxN, 65_535, 1, verdict{OK, "65535"}},
	}
	for _, tt := range tests {
		f := judgeSomaxconn(tt.current, tt.listeners, Target{N: tt.n})
		checkVerdict(t, "judgeSomaxconn("+number(tt.current)+")", f, tt.want)
		if f.Holds != nil {
			t.Errorf("somaxconn bounds the connections to %d, want no bound", *f.Holds)
		}
	}
}

func TestMemory(t *testing.T) {
	const gib = 1 << 30
	const need4K, need64K = 10_437_491_000, 78_704_157_600 // for a million, with 4 and 64 KiB pages
	model := func(pageBytes int64) Model {
		return NewHost(fstest.MapFS{}, int(pageBytes)).model(Target{N: million})
	}
	small, large := model(4096), model(65_536)
	tests := []struct {
		m      memory
		want   verdict
		fixNow string
	}{
		{memory{bytes: need4K, model: small}, verdict{OK, "10437491000"}, ""},
		{memory{bytes: need4K - 100, model: small}, verdict{Fail, "10437491000"}, "hold at most 999999 "},
		{memory{bytes: need64K, model: large}, verdict{OK, "78704157600"}, ""},
		{memory{bytes: need64K - 100, model: large}, verdict{Fail, "78704157600"}, "hold at most 999999 "},
		{memory{bytes: gib, model: small}, verdict{Fail, "10437491000"}, "hold at most 0 "},
		{memory{bytes: gib, hostBytes: 64 * gib, cgroupFile: "/sys/fs/cgroup/memory.max", model: small},
			verdict{Fail, "10437491000"}, "docker update --memory 10437491000"},
		{memory{bytes: gib, hostBytes: 64 * gib, cgroupFile: "/sys/fs/cgroup/system.slice/memory.max", model: small},
			verdict{Fail, "10437491000"}, "> /sys/fs/cgroup/system.slice/memory.max"},
		{memory{bytes: gib, hostBytes: 64 * gib, cgroupFile: "/sys/fs/cgroup/system.slice/memory.max", unit: "pushd.service", model: small},
			verdict{Fail, "10437491000"}, "systemctl set-property"},
		{memory{bytes: gib, hostBytes: 2 * gib, cgroupFile: "/sys/fs/cgroup/memory.max", model: small},
			verdict{Fail, "10437491000"}, "no setting helps"}, // the host itself is too small
	}
	for _, tt := range tests {
		f := judgeMemory(tt.m, Target{N: million})
		checkVerdict(t, "judgeMemory("+f.Current+")", f, tt.want)
		if !strings.Contains(f.FixNow, tt.fixNow) {
			t.Errorf("judgeMemory(%s) has the remedy %q, want %q in it", f.Current, f.FixNow, tt.fixNow)
		}
	}
}
