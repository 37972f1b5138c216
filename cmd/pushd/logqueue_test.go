package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// stuckWriter takes nothing until it is released.
type stuckWriter struct {
	released chan struct{}
	got      bytes.Buffer
}

func (w *stuckWriter) Write(b []byte) (int, error) {
	<-w.released
	return w.got.Write(b)
}

// Lines that nobody reads are bounded. When somebody reads again, those that were kept come in
// order, and a line says how many are missing.
func TestLogLinesThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stuckWriter{released: make(chan struct{})}
		q := newLogQueue(w)
		log := newLogger(q, "info", "json")
		const lines = 20_000
		pad := strings.Repeat("x", 100)
		for i := range lines {
			log.Info("line", slog.Int("n", i), slog.String("pad", pad))
		}
		synctest.Wait()
		close(w.released)
		synctest.Wait()
		log.Info("line", slog.Int("n", lines))
		q.Close()
		if n := w.got.Len(); n > 3*maxLogQueue {
			t.Errorf("%d bytes were kept, want about %d", n, maxLogQueue)
		}
		next := 0
		for line := range bytes.Lines(w.got.Bytes()) {
			var r struct {
				Level, Msg string
				N, Lines   int
			}
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatalf("%.200q: %v", line, err)
			}
			if r.Msg == linesLeftOut && r.Level == "ERROR" {
				next += r.Lines
				continue
			}
			if r.N != next {
				t.Fatalf("line %d came where %d was due", r.N, next)
			}
			next++
		}
		if next != lines+1 {
			t.Errorf("%d lines are told of, want %d", next, lines+1)
		}
	})
}

// The end waits for the last lines, but not for a reader that does not read.
func TestLogQueueCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		q := newLogQueue(&out)
		fmt.Fprintln(q, "first")
		fmt.Fprintln(q, "last")
		q.Close()
		if out.String() != "first\nlast\n" {
			t.Errorf("written: %q", out.String())
		}
		w := &stuckWriter{released: make(chan struct{})}
		q = newLogQueue(w)
		fmt.Fprintln(q, "line")
		began := time.Now()
		q.Close()
		if took := time.Since(began); took != flushTime {
			t.Errorf("Close took %s with a stuck writer, want %s", took, flushTime)
		}
		close(w.released)
	})
}

// A pushd whose standard error nobody reads serves its clients, and stops when it is told to.
func TestLogThatNobodyReadsStopsNothing(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fillPipe(t, w)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	cmd := exec.Command(os.Args[0], "--listen", addr, "--loops", "1", "--publish-listen", "off",
		"--socket", filepath.Join(t.TempDir(), "s"), "--drain-timeout", "1s")
	cmd.Env = append(os.Environ(), asMain+"=serve")
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	defer cmd.Process.Kill() //nolint:errcheck // it has ended, or the test has failed
	client := http.Client{Timeout: 5 * time.Second}
	for deadline := time.Now().Add(20 * time.Second); ; {
		nc, err := net.Dial("tcp", addr)
		if err == nil { // a client that speaks TLS is worth a warning of the loop
			fmt.Fprint(nc, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
			nc.SetReadDeadline(time.Now().Add(5 * time.Second)) //nolint:errcheck // it is open
			io.Copy(io.Discard, nc)                             //nolint:errcheck // until it ends
			nc.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
	res, err := client.Get("http://" + addr + "/health")
	if err != nil {
		t.Fatalf("with a log that nobody reads: %v", err)
	}
	res.Body.Close()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after SIGTERM: %v, want exit code 0", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("20 s after SIGTERM it has not ended")
	}
}

// fillPipe writes to w until it takes no more.
func fillPipe(t *testing.T, w *os.File) {
	t.Helper()
	fd := int(w.Fd()) // makes it blocking, as a child is to have it
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 1<<16); len(b) > 0; {
		if _, err := syscall.Write(fd, b); err != nil {
			b = b[:len(b)/2]
		}
	}
	if err := syscall.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
}

// A service manager that does not read holds up nothing for long.
func TestNotifyDoesNotWaitForLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	told := make(chan error)
	go func() {
		for {
			if err := (systemd{}).Notify("STATUS=" + strings.Repeat("x", 1000)); err != nil {
				told <- err
				return
			}
		}
	}()
	select {
	case err := <-told:
		if !os.IsTimeout(err) {
			t.Errorf("Notify: %v, want a timeout", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("Notify has waited for 20 s")
	}
	b := make([]byte, 2000)
	if n, err := ln.Read(b); err != nil || !strings.HasPrefix(string(b[:n]), "STATUS=x") {
		t.Errorf("read %q, %v", b[:n], err)
	}
}
