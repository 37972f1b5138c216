package route

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// watched is a file with a Watcher, in a bubble of synctest: the clock is false and the file real.
type watched struct {
	t    *testing.T
	path string
	*Watcher
	reports chan string // "N" for a table whose first target has port N, else the error
}

// watch runs test on a file with the target b:1, which is loaded already. The bubble ends when Run has returned.
func watch(t *testing.T, test func(w *watched)) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{t: t, path: filepath.Join(t.TempDir(), "routes"), reports: make(chan string, 100)}
		w.Watcher = NewWatcher(w.path, Options{}, func(table *Table, err error) {
			if (table == nil) == (err == nil) {
				t.Errorf("changed(%v, %v)", table, err)
			}
			w.reports <- result(table, err)
		})
		w.write("* b:1\n")
		if got := result(w.Load()); got != "1" {
			t.Fatalf("Load = %s", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.Run(ctx)
		}()
		time.Sleep(interval / 2) // what the test does happens between two looks
		test(w)
		cancel()
		<-ended
	})
}

func result(table *Table, err error) string {
	if err != nil {
		return err.Error()
	}
	return strings.TrimPrefix(table.Routes()[0].Targets[0].Addr, "b:")
}

func (w *watched) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// write truncates the file and writes it, as a shell's > does.
func (w *watched) write(text string) {
	w.t.Helper()
	w.check(os.WriteFile(w.path, []byte(text), 0o600))
}

// replace renames a new file over the old one, as most editors do.
func (w *watched) replace(text string) {
	w.t.Helper()
	w.check(os.WriteFile(w.path+".new", []byte(text), 0o600))
	w.check(os.Rename(w.path+".new", w.path))
}

// after lets n looks pass, and compares what was reported meanwhile, each followed by a newline.
func (w *watched) after(n int, want string) {
	w.t.Helper()
	time.Sleep(time.Duration(n) * interval)
	synctest.Wait()
	var got strings.Builder
	for len(w.reports) > 0 {
		got.WriteString(strings.ReplaceAll(<-w.reports, w.path, "FILE") + "\n")
	}
	if got.String() != want {
		w.t.Fatalf("reported\n%swant\n%s", &got, want)
	}
	w.tick()
}

// tick waits until the file system's clock, which is the real one and coarse, has moved on: to the Watcher a second passed.
func (w *watched) tick() {
	w.t.Helper()
	probe := filepath.Join(w.t.TempDir(), "probe")
	last := stampOf(w.path)
	for now := last; now.ctime == last.ctime; now = stampOf(probe) {
		w.check(os.WriteFile(probe, nil, 0o600))
	}
}

func TestNothingIsReportedWithoutAChange(t *testing.T) {
	watch(t, func(w *watched) {
		w.after(10, "")
		now := time.Now()
		w.check(os.Chtimes(w.path, now, now))
		w.check(os.Chmod(w.path, 0o644))
		w.replace("* b:1\n")
		w.after(5, "")
	})
}

