package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/cmd/internal/app"
	"holdfast/cmd/internal/golden"
	"holdfast/pkg/sysprep"
)

func TestAuditOfPublishedTunings(t *testing.T) {
	for _, name := range sysprep.Published() {
		code, out, errOut := sysprepOut("audit", name, "-n", "1M", "--root", fixture(t, "linux-6.18"))
		if code != app.Failed || errOut != "" {
			t.Errorf("%s: exit code %d, stderr %q", name, code, errOut)
		}
		golden.Check(t, "audit-"+name+".txt", out)
	}
	code, out, errOut := sysprepOut("audit", "netty", "-n", "1M", "--json", "--root", fixture(t, "linux-6.18"))
	if code != app.Failed || errOut != "" {
		t.Errorf("as JSON: exit code %d, stderr %q", code, errOut)
	}
	golden.Check(t, "audit-netty.json", out)
	var a sysprep.Audit
	if err := json.Unmarshal([]byte(out), &a); err != nil || len(a.Lines) == 0 || a.Count(sysprep.Harms) != 3 {
		t.Errorf("as JSON: %v, %d lines, %d harm", err, len(a.Lines), a.Count(sysprep.Harms))
	}
}

const ownTuning = "# mine\r\nnet.core.somaxconn = 65535\r\n-net.ipv4.tcp_tw_recycle = 1\r\n\r\nnet/ipv4/tcp_tw_reuse=1\r\n"

func TestAuditOfAFile(t *testing.T) {
	root := fixture(t, "linux-6.18")
	t.Chdir(t.TempDir())
	if err := os.WriteFile("mine.conf", []byte(ownTuning), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := sysprepOut("audit", "mine.conf", "-n", "1M", "--root", root)
	if code != app.OK || errOut != "" {
		t.Errorf("exit code %d, stderr %q, want %d: nothing harms", code, errOut, app.OK)
	}
	golden.Check(t, "audit-file.txt", out)

	var std, stdErr bytes.Buffer
	a := newApp()
	a.Reader, a.Writer, a.ErrWriter = strings.NewReader(ownTuning), &std, &stdErr
	code = app.Run(context.Background(), a, []string{"sysprep", "audit", "-", "-n", "1M", "--root", root})
	want := strings.ReplaceAll(strings.Replace(out, "mine.conf", "standard input", 1), "\n", " ")
	if got := strings.ReplaceAll(std.String(), "\n", " "); code != app.OK || got != want {
		t.Errorf("standard input: exit code %d, stderr %q\n%s", code, stdErr.String(), std.String())
	}
}

// What is no file of kernel settings is named as what it is, and nothing is judged.
func TestAuditOfWhatIsNone(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	big := write("big", "")
	if err := os.Truncate(big, 100<<20); err != nil { // sparse
		t.Fatal(err)
	}
	empty, words := write("empty", "# nothing\n"), write("words", strings.Repeat("one two\n", 8))
	binary := write("binary", "\x7fELF\x02\x01\x01\x00")
	escape := write("escape", "\x1b[2J = 1\n")
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ file, want string }{
		{pipe, "there is no kernel setting in " + pipe + "\n"}, // nobody writes to it
		{os.DevNull, "/dev/null is no plain file\n"},
		{dir, dir + " is a directory; name one of its files\n"},
		{filepath.Join(dir, "missing"), "read " + dir + "/missing: no such file or directory\n"},
		{empty, "there is no kernel setting in " + empty + "\n"},
		{big, big + " has more than 1024 KiB, which no file of kernel settings has\n"},
		{binary, binary + ":1: not text\n"},
		{escape, escape + ":1: not text\n"},
		{words, strings.Repeat(words+":N: \"one two\" is no assignment\n", 5) + "and 3 more lines are no settings in the syntax of sysctl.d\n"},
	}
	for _, tt := range tests {
		for i := 1; strings.Contains(tt.want, ":N:"); i++ {
			tt.want = strings.Replace(tt.want, ":N:", ":"+string(rune('0'+i))+":", 1)
		}
		code, out, errOut := sysprepOut("audit", tt.file, "-n", "1M", "--root", fixture(t, "linux-6.18"))
		if code != app.NotThere || out != "" || errOut != "sysprep: "+tt.want {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q; want %d, nothing, %q", filepath.Base(tt.file), code, out, errOut, app.NotThere, tt.want)
		}
	}
	if code, _, errOut := sysprepOut("audit", "netty", "-n", "1M", "--root", dir); code != app.NotThere || !strings.Contains(errOut, "there is no proc directory") {
		t.Errorf("without proc: exit code %d, stderr %q", code, errOut)
	}
}

// A pipe is read to its end, as from a shell's <(...), and left when the audit is interrupted.
func TestAuditOfAPipe(t *testing.T) {
	root := fixture(t, "linux-6.18")
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(pipe, os.O_RDWR, 0) // does not wait for a reader
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	var out, errOut bytes.Buffer
	a := newApp()
	a.Writer, a.ErrWriter = &out, &errOut
	code := app.Run(ctx, a, []string{"sysprep", "audit", pipe, "-n", "1M", "--root", root})
	if code != app.NotThere || errOut.String() != "sysprep: interrupted\n" {
		t.Errorf("an audit of a pipe that does not end: exit code %d, stderr %q, want %d, interrupted", code, errOut.String(), app.NotThere)
	}

	r, w2, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w2.WriteString(ownTuning); err != nil {
		t.Fatal(err)
	}
	w2.Close()
	code, text, stderr := sysprepOut("audit", fmt.Sprintf("/dev/fd/%d", r.Fd()), "-n", "1M", "--root", root)
	if code != app.OK || stderr != "" || !strings.Contains(text, "net.core.somaxconn = 65535") {
		t.Errorf("an audit of a pipe: exit code %d, stderr %q\n%s", code, stderr, text)
	}
}
