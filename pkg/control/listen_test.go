package control

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// listen is Listen, closed at the end of the test.
func listen(t *testing.T, path string) *Listener {
	t.Helper()
	l, err := Listen(path, 0o660, "")
	if err != nil {
		t.Fatalf("Listen(%s): %v", path, err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestListenMakesTheSocketAndRemovesIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	path := filepath.Join(dir, "pushd.sock")
	l, err := Listen(path, 0o640, strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o640 {
		t.Errorf("the socket is %v, %v, want mode 0640", info.Mode(), err)
	}
	if got := l.Addr().String(); got != path {
		t.Errorf("Addr = %s, want %s", got, path)
	}
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	nc.Close()
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("Close leaves %v", left)
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

func TestSecondStarterIsKeptOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listen(t, path)
	_, err := Listen(path, 0o660, "")
	if err == nil || !strings.Contains(err.Error(), "pid "+strconv.Itoa(os.Getpid())) {
		t.Errorf("the second Listen = %v, want an error with the pid", err)
	}
	if nc, err := net.Dial("unix", path); err != nil {
		t.Errorf("after it the first does not answer: %v", err)
	} else {
		nc.Close()
	}
}

// Somebody may have removed the lock, or serve the socket without one.
func TestLivingServerIsAnErrorWithoutItsLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = Listen(path, 0o660, "")
	if err == nil || !strings.Contains(err.Error(), "living server (pid "+strconv.Itoa(os.Getpid())+")") {
		t.Errorf("Listen = %v, want a living server with its pid", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("its socket: %v", err)
	}
	if left, _ := filepath.Glob(path + "*"); len(left) != 1 {
		t.Errorf("Listen leaves %v", left)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	if err := os.WriteFile(path+".lock", []byte("1\n"), 0o600); err != nil { // left by a pushd that was killed
		t.Fatal(err)
	}
	listen(t, path)
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	nc.Close()
}

func TestWhatIsNoSocketStays(t *testing.T) {
	dir := t.TempDir()
	for name, make := range map[string]func(string) error{
		"file":      func(p string) error { return os.WriteFile(p, []byte("precious"), 0o600) },
		"directory": func(p string) error { return os.Mkdir(p, 0o700) },
		"symlink":   func(p string) error { return os.Symlink("elsewhere", p) },
	} {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Lstat(path)
		if _, err := Listen(path, 0o660, ""); err == nil || !strings.Contains(err.Error(), "not a socket") {
			t.Errorf("Listen on a %s = %v", name, err)
		}
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) || after.Size() != before.Size() {
			t.Errorf("the %s did not stay: %v", name, err)
		}
	}
}

func TestPrivateDirectoryIsChecked(t *testing.T) {
	name := "pushd-" + strconv.Itoa(os.Geteuid())
	t.Run("made", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), name)
		listen(t, filepath.Join(dir, "s"))
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the directory is %v, %v, want 0700", info.Mode(), err)
		}
	})
	t.Run("writable by others", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o770); err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(filepath.Join(dir, "s"), 0o660, ""); err == nil || !strings.Contains(err.Error(), "open to others") {
			t.Errorf("Listen = %v", err)
		}
	})
	t.Run("symlink", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Symlink(t.TempDir(), dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(filepath.Join(dir, "s"), 0o660, ""); err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("Listen = %v", err)
		}
	})
	t.Run("of another user", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("only root can make another user's directory")
		}
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, 12345, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(filepath.Join(dir, "s"), 0o660, ""); err == nil || !strings.Contains(err.Error(), "belongs to uid 12345") {
			t.Errorf("Listen = %v", err)
		}
	})
}

func TestListenRefuses(t *testing.T) {
	if _, err := Listen(filepath.Join(t.TempDir(), "no", "such", "dir", "s"), 0o660, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Listen in a directory whose parent is missing = %v", err)
	}
	if _, err := Listen(filepath.Join(t.TempDir(), strings.Repeat("x", 100)), 0o660, ""); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("Listen on a long path = %v", err)
	}
	if _, err := Listen(filepath.Join(t.TempDir(), "s"), 0o660, "no such group"); err == nil {
		t.Error("Listen for a group that is not there succeeds")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	if err := os.Symlink(filepath.Join(dir, "victim"), path+".lock"); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, 0o660, ""); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("Listen with a symlink for a lock = %v, want %v", err, syscall.ELOOP)
	}
}

// A socket that another server has put in our place is not ours to remove.
func TestCloseLeavesAnotherSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := listen(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other socket: %v", err)
	}
}
