package scripts

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runScript is a run.sh that has begun, with a pushd on ports of the kernel's choice.
type runScript struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func startRunScript(t *testing.T, bin, socket string) *runScript {
	t.Helper()
	script, err := filepath.Abs("run.sh")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() // run.sh looks for its programs in bin
	if err := os.Symlink(bin, filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", script, "--listen", "127.0.0.1:0", "--publish-listen", "off", "--socket", socket,
		"--drain-timeout", "100ms")
	cmd.Dir, cmd.Env = dir, environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // its pushd too
	stuck := time.AfterFunc(patience, end)
	t.Cleanup(func() {
		stuck.Stop()
		end()
		cmd.Wait() //nolint:errcheck // most often a second time
	})
	return &runScript{cmd: cmd, lines: bufio.NewScanner(out)}
}

// await reports whether run.sh prints a line with text.
func (r *runScript) await(text string) bool {
	for r.lines.Scan() {
		if strings.Contains(r.lines.Text(), text) {
			return true
		}
	}
	return false
}

func TestMakeRunNeedsNoFixedPort(t *testing.T) {
	takeDefaultPorts(t)
	bin, socket := binaries(t), filepath.Join(t.TempDir(), "s")
	first := startRunScript(t, bin, socket)
	if !first.await("the held connection received: data: hello from make run") || !first.await("bin/sysprep check") {
		t.Fatal("run.sh did not show a message that arrives")
	}
	second := startRunScript(t, bin, socket) // its pushd cannot start
	if second.await("received") {
		t.Error("a second run.sh shows the first one's pushd as its own")
	}
	if err := second.cmd.Wait(); err == nil {
		t.Error("a second run.sh on the same socket ends with 0")
	}
	first.cmd.Process.Signal(syscall.SIGTERM)
	if first.await("received"); first.cmd.Wait() != nil {
		t.Errorf("run.sh ends with %v, want 0 after SIGTERM", first.cmd.ProcessState)
	}
}
