package sysprep

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// ModulesFile names the kernel modules that have to be there before the settings are made at boot.
const ModulesFile = "/etc/modules-load.d/90-holdfast.conf"

// moduleKeys tells which settings are there only once a module is. systemd makes the settings early
// at boot, before the first firewall rule loads such a module, and loses the line of one that is
// not there.
var moduleKeys = []struct{ prefix, module string }{
	{"net.netfilter.nf_conntrack_", "nf_conntrack"},
	{"net.nf_conntrack_max", "nf_conntrack"},
}

// moduleOf is the module that has the setting, "" for one of the kernel itself.
func moduleOf(key string) string {
	for _, m := range moduleKeys {
		if strings.HasPrefix(key, m.prefix) {
			return m.module
		}
	}
	return ""
}

// modulesOf lists the modules that the settings need, each once, as lines of a file.
func modulesOf(settings []entry) []entry {
	var out []entry
	for _, e := range settings {
		if m := (entry{key: moduleOf(e.key)}); m.key != "" && !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return out
}

// moduleDirs hold files of modules to be loaded at boot.
var moduleDirs = []string{"etc/modules-load.d", "run/modules-load.d", "usr/local/lib/modules-load.d",
	"usr/lib/modules-load.d", "lib/modules-load.d"}

// loadsAtBoot reports whether a file of somebody else has the module loaded at boot.
func (h *Host) loadsAtBoot(module string) bool {
	files := []string{"etc/modules"}
	for _, dir := range moduleDirs {
		entries, _ := fs.ReadDir(h.root, dir) //nolint:errcheck // what cannot be read names no module
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			if strings.HasSuffix(name, ".conf") && "/"+name != ModulesFile {
				files = append(files, name)
			}
		}
	}
	return slices.ContainsFunc(files, func(name string) bool {
		text, err := h.text(name)
		return err == nil && namesModule(text, module)
	})
}

// namesModule reports whether a file of modules has a line for this one. Its name may have dashes.
func namesModule(text, module string) bool {
	for line := range strings.Lines(text) {
		if strings.ReplaceAll(strings.TrimSpace(line), "-", "_") == module {
			return true
		}
	}
	return false
}

// mergeModules adds modules to what our file holds already.
func mergeModules(old []byte, modules []entry) ([]byte, error) {
	m := newMerger(ModulesFile, old)
	for _, e := range modules {
		if !namesModule(string(old), e.key) {
			m.added = append(m.added, e.key+"\n")
		}
	}
	return m.text(""), nil
}

// bootModules lists the modules that our file of modules is to name for the settings of our other
// file.
func (c *Changer) bootModules(settings []entry) []entry {
	named := func(e entry) bool { return c.host.loadsAtBoot(e.key) }
	return slices.DeleteFunc(modulesOf(settings), named)
}
