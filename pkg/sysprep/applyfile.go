package sysprep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
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

// fileTree is where files are changed. Their names have no slash in front.
type fileTree interface {
	Lstat(name string) (fs.FileInfo, error)
	OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error)
	MkdirAll(name string, mode fs.FileMode) error
	Rename(from, to string) error
	Remove(name string) error
}

// machine is the tree of this machine itself. Its links lead wherever they do for every other
// program; those of a copy, which is rooted, do not lead out of it.
type machine struct{}

func (machine) Lstat(name string) (fs.FileInfo, error) { return os.Lstat("/" + name) }

func (machine) OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile("/"+name, flag, mode)
}

func (machine) MkdirAll(name string, mode fs.FileMode) error { return os.MkdirAll("/"+name, mode) }

func (machine) Rename(from, to string) error { return os.Rename("/"+from, "/"+to) }

func (machine) Remove(name string) error { return os.Remove("/" + name) }

// open finds the tree of the root. A copy whose proc is a link out of it would have the settings of another host changed.
func (c *Changer) open() error {
	if c.files != nil {
		return nil
	}
	if c.host.Live() {
		c.files = machine{}
		return nil
	}
	root, err := os.OpenRoot(c.Root)
	if err != nil {
		return err
	}
	if c.writeLive == nil {
		if _, err := root.Stat("proc"); err != nil {
			root.Close() //nolint:errcheck // nothing was written
			return fmt.Errorf("proc below %s leads out of it, to settings that are not the copy's; nothing was changed", c.Root)
		}
	}
	c.files = rooted{root}
	return nil
}

// below is a file's name in a tree.
func below(name string) string { return strings.TrimPrefix(name, "/") }

// lock keeps a second fix or undo away until unlock is called. Nobody but root may take it, nor write what root reads
// there.
func (c *Changer) lock() (unlock func(), err error) {
	if err := c.open(); err != nil {
		return nil, err
	}
	if err := c.files.MkdirAll(below(path.Dir(stateDir)), 0o755); err != nil {
		return nil, c.named(err)
	}
	if err := c.files.MkdirAll(below(stateDir), 0o700); err != nil {
		return nil, c.named(err)
	}
	f, err := c.files.OpenFile(below(stateDir), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, c.named(err)
	}
	if err := c.guard(f); err != nil {
		f.Close() //nolint:errcheck // only read
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close() //nolint:errcheck // only read
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s is locked", ErrBusy, stateDir)
		}
		return nil, fmt.Errorf("lock %s: %w", stateDir, err)
	}
	return func() { f.Close() }, nil // and with it the lock
}

