package sysprep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// recordFile is what Undo works from. It is written before anything is changed.
const recordFile = stateDir + "/sysprep-undo.json"

// ErrNoRecord means that there is nothing to undo.
var ErrNoRecord = errors.New("sysprep: nothing to undo")

// record is what was there before the first fix since the last undo.
type record struct {
	Version  int          `json:"version"`
	Unit     string       `json:"unit"`
	Settings []liveRecord `json:"settings"`
	Files    []fileRecord `json:"files"`
}

// liveRecord is a kernel setting. A reboot keeps neither value, but the file keeps Set.
type liveRecord struct {
	Key     string   `json:"key"`
	Before  string   `json:"before"`
	Set     string   `json:"set"`               // what a fix was about to set last, or read back
	Earlier []string `json:"earlier,omitempty"` // the same of before; a fix that was broken off leaves one of them
	// Netns is the network namespace that has it, "" of the one in which the machine or container was started. The
	// namespaces of a machine share its record, and undo in one leaves the settings of the others to them.
	Netns string `json:"netns,omitempty"`
}

// fileRecord is a file: what it held, and what it holds now if nobody else has changed it.
type fileRecord struct {
	Path    string   `json:"path"`
	Existed bool     `json:"existed"`
	Mode    uint32   `json:"mode,omitempty"` // its permissions, when it existed
	Before  string   `json:"before"`
	Wrote   string   `json:"wrote"`
	Earlier []string `json:"earlier,omitempty"` // as that of liveRecord
}

// defaultMode is that of the files that sysprep makes.
const defaultMode = 0o644

func (f fileRecord) mode() fs.FileMode {
	if f.Mode == 0 {
		return defaultMode
	}
	return fs.FileMode(f.Mode).Perm()
}

// add notes one more value that the setting may have by sysprep.
func (l *liveRecord) add(value string) {
	if l.Set != "" && l.Set != value && !slices.Contains(l.Earlier, l.Set) {
		l.Earlier = append(l.Earlier, l.Set)
	}
	l.Set = value
}

// ours reports whether a fix has set that value.
func (l liveRecord) ours(value string) bool {
	return value == l.Set || slices.Contains(l.Earlier, value)
}

// add notes one more text that the file may hold by sysprep.
func (f *fileRecord) add(text string) {
	if f.Wrote != text && !slices.Contains(f.Earlier, f.Wrote) {
		f.Earlier = append(f.Earlier, f.Wrote)
	}
	f.Wrote = text
}

// ours reports whether a fix has written that text.
func (f fileRecord) ours(text string) bool {
	return text == f.Wrote || slices.Contains(f.Earlier, text)
}

// recordVersion is that of the format.
const recordVersion = 1

// readRecord reads what was recorded; ok is false when nothing was.
func (c *Changer) readRecord() (r record, ok bool, err error) {
	f, err := c.readFile(recordFile)
	if err != nil || !f.existed {
		return record{}, false, err
	}
	if err := json.Unmarshal(f.text, &r); err != nil {
		return record{}, false, fmt.Errorf("%s is damaged: %w", recordFile, err)
	}
	if r.Version != recordVersion {
		return record{}, false, fmt.Errorf("%s has format %d, this sysprep knows %d", recordFile, r.Version, recordVersion)
	}
	if err := r.check(); err != nil {
		return record{}, false, fmt.Errorf("%s is not as sysprep wrote it: %w", recordFile, err)
	}
	return r, true, nil
}

// check refuses a record of what sysprep never changes.
func (r record) check() error {
	for _, f := range r.Files {
		unit, ok := strings.CutPrefix(f.Path, unitDir)
		unit, isDropIn := strings.CutSuffix(unit, ".d/"+path.Base(SysctlFile))
		if f.Path != SysctlFile && f.Path != ModulesFile && (!ok || !isDropIn || !ValidUnit(unit)) {
			return fmt.Errorf("%.80q is no file of its own", f.Path)
		}
	}
	for _, s := range r.Settings {
		if _, ok := Lookup(s.Key); !ok {
			return fmt.Errorf("%.80q is no setting that it raises", s.Key)
		}
		if strings.ContainsFunc(s.Before, isControl) {
			return fmt.Errorf("%.80q is no value of %s", s.Before, s.Key)
		}
	}
	return nil
}

// addRecord adds to the record what the plan is about to change. What was there before an earlier fix stays, unless
// somebody else has changed it since.
func (c *Changer) addRecord(p Plan, files []fileRecord) (record, error) {
	r, _, err := c.readRecord()
	if err != nil {
		return record{}, err
	}
	r.Version, r.Unit = recordVersion, p.Unit
	for _, s := range p.Steps {
		if s.Kind == RemedySysctl && s.State == StepPlanned {
			if now, err := c.host.sysctlText(s.Key); err == nil {
				s.Before = now // it may have changed since the check
			}
			r.note(s, c.netns(s.Key))
		}
	}
	for _, f := range files {
		r.noteFile(f)
	}
	return r, c.writeRecord(r)
}

