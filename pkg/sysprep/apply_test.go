package sysprep

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// fixHost is a host of which little is known, and whose somaxconn and nr_open are too low for a million.
func fixHost(t *testing.T, more map[string]string) (*Host, *Changer) {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{
		"proc/sys/kernel/osrelease":     "6.1.0-21-amd64\n",
		"proc/sys/fs/nr_open":           "1048576\n",
		"proc/sys/net/core/somaxconn":   "4096\n",
		"proc/sys/net/ipv4/tcp_rmem":    "4096\t131072\t6291456\n",
		"proc/sys/net/ipv4/tcp_mem":     "287898\t383867\t5757960\n",
		"proc/self/status":              "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\nCpus_allowed_list:\t0-1\n",
		"proc/self/limits":              "Max open files            1024                 524288               files\n",
		"run/systemd/system/.keep":      "",
		"etc/sysctl.d/10-network.conf":  "net.ipv4.conf.all.rp_filter = 2\n",
		"etc/systemd/system/x.d/y.conf": "",
	}
	for name, text := range more {
		files[name] = text
	}
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	return h, NewChanger(h, root)
}

var fixTarget = Target{N: 1_000_000}

// fixOnly is what the tests here put right.
var fixOnly = Selection{Only: []string{"fs.nr_open", "net.core.somaxconn", "rlimit.nofile"}}

