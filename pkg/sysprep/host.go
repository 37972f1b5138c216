package sysprep

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxFileBytes bounds what is read of any file; those of /proc that are read here are far shorter.
const maxFileBytes = 64 << 10

// ErrNoProc means that there is no /proc below the root, so that nothing can be checked.
var ErrNoProc = errors.New("sysprep: no proc directory")

// Host is where checks read: a root directory with proc and sys below it, and the size of its kernel's pages.
type Host struct {
	root      fs.FS
	pageBytes int64
}

// NewHost makes a Host of a file tree and the page size of its kernel in bytes.
func NewHost(root fs.FS, pageBytes int) *Host {
	return &Host{root: root, pageBytes: int64(pageBytes)}
}

// Open makes a Host of a directory: "/" is this machine, any other the copy of one. Of a copy, proc/self/smaps tells
// the page size; where that is missing, it is taken to be the size on this machine.
func Open(dir string) (*Host, error) {
	root := os.DirFS(dir)
	info, err := fs.Stat(root, "proc")
	if err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%w below %s", ErrNoProc, dir)
	}
	h := NewHost(root, os.Getpagesize())
	if abs, err := filepath.Abs(dir); err == nil && abs == "/" {
		return h, nil
	}
	if smaps, err := h.text("proc/self/smaps"); err == nil {
		if n, ok := parsePageBytes(smaps); ok {
			h.pageBytes = n
		}
	}
	return h, nil
}

// text is the content of a file without the white space around it.
func (h *Host) text(name string) (string, error) {
	f, err := h.root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close() // only read
	b, err := io.ReadAll(io.LimitReader(f, maxFileBytes))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}

// sysctl reads a kernel setting that is one number, by its name with dots.
func (h *Host) sysctl(key string) (int64, error) {
	s, err := h.text("proc/sys/" + strings.ReplaceAll(key, ".", "/"))
	if err != nil {
		return 0, err
	}
	n, err := parseLimit(s)
	if err != nil {
		return 0, fmt.Errorf("%s cannot be judged: %w", key, err)
	}
	return n, nil
}

// parseLimit reads a number that is not negative. What is above the range of int64, and the word unlimited, become
// math.MaxInt64.
func parseLimit(s string) (int64, error) {
	if s == "unlimited" {
		return math.MaxInt64, nil
	}
	if !isDigits(s) {
		return 0, fmt.Errorf("%.40q is no number", s)
	}
	n, _ := strconv.ParseInt(s, 10, 64) // digits fail only by their range, and n is math.MaxInt64 then
	return n, nil
}

// parsePageBytes finds the page size in smaps: that of the first mapping, which is the program's own text.
func parsePageBytes(smaps string) (int64, bool) {
	value, ok := field(smaps, "KernelPageSize:")
	if !ok {
		return 0, false
	}
	return parseKB(value)
}

// parseKB reads "4 kB", as /proc writes sizes, in bytes.
func parseKB(s string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSuffix(s, " kB"), 10, 64)
	if err != nil || !strings.HasSuffix(s, " kB") || n <= 0 || n > math.MaxInt64>>10 {
		return 0, false
	}
	return n << 10, true
}

// field finds the line that begins with name, and returns the rest of it without white space around it.
func field(text, name string) (string, bool) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}
