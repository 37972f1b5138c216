package sysprep

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Changer changes a host: its kernel settings, and the two files that keep them. Whatever it changes is in its record
// first, so that Undo can bring it back from any point.
type Changer struct {
	// Root is the directory below which everything is read and written: "/" is this machine, any other a copy.
	Root string
	// Reload makes systemd read its units again, and Show asks for the properties of one. Both are nil where there is no
	// systemd to ask.
	Reload func(ctx context.Context) error
	Show   func(unit string) (map[string]string, error)

	host  *Host
	files fileTree // nil until open
	// writeLive sets a kernel setting instead of the Changer itself. Tests put one that fails.
	writeLive func(file, value string) error
	// namespace names the network namespace that fix was started in. Tests put their own.
	namespace func() string
}

// NewChanger makes a Changer for the directory that h was opened on.
func NewChanger(h *Host, root string) *Changer {
	c := &Changer{Root: root, host: h}
	if h.Live() && h.hasSystemd() {
		c.Reload, c.Show = reloadSystemd, h.systemd
	}
	return c
}

// path is a file below the root.
func (c *Changer) path(name string) string { return filepath.Join(c.Root, filepath.FromSlash(name)) }

// Apply carries out the plan's open steps, in this order: the record, the files, the kernel's settings. So a run that
// was broken off is taken up by the next one, and what is set is never without the file that keeps it. It returns the
// plan with what became of each step; an error says why it ended early, and then nothing later was touched.
func (c *Changer) Apply(ctx context.Context, p Plan) (Plan, error) {
	p.Steps = append([]Step{}, p.Steps...)
	if p.todo() == 0 {
		return p, nil
	}
	unlock, err := c.lock()
	if err != nil {
		return p.open("Nothing was changed."), err
	}
	defer unlock()
	files, err := c.prepare(p)
	if err != nil {
		return p.open("Nothing was changed."), err
	}
	rec, err := c.addRecord(p, files)
	if err != nil {
		return p.open("Nothing was changed."), fmt.Errorf("keep what is there now, for undo: %w; nothing was changed", err)
	}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return p.open("Interrupted before it."), err
		}
		if err := c.writeFile(f.Path, []byte(f.Wrote), f.mode()); err != nil {
			return p.open("A file could not be written before it."), fmt.Errorf("%w; no kernel setting was changed", err)
		}
		p.Files = append(p.Files, f.Path)
	}
	if err := c.setAll(ctx, &p, &rec); err != nil {
		if ctx.Err() != nil {
			return p.open("Interrupted before it."), err
		}
		return p.open("What undo needs could not be kept before it."), err
	}
	err = c.dropRefused(&p, files, &rec)
	return p, errors.Join(err, c.reload(ctx, &p)) // the drop-in is written in any case
}

// open marks the steps that were not reached.
func (p Plan) open(reason string) Plan {
	for i := range p.Steps {
		if p.Steps[i].State == StepPlanned {
			p.Steps[i].State, p.Steps[i].Reason = StepOpen, reason
		}
	}
	return p
}

// prepare works out what the files will hold, from what they hold now.
func (c *Changer) prepare(p Plan) ([]fileRecord, error) {
	var files []fileRecord
	settings := c.bootEntries(p)
	for _, f := range []struct {
		name    string
		entries []entry
		merge   func(old []byte, entries []entry) ([]byte, error)
	}{
		{SysctlFile, settings, mergeSysctl},
		{ModulesFile, c.bootModules(settings), mergeModules},
		{DropInFile(p.Unit), p.entries(RemedySystemd, false), func(old []byte, entries []entry) ([]byte, error) {
			return mergeDropIn(DropInFile(p.Unit), old, entries)
		}},
	} {
		if len(f.entries) == 0 {
			continue
		}
		if f.name == DropInFile(p.Unit) && !ValidUnit(p.Unit) {
			return nil, fmt.Errorf("%q is no unit; nothing was changed", p.Unit)
		}
		old, err := c.readFile(f.name)
		if err != nil {
			return nil, err
		}
		text, err := f.merge(old.text, f.entries)
		if err != nil {
			return nil, err
		}
		files = append(files, fileRecord{Path: f.name, Existed: old.existed, Mode: uint32(old.mode), Before: string(old.text), Wrote: string(text)})
	}
	return files, nil
}

