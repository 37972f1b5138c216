package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/pkg/wire"
)

// firstName is what bind needs below the socket's directory: a temporary directory of os.MkdirTemp,
// and the socket in it.
const firstName = len("/.pushd4294967295/s")

// CheckPath reports an error when no control socket can be made at path.
func CheckPath(path string) error {
	if err := wire.CheckSocketPath(path); err != nil {
		return fmt.Errorf("control socket: %s: %w", path, err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if err := wire.CheckSocketPath(abs); err != nil {
		return fmt.Errorf("control socket: %s: %w", abs, err)
	}
	if n, most := len(filepath.Dir(abs)), wire.MaxSocketPath-firstName; n > most {
		return fmt.Errorf("control socket: %s: a directory of %d bytes, at most %d leave room for the name "+
			"under which the socket is made", abs, n, most)
	}
	return nil
}

// probeTimeout bounds the question whether a socket that is already there has a living server.
const probeTimeout = time.Second

// Listener is the control socket. Close removes the socket and its lock.
type Listener struct {
	*net.UnixListener
	path string
	lock *lock
	once sync.Once
	err  error // of Close
}

// Addr is the path under which the socket was asked for.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close ends listening, and removes the socket unless another one has taken its path, and the lock.
func (l *Listener) Close() error {
	l.once.Do(func() {
		ours := l.lock.socket != nil && l.inPlace()
		l.err = l.UnixListener.Close()
		if ours {
			l.err = errors.Join(l.err, os.Remove(l.path))
		}
		l.err = errors.Join(l.err, l.lock.release())
	})
	return l.err
}

// inPlace reports whether the socket is still at its path.
func (l *Listener) inPlace() bool {
	now, err := os.Lstat(l.path)
	return err == nil && os.SameFile(now, l.lock.socket)
}

// Listen makes the control socket at path with the permission bits of mode, owned by group unless that is "".
//
// The directory is made where it is missing; one that is called pushd-UID, below a directory for temporary files, must be
// this user's alone. A lock beside the socket keeps a second starter out. A socket that nobody serves is replaced; a living
// server, or a file that is no socket, is an error. The socket is never there with more permissions than asked for.
func Listen(path string, mode os.FileMode, group string) (*Listener, error) {
	gid, err := lookupGroup(group)
	if err != nil {
		return nil, err
	}
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := makeDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	lk, err := acquire(path + ".lock")
	if err != nil {
		return nil, err
	}
	l, err := bind(path, mode, gid)
	if err != nil {
		return nil, errors.Join(err, lk.release())
	}
	l.lock = lk
	if lk.socket, err = os.Lstat(path); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), l.Close())
	}
	return l, nil
}

// lookupGroup returns the number of a group that is given by name or number, or -1 for "".
func lookupGroup(group string) (int, error) {
	if group == "" {
		return -1, nil
	}
	if gid, err := strconv.Atoi(group); err == nil && gid >= 0 {
		return gid, nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, fmt.Errorf("control socket: %w", err)
	}
	return strconv.Atoi(g.Gid)
}

// makeDirectory makes the socket's directory, or checks that which is there.
func makeDirectory(dir string) error {
	private := filepath.Base(dir) == "pushd-"+strconv.Itoa(os.Geteuid())
	mode := os.FileMode(0o755)
	if private {
		mode = 0o700
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory of control socket: %w", err)
	}
	if !private {
		return nil
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	switch {
	case !info.IsDir():
		return fmt.Errorf("control socket: %s is not a directory (%v): remove it", dir, info.Mode())
	case int(owner) != os.Geteuid():
		return fmt.Errorf("control socket: %s belongs to uid %d: another user made it, choose a path with --socket", dir, owner)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("control socket: %s is open to others (mode %04o): chmod 700 it", dir, info.Mode().Perm())
	}
	return nil
}

// bind makes the socket in a directory that nobody else can enter, and moves it to its place complete. The lock is held.
func bind(path string, mode os.FileMode, gid int) (*Listener, error) {
	if err := probe(path); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".pushd")
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	defer os.RemoveAll(dir)
	first := filepath.Join(dir, "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: first, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	ln.SetUnlinkOnClose(false) // its name changes
	err = os.Chown(first, -1, gid)
	if err == nil {
		err = os.Chmod(first, mode.Perm())
	}
	if err == nil {
		err = os.Rename(first, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), ln.Close())
	}
	return &Listener{UnixListener: ln, path: path}, nil
}

// probe reports what is at path and must stay there: a file that is no socket, or the socket of a living server.
func probe(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("control socket: %s is not a socket (mode %v): move it away, or choose another path", path, info.Mode())
	}
	nc, err := net.DialTimeout("unix", path, probeTimeout)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil // nobody serves it any more
	case err == nil:
		defer nc.Close()
		return fmt.Errorf("control socket: %s has a living server%s", path, serverOf(nc.(*net.UnixConn)))
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("control socket: %s has a living server, which is busy", path)
	}
	return fmt.Errorf("control socket: who serves it cannot be told: %w", err)
}

// serverOf names the process that listens at the other end, as " (pid N)", or nothing.
func serverOf(nc *net.UnixConn) string {
	raw, err := nc.SyscallConn()
	if err != nil {
		return ""
	}
	pid := 0
	err = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	if err != nil || pid <= 0 {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}
