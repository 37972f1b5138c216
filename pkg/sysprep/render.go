package sysprep

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
)

// fileHead stands at the top of the files that fix writes.
const fileHead = "# Written by sysprep fix, which only ever raises.\n# sysprep undo brings back what was before.\n"

// printHead stands at the top of what others deploy.
func (p Plan) printHead() string {
	return fmt.Sprintf("# What sysprep found too low for %d connections, role %s.\n", p.N, p.Role)
}

// entry is a key and its value in one of the files.
type entry struct{ key, value string }

// entries lists what the steps of a kind write, without those that are blocked unless all is set.
func (p Plan) entries(kind RemedyKind, all bool) []entry {
	var out []entry
	for _, s := range p.Steps {
		if s.Kind == kind && (all || s.State != StepBlocked && s.State != StepRefused) {
			out = append(out, entry{s.Key, s.Value})
		}
	}
	return out
}

// renderSysctl writes a file of sysctl.d.
func renderSysctl(head string, entries []entry) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	for _, e := range entries {
		fmt.Fprintf(&b, "%s = %s\n", e.key, e.value)
	}
	return b.Bytes()
}

// renderDropIn writes a drop-in of a systemd service.
func renderDropIn(head string, entries []entry) []byte {
	var b bytes.Buffer
	b.WriteString(head + "[Service]\n")
	for _, e := range entries {
		fmt.Fprintf(&b, "%s=%s\n", e.key, e.value)
	}
	return b.Bytes()
}

// Sysctl is the file of kernel settings for the whole plan, for deployment by others: what cannot be done from here is
// in it as well.
func (p Plan) Sysctl() []byte { return renderSysctl(p.printHead(), p.entries(RemedySysctl, true)) }

// DropIn is the drop-in for the unit.
func (p Plan) DropIn() []byte { return renderDropIn(p.printHead(), p.entries(RemedySystemd, true)) }

// Ansible is a playbook that deploys both files with the modules that every Ansible has. A play cannot raise only, so it
// is for hosts like the one that it was made on.
func (p Plan) Ansible() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s---\n- name: Prepare hosts for %d connections\n  hosts: all\n  become: true\n  tasks:\n", p.printHead(), p.N)
	hasSettings, hasDirectives := len(p.entries(RemedySysctl, true)) > 0, len(p.entries(RemedySystemd, true)) > 0
	if !hasSettings && !hasDirectives {
		b.WriteString("    - name: Nothing has to be raised\n      ansible.builtin.meta: noop\n")
		return b.Bytes()
	}
	if hasSettings {
		ansibleFile(&b, "Write the kernel settings", SysctlFile, p.Sysctl(), "Set the kernel settings")
	}
	if hasDirectives {
		file := DropInFile(p.Unit)
		fmt.Fprintf(&b, "    - name: Make the directory of drop-ins\n      ansible.builtin.file:\n        path: %q\n"+
			"        state: directory\n        mode: \"0755\"\n", path.Dir(file))
		ansibleFile(&b, "Write the limits of "+p.Unit, file, p.DropIn(), "Reload systemd")
	}
	b.WriteString("  handlers:\n")
	if hasSettings {
		fmt.Fprintf(&b, "    - name: Set the kernel settings\n      ansible.builtin.command: sysctl -p %s\n      changed_when: true\n", SysctlFile)
	}
	if hasDirectives {
		b.WriteString("    - name: Reload systemd\n      ansible.builtin.systemd:\n        daemon_reload: true\n")
	}
	return b.Bytes()
}

// ansibleFile writes a task that writes a file.
func ansibleFile(b *bytes.Buffer, name, file string, text []byte, notify string) {
	fmt.Fprintf(b, "    - name: %s\n      ansible.builtin.copy:\n        dest: %q\n        mode: \"0644\"\n        content: |\n", name, file)
	for line := range bytes.Lines(text) {
		b.WriteString("          ")
		b.Write(line)
	}
	fmt.Fprintf(b, "      notify: %s\n", notify)
}

// mergeSysctl adds entries to what our file holds already, which is never lowered.
func mergeSysctl(old []byte, entries []entry) ([]byte, error) {
	settings, bad := parseSettings(SysctlFile, old)
	if len(bad) > 0 {
		return nil, fmt.Errorf("%w; it is not as sysprep wrote it", bad[0])
	}
	var merged []entry
	for _, s := range settings {
		merged = setEntry(merged, s.Key, s.Value)
	}
	return renderSysctl(fileHead, mergeEntries(merged, entries)), nil
}

// mergeDropIn does the same for the drop-in.
func mergeDropIn(file string, old []byte, entries []entry) ([]byte, error) {
	var merged []entry
	n := 0
	for line := range strings.Lines(string(old)) {
		n++
		line = strings.TrimSpace(line)
		key, value, found := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#' || line[0] == ';' || line == "[Service]":
		case !found || line[0] == '[':
			return nil, fmt.Errorf("%w; it is not as sysprep wrote it",
				LineError{File: file, Line: n, Text: fmt.Sprintf("%.40q is no directive of [Service]", line)})
		default:
			merged = setEntry(merged, strings.TrimSpace(key), strings.TrimSpace(value))
		}
	}
	return renderDropIn(fileHead, mergeEntries(merged, entries)), nil
}

func mergeEntries(old, entries []entry) []entry {
	for _, e := range entries {
		if i := slices.IndexFunc(old, func(o entry) bool { return o.key == e.key }); i >= 0 {
			e.value = higher(e.key, old[i].value, e.value)
		}
		old = setEntry(old, e.key, e.value)
	}
	return old
}

// setEntry replaces the entry of that key, or appends one.
func setEntry(entries []entry, key, value string) []entry {
	if i := slices.IndexFunc(entries, func(e entry) bool { return e.key == key }); i >= 0 {
		entries[i].value = value
		return entries
	}
	return append(entries, entry{key, value})
}