// bootEntries lists what the file of kernel settings is to have: nothing that is not for the network namespace in which
// it is read at boot, and nothing below what another file sets, which the running kernel need not have.
func (c *Changer) bootEntries(p Plan) []entry {
	settings, _ := c.host.sysctlFiles() //nolint:errcheck // without files no value is lowered
	boots := c.bootsHere()
	var out []entry
	for _, e := range p.entries(RemedySysctl, false) {
		if !boots && ScopeOf(e.key) == ScopeNetns {
			continue
		}
		if last, found := lastSetting(settings, e.key); found {
			e.value = higher(e.key, oneSpaced(last.Value), e.value)
		}
		out = append(out, e)
	}
	return out
}

// bootsHere reports whether what is set at boot is set in this network namespace: in one that was made later, the file
// would change the machine that shares it instead.
func (c *Changer) bootsHere() bool {
	if child, _ := c.host.Netns(); !child {
		return true
	}
	if !c.host.Live() {
		return false
	}
	own, err := os.Readlink("/proc/self/ns/net")
	first, err2 := os.Readlink("/proc/1/ns/net") // as in a container that has a systemd of its own
	return err == nil && err2 == nil && own == first
}

// netns names the network namespace that has the setting, "" when it is the one in which the machine or container was
// started, or the setting is not one of a namespace.
func (c *Changer) netns(key string) string {
	if ScopeOf(key) != ScopeNetns {
		return ""
	}
	if c.namespace != nil {
		return c.namespace()
	}
	if !c.host.Live() || c.bootsHere() {
		return ""
	}
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return "unknown"
	}
	return own
}

// setAll sets the kernel's settings one by one, and reads each back. Only an interruption, or a record that cannot be
// written, ends it early.
func (c *Changer) setAll(ctx context.Context, p *Plan, rec *record) error {
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Kind != RemedySysctl || s.State != StepPlanned {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.set(s, rec); err != nil {
			return fmt.Errorf("keep what was set, for undo: %w", err)
		}
	}
	return nil
}

// set carries out one step. What another program raised in the meantime is not lowered. Whatever the setting may have
// from now on is in the record, also what the kernel makes of the value.
func (c *Changer) set(s *Step, rec *record) error {
	now, err := c.host.sysctlText(s.Key)
	if err == nil && reached(s.Key, now, s.Value) {
		s.State, s.After, s.Note = StepDone, now, "Somebody else raised it meanwhile."
		return nil
	}
	value := s.Value
	if err == nil {
		value = higher(s.Key, now, value)
	}
	if err := c.keep(rec, s.Key, value); err != nil {
		return err
	}
	if err := c.setLive(s.Key, value); err != nil {
		s.State, s.Reason = StepRefused, c.host.refusal(s.Key, value, err)
		return nil
	}
	after, err := c.host.sysctlText(s.Key)
	if err != nil {
		s.State, s.Reason = StepRefused, "It was set, but cannot be read back: "+err.Error()+"."
		return nil
	}
	s.After = after
	if !reached(s.Key, after, value) {
		s.State, s.Reason = StepRefused, fmt.Sprintf("The kernel took %s and made %s of it.", value, after)
	} else {
		s.State, s.Note = StepDone, c.afterBoot(s.Key, after)
	}
	return c.keep(rec, s.Key, after)
}

// setLive writes a kernel setting.
func (c *Changer) setLive(key, value string) error {
	name := sysctlPath(key)
	switch {
	case c.writeLive != nil:
		return c.writeLive(c.path(name), value)
	case c.host.Live():
		return writeSetting("/"+name, value)
	}
	f, err := c.files.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	return writeValue(f, value)
}

// afterBoot says why a value will not last, or "": a later file sets less, or the file is not for this network namespace.
func (c *Changer) afterBoot(key, value string) string {
	if ScopeOf(key) == ScopeNetns && !c.bootsHere() {
		return "This is a network namespace of its own: it is set for as long as that lives, and the next one starts with the kernel's default."
	}
	settings, err := c.host.sysctlFiles()
	if err != nil {
		return ""
	}
	last, found := lastSetting(settings, key)
	if !found || reached(key, oneSpaced(last.Value), value) {
		return ""
	}
	return fmt.Sprintf("At the next boot %s:%d sets it to %.40s: change that line.", last.File, last.Line, oneSpaced(last.Value))
}

// dropRefused takes out of the files what the kernel did not take, so that it does not fail at
// every boot.
func (c *Changer) dropRefused(p *Plan, files []fileRecord, rec *record) error {
	refused := func(s Step) bool { return s.Kind == RemedySysctl && s.State == StepRefused }
	if !slices.ContainsFunc(p.Steps, refused) {
		return nil
	}
	settings := c.bootEntries(*p)
	return errors.Join(
		c.rewrite(p, files, rec, SysctlFile, settings, mergeSysctl),
		c.rewrite(p, files, rec, ModulesFile, c.bootModules(settings), mergeModules))
}

