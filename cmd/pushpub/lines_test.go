package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/publish"
	"holdfast/pkg/wire"
)

func TestRefusedLinesAreReportedWithTheirNumbers(t *testing.T) {
	f := startPushd(t, refuse("bad"))
	long := strings.Repeat("x", maxLineBytes+1)
	in := strings.NewReader("a\nbad\n" + long + "\n\\q\nb\nbad\n")
	code, stdout, stderr := pushpub(t, in, "--socket", f.path, "-l", "test", "-e")
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	want := []string{ // pushd's answers come when they come
		"pushpub: line 2: refused: bad item: it is bad",
		"pushpub: line 6: refused: bad item: it is bad",
		"pushpub: line 3: line is too long: more than 1048576 bytes",
		`pushpub: line 4: bad escape "\\q" at byte 1: unknown`,
	}
	for _, w := range want {
		if strings.Count(stderr, w+"\n") != 1 {
			t.Errorf("stderr lacks %q", w)
		}
	}
	if code != app.Failed || stdout != `{"published":2,"receivers":2,"refused":4}`+"\n" || len(lines) != len(want) {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if got := strings.Join(f.contents(), ""); got != "a\nbad\nb\nbad\n" {
		t.Errorf("contents %q", got)
	}
}

func TestRefusedItems(t *testing.T) {
	f := startPushd(t, refuse("bad"))
	in := strings.NewReader(strings.Join([]string{
		`{"channel":"a","http-stream":{"content":"1"}}`,
		``,
		`{"channel":"a"}`,
		`{"channel":"a","http-stream":{"content":"bad"}}`,
		`{`,
		`{"channel":"b","http-stream":{"content":"2"}}`,
	}, "\n"))
	code, stdout, stderr := pushpub(t, in, "--socket", f.path, "--jsonl", "--json")
	for _, w := range []string{
		"pushpub: line 3: no formats specified\n",
		"pushpub: line 4: refused: bad item: it is bad\n",
		"pushpub: line 5: not valid JSON: unexpected end of JSON input\n",
	} {
		if strings.Count(stderr, w) != 1 {
			t.Errorf("stderr lacks %q", w)
		}
	}
	if code != app.Failed || stdout != `{"published":2,"receivers":2,"refused":3}`+"\n" || strings.Count(stderr, "\n") != 3 {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestLineTooLargeForPushdIsRefused(t *testing.T) {
	f := startPushd(t, nil)
	in := strings.NewReader("a\n" + strings.Repeat("x", maxLineBytes-10) + "\nb\n") // three times in a frame
	code, stdout, stderr := pushpub(t, in, "--socket", f.path, "-l", "test")
	if code != app.Failed || stdout != `{"published":2,"receivers":2,"refused":1}`+"\n" ||
		!strings.HasPrefix(stderr, "pushpub: line 2: refused: item too large") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestNoLinesAreNoError(t *testing.T) {
	f := startPushd(t, nil)
	code, stdout, stderr := pushpub(t, strings.NewReader(""), "--socket", f.path, "-l", "test")
	expect(t, "no lines", code, app.OK, stdout, `{"published":0,"receivers":0,"refused":0}`+"\n", stderr, "")
}

// lineRun is pushpub -l with a standard input that stays open.
type lineRun struct {
	in     *os.File
	cancel context.CancelFunc
	done   chan string
}

func startLines(t *testing.T, args ...string) *lineRun {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	l := &lineRun{in: w, cancel: cancel, done: make(chan string, 1)}
	t.Cleanup(func() { cancel(); w.Close(); r.Close() })
	go func() {
		code, stdout, stderr := pushpubIn(ctx, r, args...)
		l.done <- fmt.Sprintf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}()
	return l
}

func (l *lineRun) expect(t *testing.T, code int, stdout, stderr string) {
	t.Helper()
	select {
	case got := <-l.done:
		if want := fmt.Sprintf("exit %d, stdout %q, stderr %q", code, stdout, stderr); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	case <-time.After(patience):
		t.Fatal("pushpub does not end")
	}
}

func TestLineIsSentAsSoonAsItIsRead(t *testing.T) {
	f := startPushd(t, nil)
	l := startLines(t, "--socket", f.path, "-l", "test")
	for _, line := range []string{"one", "two"} {
		io.WriteString(l.in, line+"\n")
		if it := f.await(t); it.Message.Content != line {
			t.Fatalf("content %q, want %q", it.Message.Content, line)
		}
	}
	io.WriteString(l.in, "three") // the end of the input ends the last line
	l.in.Close()
	l.expect(t, app.OK, `{"published":3,"receivers":3,"refused":0}`+"\n", "")
}

// An interrupt ends the reading; what is under way is waited for, and the summary is printed.
func TestInterruptFlushesLines(t *testing.T) {
	release := make(chan struct{})
	f := startPushd(t, func(*publish.Item) (wire.Ack, bool) {
		<-release
		return wire.Ack{Accepted: true, Receivers: 2}, true
	})
	l := startLines(t, "--socket", f.path, "-l", "test")
	io.WriteString(l.in, "one\n")
	f.await(t)
	l.cancel()
	select {
	case got := <-l.done:
		t.Fatalf("ended with a message under way: %s", got)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	l.expect(t, app.OK, `{"published":1,"receivers":2,"refused":0}`+"\n", "")
}

func TestLostConnectionIsSeenWhileWaitingForInput(t *testing.T) {
	f := startPushd(t, nil)
	l := startLines(t, "--socket", f.path, "-l", "test", "--timeout", "200ms")
	io.WriteString(l.in, "one\n")
	f.await(t)
	f.stop()
	select {
	case got := <-l.done:
		if !strings.HasPrefix(got, "exit 1, stdout \"{\\\"published\\\":") || !strings.Contains(got, "pushd closed the connection") {
			t.Errorf("got %s", got)
		}
	case <-time.After(patience):
		t.Fatal("pushpub does not end")
	}
}

// Many lines go through more than one window of the client, in order, and each refusal finds its line.
func TestManyLines(t *testing.T) {
	const n = 50_000
	f := startPushd(t, refuse("bad"))
	var in strings.Builder
	for i := 1; i <= n; i++ {
		if i%10_000 == 0 {
			in.WriteString("bad\n")
			continue
		}
		in.WriteString(strconv.Itoa(i) + "\n")
	}
	code, stdout, stderr := pushpub(t, strings.NewReader(in.String()), "--socket", f.path, "-l", "test", "--format", "stream")
	if want := `{"published":49995,"receivers":49995,"refused":5}` + "\n"; code != app.Failed || stdout != want {
		t.Errorf("exit %d, stdout %q, want %q", code, stdout, want)
	}
	var want strings.Builder
	for i := 10_000; i <= n; i += 10_000 {
		fmt.Fprintf(&want, "pushpub: line %d: refused: bad item: it is bad\n", i)
	}
	if stderr != want.String() {
		t.Errorf("stderr %q, want %q", stderr, want.String())
	}
	if got := strings.Join(f.contents(), ""); got != in.String() {
		t.Error("the lines arrived changed or in another order")
	}
}
