package proxies

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const addresses = 4 // of a pushd, for clients

// daemon is a running pushd.
type daemon struct {
	addrs  []string
	socket string
	stop   func() // ends it, in order
}

// startPushd starts a pushd whose keep-alives fit the lowered timeouts, with further options.
func startPushd(t *testing.T, options ...string) *daemon {
	t.Helper()
	d := &daemon{socket: filepath.Join(t.TempDir(), "s")}
	args := []string{"--socket", d.socket, "--publish-listen", "off", "--log-format", "json", "--drain-timeout", "0s",
		"--trusted-proxies", "127.0.0.1", "--stream-keep-alive", keepAlive.String(), "--ws-ping", keepAlive.String()}
	for range addresses {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(*bin, "pushd"), append(args, options...)...)
	cmd.Stderr = log
	ended := run(t, cmd, syscall.SIGTERM)
	d.stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	}
	d.addrs = listening(t, log.Name(), ended)
	return d
}

// listening waits for the addresses in the first line of pushd's log.
func listening(t *testing.T, log string, ended chan struct{}) []string {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		gone := false
		select {
		case <-ended:
			gone = true
		default:
		}
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		line, _, complete := bytes.Cut(text, []byte("\n"))
		var started struct{ Listen []string }
		if complete && json.Unmarshal(line, &started) == nil && len(started.Listen) == addresses {
			return started.Listen
		}
		if complete || gone || time.Now().After(end) {
			t.Fatalf("pushd does not start:\n%s", text)
		}
	}
}

func (d *daemon) publish(t *testing.T, channel, text string) {
	t.Helper()
	if out, err := exec.Command(filepath.Join(*bin, "pushpub"), "--socket", d.socket, channel, text).CombinedOutput(); err != nil {
		t.Fatalf("pushpub: %v\n%s", err, out)
	}
}

// held counts the connections that hold a request.
func (d *daemon) held(t *testing.T) int {
	t.Helper()
	out, err := exec.Command(filepath.Join(*bin, "pushstat"), "--socket", d.socket, "--once", "--json").Output()
	if err != nil {
		t.Fatalf("pushstat: %v", err)
	}
	var s struct {
		Connections struct{ Events, Stream, Poll, WS int }
	}
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("pushstat: %v\n%s", err, out)
	}
	c := s.Connections
	return c.Events + c.Stream + c.Poll + c.WS
}

// awaitHeld waits until pushd holds n clients.
func (d *daemon) awaitHeld(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		got := d.held(t)
		if got == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("pushd holds %d clients, want %d", got, n)
		}
	}
}
