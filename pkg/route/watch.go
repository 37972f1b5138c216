package route

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// interval is the time between two looks at the file. A change is read when the file looked the same twice, so it takes
// effect after one to two intervals.
const interval = time.Second

var errWriting = errors.New("is being written")

// Watcher reads a routes file again when it changes. It looks at the file itself once a second, so that renames, links and
// network file systems make no difference; what it sees half-written it leaves for the next look.
type Watcher struct {
	path    string
	opts    Options
	changed func(*Table, error)
	asked   chan struct{} // holds one request for Reload

	seen stamp  // at the last look
	read stamp  // of what was read last; zero to have the next look read it again
	last string // what came of that: the text's digest, or the error of reading it
}

// stamp is what the file looks like from outside. The zero stamp is that of no file.
type stamp struct {
	found        bool
	device, node uint64
	size         int64
	mtime, ctime syscall.Timespec // a write keeps mtime if it wants to, ctime never
	err          string           // of looking at it
}

// NewWatcher returns a watcher of the file at path. Each time that it reads the file, changed gets the new table, or why
// there is none and the old one is to stay; it is called on the goroutine of Run.
func NewWatcher(path string, opts Options, changed func(*Table, error)) *Watcher {
	return &Watcher{path: path, opts: opts, changed: changed, asked: make(chan struct{}, 1)}
}

// Load reads the file for the first time. It is not called while Run runs, and does not call changed.
func (w *Watcher) Load() (*Table, error) {
	text, s, err := readFile(w.path)
	w.remember(text, err)
	w.seen, w.read = s, stamp{}
	if err != nil {
		return nil, err
	}
	return Parse(w.path, text, w.opts)
}

// Reload has Run read the file now, whether it changed or not, and call changed in any case. It may be called from any
// goroutine, and never blocks.
func (w *Watcher) Reload() {
	select {
	case w.asked <- struct{}{}:
	default: // one that comes before the reading is enough
	}
}

// Run watches until ctx ends. It is called once.
func (w *Watcher) Run(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.asked:
			w.reload(ctx)
		case <-ticker.C:
			w.look()
		}
	}
}

// look reads the file when it changed, and has not changed any more since the last look.
func (w *Watcher) look() {
	s := stampOf(w.path)
	settled := s == w.seen
	w.seen = s
	if s == w.read || !settled {
		return
	}
	text, opened, err := readFile(w.path)
	if errors.Is(err, errWriting) || err == nil && opened != s {
		return // the next look sees another stamp
	}
	w.read = s
	if w.remember(text, err) {
		w.report(text, err)
	}
}

// reload reads the file at once. It may be half-written, or be written again so soon that its stamp stays the same: looks
// read it once more, and report it if there is something else in it.
func (w *Watcher) reload(ctx context.Context) {
	text, s, err := readFile(w.path)
	for range 3 { // whoever asks has probably just written it
		if !errors.Is(err, errWriting) {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval / 10):
		}
		text, s, err = readFile(w.path)
	}
	w.seen, w.read = s, stamp{}
	w.remember(text, err)
	w.report(text, err)
}

func (w *Watcher) report(text []byte, err error) {
	if err != nil {
		w.changed(nil, err)
		return
	}
	w.changed(Parse(w.path, text, w.opts))
}

// remember reports whether this is another result than the last.
func (w *Watcher) remember(text []byte, err error) bool {
	digest := sha256.Sum256(text)
	last := string(digest[:])
	if err != nil {
		last = err.Error()
	}
	different := last != w.last
	w.last = last
	return different
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{err: err.Error()}
	}
	return makeStamp(info)
}

func makeStamp(info os.FileInfo) stamp {
	s := stamp{found: true, size: info.Size()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.device, s.node, s.mtime, s.ctime = st.Dev, st.Ino, st.Mtim, st.Ctim
	}
	return s
}

// readFile returns the text and how the file looked when it was read: errWriting when that changed meanwhile.
func readFile(path string) ([]byte, stamp, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe without a writer must not block
	if err != nil {
		return nil, stamp{err: err.Error()}, fmt.Errorf("read routes: %w", err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, stamp{err: err.Error()}, fmt.Errorf("read routes: %w", err)
	}
	s := makeStamp(before)
	if !before.Mode().IsRegular() {
		return nil, s, fmt.Errorf("read routes: %s is not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, s, fmt.Errorf("read routes: %w", err)
	}
	after, err := f.Stat()
	if err == nil && makeStamp(after) != s {
		err = errWriting
	}
	if err != nil {
		return nil, s, fmt.Errorf("read routes: %s: %w", path, err)
	}
	return text, s, nil
}
