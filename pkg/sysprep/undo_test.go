package sysprep

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestUndoOfADryRunChangesNothing(t *testing.T) {
	h, c := fixHost(t, nil)
	p, _ := MakePlan(h, fixTarget, fixOnly)
	if _, err := c.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	before := tree(t, c)
	undone, err := c.Undo(t.Context(), true)
	if err != nil || len(undone) != 4 {
		t.Fatalf("Undo = %+v, %v, want two files and two settings", undone, err)
	}
	for _, u := range undone {
		if u.State != StepPlanned {
			t.Errorf("%+v, want it planned", u)
		}
	}
	if got := changes(before, tree(t, c)); got != nil {
		t.Errorf("a dry undo changes %q", got)
	}
}

// What others have changed since the fix is theirs.
func TestUndoLeavesWhatOthersChanged(t *testing.T) {
	h, c := fixHost(t, nil)
	p, _ := MakePlan(h, fixTarget, fixOnly)
	if _, err := c.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	mine := read(t, c, SysctlFile) + "vm.swappiness = 1\n"
	for name, text := range map[string]string{SysctlFile: mine, "proc/sys/net/core/somaxconn": "65535\n"} {
		if err := os.WriteFile(c.path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	undone, err := c.Undo(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	for _, u := range undone {
		if u.State == StepBlocked && strings.HasPrefix(u.Reason, "Somebody has changed it since") {
			left++
		}
	}
	if left != 2 || read(t, c, SysctlFile) != mine || read(t, c, "proc/sys/net/core/somaxconn") != "65535\n" {
		t.Errorf("Undo = %+v, want the file and somaxconn left alone", undone)
	}
	if read(t, c, "proc/sys/fs/nr_open") != "1048576\n" {
		t.Error("fs.nr_open is not back")
	}
}

func TestUndoLeavesWhatIsInUse(t *testing.T) {
	h, c := fixHost(t, map[string]string{"proc/sys/fs/file-max": "100000\n", "proc/sys/fs/file-nr": "500\t0\t100000\n"})
	only := Selection{Only: []string{"fs.file-max"}}
	p, _ := MakePlan(h, fixTarget, only)
	if _, err := c.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.path("proc/sys/fs/file-nr"), []byte("300000\t0\t1165536\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	undone, err := c.Undo(t.Context(), false)
	if err != nil || undone[1].State != StepBlocked || !strings.HasPrefix(undone[1].Reason, "300000 files are open, more than the old value of 100000") {
		t.Fatalf("Undo = %+v, %v, want fs.file-max left", undone, err)
	}
	if err := os.WriteFile(c.path("proc/sys/fs/file-nr"), []byte("3000\t0\t1165536\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if undone, err = c.Undo(t.Context(), false); err != nil || len(undone) != 1 || undone[0].State != StepDone {
		t.Errorf("a later Undo = %+v, %v, want fs.file-max done and nothing else to do", undone, err)
	}
	if got := read(t, c, "proc/sys/fs/file-max"); got != "100000\n" {
		t.Errorf("fs.file-max is %q, want what it was", got)
	}
}

func TestInterruptedUndoGoesOn(t *testing.T) {
	h, c := fixHost(t, nil)
	before := tree(t, c)
	p, _ := MakePlan(h, fixTarget, fixOnly)
	if _, err := c.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	undone, err := c.Undo(&countedContext{Context: ctx, cancel: cancel, left: 2}, false)
	cancel()
	open := slices.ContainsFunc(undone, func(u Undone) bool { return u.State == StepOpen })
	if !errors.Is(err, context.Canceled) || !open {
		t.Fatalf("Undo = %+v, %v, want it interrupted", undone, err)
	}
	if _, err := c.Undo(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if got := changes(before, tree(t, c)); got != nil {
		t.Errorf("after the second undo %q differ", got)
	}
}

// However far a second fix has come, undo brings back what was there before the first.
func TestUndoOfASecondFixThatWasBrokenOff(t *testing.T) {
	for stop := 1; ; stop++ {
		h, c := fixHost(t, nil)
		before := tree(t, c)
		p, _ := MakePlan(h, fixTarget, fixOnly)
		if _, err := c.Apply(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		p, _ = MakePlan(h, Target{N: 3_000_000}, fixOnly)
		_, err := c.Apply(&countedContext{Context: ctx, cancel: cancel, left: stop}, p)
		cancel()
		undone, undoErr := c.Undo(t.Context(), false)
		if undoErr != nil {
			t.Fatal(undoErr)
		}
		if got := changes(before, tree(t, c)); got != nil {
			t.Errorf("stopped at %d (%v): Undo = %+v leaves %q", stop, err, undone, got)
		}
		if err == nil {
			break
		}
	}
}

// The kernel rounds some values, as nf_conntrack_buckets to multiples of 512. What it made of them is sysprep's as well.
func TestUndoOfARoundedValue(t *testing.T) {
	const key = "net.netfilter.nf_conntrack_buckets"
	h, c := fixHost(t, map[string]string{
		"proc/sys/net/netfilter/nf_conntrack_max":     "262144\n",
		"proc/sys/net/netfilter/nf_conntrack_count":   "12\n",
		"proc/sys/net/netfilter/nf_conntrack_buckets": "262144\n",
	})
	c.writeLive = func(file, value string) error {
		n, err := parseLimit(value)
		if err != nil {
			return err
		}
		return writeSetting(file, number(ceilDiv(n, 512)*512))
	}
	before := tree(t, c)
	p, _ := MakePlan(h, fixTarget, Selection{Only: []string{key}})
	p, err := c.Apply(t.Context(), p)
	if err != nil || p.Count(StepDone) != 1 || p.Steps[0].After == p.Steps[0].Value {
		t.Fatalf("Apply: %v, %+v, want a rounded value", err, p.Steps)
	}
	if _, err := c.Undo(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if got := changes(before, tree(t, c)); got != nil {
		t.Errorf("after undo %q differ", got)
	}
}

// What was left because somebody had changed it is not forgotten, and what they made of it is what a later undo brings
// back.
func TestUndoRemembersWhatItLeft(t *testing.T) {
	h, c := fixHost(t, nil)
	only := Selection{Only: []string{"net.core.somaxconn"}}
	const file = "proc/sys/net/core/somaxconn"
	set := func(value string) {
		if err := os.WriteFile(c.path(file), []byte(value+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, _ := MakePlan(h, fixTarget, only)
	if _, err := c.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	set("9000")
	if _, err := c.Undo(t.Context(), false); err != nil || read(t, c, file) != "9000\n" {
		t.Fatalf("Undo: %v, somaxconn is %q, want it left", err, read(t, c, file))
	}
	set("16384") // as sysctl --system of a file that sysprep had written
	if _, err := c.Undo(t.Context(), false); err != nil || read(t, c, file) != "4096\n" {
		t.Errorf("a later Undo: %v, somaxconn is %q, want what it was", err, read(t, c, file))
	}

	p, _ = MakePlan(h, fixTarget, only)
	if _, err := c.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	set("9000")
	p, _ = MakePlan(h, fixTarget, only)
	if _, err := c.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Undo(t.Context(), false); err != nil || read(t, c, file) != "9000\n" {
		t.Errorf("Undo of a fix of what somebody had set: %v, somaxconn is %q, want 9000", err, read(t, c, file))
	}
}

// The record is read by root, so it must not lead to what sysprep never changes.
func TestRecordOfForeignThingsIsRefused(t *testing.T) {
	record := func(settings, files string) string {
		return `{"version":1,"unit":"x","settings":[` + settings + `],"files":[` + files + `]}`
	}
	file := func(path string) string {
		return `{"path":"` + path + `","existed":true,"before":"evil","wrote":"root"}`
	}
	for name, text := range map[string]string{
		"another file":       record("", file("/etc/passwd")),
		"another drop-in":    record("", file("/etc/systemd/system/x.service.d/override.conf")),
		"no unit":            record("", file("/etc/systemd/system/../../x.d/90-holdfast.conf")),
		"without a slash":    record("", file("x.service.d/90-holdfast.conf")),
		"another setting":    record(`{"key":"kernel.core_pattern","before":"|/bin/evil","set":"core"}`, ""),
		"path as a setting":  record(`{"key":"../../etc/passwd","before":"evil","set":"root"}`, ""),
		"control characters": record(`{"key":"net.core.somaxconn","before":"\u001b[2J","set":"4096"}`, ""),
	} {
		_, c := fixHost(t, map[string]string{"var/lib/holdfast/sysprep-undo.json": text, "etc/passwd": "root",
			"proc/sys/kernel/core_pattern": "core\n", "etc/systemd/system/x.service.d/override.conf": "root"})
		before := tree(t, c)
		if undone, err := c.Undo(t.Context(), false); err == nil || !strings.Contains(err.Error(), "is not as sysprep wrote it") {
			t.Errorf("%s: Undo = %+v, %v, want an error", name, undone, err)
		}
		if got := changes(before, tree(t, c)); got != nil {
			t.Errorf("%s: Undo changes %q", name, got)
		}
	}
}

// Every setting that a check has a remedy for is one that undo knows.
func TestRemediesAreKnownToUndo(t *testing.T) {
	h := auditHost(map[string]string{"proc/sys/fs/file-max": "1000", "proc/sys/fs/nr_open": "1000", "proc/sys/fs/epoll/max_user_watches": "1000",
		"proc/sys/net/core/somaxconn": "1", "proc/sys/net/core/netdev_max_backlog": "1", "proc/sys/net/core/rmem_max": "1",
		"proc/sys/net/core/wmem_max": "1", "proc/sys/net/ipv4/tcp_rmem": "1 1 1", "proc/sys/net/ipv4/tcp_wmem": "1 1 1", "proc/sys/net/ipv4/tcp_mem": "1 2 3",
		"proc/sys/net/ipv4/tcp_max_tw_buckets": "1", "proc/sys/net/ipv4/tcp_max_orphans": "1", "proc/sys/net/ipv4/tcp_syncookies": "0",
		"proc/sys/net/ipv4/tcp_timestamps": "0", "proc/sys/net/ipv4/tcp_moderate_rcvbuf": "0", "proc/sys/kernel/pid_max": "1",
		"proc/sys/kernel/threads-max": "1", "proc/sys/vm/max_map_count": "1", "proc/sys/net/ipv4/tcp_migrate_req": "0"})
	var r record
	for _, role := range []Role{RoleServer, RoleLoadgen, RoleBoth} {
		for _, f := range Run(h, Target{N: 1_000_000, Role: role, Workers: 2}, Selection{}).Checks {
			if f.Remedy != nil && f.Remedy.Kind == RemedySysctl {
				r.note(Step{Key: f.Remedy.Key, Before: f.Remedy.Before, Value: f.Remedy.Value}, "")
			}
		}
	}
	if err := r.check(); err != nil || len(r.Settings) < 12 {
		t.Errorf("check of %d settings: %v", len(r.Settings), err)
	}
}

// The record counts as it is once nobody else can change it.
func TestUndoReadsTheRecordUnderItsLock(t *testing.T) {
	h, c := fixHost(t, nil)
	p, _ := MakePlan(h, fixTarget, fixOnly)
	if _, err := c.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	before := tree(t, c)
	unlock, err := c.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Undo(t.Context(), false); !errors.Is(err, ErrBusy) {
		t.Errorf("Undo while another is at work: %v, want ErrBusy", err)
	}
	if got := changes(before, tree(t, c)); got != nil {
		t.Errorf("it changes %q", got)
	}
	c.files = recordGone{c.files, new(bool)} // by an undo that ends between the first look and the lock
	unlock()
	if _, err := c.Undo(t.Context(), false); !errors.Is(err, ErrNoRecord) {
		t.Errorf("Undo of a record that is gone by then: %v, want ErrNoRecord", err)
	}
}

// recordGone is a tree whose record vanishes when its directory is opened.
type recordGone struct {
	fileTree
	gone *bool
}

func (r recordGone) OpenFile(name string, flag int, mode os.FileMode) (*os.File, error) {
	*r.gone = *r.gone || name == below(stateDir)
	return r.fileTree.OpenFile(name, flag, mode)
}

func (r recordGone) Lstat(name string) (os.FileInfo, error) {
	if *r.gone && name == below(recordFile) {
		return nil, os.ErrNotExist
	}
	return r.fileTree.Lstat(name)
}

// The network namespaces of a machine share its record. What one of them set is not undone in another.
func TestUndoKeepsToItsNamespace(t *testing.T) {
	h, c := fixHost(t, nil)
	here := ""
	c.namespace = func() string { return here }
	const file = "proc/sys/net/core/somaxconn"
	set := func(value string) {
		if err := os.WriteFile(c.path(file), []byte(value), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raise := func() {
		p, _ := MakePlan(h, fixTarget, Selection{Only: []string{"net.core.somaxconn"}})
		if p, err := c.Apply(t.Context(), p); err != nil || p.Count(StepDone) != 1 {
			t.Fatalf("Apply: %v, %+v", err, p.Steps)
		}
	}
	raise()
	here = "net:[4026532208]"
	set("128\n") // as a new namespace of an old kernel has it
	raise()
	if _, err := c.Undo(t.Context(), false); err != nil || read(t, c, file) != "128\n" {
		t.Errorf("Undo in the namespace: %v, somaxconn is %q, want 128", err, read(t, c, file))
	}
	if undone, err := c.Undo(t.Context(), false); err != nil || len(undone) != 0 {
		t.Errorf("a second Undo in there = %+v, %v, want nothing", undone, err)
	}
	here = ""
	set("16384\n")
	if undone, err := c.Undo(t.Context(), false); err != nil || len(undone) != 1 || read(t, c, file) != "4096\n" {
		t.Errorf("Undo on the host = %+v, %v, somaxconn is %q, want 4096", undone, err, read(t, c, file))
	}
	if _, ok, err := c.readRecord(); ok || err != nil {
		t.Errorf("the record is still there (%v), and nothing is left to undo", err)
	}
}