func TestEachKindOfChange(t *testing.T) {
	for name, change := range map[string]func(w *watched, text string){
		"write":   (*watched).write,
		"replace": (*watched).replace,
		"append": func(w *watched, text string) {
			f, err := os.OpenFile(w.path, os.O_WRONLY, 0)
			w.check(err)
			_, err = f.WriteString(text)
			w.check(err)
			w.check(f.Close())
		},
		"remove and create": func(w *watched, text string) {
			w.check(os.Remove(w.path))
			w.write(text)
		},
		"same times": func(w *watched, text string) { // as rsync and cp -p leave them
			info, err := os.Stat(w.path)
			w.check(err)
			w.replace(text)
			w.check(os.Chtimes(w.path, info.ModTime(), info.ModTime()))
		},
		"link": func(w *watched, text string) { // as a mounted ConfigMap changes
			w.check(os.WriteFile(w.path+".target", []byte(text), 0o600))
			w.check(os.Symlink(w.path+".target", w.path+".link"))
			w.check(os.Rename(w.path+".link", w.path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			watch(t, func(w *watched) {
				w.after(3, "")
				change(w, "* b:2\n")
				w.after(1, "") // seen, and still may change
				w.after(1, "2\n")
				w.after(5, "")
				change(w, "* b:3\n")
				w.after(2, "3\n")
			})
		})
	}
}

func TestChangeBetweenLoadAndTheFirstLook(t *testing.T) {
	watch(t, func(w *watched) {
		w.write("* b:2\n")
		w.after(2, "2\n")
	})
}

func TestFileThatIsBeingWritten(t *testing.T) {
	watch(t, func(w *watched) {
		w.after(2, "")
		f, err := os.Create(w.path)
		w.check(err)
		defer f.Close()
		w.after(1, "")
		for range 5 { // each part on its own is a good file
			_, err = f.WriteString("* b:2\n")
			w.check(err)
			w.after(1, "")
		}
		w.after(1, "2\n")
	})
}

func TestEmptyFileKeepsTheTable(t *testing.T) {
	watch(t, func(w *watched) {
		w.after(2, "")
		w.write("")
		w.after(5, "FILE: there is no route\n")
		w.write("* b:1\n")
		w.after(5, "1\n")
	})
}

func TestBadFileIsReportedOnce(t *testing.T) {
	watch(t, func(w *watched) {
		w.after(2, "")
		w.write("* b:1\n*,x=y b\n")
		w.after(10, "FILE:2:3: unknown parameter \"x\" of a condition\nFILE:2:7: target \"b\" has no port; write b:80\n")
		w.write("* b:1\n* b\n")
		w.after(2, "FILE:2:3: target \"b\" has no port; write b:80\n")
		w.write("* b:1\n")
		w.after(5, "1\n")
	})
}

func TestRemovalAndReturn(t *testing.T) {
	watch(t, func(w *watched) {
		w.after(2, "")
		w.check(os.Remove(w.path))
		w.after(1, "")
		w.after(10, "read routes: open FILE: no such file or directory\n")
		w.write("* b:1\n")
		w.after(5, "1\n")
		w.check(os.Remove(w.path))
		w.after(1, "")
		w.write("* b:1\n")
		w.after(5, "") // it was away for one look only, and is the same
	})
}

func TestWhatIsNoFile(t *testing.T) {
	watch(t, func(w *watched) {
		w.after(2, "")
		w.check(os.Remove(w.path))
		w.check(syscall.Mkfifo(w.path, 0o600))
		w.after(3, "read routes: FILE is not a regular file\n")
		w.check(os.Remove(w.path))
		w.check(os.Mkdir(w.path, 0o700))
		w.after(3, "") // the same error
		w.check(os.Remove(w.path))
		w.write("* b:2\n")
		w.after(3, "2\n")
	})
}

func TestReloadReportsAtOnceAndAlways(t *testing.T) {
	watch(t, func(w *watched) {
		w.Reload()
		w.after(0, "1\n")
		w.write("* b:2\n")
		w.Reload()
		w.after(0, "2\n")
		w.after(5, "") // the looks find nothing new
		w.write("* b\n")
		w.Reload()
		w.after(0, "FILE:1:3: target \"b\" has no port; write b:80\n")
		w.Reload()
		w.after(0, "FILE:1:3: target \"b\" has no port; write b:80\n")
		w.check(os.Remove(w.path))
		w.Reload()
		w.after(5, "read routes: open FILE: no such file or directory\n")
	})
}

// A write right after the reading can leave size and time, which is coarse, as they were.
func TestSecondWriteRightAfterReload(t *testing.T) {
	watch(t, func(w *watched) {
		w.after(2, "")
		w.write("* b:2\n")
		w.Reload()
		synctest.Wait()
		w.write("* b:3\n")
		w.after(3, "2\n3\n")
	})
}

func TestManyReloadsAreOne(t *testing.T) {
	w := NewWatcher("none", Options{}, func(*Table, error) {})
	for range 3 {
		w.Reload()
	}
	if n := len(w.asked); n != 1 {
		t.Errorf("%d reloads wait, want 1", n)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("* b"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "read routes: open " + filepath.Join(dir, "none") + ": no such file or directory",
		dir:                        "read routes: " + dir + " is not a regular file",
		bad:                        bad + `:1:3: target "b" has no port; write b:80`,
	} {
		if table, err := NewWatcher(path, Options{}, nil).Load(); table != nil || err == nil || err.Error() != want {
			t.Errorf("Load(%s) = %v, %v, want %s", path, table, err, want)
		}
	}
}
