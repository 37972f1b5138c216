package sysprep

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// The account of a fix names the file that will undo it at the next boot.
func TestOverriddenAtTheNextBoot(t *testing.T) {
	h, c := fixHost(t, map[string]string{"etc/sysctl.d/99-mine.conf": "# tuned\nnet.core.somaxconn = 1024\n"})
	p, _ := MakePlan(h, fixTarget, fixOnly)
	p, err := c.Apply(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	const want = "At the next boot /etc/sysctl.d/99-mine.conf:2 sets it to 1024: change that line."
	for _, s := range p.Steps {
		if s.Key == "net.core.somaxconn" && s.Note != want {
			t.Errorf("the note of somaxconn is %q, want %q", s.Note, want)
		}
		if s.Key == "fs.nr_open" && s.Note != "" {
			t.Errorf("the note of fs.nr_open is %q, want none", s.Note)
		}
	}
}

func TestReloadAndReadBack(t *testing.T) {
	h, c := fixHost(t, nil)
	shown := map[string]string{"LoadState": "loaded", "LimitNOFILE": "1021024"}
	reloads := 0
	c.Reload = func(context.Context) error { reloads++; return nil }
	c.Show = func(unit string) (map[string]string, error) {
		if unit != DefaultUnit {
			return nil, fmt.Errorf("asked for %q", unit)
		}
		return shown, nil
	}
	only := Selection{Only: []string{"rlimit.nofile"}}
	p, _ := MakePlan(h, fixTarget, only)
	p, err := c.Apply(t.Context(), p)
	if err != nil || p.Steps[0].State != StepDone || reloads != 1 {
		t.Fatalf("Apply: %v, %+v, %d reloads", err, p.Steps, reloads)
	}
	if _, err := c.Undo(t.Context(), false); err != nil || reloads != 2 {
		t.Errorf("Undo: %v, %d reloads, want 2", err, reloads)
	}

	shown["LimitNOFILE"] = "1024"
	p, _ = MakePlan(h, fixTarget, only)
	if p, err = c.Apply(t.Context(), p); err != nil || p.Steps[0].State != StepRefused || p.Steps[0].After != "1024" {
		t.Errorf("Apply where systemd has less: %v, %+v, want it refused", err, p.Steps)
	}

	shown["LoadState"] = "not-found"
	p, _ = MakePlan(h, Target{N: 1_020_000}, only)
	if p, err = c.Apply(t.Context(), p); err != nil || p.Count(StepRefused) != 1 || !strings.Contains(p.Steps[0].Reason, `(it is "not-found")`) {
		t.Errorf("Apply for a unit that systemd does not have: %v, %+v, want it refused", err, p.Steps)
	}

	c.Reload = func(context.Context) error { return errors.New("no bus") }
	p, _ = MakePlan(h, Target{N: 900_000}, only)
	p.Steps = []Step{{Kind: RemedySystemd, Key: "TasksMax", Value: "9999", State: StepPlanned}}
	if p, err = c.Apply(t.Context(), p); err != nil || p.Steps[0].State != StepRefused || !strings.Contains(p.Steps[0].Reason, "no bus") {
		t.Errorf("Apply without a bus: %v, %+v, want it refused", err, p.Steps)
	}
}

// A file is replaced as a whole, or not at all, and nothing is left beside it.
func TestWriteFileReplacesOrLeaves(t *testing.T) {
	_, c := fixHost(t, nil)
	for _, text := range []string{"a\n", "", strings.Repeat("long\n", 10_000)} {
		if err := c.writeFile("/etc/x/y.conf", []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if got := read(t, c, "/etc/x/y.conf"); got != text {
			t.Errorf("the file holds %.20q, want %.20q", got, text)
		}
	}
	info, err := os.Stat(c.path("/etc/x/y.conf"))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v, %v, want 0640", info.Mode(), err)
	}
	if err := os.Mkdir(c.path("/etc/x/d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.writeFile("/etc/x/d", []byte("a"), 0o644); err == nil || !strings.HasPrefix(err.Error(), "write /etc/x/d: ") {
		t.Errorf("writing over a directory: %v, want an error that names it", err)
	}
	entries, err := os.ReadDir(c.path("/etc/x"))
	if err != nil || len(entries) != 2 {
		t.Errorf("beside the files are %v, %v, want none", entries, err)
	}
}

// What an earlier fix wrote for more connections stays, also when somebody has lowered the running kernel since.
func TestFileKeepsTheHigherValue(t *testing.T) {
	h, c := fixHost(t, nil)
	only := Selection{Only: []string{"fs.nr_open"}}
	for _, n := range []int64{3_000_000, 1_000_000} {
		if err := os.WriteFile(c.path("proc/sys/fs/nr_open"), []byte("1048576\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		p, _ := MakePlan(h, Target{N: n}, only)
		if p, err := c.Apply(t.Context(), p); err != nil || p.Count(StepDone) != 1 {
			t.Fatalf("Apply for %d: %v, %+v", n, err, p.Steps)
		}
	}
	if got, want := read(t, c, SysctlFile), fileHead+"fs.nr_open = 3304096\n"; got != want {
		t.Errorf("the file holds %q, want %q", got, want)
	}
	if got := read(t, c, "proc/sys/fs/nr_open"); got != "1104096\n" {
		t.Errorf("the kernel has %q, want what was asked for", got)
	}
}
