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
func (p Plan) Sysctl() []byte {
	settings, head := p.entries(RemedySysctl, true), p.printHead()
	for _, m := range modulesOf(settings) {
		head += fmt.Sprintf("# Some are of the module %s: name it in %s,\n"+
			"# or boot, which makes these settings early, loses them.\n", m.key, ModulesFile)
	}
	return renderSysctl(head, settings)
}

// Modules is the file of modules that the settings need at boot, or nil when they need none.
func (p Plan) Modules() []byte {
	modules := modulesOf(p.entries(RemedySysctl, true))
	if len(modules) == 0 {
		return nil
	}
	var b bytes.Buffer
	b.WriteString(p.printHead())
	for _, m := range modules {
		b.WriteString(m.key + "\n")
	}
	return b.Bytes()
}

// DropIn is the drop-in for the unit.
func (p Plan) DropIn() []byte { return renderDropIn(p.printHead(), p.entries(RemedySystemd, true)) }

// Ansible is a playbook that deploys these files with the modules that every Ansible has. A play
// cannot raise only, so it is for hosts like the one that it was made on.
func (p Plan) Ansible() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s---\n- name: Prepare hosts for %d connections\n  hosts: all\n  become: true\n  tasks:\n", p.printHead(), p.N)
	hasSettings, hasDirectives := len(p.entries(RemedySysctl, true)) > 0, len(p.entries(RemedySystemd, true)) > 0
	if !hasSettings && !hasDirectives {
		b.WriteString("    - name: Nothing has to be raised\n      ansible.builtin.meta: noop\n")
		return b.Bytes()
	}
	modules := modulesOf(p.entries(RemedySysctl, true))
	if len(modules) > 0 {
		ansibleFile(&b, "Name the modules that boot has to load", ModulesFile, p.Modules(),
			"Load the modules")
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
	b.WriteString("  handlers:\n") // they run in this order
	for _, m := range modules {
		fmt.Fprintf(&b, "    - name: Load the modules\n      ansible.builtin.command: modprobe %s\n"+
			"      changed_when: true\n", m.key)
	}
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

// mergeSysctl adds entries to what our file holds already, which is never lowered. All but the lines of their keys stays
// as it is.
func mergeSysctl(old []byte, entries []entry) ([]byte, error) {
	settings, bad := parseSettings(SysctlFile, old)
	if len(bad) > 0 {
		return nil, fmt.Errorf("%w; it is not as sysprep wrote it", bad[0])
	}
	m := newMerger(SysctlFile, old)
	for _, e := range entries {
		line, was := 0, ""
		for _, s := range settings { // the last one counts
			if s.Key == e.key && !s.Glob && !s.Exclude {
				line, was = s.Line, oneSpaced(s.Value)
			}
		}
		if err := m.set(line, " = ", was, e); err != nil {
			return nil, err
		}
	}
	return m.text(""), nil
}

// mergeDropIn does the same for the drop-in.
func mergeDropIn(file string, old []byte, entries []entry) ([]byte, error) {
	m := newMerger(file, old)
	lines, err := m.directives()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		at := lines[e.key]
		if err := m.set(at.line, "=", at.value, e); err != nil {
			return nil, err
		}
	}
	return m.text("[Service]\n"), nil
}

// merger edits single lines of a file.
type merger struct {
	file  string
	lines []string // with their ends
	added []string
	begun bool // the file has its section
}

func newMerger(file string, old []byte) *merger {
	return &merger{file: file, lines: slices.Collect(strings.Lines(string(old)))}
}

// lineError says that a line is none of sysprep's.
func (m *merger) lineError(line int, format string, args ...any) error {
	return fmt.Errorf("%w; it is not as sysprep wrote it", LineError{File: m.file, Line: line, Text: fmt.Sprintf(format, args...)})
}

// directive is where a directive is set, the line from 1.
type directive struct {
	line  int
	value string
}

// directives finds the last line of each directive. All are in the section [Service].
func (m *merger) directives() (map[string]directive, error) {
	found := make(map[string]directive)
	goesOn := false // the line before ends in a backslash, so this one belongs to it
	for i, text := range m.lines {
		text = strings.TrimSpace(text)
		comment := text == "" || text[0] == '#' || text[0] == ';'
		if comment {
			continue // also between the parts of a long line
		}
		partOfLast := goesOn
		goesOn = strings.HasSuffix(text, "\\")
		key, value, assigns := strings.Cut(text, "=")
		switch {
		case partOfLast:
		case text == "[Service]":
			m.begun = true
		case !assigns || text[0] == '[' || !m.begun:
			return nil, m.lineError(i+1, "%.40q is no directive of [Service]", text)
		default:
			found[strings.TrimSpace(key)] = directive{line: i + 1, value: strings.TrimSpace(value)}
		}
	}
	if goesOn {
		return nil, m.lineError(len(m.lines), "the last line goes on after the end of the file")
	}
	return found, nil
}

// set raises what a line sets from was, or adds a line when it is 0. A value that cannot be compared is left to whoever
// wrote it.
func (m *merger) set(line int, assign, was string, e entry) error {
	if line == 0 {
		m.added = append(m.added, e.key+assign+e.value+"\n")
		return nil
	}
	value, ok := highest(e.key, was, e.value)
	if !ok && was != "" {
		return m.lineError(line, "%.40q cannot be compared with %s", was, e.value)
	}
	if value == was {
		return nil
	}
	left, right, _ := strings.Cut(m.lines[line-1], "=")
	space := right[:len(right)-len(strings.TrimLeft(right, " \t"))]
	m.lines[line-1] = left + "=" + space + value + "\n"
	return nil
}

// text is the file with what was added, after the header of its section where it has none yet.
func (m *merger) text(section string) []byte {
	var b strings.Builder
	if len(m.lines) == 0 {
		b.WriteString(fileHead)
	}
	for _, line := range m.lines {
		b.WriteString(line)
	}
	if n := b.Len(); n > 0 && b.String()[n-1] != '\n' {
		b.WriteByte('\n')
	}
	if !m.begun && len(m.added) > 0 {
		b.WriteString(section)
	}
	for _, line := range m.added {
		b.WriteString(line)
	}
	return []byte(b.String())
}
