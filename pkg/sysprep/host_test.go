package sysprep

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestOpenNeedsProc(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	procIsFile := t.TempDir()
	if err := os.WriteFile(filepath.Join(procIsFile, "proc"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", t.TempDir(), filepath.Join(t.TempDir(), "missing"), file, procIsFile} {
		if _, err := Open(dir); !errors.Is(err, ErrNoProc) {
			t.Errorf("Open(%q) = %v, want ErrNoProc", dir, err)
		}
	}
}

func TestOpenFindsThePageSizeOfACopy(t *testing.T) {
	copied := t.TempDir()
	if err := os.CopyFS(copied, hostFiles(t, "arm64")); err != nil {
		t.Fatal(err)
	}
	plain := t.TempDir() // shows no page size
	if err := os.CopyFS(plain, hostFiles(t, "linux-6.18")); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]int64{copied: 65_536, plain: int64(os.Getpagesize()), "/": int64(os.Getpagesize())} {
		h, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if h.pageBytes != want || h.Live() != (dir == "/") {
			t.Errorf("Open(%q) has pages of %d bytes, live %v, want %d", dir, h.pageBytes, h.Live(), want)
		}
	}
}

// A link of a copy does not lead to this machine's own files.
func TestCopiesKeepToThemselves(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "proc/sys/fs"), 0o755); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "nr_open")
	if err := os.WriteFile(outside, []byte("9999999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "proc/sys/fs/nr_open")); err != nil {
		t.Fatal(err)
	}
	h, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if f := one(t, h, "fs.nr_open", Target{N: 1000}); f.Outcome != Skip {
		t.Errorf("fs.nr_open behind a link out of the copy is %s (%s), want skip", f.Outcome, f.Current)
	}
}

