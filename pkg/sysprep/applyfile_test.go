package sysprep

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A copy's links do not lead fix to the files of this machine.
func TestChangesStayInTheCopy(t *testing.T) {
	somaxconn := Selection{Only: []string{"net.core.somaxconn"}}
	t.Run("sysctl.d", func(t *testing.T) {
		h, c := fixHost(t, nil)
		outside := t.TempDir()
		if err := os.RemoveAll(c.path("etc/sysctl.d")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, c.path("etc/sysctl.d")); err != nil {
			t.Fatal(err)
		}
		p, _ := MakePlan(h, fixTarget, somaxconn)
		if p, err := c.Apply(t.Context(), p); err == nil || p.Count(StepOpen) != 1 {
			t.Errorf("Apply: %v, %+v, want an error", err, p.Steps)
		}
		if list, err := filepath.Glob(filepath.Join(outside, "*")); len(list) > 0 || err != nil {
			t.Errorf("outside of the copy are %q, %v, want nothing", list, err)
		}
		if got := read(t, c, "proc/sys/net/core/somaxconn"); got != "4096\n" {
			t.Errorf("somaxconn is %q, want it as it was", got)
		}
	})
	t.Run("setting", func(t *testing.T) {
		h, c := fixHost(t, nil)
		p, _ := MakePlan(h, fixTarget, somaxconn)
		outside := filepath.Join(t.TempDir(), "somaxconn")
		if err := os.WriteFile(outside, []byte("4096\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		file := c.path("proc/sys/net/core/somaxconn")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, file); err != nil {
			t.Fatal(err)
		}
		if p, err := c.Apply(t.Context(), p); err != nil || p.Count(StepRefused) != 1 {
			t.Errorf("Apply: %v, %+v, want it refused", err, p.Steps)
		}
		if b, err := os.ReadFile(outside); string(b) != "4096\n" || err != nil {
			t.Errorf("outside of the copy is %q, %v, want it as it was", b, err)
		}
	})
	t.Run("proc", func(t *testing.T) {
		_, other := fixHost(t, nil)
		dir := t.TempDir()
		if err := os.Symlink(other.path("proc"), filepath.Join(dir, "proc")); err != nil {
			t.Fatal(err)
		}
		h, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		p, _ := MakePlan(h, fixTarget, somaxconn)
		p, err = NewChanger(h, dir).Apply(t.Context(), p)
		if err == nil || !strings.Contains(err.Error(), "leads out of it") || p.Count(StepOpen) != 1 {
			t.Errorf("Apply below a root whose proc is elsewhere: %v, %+v, want an error", err, p.Steps)
		}
		if got := read(t, other, "proc/sys/net/core/somaxconn"); got != "4096\n" {
			t.Errorf("somaxconn of the other host is %q, want it as it was", got)
		}
	})
}

// The lock is root's: the directory opens to nobody else.
func TestLockedDirectoryIsPrivate(t *testing.T) {
	_, c := fixHost(t, nil)
	if err := os.MkdirAll(c.path(stateDir), 0o755); err != nil { // as earlier versions made it
		t.Fatal(err)
	}
	unlock, err := c.lock()
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	for name, want := range map[string]os.FileMode{stateDir: 0o700, "var/lib": 0o755, "var": 0o755} {
		if info, err := os.Stat(c.path(name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("the mode of %s is %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
}

// On a machine itself the record is trusted only where nobody but root can have written it.
func TestDirectoryOfOthersIsNotTrusted(t *testing.T) {
	_, c := fixHost(t, nil)
	c.host.live = true
	dir := filepath.Join(t.TempDir(), "holdfast")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	guard := func() error {
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close() // only read
		return c.guard(f)
	}
	if os.Geteuid() == 0 {
		if err := guard(); err != nil {
			t.Errorf("guard of root's directory: %v", err)
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := guard(); err == nil || !strings.Contains(err.Error(), "may be written by others than root (mode 0777)") {
			t.Errorf("guard of a directory for everybody: %v, want an error", err)
		}
		if err := os.Chown(dir, 1000, 1000); err != nil {
			t.Skipf("cannot give a directory away: %v", err)
		}
	}
	if err := guard(); err == nil || !strings.Contains(err.Error(), "not to root") {
		t.Errorf("guard of somebody's directory: %v, want an error", err)
	}
}

// The permissions of a file stay, through fix and undo.
func TestModeStays(t *testing.T) {
	h, c := fixHost(t, map[string]string{"etc/sysctl.d/90-holdfast.conf": "fs.file-max = 1\n"})
	if err := os.Chmod(c.path(SysctlFile), 0o600); err != nil {
		t.Fatal(err)
	}
	mode := func() os.FileMode {
		info, err := os.Stat(c.path(SysctlFile))
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	p, _ := MakePlan(h, fixTarget, fixOnly)
	if _, err := c.Apply(t.Context(), p); err != nil || mode() != 0o600 {
		t.Errorf("after Apply the mode is %v, %v, want 0600", mode(), err)
	}
	if _, err := c.Undo(t.Context(), false); err != nil || mode() != 0o600 {
		t.Errorf("after Undo the mode is %v, %v, want 0600", mode(), err)
	}
}

// A pipe in the place of a file is not waited for.
func TestReadFileDoesNotHang(t *testing.T) {
	_, c := fixHost(t, nil)
	if err := unix.Mkfifo(c.path(SysctlFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.readFile(SysctlFile); err == nil || !strings.Contains(err.Error(), "a device, pipe or socket") {
		t.Errorf("readFile of a pipe: %v, want an error", err)
	}
}