// guard makes sure that only root can lock the directory, and that on this machine nobody else can have written to it.
func (c *Changer) guard(dir *os.File) error {
	info, err := dir.Stat()
	if err != nil {
		return c.named(err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch mode := info.Mode().Perm(); {
	case c.host.Live() && ok && owner.Uid != 0:
		return fmt.Errorf("%s belongs to user %d, not to root, so what it holds is not trusted", stateDir, owner.Uid)
	case c.host.Live() && mode&0o022 != 0:
		return fmt.Errorf("%s may be written by others than root (mode %04o), so what it holds is not trusted", stateDir, mode)
	case mode&0o077 != 0:
		if err := dir.Chmod(0o700); err != nil {
			return c.named(err)
		}
	}
	return nil
}

// plainOps are the names of operations as people know them.
var plainOps = map[string]string{"mkdirat": "mkdir", "openat": "open", "unlinkat": "remove", "lstatat": "lstat", "statat": "stat"}

// named says an error about a file in the words of the root.
func (c *Changer) named(err error) error {
	var pe *fs.PathError
	if !errors.As(err, &pe) {
		return err
	}
	name, op := pe.Path, pe.Op
	if plain, ok := plainOps[op]; ok {
		op = plain
	}
	if rest, ok := strings.CutPrefix(name, filepath.Clean(c.Root)); ok && filepath.Clean(c.Root) != "/" {
		name = rest
	}
	name = "/" + below(name)
	if op == "mkdir" && errors.Is(err, fs.ErrExist) { // by an os.Root, where there is a file
		return fmt.Errorf("mkdir %s: %w", name, syscall.ENOTDIR)
	}
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return fmt.Errorf("%s %s: %w (only root may; try sudo)", op, name, pe.Err)
	}
	return fmt.Errorf("%s %s: %w", op, name, pe.Err)
}

// maxOwnFileBytes bounds what is read of a file that sysprep itself writes.
const maxOwnFileBytes = 1 << 20

// ownFile is what one of sysprep's own files holds.
type ownFile struct {
	existed bool
	text    []byte
	mode    fs.FileMode // its permissions
}

// readFile reads one of sysprep's own files. What is there must be a plain file: a symbolic link, such as the one to
// /dev/null with which administrators switch a file off, is theirs.
func (c *Changer) readFile(name string) (ownFile, error) {
	if err := c.open(); err != nil {
		return ownFile{}, err
	}
	info, err := c.files.Lstat(below(name))
	if errors.Is(err, fs.ErrNotExist) {
		return ownFile{mode: defaultMode}, nil
	}
	if err != nil {
		return ownFile{}, c.named(err)
	}
	if !info.Mode().IsRegular() {
		return ownFile{}, fmt.Errorf("%s is not a plain file (%s), so it is left alone", name, kindOf(info.Mode()))
	}
	f, err := c.files.OpenFile(below(name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return ownFile{}, c.named(err)
	}
	defer f.Close() // only read
	text, err := io.ReadAll(io.LimitReader(f, maxOwnFileBytes+1))
	if err == nil && len(text) > maxOwnFileBytes {
		err = fmt.Errorf("%s is too long to be sysprep's own", name)
	}
	return ownFile{existed: true, text: text, mode: info.Mode().Perm()}, err
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
	if err := c.open(); err != nil {
		return err
	}
	dir := path.Dir(below(name))
	if err := c.files.MkdirAll(dir, 0o755); err != nil {
		return c.named(err)
	}
	f, temp, err := c.createTemp(dir, path.Base(name))
	if err != nil {
		return c.named(&fs.PathError{Op: "write", Path: name, Err: cause(err)})
	}
	_, err = io.Copy(f, bytes.NewReader(text))
	err = errors.Join(err, f.Chmod(mode))
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = c.files.Rename(temp, below(name))
	}
	if err != nil {
		c.files.Remove(temp) //nolint:errcheck // it may be gone; the first error counts
		return fmt.Errorf("write %s: %w", name, cause(err))
	}
	return c.syncDir(dir)
}

// createTemp makes a file with a new name beside the one called base. Neither sysctl.d nor systemd reads *.tmp.
func (c *Changer) createTemp(dir, base string) (f *os.File, name string, err error) {
	for range 100 {
		name = path.Join(dir, fmt.Sprintf(".%s.%016x.tmp", base, rand.Uint64()))
		f, err = c.files.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return f, name, err
}

// cause is an error without the name of a temporary file.
func cause(err error) error {
	var errno syscall.Errno
	var pe *fs.PathError
	switch {
	case errors.As(err, &errno):
		return errno
	case errors.As(err, &pe):
		return pe.Err
	}
	return err
}

// remove deletes a file. That it is gone already is no error.
func (c *Changer) remove(name string) error {
	if err := c.open(); err != nil {
		return err
	}
	if err := c.files.Remove(below(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c.named(err)
	}
	return c.syncDir(path.Dir(below(name)))
}

// syncDir makes the names in a directory last. File systems that cannot sync a directory keep them anyway.
func (c *Changer) syncDir(dir string) error {
	d, err := c.files.OpenFile(dir, os.O_RDONLY, 0)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return c.named(err)
	}
	defer d.Close() // only synced
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("sync /%s: %w", dir, cause(err))
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
