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

	host *Host
	// writeLive sets a kernel setting. Tests put one that fails.
	writeLive func(file, value string) error
}

// NewChanger makes a Changer for the directory that h was opened on.
func NewChanger(h *Host, root string) *Changer {
	c := &Changer{Root: root, host: h, writeLive: writeSetting}
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
	if err := c.addRecord(p, files); err != nil {
		return p.open("Nothing was changed."), fmt.Errorf("keep what is there now, for undo: %w; nothing was changed", err)
	}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return p.open("Interrupted before it."), err
		}
		if err := c.writeFile(f.Path, []byte(f.Wrote), 0o644); err != nil {
			return p.open("A file could not be written before it."), fmt.Errorf("%w; no kernel setting was changed", err)
		}
		p.Files = append(p.Files, f.Path)
	}
	if err := c.setAll(ctx, &p); err != nil {
		return p.open("Interrupted before it."), err
	}
	if err := c.dropRefused(&p, files); err != nil {
		return p, err
	}
	return p, c.reload(ctx, &p)
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
	for _, f := range []struct {
		name  string
		kind  RemedyKind
		merge func(old []byte, entries []entry) ([]byte, error)
	}{
		{SysctlFile, RemedySysctl, mergeSysctl},
		{DropInFile(p.Unit), RemedySystemd, func(old []byte, entries []entry) ([]byte, error) {
			return mergeDropIn(DropInFile(p.Unit), old, entries)
		}},
	} {
		entries := p.entries(f.kind, false)
		if len(entries) == 0 {
			continue
		}
		old, existed, err := c.readFile(f.name)
		if err != nil {
			return nil, err
		}
		text, err := f.merge(old, entries)
		if err != nil {
			return nil, err
		}
		files = append(files, fileRecord{Path: f.name, Existed: existed, Before: string(old), Wrote: string(text)})
	}
	return files, nil
}

// setAll sets the kernel's settings one by one, and reads each back. Only an interruption ends it early.
func (c *Changer) setAll(ctx context.Context, p *Plan) error {
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Kind != RemedySysctl || s.State != StepPlanned {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		c.set(s)
	}
	return nil
}

// set carries out one step. What another program raised in the meantime is not lowered.
func (c *Changer) set(s *Step) {
	now, err := c.host.sysctlText(s.Key)
	if err == nil && reached(s.Key, now, s.Value) {
		s.State, s.After, s.Note = StepDone, now, "Somebody else raised it meanwhile."
		return
	}
	value := s.Value
	if err == nil {
		value = higher(s.Key, now, value)
	}
	if err := c.writeLive(c.path(sysctlPath(s.Key)), value); err != nil {
		s.State, s.Reason = StepRefused, c.host.refusal(s.Key, value, err)
		return
	}
	after, err := c.host.sysctlText(s.Key)
	switch {
	case err != nil:
		s.State, s.Reason = StepRefused, "It was set, but cannot be read back: "+err.Error()+"."
	case !reached(s.Key, after, value):
		s.State, s.After = StepRefused, after
		s.Reason = fmt.Sprintf("The kernel took %s and made %s of it.", value, after)
	default:
		s.State, s.After = StepDone, after
		s.Note = c.afterBoot(s.Key, after)
	}
}

// afterBoot says why a value will not last, or "": a later file sets less, or the file is not for this network namespace.
func (c *Changer) afterBoot(key, value string) string {
	if child, known := c.host.Netns(); known && child && ScopeOf(key) == ScopeNetns {
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

// dropRefused takes out of the file what the kernel did not take, so that it does not fail at every boot.
func (c *Changer) dropRefused(p *Plan, files []fileRecord) error {
	refused := false
	for _, s := range p.Steps {
		refused = refused || s.Kind == RemedySysctl && s.State == StepRefused
	}
	if !refused {
		return nil
	}
	for _, f := range files {
		if f.Path != SysctlFile {
			continue
		}
		entries := p.entries(RemedySysctl, false)
		if len(entries) == 0 && !f.Existed {
			p.Files = slices.DeleteFunc(p.Files, func(name string) bool { return name == SysctlFile })
			return c.remove(SysctlFile)
		}
		text, err := mergeSysctl([]byte(f.Before), entries)
		if err != nil {
			return err
		}
		f.Wrote = string(text)
		if err := c.writeFile(SysctlFile, text, 0o644); err != nil {
			return err
		}
		return c.addRecord(*p, []fileRecord{f})
	}
	return nil
}

// reload makes systemd read the drop-in, and reads the directives back.
func (c *Changer) reload(ctx context.Context, p *Plan) error {
	if p.entriesPlanned(RemedySystemd) == 0 {
		return nil
	}
	var shown map[string]string
	if c.Reload != nil {
		if err := c.Reload(ctx); err != nil {
			p.refuseDirectives("The drop-in is written, but systemd did not read it: " + err.Error() + ".")
			return nil
		}
		shown, _ = c.Show(p.Unit) //nolint:errcheck // a unit that is not installed yet shows nothing
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Kind != RemedySystemd || s.State != StepPlanned {
			continue
		}
		s.State, s.After = StepDone, s.Value
		if v := shown[s.Key]; v != "" && !reached(s.Key, v, s.Value) {
			s.State, s.After = StepRefused, v
			s.Reason = fmt.Sprintf("The drop-in is written, but systemd has %s: a later drop-in of %s sets it.", v, p.Unit)
		}
	}
	return nil
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
	_, err = f.WriteString(value + "\n") // in one write: the kernel takes each as a whole
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
