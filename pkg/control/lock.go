package control

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// lock is the file that one pushd holds for each control socket. The kernel lets go of it when the process ends, however
// it ends; the file may stay, which does no harm.
type lock struct {
	file   *os.File
	path   string
	socket fs.FileInfo // the socket that it guards, once that is there
}

// acquire takes the lock at path. Its owner's process id is in the file.
func acquire(path string) (*lock, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock of control socket: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			owner := ownerOf(f)
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, fmt.Errorf("another pushd%s holds %s", owner, path)
			}
			return nil, fmt.Errorf("lock of control socket: %s: %w", path, err)
		}
		if !stillAt(f, path) { // its owner removed it between our open and our lock
			f.Close()
			continue
		}
		if err := writePID(f); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock of control socket: %w", err)
		}
		return &lock{file: f, path: path}, nil
	}
}

// release removes the file and lets go of the lock, in this order: while it is held nobody else can come to hold a file
// that is about to vanish.
func (l *lock) release() error {
	err := os.Remove(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.file.Close())
}

func stillAt(f *os.File, path string) bool {
	ours, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(ours, there)
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

// ownerOf reads who holds the lock, as " (pid N)", or nothing.
func ownerOf(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 32))
	pid := strings.TrimSpace(string(b))
	if err != nil || pid == "" {
		return ""
	}
	return fmt.Sprintf(" (pid %s)", pid)
}
