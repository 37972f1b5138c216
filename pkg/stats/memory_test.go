package stats

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryIsTheLowestLimit(t *testing.T) {
	const meminfo = "MemTotal:        4194304 kB\nMemFree:         1000 kB\n"
	tests := []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"no control groups", nil, 4 << 30},
		{"no limit", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, 4 << 30},
		{"own group", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1048576\n"}, 1 << 20},
		{"group above", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "2097152\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n"}, 2 << 20},
		{"container", map[string]string{"proc/self/cgroup": "0::/docker/abc\n", "sys/fs/cgroup/memory.max": "3145728\n"}, 3 << 20},
		{"above the machine", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "9223372036854771712\n"}, 4 << 30},
		{"version 1", map[string]string{"proc/self/cgroup": "3:cpuset:/\n4:cpu,memory:/x\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "4096\n"}, 4096},
		{"path out of the tree", map[string]string{"proc/self/cgroup": "0::/../..\n", "sys/fs/cgroup/memory.max": "8192\n"}, 8192},
		{"garbage", map[string]string{"proc/self/cgroup": "garbage\n::\n0::\n", "sys/fs/cgroup/memory.max": "x\n"}, 4 << 30},
	}
	for _, tt := range tests {
		root := t.TempDir()
		writeFile(t, root, "proc/meminfo", meminfo)
		for name, text := range tt.files {
			writeFile(t, root, name, text)
		}
		if got, err := Memory(root); err != nil || got != tt.want {
			t.Errorf("%s: Memory = %d, %v, want %d", tt.name, got, err, tt.want)
		}
	}
}

func TestMemoryWithoutMeminfo(t *testing.T) {
	root := t.TempDir()
	if n, err := Memory(root); err == nil {
		t.Errorf("Memory without /proc = %d, want an error", n)
	}
	writeFile(t, root, "proc/meminfo", "MemTotal: many kB\n")
	if n, err := Memory(root); err == nil {
		t.Errorf("Memory with a bad MemTotal = %d, want an error", n)
	}
}

func writeFile(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
