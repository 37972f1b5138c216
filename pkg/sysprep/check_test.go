package sysprep

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func openFixture(t *testing.T, name string) *Host {
	t.Helper()
	h, err := Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

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

func TestIDsAreUniqueAndStable(t *testing.T) {
	want := []string{"memory", "fs.nr_open", "rlimit.nofile", "fs.file-max", "fs.epoll.max_user_watches", "net.core.somaxconn"}
	r := Run(openFixture(t, "debian"), Target{N: 1})
	if len(r.Checks) != len(want) {
		t.Fatalf("Run made %d checks, want %d", len(r.Checks), len(want))
	}
	for i, f := range r.Checks {
		if f.ID != want[i] {
			t.Errorf("check %d is %s, want %s", i, f.ID, want[i])
		}
	}
}

// The capacity is consistent with the verdicts: at the capacity nothing fails, and one more fails in the check that is
// named as the first limit.
func TestCapacityIsWhereTheFirstCheckFails(t *testing.T) {
	for _, name := range []string{"debian", "tuned", "container", "arm64"} {
		h := openFixture(t, name)
		r := Run(h, Target{N: 15_000})
		if r.Capacity == nil || r.FirstLimit == nil {
			t.Fatalf("%s: capacity %v, first limit %v, want both", name, r.Capacity, r.FirstLimit)
		}
		for _, f := range Run(h, Target{N: *r.Capacity}).Checks {
			if f.Outcome == Fail && f.Holds != nil {
				t.Errorf("%s: %s fails at the capacity of %d", name, f.ID, *r.Capacity)
			}
		}
		if f := find(t, Run(h, Target{N: *r.Capacity + 1}), *r.FirstLimit); f.Outcome != Fail {
			t.Errorf("%s: %s is %s above the capacity of %d, want fail", name, f.ID, f.Outcome, *r.Capacity)
		}
	}
}

// On a host whose limits are all higher than they have to be, there is nothing to do.
func TestNothingIsEverLowered(t *testing.T) {
	h := openFixture(t, "tuned")
	for _, n := range []int64{1, 15_000, million} {
		for _, f := range Run(h, Target{N: n}).Checks {
			if f.Outcome != OK || f.FixNow != "" || f.FixForGood != "" {
				t.Errorf("%s for %d on a tuned host is %s with the remedy %q, want ok", f.ID, n, f.Outcome, f.FixNow)
			}
		}
	}
}

func TestEmptyProcSkipsEverything(t *testing.T) {
	r := Run(NewHost(fstest.MapFS{}, 4096), Target{N: million})
	for _, f := range r.Checks {
		if f.Outcome != Skip || !strings.Contains(f.Why, "is not visible here") {
			t.Errorf("%s of an empty tree is %s because %q, want skip because it is not visible", f.ID, f.Outcome, f.Why)
		}
	}
	if r.Capacity != nil || r.FirstLimit != nil || r.Kernel != "" {
		t.Errorf("an empty tree has capacity %v, first limit %v, kernel %q; want none", r.Capacity, r.FirstLimit, r.Kernel)
	}
}

// Whatever a file holds, a check that cannot read it says so, and never that all is well.
func TestMalformedFilesSkip(t *testing.T) {
	files := map[string]string{
		"memory":                    "proc/meminfo",
		"fs.nr_open":                "proc/sys/fs/nr_open",
		"rlimit.nofile":             "proc/self/limits",
		"fs.file-max":               "proc/sys/fs/file-max",
		"fs.epoll.max_user_watches": "proc/sys/fs/epoll/max_user_watches",
		"net.core.somaxconn":        "proc/sys/net/core/somaxconn",
	}
	for id, name := range files {
		for _, content := range []string{"", "x", "-1", "1 2 3", "12\x00"} {
			root := fstest.MapFS{name: {Data: []byte(content)}}
			f := find(t, Run(NewHost(root, 4096), Target{N: 1000}), id)
			if f.Outcome != Skip || !strings.Contains(f.Why, "cannot be judged") {
				t.Errorf("%s of %q is %s because %q, want skip because it cannot be judged", id, content, f.Outcome, f.Why)
			}
		}
	}
}

func TestMalformedMemoryLimitSkips(t *testing.T) {
	root := fstest.MapFS{
		"proc/meminfo":             {Data: []byte("MemTotal: 32758912 kB\n")},
		"proc/self/cgroup":         {Data: []byte("0::/\n")},
		"sys/fs/cgroup/memory.max": {Data: []byte("much\n")},
	}
	if f := find(t, Run(NewHost(root, 4096), Target{N: 1000}), "memory"); f.Outcome != Skip {
		t.Errorf("memory under an unreadable limit is %s, want skip", f.Outcome)
	}
}

// A limit of any control group above the process binds, and so does version 1.
func TestLowestMemoryLimitBinds(t *testing.T) {
	tests := []struct {
		name, groups string
		limits       map[string]string
		want         string
	}{
		{"none", "0::/a/b", map[string]string{"a/b/memory.max": "max"}, "33545125888"},
		{"own", "0::/a/b", map[string]string{"a/b/memory.max": "1000000", "a/memory.max": "max"}, "1000000"},
		{"parent", "0::/a/b", map[string]string{"a/b/memory.max": "2000000", "a/memory.max": "1000000"}, "1000000"},
		{"above the host", "0::/a", map[string]string{"a/memory.max": "999999999999"}, "33545125888"},
		{"version 1", "4:memory:/d/1", map[string]string{"memory/d/1/memory.limit_in_bytes": "1000000"}, "1000000"},
		{"version 1, none", "4:memory:/d", map[string]string{"memory/d/memory.limit_in_bytes": "9223372036854771712"}, "33545125888"},
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
		if f := find(t, Run(NewHost(root, 4096), Target{N: 1}), "memory"); f.Current != tt.want {
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
	for _, f := range Run(NewHost(denied{}, 4096), Target{N: 1000}).Checks {
		if f.Outcome != Skip || !strings.Contains(f.Why, "may not be read by this user") {
			t.Errorf("%s of an unreadable tree is %s because %q, want skip for the lack of permission", f.ID, f.Outcome, f.Why)
		}
	}
}

func TestLongFilesAreCut(t *testing.T) {
	root := fstest.MapFS{"f": {Data: make([]byte, 3*maxFileBytes)}}
	s, err := NewHost(root, 4096).text("f")
	if err != nil || len(s) != maxFileBytes {
		t.Errorf("text of a long file has %d bytes, %v, want %d", len(s), err, maxFileBytes)
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
	r := Run(h, Target{N: 1})
	if f := find(t, r, "rlimit.nofile"); f.Outcome == Skip {
		t.Errorf("rlimit.nofile of this process is skipped: %s", f.Why)
	}
	if r.Kernel == "" {
		t.Error("the kernel's release is not shown")
	}
}
