package sysprep

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// rooted is the copy of a host. Its links lead to files of the copy, as they do after chroot:
// absolute ones begin at its root. None leads out of it.
type rooted struct{ root *os.Root }

// maxLinks bounds how many links a name may go through, as Linux does.
const maxLinks = 40

// resolve replaces the links of a name, its last part only when follow is set. What is missing
// stays as it is.
func (r rooted) resolve(name string, follow bool) (string, error) {
	var done []string
	rest := strings.Split(name, "/")
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..": // at the root it stays there
			done = done[:max(0, len(done)-1)]
			continue
		}
		done = append(done, part)
		if len(rest) == 0 && !follow {
			break
		}
		to, err := r.root.Readlink(path.Join(done...))
		if err != nil { // no link, or not there
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "open", Path: name, Err: syscall.ELOOP}
		}
		done = done[:len(done)-1]
		if path.IsAbs(to) {
			done = nil
		}
		rest = slices.Concat(strings.Split(to, "/"), rest)
	}
	return path.Join(append([]string{"."}, done...)...), nil
}

// Open opens a file for reading.
func (r rooted) Open(name string) (fs.File, error) {
	name, err := r.resolve(name, true)
	if err != nil {
		return nil, err
	}
	return r.root.Open(name)
}

// Stat is about the file that a name leads to.
func (r rooted) Stat(name string) (fs.FileInfo, error) {
	name, err := r.resolve(name, true)
	if err != nil {
		return nil, err
	}
	return r.root.Stat(name)
}

// ReadLink is where a link leads to.
func (r rooted) ReadLink(name string) (string, error) {
	name, err := r.resolve(name, false)
	if err != nil {
		return "", err
	}
	return r.root.Readlink(name)
}

// Lstat is about the name itself.
func (r rooted) Lstat(name string) (fs.FileInfo, error) {
	name, err := r.resolve(name, false)
	if err != nil {
		return nil, err
	}
	return r.root.Lstat(name)
}

// OpenFile opens a file. With O_NOFOLLOW its last part may be no link.
func (r rooted) OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	name, err := r.resolve(name, flag&(syscall.O_NOFOLLOW|os.O_EXCL) == 0)
	if err != nil {
		return nil, err
	}
	return r.root.OpenFile(name, flag, mode)
}

// MkdirAll makes a directory and those above it. It does not make what a link leads to.
func (r rooted) MkdirAll(name string, mode fs.FileMode) error {
	for at := name; at != "."; at = path.Dir(at) {
		if _, err := r.ReadLink(at); err != nil {
			continue
		}
		if _, err := r.Stat(at); err != nil {
			return &fs.PathError{Op: "mkdir", Path: at, Err: syscall.ENOENT}
		}
	}
	name, err := r.resolve(name, true)
	if err != nil {
		return err
	}
	return r.root.MkdirAll(name, mode)
}

// Rename moves a file within the copy.
func (r rooted) Rename(from, to string) error {
	from, err := r.resolve(from, false)
	if err != nil {
		return err
	}
	if to, err = r.resolve(to, false); err != nil {
		return err
	}
	return r.root.Rename(from, to)
}

// Remove removes a file, or a directory without files.
func (r rooted) Remove(name string) error {
	name, err := r.resolve(name, false)
	if err != nil {
		return err
	}
	return r.root.Remove(name)
}