// note takes down one setting of a network namespace that is about to be raised from s.Before to s.Value.
func (r *record) note(s Step, netns string) {
	l := r.setting(s.Key, netns)
	if l == nil {
		r.Settings = append(r.Settings, liveRecord{Key: s.Key, Before: s.Before, Set: s.Value, Netns: netns})
		return
	}
	if s.Before != "" && s.Before != l.Before && !l.ours(s.Before) {
		*l = liveRecord{Key: s.Key, Before: s.Before, Netns: netns}
	}
	l.add(s.Value)
}

// noteFile takes down one file that is about to be written.
func (r *record) noteFile(f fileRecord) {
	o := r.file(f.Path)
	if o == nil {
		r.Files = append(r.Files, f)
		return
	}
	asBefore := f.Existed == o.Existed && f.Before == o.Before
	if !asBefore && (!f.Existed || !o.ours(f.Before)) {
		*o = f
		return
	}
	o.add(f.Wrote)
}

// setting is the record of a key in a network namespace, or nil.
func (r *record) setting(key, netns string) *liveRecord {
	if i := slices.IndexFunc(r.Settings, func(l liveRecord) bool { return l.Key == key && l.Netns == netns }); i >= 0 {
		return &r.Settings[i]
	}
	return nil
}

// file is the record of a file, or nil.
func (r *record) file(name string) *fileRecord {
	if i := slices.IndexFunc(r.Files, func(f fileRecord) bool { return f.Path == name }); i >= 0 {
		return &r.Files[i]
	}
	return nil
}

// keep notes a value that is about to be set, or that the kernel made of one, where the record does not have it.
func (c *Changer) keep(r *record, key, value string) error {
	l := r.setting(key, c.netns(key))
	if l == nil || l.ours(value) || value == l.Before {
		return nil
	}
	l.add(value)
	return c.writeRecord(*r)
}

func (c *Changer) writeRecord(r record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return c.writeFile(recordFile, append(text, '\n'), 0o600)
}

// Undone is what became of one thing that Undo was to bring back.
type Undone struct {
	Name string `json:"name"` // of the setting, or of the file
	File bool   `json:"file"`

	Existed bool      `json:"existed"` // of a file: there was one before, which comes back; else it is removed
	Now     string    `json:"now"`     // of a setting, when undo came
	Before  string    `json:"before"`  // what it was to become again; of a file "" when there was none
	State   StepState `json:"state"`   // StepPlanned in a dry run, StepDone, StepRefused, StepOpen, or StepBlocked: left on purpose
	Reason  string    `json:"reason"`  // a sentence, or ""

	over bool // another undo could do no more
}

// Undo brings back the files and the kernel's settings that the record holds. It leaves alone what somebody else has
// changed since, and what is in use beyond the old value. With dry it only tells.
func (c *Changer) Undo(ctx context.Context, dry bool) (done []Undone, err error) {
	r, ok, err := c.readRecord()
	if ok && !dry { // what it says counts only once nobody else can change it
		unlock, err := c.lock()
		if err != nil {
			return nil, err
		}
		defer unlock()
		r, ok, err = c.readRecord()
		if err != nil {
			return nil, err
		}
	}
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, ErrNoRecord
	}
	keep := record{Version: recordVersion, Unit: r.Unit}
	for _, f := range slices.Backward(r.Files) {
		u := c.undoFile(ctx, f, dry)
		if !u.over {
			keep.Files = append(keep.Files, f)
		}
		done = append(done, u)
	}
	for _, s := range slices.Backward(r.Settings) {
		if s.Netns != c.netns(s.Key) {
			keep.Settings = append(keep.Settings, s)
			continue
		}
		u := c.undoSetting(ctx, s, dry)
		if !u.over {
			keep.Settings = append(keep.Settings, s)
		}
		done = append(done, u)
	}
	if dry {
		return done, nil
	}
	return done, errors.Join(ctx.Err(), c.finishUndo(ctx, r, keep))
}

// finishUndo keeps what is still to be undone, and tells systemd.
func (c *Changer) finishUndo(ctx context.Context, r, keep record) error {
	slices.Reverse(keep.Files)
	slices.Reverse(keep.Settings)
	var err error
	if len(keep.Files)+len(keep.Settings) > 0 {
		err = c.writeRecord(keep)
	} else {
		err = c.remove(recordFile)
	}
	dropIn := func(f fileRecord) bool { return strings.HasPrefix(f.Path, unitDir) }
	if slices.ContainsFunc(r.Files, dropIn) && c.Reload != nil {
		err = errors.Join(err, c.Reload(context.WithoutCancel(ctx)))
	}
	return err
}

