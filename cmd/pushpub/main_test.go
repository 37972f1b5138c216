package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/cmd/internal/app"
)

// TestMain is pushpub itself when process asks for it.
func TestMain(m *testing.M) {
	if os.Getenv("PUSHPUB_TEST_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is pushpub as a process of its own, with real signals and pipes.
func process(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "PUSHPUB_TEST_MAIN=1")
	return cmd
}

// closedPipe is the writing end of a pipe that nobody reads.
func closedPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() { w.Close() })
	return w
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		t.Fatal(err)
	case !exit.Exited():
		t.Fatalf("the process was killed: %v", err)
	}
	return exit.ExitCode()
}

func TestReaderOfOutputLeaves(t *testing.T) {
	f := startPushd(t, nil)
	var stderr bytes.Buffer
	cmd := process(t, "--socket", f.path, "test", "x", "--every", "10ms")
	cmd.Stdout, cmd.Stderr = closedPipe(t), &stderr
	if code := exitCode(t, cmd.Run()); code != app.Failed || stderr.Len() > 0 {
		t.Errorf("exit %d, stderr %q, want 1 and nothing", code, stderr.String())
	}
}

func TestReaderOfErrorsLeaves(t *testing.T) {
	f := startPushd(t, refuse("bad"))
	var stdout bytes.Buffer
	cmd := process(t, "--socket", f.path, "-l", "test")
	cmd.Stdin = strings.NewReader("bad\nbad\na\nb\n")
	cmd.Stdout, cmd.Stderr = &stdout, closedPipe(t)
	code := exitCode(t, cmd.Run())
	if want := `{"published":2,"receivers":2,"refused":2}` + "\n"; code != app.Failed || stdout.String() != want {
		t.Errorf("exit %d, stdout %q, want 1 and %q", code, stdout.String(), want)
	}
}

func TestSignalsEndLines(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		f := startPushd(t, nil)
		var stdout, stderr bytes.Buffer
		cmd := process(t, "--socket", f.path, "-l", "test")
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in.Write([]byte("one\ntwo\n"))
		f.await(t)
		f.await(t)
		cmd.Process.Signal(sig)
		timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		code := exitCode(t, cmd.Wait())
		timer.Stop()
		expect(t, sig.String(), code, app.OK, stdout.String(), `{"published":2,"receivers":2,"refused":0}`+"\n", stderr.String(), "")
	}
}

func TestInputOfDevNullIsEmpty(t *testing.T) {
	f := startPushd(t, nil)
	var stderr bytes.Buffer
	cmd := process(t, "--socket", f.path, "test")
	cmd.Stderr = &stderr // standard input is the null device
	if code := exitCode(t, cmd.Run()); code != app.Failed || !strings.HasPrefix(stderr.String(), "pushpub: standard input is empty") {
		t.Errorf("exit %d, stderr %q", code, stderr.String())
	}
}
