package scripts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sharing is the command line of a pushd that shares addr with others.
func sharing(bin, addr, socket string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin, "pushd"), append([]string{"--listen", addr, "--reuse-port", "--socket", socket,
		"--loops", "1", "--drain-timeout", "100ms", "--log-format", "json"}, args...)...)
	cmd.Env = environment()
	return cmd
}

// startSharing starts it and waits until it serves.
func startSharing(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		stuck.Stop()
		cmd.Process.Kill()
		cmd.Wait() //nolint:errcheck // killed
	})
	line, err := bufio.NewReader(stderr).ReadBytes('\n')
	var started struct{ Listen []string }
	if err != nil || json.Unmarshal(line, &started) != nil || len(started.Listen) != 1 {
		t.Fatalf("%q does not start: %v: %s", cmd.Args, err, line)
	}
}

// receivers publishes a message and returns how many got it.
func receivers(t *testing.T, bin, socket string) int {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "pushpub"), "--socket", socket, "--json", "a", "hello")
	cmd.Env = environment()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pushpub: %v\n%s", err, out)
	}
	sum := 0
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var answer struct{ Receivers int }
		if err := dec.Decode(&answer); err != nil {
			t.Fatal(err)
		}
		sum += answer.Receivers
	}
	return sum
}

func TestTwoPushdShareTheAddressesOfClientsOnly(t *testing.T) {
	bin, dir := binaries(t), t.TempDir()
	clients, publish, metrics := freeAddr(t), freeAddr(t), freeAddr(t)
	one, two := filepath.Join(dir, "1.sock"), filepath.Join(dir, "2.sock")
	startSharing(t, sharing(bin, clients, one, "--publish-listen", publish, "--metrics-listen", metrics))
	for option, addr := range map[string]string{"publish-listen": publish, "metrics-listen": metrics} {
		args := []string{"--publish-listen", "off", "--" + option, addr}
		out, err := sharing(bin, clients, two, args...).CombinedOutput()
		want := "address already in use: --reuse-port shares the addresses of clients only; give this pushd its own --" + option
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("the other's --%s: %v: %s, want an error with %q", option, err, out, want)
		}
	}
	startSharing(t, sharing(bin, clients, two, "--publish-listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"))
	const held = 64 // all at one of the two: 1 in 2^63
	for range held {
		c, err := net.Dial("tcp", clients)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(c, "GET /events?channel=a HTTP/1.1\r\nHost: x\r\n\r\n")
		awaitText(t, c, "retry:")
	}
	first, second := receivers(t, bin, one), receivers(t, bin, two)
	if all := receivers(t, bin, filepath.Join(dir, "*.sock")); first == 0 || second == 0 || first+second != held || all != held {
		t.Errorf("%d and %d of %d clients, %d of both", first, second, held, all)
	}
	benchBoth(t, bin, clients, filepath.Join(dir, "*.sock"))
}

// benchBoth has pushpub bench publish to both.
func benchBoth(t *testing.T, bin, clients, sockets string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "pushpub"), "bench", "--json", "--socket", sockets, "--target", "http://"+clients,
		"--connections", "60", "--channels", "3", "--messages", "30", "--rate", "0")
	cmd.Env = environment()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pushpub bench: %v: %s\n%s", err, stderr.String(), out)
	}
	var report struct {
		Messages   struct{ Accepted, Receivers int }
		Deliveries struct{ Received, Lost int }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	got := report.Messages.Receivers
	if report.Messages.Accepted != 30 || got != 600 || report.Deliveries.Received != 600 || report.Deliveries.Lost != 0 {
		t.Errorf("bench of two: %+v, want 30 accepted, 600 received and acknowledged", report)
	}
}
