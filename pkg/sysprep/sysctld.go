package sysprep

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// sysctlDirs hold the files, those with the higher precedence first: of files with one name the first counts.
var sysctlDirs = []string{"etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d"}

// maxSysctlFiles bounds how many are read.
const maxSysctlFiles = 1000

// sysctlConf is the file that systemd-sysctl passes over, unless a link in a directory leads to it,
// as Debian's 99-sysctl.conf does.
const sysctlConf = "etc/sysctl.conf"

// sysctlFiles lists every setting in the order in which boot makes them: by the names of the files,
// whatever their directory. Of a key that stands in several lines the last counts. Where systemd
// does not run, boot runs sysctl --system, which takes /etc/sysctl.conf last.
func (h *Host) sysctlFiles() ([]Setting, error) {
	files := make(map[string]string) // by base name
	found := false
	for _, dir := range sysctlDirs {
		entries, err := fs.ReadDir(h.root, dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = true
		for _, e := range entries {
			if name := e.Name(); strings.HasSuffix(name, ".conf") && files[name] == "" && len(files) < maxSysctlFiles {
				files[name] = path.Join(dir, name)
			}
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var list []string
	for _, name := range names {
		list = append(list, files[name])
	}
	if h.exists(sysctlConf) {
		found = true
		if !h.hasSystemd() {
			list = append(list, sysctlConf)
		}
	}
	if !found {
		return nil, errors.New("there is neither /etc/sysctl.conf nor a sysctl.d directory")
	}
	var settings []Setting
	for _, file := range list {
		text, err := h.text(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a link to nowhere, or to /dev/null, masks a file
		}
		if err != nil {
			return nil, err
		}
		of, _ := parseSettings("/"+file, []byte(text)) // sysctl leaves out bad lines as well
		settings = append(settings, of...)
	}
	return settings, nil
}

// passedOver counts the settings of /etc/sysctl.conf that boot does not make, where systemd runs: a
// link to the file would have brought all of them.
func (h *Host) passedOver(made []Setting) int {
	text, err := h.text(sysctlConf)
	if err != nil || !h.hasSystemd() {
		return 0
	}
	settings, _ := parseSettings("/"+sysctlConf, []byte(text))
	n := 0
	for _, s := range settings {
		same := func(m Setting) bool { return m.Key == s.Key && m.Value == s.Value }
		if isDrift(s) && !slices.ContainsFunc(made, same) {
			n++
		}
	}
	return n
}

// isDrift reports whether the setting is one of those that are compared with what is in force.
func isDrift(s Setting) bool {
	begins := func(part string) bool { return strings.HasPrefix(s.Key, part) }
	return !s.Glob && !s.Exclude && slices.ContainsFunc(driftParts, begins)
}

// driftParts begin the keys that have to do with connections.
var driftParts = []string{"net.", "fs.file-max", "fs.nr_open", "fs.epoll.", "vm.overcommit_memory", "vm.swappiness", "vm.min_free_kbytes",
	"vm.max_map_count", "kernel.pid_max", "kernel.threads-max"}

// drifted lists the settings of the files that are not what is set now, of the parts of the kernel that are checked
// here. A line that a later one overrides does not count, and neither does a pattern.
func (h *Host) drifted() ([]Setting, error) {
	settings, err := h.sysctlFiles()
	if err != nil {
		return nil, err
	}
	var drifted []Setting
	seen := map[string]bool{}
	for _, named := range settings {
		if seen[named.Key] || !isDrift(named) {
			continue
		}
		seen[named.Key] = true
		s, _ := lastSetting(settings, named.Key)
		current, err := h.sysctlText(s.Key)
		if err != nil {
			continue // not in this kernel, or hidden
		}
		if !sameSetting(s.Key, current, oneSpaced(s.Value)) {
			drifted = append(drifted, s)
		}
	}
	return drifted, nil
}

// sameSetting compares two values of a key. The kernel prints a list of ports in its own way.
func sameSetting(key, a, b string) bool {
	if a == b || key != reservedPortsKey {
		return a == b
	}
	one, err1 := parsePorts(a)
	other, err2 := parsePorts(b)
	return err1 == nil && err2 == nil && *one == *other
}

// lastSetting is the one that decides about a key. A line with the key's own name goes before any pattern.
func lastSetting(settings []Setting, key string) (last Setting, found bool) {
	for _, s := range settings {
		if s.Exclude || !s.matches(key) || found && s.Glob && !last.Glob {
			continue
		}
		last, found = s, true
	}
	return last, found
}

// oneSpaced parts the fields of a value by one space, as sysctlText does.
func oneSpaced(s string) string { return strings.Join(strings.Fields(s), " ") }

func checkDrift(h *Host, _ Target) (Finding, error) {
	drifted, err := h.drifted()
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Outcome: OK, Current: number(int64(len(drifted))), Wanted: "0"}
	f.Formula = "settings in files that are not in force = 0"
	if made, err := h.sysctlFiles(); err == nil {
		if n := h.passedOver(made); n > 0 {
			f.Note = fmt.Sprintf("boot does not read /etc/sysctl.conf, with %d lines that no other file has: "+
				"no link in /etc/sysctl.d leads to it", n)
		}
	}
	if len(drifted) == 0 {
		return f, nil
	}
	f.Outcome = Warn
	var list []string
	for i, s := range drifted {
		if i == 3 {
			list = append(list, fmt.Sprintf("and %d more", len(drifted)-i))
			break
		}
		current, _ := h.sysctlText(s.Key) //nolint:errcheck // it was read just before
		list = append(list, fmt.Sprintf("%s is %.40s, and %.40s in %s:%d", s.Key, current, s.Value, s.File, s.Line))
	}
	f.Why = "What is set now is gone at the next boot, or was refused at the last: " + strings.Join(list, "; ") + "."
	return f.withText("sysctl --system  # loads them; look first which is right",
		"make the file say what is meant; sysctl --system shows\nwhat the kernel refuses"), nil
}
