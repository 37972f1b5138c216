package client

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/pkg/wire"
)

func TestDialTriesTheList(t *testing.T) {
	dir := t.TempDir()
	path := serve(t, ours, acknowledge)
	if err := os.Mkdir(filepath.Join(dir, "pushd"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, filepath.Join(dir, "pushd", "pushd.sock")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat("/run/pushd/pushd.sock"); err == nil {
		t.Skip("a pushd of this machine stands first in the list")
	}
	t.Setenv("PUSHD_SOCKET", "")
	t.Setenv("XDG_RUNTIME_DIR", dir)
	c := dialTest(t, "")
	if got := c.Server(); got.Program != ours.Program || got.PID != ours.PID || got.MaxFrame != ours.MaxFrame {
		t.Errorf("Server = %+v, want %+v", got, ours)
	}
	t.Setenv("PUSHD_SOCKET", filepath.Join(dir, "none"))
	_, err := Dial(t.Context(), "", Options{})
	failed, ok := errors.AsType[*DialError](err)
	if !ok || len(failed.Tried) != 1 || failed.Tried[0].Path != filepath.Join(dir, "none") {
		t.Errorf("with PUSHD_SOCKET set, Dial = %v, want one path tried", err)
	}
}

func TestDialErrorSaysWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		err  error
		mode fs.FileMode
		text string
	}{
		filepath.Join(dir, "none"): {fs.ErrNotExist, 0, "none: no such file or directory"},
		stale:                      {syscall.ECONNREFUSED, fs.ModeSocket, "connection refused"},
		file:                       {syscall.ECONNREFUSED, 0o640, "mode 0640"},
	} {
		_, err := Dial(t.Context(), path, Options{})
		failed, ok := errors.AsType[*DialError](err)
		if !ok || len(failed.Tried) != 1 {
			t.Fatalf("Dial(%s) = %v, want a DialError with one attempt", path, err)
		}
		a := failed.Tried[0]
		if !errors.Is(err, want.err) || a.Mode&want.mode != want.mode || (want.mode != 0) != (a.Owner != "") {
			t.Errorf("Dial(%s): attempt %+v, want %v, mode %v and an owner", path, a, want.err, want.mode)
		}
		for _, s := range []string{path, want.text, "start pushd, or name its socket with --socket"} {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("Dial(%s) = %q, want it to contain %q", path, err, s)
			}
		}
	}
}

// The same paths are refused that pushd refuses: without that, @x would be dialled as an abstract
// socket.
func TestDialRefusesWhatIsNoPath(t *testing.T) {
	ln, err := net.Listen("unix", "@holdfast-test-"+strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	long := "/tmp/" + strings.Repeat("x", 103)
	for path, want := range map[string]string{
		ln.Addr().String(): ": an abstract socket, which has no permissions",
		long:               ": a path of 108 bytes, a socket has at most 107",
		"a\x00b":           ": a path with a NUL byte",
	} {
		_, err := Dial(t.Context(), path, Options{})
		if _, ok := errors.AsType[*DialError](err); !ok || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "name the path of a socket") {
			t.Errorf("Dial(%q) = %v, want a DialError with %q", path, err, want)
		}
	}
}

func TestForeignServerIsADialError(t *testing.T) {
	path := serveRaw(t, func(nc net.Conn) {
		nc.Write([]byte("220 mail.example ESMTP\r\n")) //nolint:errcheck // the client may be gone
		nc.Read(make([]byte, 1000))                    //nolint:errcheck // the hello, of whatever length
	})
	_, err := Dial(t.Context(), path, Options{})
	if _, ok := errors.AsType[*DialError](err); !ok || !strings.Contains(err.Error(), "not a pushd") {
		t.Errorf("Dial = %v, want a DialError", err)
	}
}

func TestRefusalIsNoDialError(t *testing.T) {
	path := serveRaw(t, func(nc net.Conn) { // as control turns clients away: without reading
		nc.Write(wire.AppendCold([]byte(wire.Magic), wire.TypeError, &wire.Failure{Code: wire.Busy, Text: "full", Fatal: true})) //nolint:errcheck // as above
	})
	_, err := Dial(t.Context(), path, Options{})
	if _, ok := errors.AsType[*DialError](err); ok || !errors.Is(err, &wire.Error{Code: wire.Busy}) {
		t.Errorf("Dial = %v, want busy", err)
	}
	newer := ours
	newer.Version = 9
	_, err = Dial(t.Context(), serve(t, newer, acknowledge), Options{})
	if !errors.Is(err, &wire.Error{Code: wire.VersionUnsupported}) {
		t.Errorf("Dial of a server that chose version 9 = %v", err)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	silent := func(nc net.Conn) {
		for buf := make([]byte, 100); ; {
			if _, err := nc.Read(buf); err != nil {
				return
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := Dial(ctx, serveRaw(t, silent), Options{})
	if _, ok := errors.AsType[*DialError](err); !ok || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Dial of a silent server = %v, want a DialError for the deadline", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(canceled, serveRaw(t, silent), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial with an ended context = %v", err)
	}
}
