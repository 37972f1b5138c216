package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/publish"
	"holdfast/pkg/wire"
)

func TestOutput(t *testing.T) {
	for _, tt := range []struct {
		args      string // separated by spaces
		receivers int
		want      string
	}{
		{"test hello", 12, "published to 12 connections\n"},
		{"test hello", 1, "published to 1 connection\n"},
		{"test hello", 0, "published to 0 connections\n"},
		{"-c a -c b hello", 2, "published to 4 connections\n"},
		{"test hello --json", 12, `{"channel":"test","id":null,"receivers":12}` + "\n"},
		{"test hello --json --id 7", 12, `{"channel":"test","id":"7","receivers":12}` + "\n"},
		{"-c <a> -c b hello --json", 2, `{"channel":"<a>","id":null,"receivers":2}` + "\n" + `{"channel":"b","id":null,"receivers":2}` + "\n"},
		{"test hello --count 2", 3, "published to 3 connections\npublished to 3 connections\n"},
		{"test hello -q", 12, ""},
		{"test hello -q --json", 12, ""},
		{"test hello --require-receivers", 1, "published to 1 connection\n"},
	} {
		f := startPushd(t, acceptWith(tt.receivers))
		args := append([]string{"--socket", f.path}, strings.Fields(tt.args)...)
		code, stdout, stderr := pushpub(t, terminal, args...)
		expect(t, tt.args, code, app.OK, stdout, tt.want, stderr, "")
	}
}

