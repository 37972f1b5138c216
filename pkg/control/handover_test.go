package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who connects between two servers waits for the second one, which owns path and lock as the
// first one did.
func TestDetachedSocketServesTheNext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first := listen(t, path)
	socket, held, err := first.Detach()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Errorf("Close after Detach: %v", err)
	}
	if _, err := first.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Detach: %v, want %v", err, net.ErrClosed)
	}
	early, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("connect between two servers: %v", err)
	}
	defer early.Close()
	if _, err := Listen(path, 0o600, ""); err == nil || !strings.Contains(err.Error(), "holds") {
		t.Errorf("a third starter meanwhile: %v, want an error about the lock", err)
	}

	second, err := Attach(path, socket, held)
	if err != nil {
		t.Fatal(err)
	}
	stop := startServing(t, Options{Publisher: new(fakeHub), Program: "second"}, second)
	fmt.Fprint(early, "not the magic")
	if n, err := early.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the early client: read %d, %v, want an answer", n, err)
	}
	if got := second.Addr().String(); got != path {
		t.Errorf("Addr = %s, want %s", got, path)
	}
	if _, err := Listen(path, 0o600, ""); err == nil {
		t.Error("a third starter gets the path of the second server")
	}
	stop()
	for _, file := range []string{path, path + ".lock"} {
		if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s after the second server: %v, want it gone", file, err)
		}
	}
}

func TestDetachRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := listen(t, path)
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Detach(); err == nil || !strings.Contains(err.Error(), "another file") {
		t.Errorf("Detach of a socket that was moved: %v", err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, _, err := l.Detach(); err == nil {
		t.Error("Detach of a closed listener succeeds")
	}
}

func TestAttachRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	socket, held, err := listen(t, path).Detach()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := os.Create(filepath.Join(dir, "plain"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for name, tt := range map[string]struct {
		path         string
		socket, held *os.File
		want         string
	}{
		"another path": {filepath.Join(dir, "other"), socket, held, "is not the lock"},
		"another lock": {path, socket, plain, "is not the lock"},
		"no socket":    {path, plain, held, "non-socket"},
		"closed":       {path, socket, closed(t), "is not the lock"},
	} {
		_, err := Attach(tt.path, tt.socket, tt.held)
		if err == nil || !strings.Contains(err.Error(), tt.want) ||
			!strings.Contains(err.Error(), tt.path) {
			t.Errorf("%s: %v, want an error with %q and the path", name, err, tt.want)
		}
	}
	l, err := Attach(path, socket, held) // none of these has used them up
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func closed(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return f
}