func read(t *testing.T, c *Changer, name string) string {
	t.Helper()
	b, err := os.ReadFile(c.path(name))
	if errors.Is(err, os.ErrNotExist) {
		return "(none)"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// tree is every file below the root with its text.
func tree(t *testing.T, c *Changer) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(c.Root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, c.Root)] = strings.TrimSpace(string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func changes(before, after map[string]string) []string {
	var out []string
	for name, text := range after {
		if before[name] != text {
			out = append(out, name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			out = append(out, name+" (gone)")
		}
	}
	slices.Sort(out)
	return out
}

func TestApplyAndUndo(t *testing.T) {
	h, c := fixHost(t, nil)
	before := tree(t, c)
	p, _ := MakePlan(h, fixTarget, fixOnly)
	if got := p.Count(StepPlanned); got != 3 {
		t.Fatalf("the plan has %d steps, want 3: %+v", got, p.Steps)
	}
	if got := changes(before, tree(t, c)); got != nil {
		t.Fatalf("making a plan changes %q", got)
	}
	p, err := c.Apply(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps {
		if s.State != StepDone || s.After != s.Value {
			t.Errorf("step %+v, want it done", s)
		}
	}
	for name, want := range map[string]string{
		SysctlFile:              fileHead + "fs.nr_open = 1104096\nnet.core.somaxconn = 16384\n",
		DropInFile(DefaultUnit): fileHead + "[Service]\nLimitNOFILE=1021024\n",
		"proc/sys/fs/nr_open":   "1104096\n",
	} {
		if got := read(t, c, name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}

	if p, _ := MakePlan(h, fixTarget, fixOnly); len(p.Steps) != 0 {
		t.Errorf("a second plan has %+v, want nothing to do", p.Steps)
	}

	undone, err := c.Undo(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range undone {
		if u.State != StepDone {
			t.Errorf("undone %+v, want it done", u)
		}
	}
	if got := changes(before, tree(t, c)); got != nil {
		t.Errorf("after undo %q differ", got)
	}
	if _, err := os.Stat(c.path("etc/systemd/system/pushd.service.d")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of the drop-in: %v, want it gone", err)
	}
	if _, err := c.Undo(t.Context(), false); !errors.Is(err, ErrNoRecord) {
		t.Errorf("a second Undo: %v, want ErrNoRecord", err)
	}
}

// Fix for fewer after fix for more lowers nothing, and undo goes back to what was before the first.
func TestSecondFixOnlyRaises(t *testing.T) {
	h, c := fixHost(t, nil)
	before := tree(t, c)
	for _, n := range []int64{1_000_000, 3_000_000, 2_000_000} {
		p, _ := MakePlan(h, Target{N: n}, fixOnly)
		if _, err := c.Apply(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	want := fileHead + "fs.nr_open = 3304096\nnet.core.somaxconn = 32768\n"
	if got := read(t, c, SysctlFile); got != want {
		t.Errorf("after three fixes the file holds %q, want %q", got, want)
	}
	if got, want := read(t, c, DropInFile(DefaultUnit)), fileHead+"[Service]\nLimitNOFILE=3061024\n"; got != want {
		t.Errorf("after three fixes the drop-in holds %q, want %q", got, want)
	}
	if _, err := c.Undo(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if got := changes(before, tree(t, c)); got != nil {
		t.Errorf("after undo %q differ", got)
	}
}

// Wherever a fix is interrupted, its account is true, the next one goes on, and undo brings everything back.
func TestInterruptedAnywhere(t *testing.T) {
	for stop := 1; ; stop++ {
		h, c := fixHost(t, nil)
		before := tree(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		counted := &countedContext{Context: ctx, cancel: cancel, left: stop}
		p, _ := MakePlan(h, fixTarget, fixOnly)
		p, err := c.Apply(counted, p)
		cancel()
		if err == nil {
			if stop < 4 {
				t.Fatalf("Apply asked %d times whether to go on, want more", stop)
			}
			return
		}
		if !errors.Is(err, context.Canceled) || p.Count(StepPlanned) > 0 || p.Count(StepOpen) == 0 {
			t.Fatalf("stopped at %d: %v, %+v", stop, err, p.Steps)
		}
		for _, s := range p.Steps {
			if now, _ := h.sysctlText(s.Key); s.Kind == RemedySysctl && (now == s.Value) != (s.State == StepDone) {
				t.Errorf("stopped at %d: %s is %s, but the account says %+v", stop, s.Key, now, s)
			}
		}
		if stop%2 == 0 { // go on, then back
			p, _ := MakePlan(h, fixTarget, fixOnly)
			if p, err = c.Apply(t.Context(), p); err != nil || p.Count(StepDone) != len(p.Steps) {
				t.Fatalf("stopped at %d, going on: %v, %+v", stop, err, p.Steps)
			}
			if p, _ := MakePlan(h, fixTarget, fixOnly); len(p.Steps) != 0 {
				t.Errorf("stopped at %d, gone on: %+v is left", stop, p.Steps)
			}
		}
		if _, err := c.Undo(t.Context(), false); err != nil {
			t.Fatalf("stopped at %d: Undo: %v", stop, err)
		}
		if got := changes(before, tree(t, c)); got != nil {
			t.Errorf("stopped at %d: after undo %q differ", stop, got)
		}
	}
}

// countedContext ends when it has been asked so many times.
type countedContext struct {
	context.Context
	cancel context.CancelFunc
	left   int
}

func (c *countedContext) Err() error {
	if c.left--; c.left == 0 {
		c.cancel()
	}
	return c.Context.Err()
}

// A value that the kernel refuses is told apart, the others are set, and the file does not ask for it at every boot.
func TestRefusedValueIsLeftOutOfTheFile(t *testing.T) {
	h, c := fixHost(t, nil)
	before := tree(t, c)
	c.writeLive = func(file, value string) error {
		if strings.HasSuffix(file, "somaxconn") {
			return &os.PathError{Op: "write", Path: file, Err: syscall.EINVAL}
		}
		return writeSetting(file, value)
	}
	p, _ := MakePlan(h, fixTarget, fixOnly)
	p, err := c.Apply(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps {
		switch {
		case s.Key == "net.core.somaxconn" && (s.State != StepRefused || s.Reason != "The kernel takes no such value: 16384."):
			t.Errorf("%+v, want it refused", s)
		case s.Key != "net.core.somaxconn" && s.State != StepDone:
			t.Errorf("%+v, want it done", s)
		}
	}
	if got, want := read(t, c, SysctlFile), fileHead+"fs.nr_open = 1104096\n"; got != want {
		t.Errorf("the file holds %q, want %q", got, want)
	}
	c.writeLive = writeSetting
	if _, err := c.Undo(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if got := changes(before, tree(t, c)); got != nil {
		t.Errorf("after undo %q differ", got)
	}
}

// A file of ours that somebody has made theirs is not overwritten.
func TestForeignFilesAreLeftAlone(t *testing.T) {
	tests := []struct {
		name string
		make func(c *Changer) error
		want string
	}{
		{"masked", func(c *Changer) error { return os.Symlink("/dev/null", c.path(SysctlFile)) },
			SysctlFile + " is not a plain file (a symbolic link), so it is left alone"},
		{"directory", func(c *Changer) error { return os.Mkdir(c.path(SysctlFile), 0o755) },
			SysctlFile + " is not a plain file (a directory), so it is left alone"},
		{"bad line", func(c *Changer) error { return os.WriteFile(c.path(SysctlFile), []byte("\nwhat is this\n"), 0o644) },
			SysctlFile + `:2: "what is this" is no assignment; it is not as sysprep wrote it`},
		{"bad section", func(c *Changer) error {
			file := c.path(DropInFile(DefaultUnit))
			return errors.Join(os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("[Unit]\nAfter=x\n"), 0o644))
		}, DropInFile(DefaultUnit) + `:1: "[Unit]" is no directive of [Service]; it is not as sysprep wrote it`},
		{"damaged record", func(c *Changer) error {
			return errors.Join(os.MkdirAll(c.path(stateDir), 0o755), os.WriteFile(c.path(recordFile), []byte("{"), 0o600))
		}, "keep what is there now, for undo: " + recordFile + " is damaged: unexpected end of JSON input; nothing was changed"},
		{"unknown record", func(c *Changer) error {
			return errors.Join(os.MkdirAll(c.path(stateDir), 0o755), os.WriteFile(c.path(recordFile), []byte(`{"version":9}`), 0o600))
		}, "keep what is there now, for undo: " + recordFile + " has format 9, this sysprep knows 1; nothing was changed"},
		{"state is a file", func(c *Changer) error {
			return errors.Join(os.MkdirAll(c.path("var/lib"), 0o755), os.WriteFile(c.path(stateDir), nil, 0o644))
		}, "mkdir " + stateDir + ": not a directory"},
		{"no directory", func(c *Changer) error {
			return errors.Join(os.RemoveAll(c.path("etc/sysctl.d")), os.WriteFile(c.path("etc/sysctl.d"), nil, 0o644))
		}, "not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, c := fixHost(t, nil)
			if err := tt.make(c); err != nil {
				t.Fatal(err)
			}
			p, _ := MakePlan(h, fixTarget, fixOnly)
			p, err := c.Apply(t.Context(), p)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Apply: %v, want %q", err, tt.want)
			}
			if p.Count(StepOpen) != len(p.Steps) || read(t, c, "proc/sys/fs/nr_open") != "1048576\n" {
				t.Errorf("Apply went on: %+v", p.Steps)
			}
		})
	}
}

func TestLockKeepsASecondOneAway(t *testing.T) {
	h, c := fixHost(t, nil)
	unlock, err := c.lock()
	if err != nil {
		t.Fatal(err)
	}
	p, _ := MakePlan(h, fixTarget, fixOnly)
	if _, err := c.Apply(t.Context(), p); !errors.Is(err, ErrBusy) {
		t.Errorf("Apply while another is at work: %v, want ErrBusy", err)
	}
	unlock()
	if _, err := c.Apply(t.Context(), p); err != nil {
		t.Errorf("Apply once it is done: %v", err)
	}
}