func TestRefusalIsExit1(t *testing.T) {
	f := startPushd(t, refuse("bad"))
	code, stdout, stderr := pushpub(t, terminal, "--socket", f.path, "test", "bad")
	expect(t, "one channel", code, app.Failed, stdout, "", stderr, "pushpub: refused: bad item: it is bad\n")

	code, stdout, stderr = pushpub(t, terminal, "--socket", f.path, "-c", "a", "-c", "b", "bad", "--json")
	expect(t, "two channels", code, app.Failed, stdout, "", stderr,
		"pushpub: channel \"a\": refused: bad item: it is bad\npushpub: channel \"b\": refused: bad item: it is bad\n")

	code, stdout, stderr = pushpub(t, strings.NewReader(strings.Repeat("x", 1<<20)), "--socket", f.path, "test")
	if code != app.Failed || stdout != "" || !strings.HasPrefix(stderr, "pushpub: refused: item too large") {
		t.Errorf("too large: exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestEmptyInputIsExit1(t *testing.T) {
	f := startPushd(t, nil)
	code, stdout, stderr := pushpub(t, strings.NewReader(""), "--socket", f.path, "test")
	expect(t, "empty input", code, app.Failed, stdout, "", stderr,
		"pushpub: standard input is empty (--allow-empty publishes an empty message)\n")
	if n := len(f.got()); n != 0 {
		t.Errorf("%d items were published", n)
	}
}

func TestMissingFileIsExit1(t *testing.T) {
	code, stdout, stderr := pushpub(t, terminal, "test", "@no/such/file")
	expect(t, "missing file", code, app.Failed, stdout, "", stderr, "pushpub: open no/such/file: no such file or directory\n")
	code, stdout, stderr = pushpub(t, terminal, "-l", "test", "@no/such/file")
	expect(t, "missing file", code, app.Failed, stdout, "", stderr, "pushpub: open no/such/file: no such file or directory\n")
}

func TestNoPushdIsExit3(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.sock")
	want := "pushpub: no pushd answers on a control socket\n  " + path + ": no such file or directory\n" +
		"start pushd, or name its socket with --socket\n"
	for _, args := range [][]string{
		{"test", "hello"}, {"test", "hello", "--every", "1s"}, {"-l", "test"}, {"--jsonl"},
	} {
		code, stdout, stderr := pushpub(t, strings.NewReader("x"), append(args, "--socket", path)...)
		expect(t, strings.Join(args, " "), code, app.NotThere, stdout, "", stderr, want)
	}
	t.Setenv("PUSHD_SOCKET", path)
	code, stdout, stderr := pushpub(t, terminal, "test", "hello")
	expect(t, "$PUSHD_SOCKET", code, app.NotThere, stdout, "", stderr, want)

	code, stdout, stderr = pushpub(t, terminal, "test", "hello", "--socket", filepath.Dir(path)+"/*.sock")
	expect(t, "a pattern", code, app.NotThere, stdout, "", stderr,
		fmt.Sprintf("pushpub: no socket matches %q\n", filepath.Dir(path)+"/*.sock"))
}

func TestNoReceiversIsExit4(t *testing.T) {
	f := startPushd(t, acceptWith(0))
	code, stdout, stderr := pushpub(t, terminal, "--socket", f.path, "test", "hello", "--require-receivers")
	expect(t, "one message", code, app.NoReceivers, stdout, "published to 0 connections\n", stderr, "pushpub: nobody received it\n")

	for _, quiet := range []bool{false, true} {
		args, want := []string{"--socket", f.path, "-l", "test", "--require-receivers"}, `{"published":1,"receivers":0,"refused":0}`+"\n"
		if quiet {
			args, want = append(args, "-q"), ""
		}
		code, stdout, stderr = pushpub(t, strings.NewReader("a\n"), args...)
		expect(t, "lines", code, app.NoReceivers, stdout, want, stderr, "pushpub: nobody received it\n")
	}
}

func TestSeveralSockets(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.sock"), filepath.Join(dir, "b.sock")
	startPushdAt(t, a, acceptWith(2))
	startPushdAt(t, b, acceptWith(3))
	pattern := filepath.Join(dir, "*.sock")

	code, stdout, stderr := pushpub(t, terminal, "--socket", pattern, "--socket", a, "test", "hello")
	expect(t, "sum", code, app.OK, stdout, "published to 5 connections\n", stderr, "")

	code, stdout, stderr = pushpub(t, terminal, "--socket", b, "--socket", pattern, "test", "hello", "--json")
	expect(t, "JSON", code, app.OK, stdout,
		`{"channel":"test","id":null,"receivers":3,"socket":"`+b+`"}`+"\n"+`{"channel":"test","id":null,"receivers":2,"socket":"`+a+`"}`+"\n", stderr, "")

	code, stdout, stderr = pushpub(t, strings.NewReader("x\ny\n"), "--socket", pattern, "-l", "test")
	expect(t, "lines", code, app.OK, stdout,
		`{"published":2,"receivers":4,"refused":0,"socket":"`+a+`"}`+"\n"+`{"published":2,"receivers":6,"refused":0,"socket":"`+b+`"}`+"\n", stderr, "")

	// One of them is not there: the others get the message, and the exit code says that something is missing.
	none := filepath.Join(dir, "none")
	code, stdout, stderr = pushpub(t, terminal, "--socket", none, "--socket", a, "test", "hello")
	if code != app.NotThere || stdout != "published to 2 connections\n" || !strings.Contains(stderr, none+": no such file") {
		t.Errorf("one missing: exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	f := startPushd(t, func(*publish.Item) (wire.Ack, bool) { <-release; return wire.Ack{}, false })
	defer close(release)
	for _, args := range [][]string{{"test", "hello"}, {"-l", "test", "-q"}} {
		code, stdout, stderr := pushpub(t, strings.NewReader("a\n"), append(args, "--socket", f.path, "--timeout", "100ms")...)
		first, _, _ := strings.Cut(stderr, "\n")
		if want := "pushpub: pushd did not answer within 100ms"; code != app.Failed || stdout != "" || first != want {
			t.Errorf("%v: exit %d, stdout %q, stderr %q, want %q", args, code, stdout, stderr, want)
		}
	}
}

func TestSilentServerIsExit3(t *testing.T) {
	path := filepath.Join(t.TempDir(), "silent.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	code, _, stderr := pushpub(t, terminal, "test", "hello", "--socket", path, "--timeout", "100ms")
	if code != app.NotThere || !strings.Contains(stderr, "no answer in time") || !strings.Contains(stderr, "does not answer") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
}

// With --every a lost connection is said once, made again, and the unanswered message goes out on it.
func TestEveryReconnects(t *testing.T) {
	var n atomic.Int32
	f := startPushd(t, func(*publish.Item) (wire.Ack, bool) {
		return wire.Ack{Accepted: true, Receivers: 1}, n.Add(1) != 2 // the second one breaks the connection
	})
	code, stdout, stderr := pushpub(t, terminal, "--socket", f.path, "test", "{{count}}", "--template", "--count", "3", "--every", "300ms")
	expect(t, "--every", code, app.OK, stdout, strings.Repeat("published to 1 connection\n", 3),
		stderr, "pushpub: pushd closed the connection: unexpected EOF; reconnecting\n")
	if got := strings.Join(f.contents(), ""); got != "1\n2\n2\n3\n" {
		t.Errorf("contents %q, want 1, 2, 2 again, 3", got)
	}
}

// A pushd that goes does not hold up the others, and is taken up again when it comes back.
func TestEveryGoesOnWithTheOthers(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.sock"), filepath.Join(dir, "b.sock")
	first := startPushdAt(t, a, nil)
	other := startPushdAt(t, b, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan string)
	go func() {
		code, stdout, stderr := pushpubIn(ctx, terminal, "--socket", a, "--socket", b, "test", "x", "--every", "10ms")
		done <- fmt.Sprintf("exit %d\n%s%s", code, stdout, stderr)
	}()
	first.await(t)
	first.stop()
	for len(other.arrived) > 0 {
		<-other.arrived
	}
	for range 3 {
		other.await(t)
	}
	startPushdAt(t, a, nil).await(t)
	cancel()
	got := <-done
	if want := "pushpub: " + a + ": "; !strings.HasPrefix(got, "exit 0\npublished to 2 connections\n") ||
		!strings.Contains(got, "\npublished to 1 connection\n") ||
		strings.Count(got, want) != 1 || strings.Count(got, "reconnecting\n") != 1 {
		t.Errorf("got %s\nwant one notice that begins with %q", got, want)
	}
}

func TestWithoutEveryALostConnectionIsExit1(t *testing.T) {
	f := startPushd(t, func(*publish.Item) (wire.Ack, bool) { return wire.Ack{}, false })
	const want = "pushpub: pushd closed the connection: unexpected EOF\n"
	code, stdout, stderr := pushpub(t, terminal, "--socket", f.path, "test", "x", "--count", "3")
	expect(t, "--count 3", code, app.Failed, stdout, "", stderr, want)
	code, stdout, stderr = pushpub(t, strings.NewReader("a\nb\n"), "--socket", f.path, "-l", "test")
	if code != app.Failed || stdout != `{"published":0,"receivers":0,"refused":0}`+"\n" || !strings.HasPrefix(stderr, want) ||
		!strings.HasSuffix(stderr, "have no answer, some may have been published\n") {
		t.Errorf("lines: exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestInterrupt(t *testing.T) {
	f := startPushd(t, nil)
	interrupted := func(args ...string) (code int, stdout, stderr string) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			f.await(t)
			f.await(t)
			cancel()
		}()
		return pushpubIn(ctx, terminal, append(args, "--socket", f.path, "test", "x")...)
	}
	if code, stdout, stderr := interrupted("--every", "20ms"); code != app.OK || stderr != "" ||
		strings.Count(stdout, "published to 1 connection\n") < 2 {
		t.Errorf("without end: exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	code, _, stderr := interrupted("--every", "20ms", "--count", "100000")
	if code != app.Failed || stderr != "pushpub: interrupted\n" {
		t.Errorf("before the end: exit %d, stderr %q", code, stderr)
	}

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, stdout, stderr := pushpubIn(ctx, r, "test", "--socket", f.path)
	expect(t, "while reading", code, app.Failed, stdout, "", stderr, "pushpub: interrupted\n")
}

func TestOverdueMessagesAreLeftOut(t *testing.T) {
	f := startPushd(t, func(*publish.Item) (wire.Ack, bool) {
		time.Sleep(55 * time.Millisecond) // slower than the schedule
		return wire.Ack{Accepted: true}, true
	})
	code, _, stderr := pushpub(t, terminal, "--socket", f.path, "test", "x", "--every", "10ms", "--count", "3", "-q")
	if want := "pushpub: left out "; code != app.OK || strings.Count(stderr, want) != 1 {
		t.Errorf("exit %d, stderr %q, want %q once", code, stderr, want)
	}
}
