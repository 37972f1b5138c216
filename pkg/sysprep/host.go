package sysprep

import (
	"bufio"
	"bytes"
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

// maxFileBytes bounds what is read of any file at once; those of /proc that are read here are shorter as a rule.
const maxFileBytes = 256 << 10

// ErrNoProc means that there is no /proc below the root, so that nothing can be checked.
var ErrNoProc = errors.New("sysprep: no proc directory")

// Host is where checks read: a root directory with proc and sys below it, and the size of its kernel's pages. It is
// used by one goroutine at a time.
type Host struct {
	root      fs.FS
	pageBytes int64
	live      bool // the root is that of this machine

	read map[string]string // what one Run has read, so that its checks see one state; nil outside of it

	// What is no file, so that only this machine has it. Tests put their own.
	systemd   func(unit string) (map[string]string, error) // properties of a unit; of the manager, when unit is ""
	kernelLog func() (string, error)
	backlogs  func() ([]backlog, error)
}

// NewHost makes a Host of a file tree and the page size of its kernel in bytes.
func NewHost(root fs.FS, pageBytes int) *Host {
	h := &Host{root: root, pageBytes: int64(pageBytes)}
	h.systemd = func(string) (map[string]string, error) {
		return nil, errors.New("systemd can only be asked on the machine itself, not in a copy of its files")
	}
	h.kernelLog = func() (string, error) { return h.text("var/log/dmesg") }
	h.backlogs = func() ([]backlog, error) {
		return nil, errors.New("the queues of listeners are seen on the machine itself only, not in a copy of its files")
	}
	return h
}

// Open makes a Host of a directory: "/" is this machine, any other the copy of one. Of a copy, proc/self/smaps tells
// the page size; where that is missing, it is taken to be the size on this machine.
func Open(dir string) (*Host, error) {
	root := os.DirFS(dir)
	abs, err := filepath.Abs(dir)
	live := err == nil && abs == "/"
	if !live {
		root = contained(dir, root)
	}
	info, err := fs.Stat(root, "proc")
	if err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%w below %s", ErrNoProc, dir)
	}
	h := NewHost(root, os.Getpagesize())
	if live {
		h.live, h.systemd, h.kernelLog, h.backlogs = true, showUnit, readKernelLog, readBacklogs
		return h, nil
	}
	if smaps, err := h.begin("proc/self/smaps"); err == nil {
		if n, ok := parsePageBytes(smaps); ok {
			h.pageBytes = n
		}
	}
	return h, nil
}

// contained is the tree below dir. Its links lead to files of the tree, never to those of this
// machine. Where proc itself is such a link, somebody meant it, and the tree is as it is.
func contained(dir string, plain fs.FS) fs.FS {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return plain
	}
	if _, err := r.Stat("proc"); err != nil {
		r.Close() //nolint:errcheck // only read
		return plain
	}
	return rooted{r}
}

// Live reports whether the host is this machine, and not a copy of one's files.
func (h *Host) Live() bool { return h.live }

// text is the content of a file without the white space around it.
func (h *Host) text(name string) (string, error) {
	if s, ok := h.read[name]; ok {
		return s, nil
	}
	s, err := h.readText(name)
	if err == nil && h.read != nil {
		h.read[name] = s
	}
	return s, err
}

func (h *Host) readText(name string) (string, error) {
	f, err := h.root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close() // only read
	b, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxFileBytes { // half of it would be judged as if it were all
		return "", fmt.Errorf("/%s cannot be judged: it is longer than %d KiB", name, maxFileBytes>>10)
	}
	return strings.TrimSpace(string(b)), nil
}

// begin is what text is, of a file whose first lines are enough, however long it is.
func (h *Host) begin(name string) (string, error) {
	f, err := h.root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close() // only read
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return strings.TrimSpace(string(b)), err
}

// countLines is the number of lines of a file that are not empty; it may be of any length.
func (h *Host) countLines(name string) (int64, error) {
	f, err := h.root.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close() // only read
	n := int64(0)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) > 0 {
			n++
		}
	}
	return n, lines.Err()
}

// exists reports whether there is a file or directory of that name.
func (h *Host) exists(name string) bool {
	_, err := fs.Stat(h.root, name)
	return err == nil
}

// sysctlPath is the file of a kernel setting, below the root. Of a name with a slash, as sysctl has it for interfaces
// with a dot in their name, the slashes and dots change places.
func sysctlPath(key string) string {
	return "proc/sys/" + strings.NewReplacer(".", "/", "/", ".").Replace(key)
}

// sysctlText reads a kernel setting, its fields parted by one space.
func (h *Host) sysctlText(key string) (string, error) {
	s, err := h.text(sysctlPath(key))
	if err != nil {
		return "", err
	}
	return oneSpaced(s), nil
}

// sysctl reads a kernel setting that is one number, by its name with dots.
func (h *Host) sysctl(key string) (int64, error) {
	v, err := h.sysctls(key, 1)
	if err != nil {
		return 0, err
	}
	return v[0], nil
}

// sysctls reads a kernel setting that is n numbers.
func (h *Host) sysctls(key string, n int) ([]int64, error) {
	s, err := h.text(sysctlPath(key))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(s)
	if n == 1 {
		fields = []string{s}
	}
	if len(fields) != n {
		return nil, fmt.Errorf("%s cannot be judged: %.40q is not %d numbers", key, s, n)
	}
	v := make([]int64, n)
	for i, f := range fields {
		if v[i], err = parseLimit(f); err != nil {
			return nil, fmt.Errorf("%s cannot be judged: %w", key, err)
		}
	}
	return v, nil
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
