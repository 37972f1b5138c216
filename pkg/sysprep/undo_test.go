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