func TestParsePageBytes(t *testing.T) {
	tests := []struct {
		in   string
		want int64
		ok   bool
	}{
		{"Size: 8 kB\nKernelPageSize:        4 kB\nKernelPageSize:       64 kB\n", 4096, true},
		{"KernelPageSize:       16 kB", 16_384, true},
		{"", 0, false},
		{"KernelPageSize:       64", 0, false},
		{"KernelPageSize:       0 kB", 0, false},
		{"KernelPageSize:       -4 kB", 0, false},
	}
	for _, tt := range tests {
		if got, ok := parsePageBytes(tt.in); got != tt.want || ok != tt.ok {
			t.Errorf("parsePageBytes(%q) = %d, %v, want %d, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

func TestParseLimit(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "4096": 4096, "unlimited": math.MaxInt64,
		"9223372036854775807": math.MaxInt64, "18446744073709551615": math.MaxInt64,
	} {
		if got, err := parseLimit(in); err != nil || got != want {
			t.Errorf("parseLimit(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-1", "4096 8192", "x", "4096\n\n1", strings.Repeat("x", 1000)} {
		if got, err := parseLimit(in); err == nil || len(err.Error()) > 100 {
			t.Errorf("parseLimit(%.10q) = %d, %v, want a short error", in, got, err)
		}
	}
}

func TestParseStatus(t *testing.T) {
	tests := []struct {
		in   string
		want process
	}{
		{"", process{}},
		{"Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\nCpus_allowed_list:\t0-3\n", process{root: true, sysResource: true, cpus: 4}},
		{"Uid:\t0\t0\t0\t0\nCapEff:\t000001fffeffffff\nCpus_allowed_list:\t0,2-4,9\n", process{root: true, cpus: 5}},
		{"Uid:\t0\t1000\t0\t0\nCapEff:\t0000000001000000\n", process{sysResource: true}}, // the effective id counts
		{"Uid:\t0\nCapEff:\tzz\nCpus_allowed_list:\t4-2\n", process{}},
		{"Cpus_allowed_list:\t0-\n", process{}},
		{"Cpus_allowed_list:\t0-99999999\n", process{}},
	}
	for _, tt := range tests {
		if got := parseStatus(tt.in); got != tt.want {
			t.Errorf("parseStatus(%q) = %+v, want %+v", tt.in, got, tt.want)
		}
	}
}

func TestParseOpenFiles(t *testing.T) {
	tests := []struct {
		in   string
		want rlimit
	}{
		{"Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files", rlimit{1024, 524_288}},
		{"Max open files            unlimited            unlimited            files", rlimit{math.MaxInt64, math.MaxInt64}},
	}
	for _, tt := range tests {
		if got, err := parseOpenFiles(tt.in); err != nil || got != tt.want {
			t.Errorf("parseOpenFiles(%q) = %v, %v, want %v", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{"", "Max processes 1 2", "Max open files ", "Max open files 1024", "Max open files 1 x files", "Max open files x 1 files"} {
		if got, err := parseOpenFiles(in); err == nil || !strings.HasPrefix(err.Error(), "RLIMIT_NOFILE cannot be judged: ") {
			t.Errorf("parseOpenFiles(%q) = %v, %v, want an error that names the limit", in, got, err)
		}
	}
}

func TestLimitFiles(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"garbage\n1:2", nil},
		{"0::/a/b", []string{
			"sys/fs/cgroup/a/b/memory.max", "sys/fs/cgroup/a/memory.max", "sys/fs/cgroup/memory.max",
			"sys/fs/cgroup/unified/a/b/memory.max", "sys/fs/cgroup/unified/a/memory.max", "sys/fs/cgroup/unified/memory.max"}},
		{"5:cpu:/x\n4:pids,memory:/docker/1", []string{
			"sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
			"sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/pids,memory/docker/1/memory.limit_in_bytes",
			"sys/fs/cgroup/pids,memory/docker/memory.limit_in_bytes", "sys/fs/cgroup/pids,memory/memory.limit_in_bytes"}},
		{"4:memory:/../../etc", []string{ // a path never leaves its hierarchy
			"sys/fs/cgroup/memory/etc/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.limit_in_bytes"}},
	}
	for _, tt := range tests {
		if got := limitFiles(tt.in, memoryController); !slices.Equal(got, tt.want) {
			t.Errorf("limitFiles(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzProc(f *testing.F) {
	for _, host := range []string{"linux-4.19", "container-v1", "arm64", "tuned"} {
		for name, file := range hostFiles(f, host) {
			if !strings.HasPrefix(name, "proc/sys/") {
				f.Add(string(file.Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p := parseStatus(s); p.cpus < 0 {
			t.Errorf("parseStatus(%q) has %d CPUs", s, p.cpus)
		}
		if l, err := parseOpenFiles(s); err == nil && (l.soft < 0 || l.hard < 0) {
			t.Errorf("parseOpenFiles(%q) = %v", s, l)
		}
		if n, ok := parsePageBytes(s); ok && n <= 0 {
			t.Errorf("parsePageBytes(%q) = %d", s, n)
		}
		if socket, epoll, ok := parseSlabs(s, 4096); ok && (socket < 1000 || epoll < 1) {
			t.Errorf("parseSlabs(%q) = %d, %d", s, socket, epoll)
		}
		if st, err := parseSockstat(s); err == nil && min(st.inUse, st.orphans, st.timeWait, st.allocated, st.pages) < 0 {
			t.Errorf("parseSockstat(%q) = %+v", s, st)
		}
		if n, err := parseSoftnet(s); err == nil && min(n.processed, n.dropped, n.squeezed) < 0 {
			t.Errorf("parseSoftnet(%q) = %+v", s, n)
		}
		if n, err := countPorts(s, 1024, 65_535); err == nil && n < 0 {
			t.Errorf("countPorts(%q) = %d", s, n)
		}
		if n, ok := parseQuota(s); ok && n < 1 {
			t.Errorf("parseQuota(%q) = %d", s, n)
		}
		if d, ok := parseTimespan(s); ok && d < 0 {
			t.Errorf("parseTimespan(%q) = %v", s, d)
		}
		if v := parseRelease(s); v.major < 0 || v.minor < 0 {
			t.Errorf("parseRelease(%q) = %v", s, v)
		}
		if err := parseCounters(counters{}, s); err == nil && !strings.Contains(s, "\n") {
			t.Errorf("parseCounters(%q) takes one line for a pair", s)
		}
		parseReadOnly(s)
		parseProperties(s)
		for _, name := range limitFiles(s, memoryController) {
			if !strings.HasPrefix(name, "sys/fs/cgroup/") {
				t.Errorf("limitFiles(%q) leaves the hierarchy: %q", s, name)
			}
		}
	})
}