// rewrite writes a file once more, with these entries only. One that fix has made and that would be
// empty is removed.
func (c *Changer) rewrite(p *Plan, files []fileRecord, rec *record, name string, entries []entry,
	merge func(old []byte, entries []entry) ([]byte, error)) error {
	i := slices.IndexFunc(files, func(f fileRecord) bool { return f.Path == name })
	if i < 0 {
		return nil
	}
	f := files[i]
	if len(entries) == 0 && !f.Existed {
		p.Files = slices.DeleteFunc(p.Files, func(other string) bool { return other == name })
		return c.remove(name)
	}
	text, err := merge([]byte(f.Before), entries)
	if err != nil {
		return err
	}
	rec.file(name).add(string(text))
	if err := c.writeRecord(*rec); err != nil {
		return err
	}
	return c.writeFile(name, text, f.mode())
}

// reload makes systemd read the drop-in, and reads the directives back. Where there is a systemd to ask, only what it shows
// is done.
func (c *Changer) reload(ctx context.Context, p *Plan) error {
	if p.entriesPlanned(RemedySystemd) == 0 {
		return nil
	}
	var shown map[string]string
	if c.Reload != nil {
		err := c.Reload(ctx)
		if err == nil {
			shown, err = c.Show(p.Unit)
		}
		switch state := shown["LoadState"]; {
		case err != nil:
			p.refuseDirectives("The drop-in is written, but systemd did not read it: " + err.Error() + ".")
			return nil
		case state != "loaded":
			p.refuseDirectives(fmt.Sprintf("The drop-in is written, but systemd has no such unit (it is %.40q).", state))
			return nil
		}
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Kind != RemedySystemd || s.State != StepPlanned {
			continue
		}
		s.State, s.After = StepDone, s.Value
		if v := shown[unitProperty(s.Key)]; v != "" && !reached(s.Key, v, s.Value) {
			s.State, s.After = StepRefused, v
			s.Reason = fmt.Sprintf("The drop-in is written, but systemd has %s: a later drop-in of %s sets it.", v, p.Unit)
		}
	}
	return nil
}

// unitProperty is how systemctl show calls a directive.
func unitProperty(directive string) string {
	if directive == "TimeoutStopSec" {
		return "TimeoutStopUSec"
	}
	return directive
}

func (p Plan) entriesPlanned(kind RemedyKind) int {
	n := 0
	for _, s := range p.Steps {
		if s.Kind == kind && s.State == StepPlanned {
			n++
		}
	}
	return n
}

func (p *Plan) refuseDirectives(reason string) {
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Kind == RemedySystemd && s.State == StepPlanned {
			s.State, s.Reason = StepRefused, reason
		}
	}
}

// writeSetting sets a kernel setting. The file is there or the kernel does not have the setting, so it is never made.
func writeSetting(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	return writeValue(f, value)
}

// writeValue writes a setting and closes its file.
func writeValue(f *os.File, value string) error {
	_, err := f.WriteString(value + "\n") // in one write: the kernel takes each as a whole
	return errors.Join(err, f.Close())
}

// refusal says in a sentence why a kernel setting could not be set.
func (h *Host) refusal(key, value string, err error) string {
	switch {
	case errors.Is(err, syscall.EROFS):
		if ScopeOf(key) == ScopeNetns {
			return fmt.Sprintf("/proc/sys is read-only here, as in a container; start it with --sysctl %s=%s.", key, value)
		}
		return "/proc/sys is read-only here, as in a container; set it on the host."
	case errors.Is(err, fs.ErrNotExist):
		reason := h.missingReason(sysctlPath(key))
		return strings.ToUpper(reason[:1]) + reason[1:] + "."
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ERANGE):
		return fmt.Sprintf("The kernel takes no such value: %s.", value)
	case errors.Is(err, fs.ErrPermission) && h.userNamespace():
		return "This is a user namespace, whose root may not change what belongs to the machine; set it on the host."
	case errors.Is(err, syscall.EPERM):
		return "The kernel refuses it to this process: it lacks a capability (CAP_NET_ADMIN below net, else CAP_SYS_ADMIN), as in a container."
	case errors.Is(err, fs.ErrPermission) && !h.process().root:
		return "Only root may set it; try sudo sysprep fix."
	case errors.Is(err, fs.ErrPermission):
		return "It may only be read from here, as in a container or a network namespace; set it on the host."
	}
	return "It could not be written: " + err.Error() + "."
}

// userNamespace reports whether the ids of this process are mapped, as in a rootless container.
func (h *Host) userNamespace() bool {
	s, err := h.text("proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(s), " ") != "0 0 4294967295"
}
