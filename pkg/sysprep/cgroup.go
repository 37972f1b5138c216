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
func (h *Host) memoryLimit(t Target) (bytes int64, file string, err error) {
	return h.groupLimit(t, memoryController)
}

// groupLimit is memoryLimit for any controller.
func (h *Host) groupLimit(t Target, c controller) (limit int64, file string, err error) {
	groups, err := h.text(t.procDir() + "/cgroup")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", err
	}
	for _, name := range limitFiles(groups, c) {
		s, err := h.text(name)
		if errors.Is(err, fs.ErrNotExist) || s == "max" {
			continue
		}
		if err != nil {
			return 0, "", err
		}
		n, err := parseLimit(s)
		if err != nil {
			return 0, "", fmt.Errorf("%s cannot be judged: /%s: %w", c.name, name, err)
		}
		if file == "" || n < limit {
			limit, file = n, "/"+name
		}
	}
	return limit, file, nil
}

// isTopGroup reports whether file belongs to the top of a hierarchy. The true top has no limit, so what looks like it is
// the own group of a container.
func isTopGroup(file string) bool {
	switch path.Dir(file) {
	case "/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids":
		return true
	}
	return false
}

// controller is a controller of control groups that limits something.
type controller struct {
	name  string // as version 1 names it
	file1 string // of version 1 with the limit; "" when it has none
	file2 string // of version 2
}

var (
	memoryController = controller{"memory", "memory.limit_in_bytes", "memory.max"}
	memoryThrottle   = controller{"memory", "", "memory.high"}
	cpuController    = controller{"cpu", "cpu.cfs_quota_us", "cpu.max"}
	pidsController   = controller{"pids", "pids.max", "pids.max"}
)

// limitFiles lists the files that may hold a limit of the controller for the groups of a /proc/self/cgroup: those of each
// group and of all its parents, for a limit of any of them binds. A container often sees its own group at the root of
// the hierarchy and none of the path, so the root counts too.
func limitFiles(groups string, c controller) []string {
	var files []string
	for line := range strings.Lines(groups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number:controllers:path
		if len(parts) != 3 {
			continue
		}
		var mounts []string
		file := c.file1
		switch {
		case parts[0] == "0" && parts[1] == "": // version 2, alone or beside version 1
			mounts, file = []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"}, c.file2
		case c.file1 != "" && slices.Contains(strings.Split(parts[1], ","), c.name):
			mounts = []string{"sys/fs/cgroup/" + c.name}
			if parts[1] != c.name { // several controllers of one hierarchy
				mounts = append(mounts, "sys/fs/cgroup/"+parts[1])
			}
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
