package stats

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Memory returns how many bytes of memory this process can use: the machine's, or the limit of one of its control
// groups where that is lower. root is "/" outside tests.
func Memory(root string) (int64, error) {
	meminfo, err := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		return 0, err
	}
	total, err := memTotal(meminfo)
	if err != nil {
		return 0, err
	}
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return total, nil // a kernel without control groups limits nothing
	}
	for line := range strings.Lines(string(groups)) {
		for _, file := range limitFiles(strings.TrimSpace(line)) {
			if n, ok := readLimit(filepath.Join(root, file)); ok {
				total = min(total, n)
			}
		}
	}
	return total, nil
}

func memTotal(meminfo []byte) (int64, error) {
	for line := range bytes.Lines(meminfo) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == "MemTotal:" && string(fields[2]) == "kB" {
			n, err := strconv.ParseInt(string(fields[1]), 10, 53)
			if err == nil && n > 0 {
				return n << 10, nil
			}
		}
	}
	return 0, errors.New("no usable MemTotal in /proc/meminfo")
}

// limitFiles lists the files that limit the memory of one line of /proc/self/cgroup: for the group and for all above
// it, because each of them binds. A container often sees its own group as the root of the hierarchy.
func limitFiles(line string) []string {
	parts := strings.SplitN(line, ":", 3) // number, controllers, path
	if len(parts) != 3 {
		return nil
	}
	mount, name := "sys/fs/cgroup", "memory.max" // version 2
	if parts[1] != "" {
		if !slices.Contains(strings.Split(parts[1], ","), "memory") {
			return nil
		}
		mount, name = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
	}
	var files []string
	for dir := filepath.Clean("/" + parts[2]); ; dir = filepath.Dir(dir) {
		files = append(files, filepath.Join(mount, dir, name))
		if dir == "/" {
			return files
		}
	}
}

// readLimit reads a limit; ok is false for a file that is not there, and for "max".
func readLimit(path string) (n int64, ok bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err = strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	return n, err == nil && n > 0
}
