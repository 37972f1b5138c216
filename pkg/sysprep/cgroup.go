package sysprep

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// memoryLimit is the lowest memory limit of the control groups that the process is in, and the file that sets it. file
// is "" when none of them shows a limit. A limit that is there and cannot be read is an error, for it may bind.
func (h *Host) memoryLimit() (bytes int64, file string, err error) {
	groups, err := h.text("proc/self/cgroup")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", err
	}
	for _, name := range memoryLimitFiles(groups) {
		s, err := h.text(name)
		if errors.Is(err, fs.ErrNotExist) || s == "max" {
			continue
		}
		if err != nil {
			return 0, "", err
		}
		n, err := parseLimit(s)
		if err != nil {
			return 0, "", fmt.Errorf("memory cannot be judged: /%s: %w", name, err)
		}
		if file == "" || n < bytes {
			bytes, file = n, "/"+name
		}
	}
	return bytes, file, nil
}

// isTopGroup reports whether file belongs to the top of a hierarchy. The true top has no limit, so what looks like it is
// the own group of a container.
func isTopGroup(file string) bool {
	switch path.Dir(file) {
	case "/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory":
		return true
	}
	return false
}

// memoryLimitFiles lists the files that may hold a memory limit for the groups of a /proc/self/cgroup: those of each
// group and of all its parents, for a limit of any of them binds. A container often sees its own group at the root of
// the hierarchy and none of the path, so the root counts too.
func memoryLimitFiles(groups string) []string {
	var files []string
	for line := range strings.Lines(groups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number:controllers:path
		if len(parts) != 3 {
			continue
		}
		var mounts []string
		file := "memory.limit_in_bytes"
		switch {
		case parts[0] == "0" && parts[1] == "": // version 2, alone or beside version 1
			mounts, file = []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"}, "memory.max"
		case slices.Contains(strings.Split(parts[1], ","), "memory"):
			mounts = []string{"sys/fs/cgroup/memory"}
		}
		for _, mount := range mounts {
			for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
				files = append(files, path.Join(mount, dir, file))
				if dir == "/" {
					break
				}
			}
		}
	}
	return files
}
