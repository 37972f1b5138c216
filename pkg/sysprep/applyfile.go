package sysprep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrBusy means that another sysprep is changing this host.
var ErrBusy = errors.New("sysprep: another fix or undo is at work")

// stateDir holds the record and is locked while the host is changed.
const stateDir = "/var/lib/holdfast"

// lock keeps a second fix or undo away until unlock is called.
func (c *Changer) lock() (unlock func(), err error) {
	dir := c.path(stateDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, c.named(err)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, c.named(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s is locked", ErrBusy, stateDir)
		}
		return nil, fmt.Errorf("lock %s: %w", stateDir, err)
	}
	return func() { f.Close() }, nil // and with it the lock
}

// named says an error about a file in the words of the root.
func (c *Changer) named(err error) error {
	var pe *fs.PathError
	if !errors.As(err, &pe) {
		return err
	}
	name := pe.Path
	if rest, ok := strings.CutPrefix(name, filepath.Clean(c.Root)); ok && filepath.Clean(c.Root) != "/" {
		name = rest
	}
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return fmt.Errorf("%s %s: %w (only root may; try sudo)", pe.Op, name, pe.Err)
	}
	return fmt.Errorf("%s %s: %w", pe.Op, name, pe.Err)
}

// maxOwnFileBytes bounds what is read of a file that sysprep itself writes.
const maxOwnFileBytes = 1 << 20

// readFile reads one of sysprep's own files. What is there must be a plain file: a symbolic link, such as the one to
// /dev/null with which administrators switch a file off, is theirs.
func (c *Changer) readFile(name string) (text []byte, existed bool, err error) {
	info, err := os.Lstat(c.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, c.named(err)
	}
	if !info.Mode().IsRegular() {
		return nil, false, fmt.Errorf("%s is not a plain file (%s), so it is left alone", name, kindOf(info.Mode()))
	}
	f, err := os.Open(c.path(name))
	if err != nil {
		return nil, false, c.named(err)
	}
	defer f.Close() // only read
	text, err = io.ReadAll(io.LimitReader(f, maxOwnFileBytes+1))
	if err == nil && len(text) > maxOwnFileBytes {
		err = fmt.Errorf("%s is too long to be sysprep's own", name)
	}
	return text, true, err
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	}
	return "a device, pipe or socket"
}

// writeFile replaces a file as a whole: whoever reads it sees the old text or the new one, after a crash as well.
func (c *Changer) writeFile(name string, text []byte, mode fs.FileMode) error {
	file := c.path(name)
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return c.named(err)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(file)+".*.tmp") // neither sysctl.d nor systemd reads *.tmp
	if err != nil {
		return c.named(&fs.PathError{Op: "write", Path: file, Err: cause(err)})
	}
	_, err = io.Copy(f, bytes.NewReader(text))
	err = errors.Join(err, f.Chmod(mode))
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name()) //nolint:errcheck // it may be gone; the first error counts
		return fmt.Errorf("write %s: %w", name, cause(err))
	}
	return syncDir(dir)
}

// cause is an error without the name of a temporary file.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// remove deletes a file. That it is gone already is no error.
func (c *Changer) remove(name string) error {
	if err := os.Remove(c.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c.named(err)
	}
	return syncDir(filepath.Dir(c.path(name)))
}

// syncDir makes the names in a directory last. File systems that cannot sync a directory keep them anyway.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	defer d.Close() // only synced
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("sync %s: %w", dir, cause(err))
	}
	return nil
}

// reloadSystemd asks systemd to read its units again.
func reloadSystemd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "daemon-reload").CombinedOutput()
	if text := strings.Join(strings.Fields(string(out)), " "); err != nil && text != "" {
		return fmt.Errorf("systemctl daemon-reload: %.200s", text)
	} else if err != nil {
		return fmt.Errorf("systemctl daemon-reload: %w", err)
	}
	return nil
}
