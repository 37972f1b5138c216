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
	for dir, want := range map[string]int64{
		"testdata/arm64":  65_536,
		"testdata/debian": int64(os.Getpagesize()), // shows none
		"/":               int64(os.Getpagesize()),
	} {
		h, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if h.pageBytes != want {
			t.Errorf("Open(%q) has pages of %d bytes, want %d", dir, h.pageBytes, want)
		}
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

func TestMemoryLimitFiles(t *testing.T) {
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
			"sys/fs/cgroup/memory/memory.limit_in_bytes"}},
		{"4:memory:/../../etc", []string{ // a path never leaves its hierarchy
			"sys/fs/cgroup/memory/etc/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.limit_in_bytes"}},
	}
	for _, tt := range tests {
		if got := memoryLimitFiles(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("memoryLimitFiles(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzProc(f *testing.F) {
	for _, dir := range []string{"debian", "container", "arm64"} {
		for _, name := range []string{"status", "limits", "cgroup"} {
			b, err := os.ReadFile(filepath.Join("testdata", dir, "proc/self", name))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(b))
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
		for _, name := range memoryLimitFiles(s) {
			if !strings.HasPrefix(name, "sys/fs/cgroup/") {
				t.Errorf("memoryLimitFiles(%q) leaves the hierarchy: %q", s, name)
			}
		}
	})
}
