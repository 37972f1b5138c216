package scripts

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = 20 * time.Second // with everything that has no bound of its own

var binFlag = flag.String("bin", "", "`directory` of our binaries; they are built when it is not given")

// binaries returns the directory of pushd and pushpub.
func binaries(t *testing.T) string {
	t.Helper()
	if *binFlag != "" {
		return *binFlag
	}
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir+"/", "holdfast/cmd/pushd", "holdfast/cmd/pushpub")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return dir
}

// environment is ours without what the tester has set for pushd.
func environment() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "PUSHD_") {
			env = append(env, e)
		}
	}
	return env
}

// traceLife runs a pushd through all that it does and returns its system calls.
func traceLife(t *testing.T) []byte {
	t.Helper()
	bin, dir := binaries(t), t.TempDir()
	file, socket := filepath.Join(dir, "trace"), filepath.Join(dir, "s")
	cmd := exec.Command("strace", "-f", "-qq", "-o", file, filepath.Join(bin, "pushd"), "--log-format", "json", "--socket", socket,
		"--listen", "127.0.0.1:0,localhost:0,[::1]:0", "--publish-listen", "127.0.0.1:0", "--drain-timeout", "100ms")
	cmd.Env = environment()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer stuck.Stop()
	var started struct{ Listen []string }
	if line, err := bufio.NewReader(stderr).ReadBytes('\n'); err != nil || json.Unmarshal(line, &started) != nil || len(started.Listen) == 0 {
		cmd.Process.Kill()
		cmd.Wait() //nolint:errcheck // killed
		t.Skipf("pushd does not run under strace here: %v\n%s", err, line)
	}
	use(t, started.Listen[0], filepath.Join(bin, "pushpub"), socket)
	if err := syscall.Kill(pid(t, file), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("pushd under strace: %v", err)
	}
	trace, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

// use holds a client of each kind and publishes to them.
func use(t *testing.T, addr, pushpub, socket string) {
	t.Helper()
	upgrade := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	var held []net.Conn
	for _, path := range []string{"/events", "/stream", "/ws", "/poll"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		fields := ""
		if path == "/ws" {
			fields = upgrade
		}
		fmt.Fprintf(c, "GET %s?channel=a HTTP/1.1\r\nHost: x\r\n%s\r\n", path, fields)
		held = append(held, c)
	}
	for _, c := range held[:3] {
		if _, err := c.Read(make([]byte, 512)); err != nil { // the head of its answer
			t.Fatal(err)
		}
	}
	cmd := exec.Command(pushpub, "--socket", socket, "--require-receivers", "a", "hello")
	cmd.Env = environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pushpub: %v\n%s", err, out)
	}
	for _, c := range held[:3] {
		if _, err := c.Read(make([]byte, 512)); err != nil {
			t.Fatal(err)
		}
	}
}

// pid is that of the traced process, which the trace begins with.
func pid(t *testing.T, trace string) int {
	t.Helper()
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscan(string(text), &n); err != nil {
		t.Fatalf("%v in a trace of %d bytes", err, len(text))
	}
	return n
}