// undoFile brings back one file, or removes it when there was none.
func (c *Changer) undoFile(ctx context.Context, f fileRecord, dry bool) Undone {
	u := Undone{Name: f.Path, File: true, Existed: f.Existed, Before: f.Before, State: StepPlanned}
	now, err := c.readFile(f.Path)
	switch {
	case err != nil:
		u.State, u.Reason = StepRefused, "It cannot be read: "+err.Error()+"."
		return u
	case now.existed == f.Existed && string(now.text) == f.Before:
		u.State, u.over, u.Reason = StepDone, true, "It is as it was."
		return u
	case !now.existed || !f.ours(string(now.text)):
		u.State, u.Reason = StepBlocked, "Somebody has changed it since, so it is left as it is."
		return u
	case dry:
		return u
	case ctx.Err() != nil:
		u.State, u.Reason = StepOpen, "Interrupted before it."
		return u
	case f.Existed:
		err = c.writeFile(f.Path, []byte(f.Before), f.mode())
	default:
		err = c.remove(f.Path)
		if err == nil && strings.HasPrefix(f.Path, unitDir) {
			c.files.Remove(path.Dir(below(f.Path))) //nolint:errcheck // stays when there is anything else in it
		}
	}
	if err != nil {
		u.State, u.Reason = StepRefused, "It could not be brought back: "+err.Error()+"."
		return u
	}
	u.State, u.over = StepDone, true
	return u
}

// undoSetting brings back one kernel setting.
func (c *Changer) undoSetting(ctx context.Context, s liveRecord, dry bool) Undone {
	u := Undone{Name: s.Key, Before: s.Before, State: StepPlanned}
	now, err := c.host.sysctlText(s.Key)
	u.Now = now
	switch {
	case err != nil:
		u.State, u.Reason = StepRefused, c.host.refusal(s.Key, s.Before, err)
		return u
	case now == s.Before:
		u.State, u.over, u.Reason = StepDone, true, "It is as it was."
		return u
	case s.Before == "" && s.Key != reservedPortsKey: // a list of ports may be empty
		u.State, u.over, u.Reason = StepBlocked, true, "What it was is not known, so it stays until the next boot."
		return u
	case !s.ours(now):
		u.State = StepBlocked
		u.Reason = fmt.Sprintf("Somebody has changed it since (sysprep had set %s), so it is left as it is.", s.Set)
		return u
	}
	if u.Reason = c.host.inUse(s.Key, s.Before); u.Reason != "" {
		u.State = StepBlocked
		return u
	}
	u.Reason = lasting[s.Key]
	if dry {
		return u
	}
	if ctx.Err() != nil {
		u.State, u.Reason = StepOpen, "Interrupted before it."
		return u
	}
	if err := c.setLive(s.Key, s.Before); err != nil {
		u.State, u.Reason = StepRefused, c.host.refusal(s.Key, s.Before, err)
		return u
	}
	if after, err := c.host.sysctlText(s.Key); err != nil || after != s.Before {
		u.State, u.Reason = StepRefused, fmt.Sprintf("The kernel took %s and has %s.", s.Before, after)
		return u
	}
	u.State, u.over = StepDone, true
	return u
}

// lasting is what a lower value does not change for those who have more already.
var lasting = map[string]string{
	"net.core.somaxconn":        "Listeners keep their longer queues until they listen again.",
	"fs.epoll.max_user_watches": "Registrations beyond it stay; new ones of that user fail until there are fewer.",
	"fs.nr_open":                "Processes with a higher limit keep it; a unit that asks for more no longer starts.",
	"net.ipv4.tcp_rmem":         "Connections keep the buffers they have.",
	"net.ipv4.tcp_wmem":         "Connections keep the buffers they have.",
}

// inUse says why a limit must not be lowered to value now, because more than that is in use; "" when it may be.
func (h *Host) inUse(key, value string) string {
	fields := strings.Fields(value)
	if len(fields) == 0 {
		return ""
	}
	limit, err := parseLimit(fields[len(fields)-1])
	if err != nil {
		return ""
	}
	tcp, _ := h.sockstat() //nolint:errcheck // zeroes: nothing is known to be in use
	var used int64
	var what string
	switch key {
	case "fs.file-max":
		used, what = h.filesInUse(), "files are open"
	case "net.netfilter.nf_conntrack_max":
		used, what = h.count("net.netfilter.nf_conntrack_count"), "flows are tracked"
	case "net.ipv4.tcp_mem":
		used, what = tcp.pages, "pages are in use by TCP"
	case "net.ipv4.tcp_max_orphans":
		used, what = tcp.orphans, "orphaned sockets are left"
	case "net.ipv4.tcp_max_tw_buckets":
		used, what = tcp.timeWait, "sockets are in TIME_WAIT"
	}
	if used <= limit {
		return ""
	}
	return fmt.Sprintf("%d %s, more than the old value of %d: left for now; run sysprep undo again later.", used, what, limit)
}

// count reads a counter of the kernel, 0 when there is none.
func (h *Host) count(key string) int64 {
	n, err := h.sysctl(key)
	if err != nil {
		return 0
	}
	return n
}
