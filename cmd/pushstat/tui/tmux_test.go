package tui

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// pane is a terminal of tmux with a shell in it.
type pane struct {
	t      *testing.T
	server string // of tmux: its own, so that nobody else's is touched
	dir    string
}

// newPane starts a shell in a terminal of a size. The test is skipped where there is no tmux.
func newPane(t *testing.T, w, h int, env ...string) *pane {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not installed, so there is no terminal to look at (apt-get install tmux)")
	}
	p := &pane{t: t, dir: t.TempDir()}
	p.server = filepath.Join(p.dir, "tmux")
	args := []string{"new-session", "-d", "-x", strconv.Itoa(w), "-y", strconv.Itoa(h)}
	for _, e := range append([]string{"LC_ALL=C.UTF-8", "PS1=ready> "}, env...) {
		args = append(args, "-e", e)
	}
	p.tmux(append(args, "bash", "--norc", "--noprofile")...)
	t.Cleanup(func() { exec.Command("tmux", "-S", p.server, "kill-server").Run() }) //nolint:errcheck // it ends with its last pane
	p.wait("ready>")
	return p
}

// tmux runs a command of tmux and returns its output.
func (p *pane) tmux(args ...string) string {
	p.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-u", "-f", "/dev/null", "-S", p.server}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TMUX=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// keys types keys, by tmux's names.
func (p *pane) keys(keys ...string) {
	p.t.Helper()
	p.tmux(append([]string{"send-keys"}, keys...)...)
}

// command types a line into the shell.
func (p *pane) command(line string) { p.keys("-l", line); p.keys("Enter") }

func (p *pane) screen() string { return p.tmux("capture-pane", "-p") }

// wait waits until the screen shows all of texts.
func (p *pane) wait(texts ...string) string {
	p.t.Helper()
	return p.until(fmt.Sprintf("%q", texts), func(screen string) bool {
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

// until waits until the screen passes ok.
func (p *pane) until(what string, ok func(screen string) bool) string {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		screen := p.screen()
		if ok(screen) {
			return screen
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("no %s within %v; the screen is\n%s", what, patience, screen)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// start runs the screens for sockets and waits until they are there. It returns their process id.
func (p *pane) start(kind string, sockets ...string) int {
	p.t.Helper()
	p.command(p.line(kind, "exec ", sockets...))
	p.wait("[1 Overview]")
	return p.pid("pid")
}

// line is the shell's line that shows the screens from a shell of its own, which it replaces when how is "exec ".
func (p *pane) line(kind, how string, sockets ...string) string {
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	script := filepath.Join(p.dir, "run.sh")
	text := fmt.Sprintf("echo $$ >%s/pid\n%s=%s SOCKETS=%s %s%s\necho status $?\n", p.dir, helperEnv, kind, strings.Join(sockets, ":"), how, self)
	if how != "" { // a shell cannot exec behind assignments everywhere
		text = fmt.Sprintf("echo $$ >%s/pid\nexport %s=%s SOCKETS=%s\nexec %s\n", p.dir, helperEnv, kind, strings.Join(sockets, ":"), self)
	}
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return "sh " + script
}

func (p *pane) pid(file string) int {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, file))
	if err != nil {
		p.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		p.t.Fatal(err)
	}
	return pid
}

// modes are the settings of the terminal as stty says them, and whether the alternate screen is shown and the cursor is not.
func (p *pane) modes() string {
	p.t.Helper()
	file := filepath.Join(p.dir, "stty")
	os.Remove(file) //nolint:errcheck // of the time before
	p.command("stty -a >" + file + ".new; mv " + file + ".new " + file)
	p.until("answer of stty", func(string) bool { _, err := os.Stat(file); return err == nil })
	b, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b) + p.tmux("display-message", "-p", "alternate #{alternate_on} cursor #{cursor_flag} mouse #{mouse_any_flag} keypad #{keypad_cursor_flag}")
}

// daemon is a real pushd.
type daemon struct {
	t      *testing.T
	socket string
	addr   string
	cmd    *exec.Cmd
}

// builtIn is the directory of the pushd that tests built, for TestMain to remove; "" while there is none.
var builtIn string

var buildPushd = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tui-test")
	if err != nil {
		return "", err
	}
	builtIn = dir
	bin := filepath.Join(dir, "pushd")
	out, err := exec.Command("go", "build", "-o", bin, "holdfast/cmd/pushd").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build pushd: %w\n%s", err, out)
	}
	return bin, nil
})

// newDaemon starts a pushd on a socket of its own.
func newDaemon(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{t: t, socket: filepath.Join(t.TempDir(), "pushd.sock")}
	d.start()
	t.Cleanup(d.stop)
	return d
}

func (d *daemon) start() {
	d.t.Helper()
	bin, err := buildPushd()
	if err != nil {
		d.t.Fatal(err)
	}
	d.cmd = exec.Command(bin, "--listen", "127.0.0.1:0", "--publish-listen", "off", "--socket", d.socket, "--drain-timeout", "1s", "--loops", "2")
	pipe, err := d.cmd.StderrPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.addr = d.listening(pipe)
}

// listening reads the address of the listener from pushd's log, and reads on until pushd ends.
func (d *daemon) listening(log io.Reader) string {
	d.t.Helper()
	found := make(chan string, 1)
	var said strings.Builder // complete when found is closed
	go func() {
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			if _, rest, ok := strings.Cut(lines.Text(), "listen=["); ok && len(found) == 0 {
				addr, _, _ := strings.Cut(rest, "]")
				found <- addr
			}
			said.WriteString(lines.Text() + "\n")
		}
		close(found)
	}()
	select {
	case addr, ok := <-found:
		if ok {
			return addr
		}
		d.t.Fatalf("pushd ended:\n%s", said.String())
	case <-time.After(patience):
		d.t.Fatal("pushd does not say where it listens")
	}
	return ""
}

// kill ends pushd without its knowing.
func (d *daemon) kill() {
	d.cmd.Process.Kill() //nolint:errcheck // it may have ended
	d.cmd.Wait()         //nolint:errcheck // it was killed
}

func (d *daemon) stop() {
	d.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
	d.cmd.Wait()                          //nolint:errcheck // likewise
}

// hold opens a stream of a channel until the test ends.
func (d *daemon) hold(channel string) {
	d.t.Helper()
	resp, err := http.Get("http://" + d.addr + "/events?channel=" + channel)
	if err != nil {
		d.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		d.t.Fatalf("subscribe to %s: %s", channel, resp.Status)
	}
	d.t.Cleanup(func() { resp.Body.Close() })
}

// TestTerminalIsRestored ends the screens in every way there is, and compares the terminal with how it was.
func TestTerminalIsRestored(t *testing.T) {
	d := newDaemon(t)
	for _, tt := range []struct {
		name string
		kind string
		end  func(p *pane, pid int)
		says string // on the terminal afterwards
	}{
		{"q", "run", func(p *pane, _ int) { p.keys("q") }, ""},
		{"ctrl-c", "run", func(p *pane, _ int) { p.keys("C-c") }, ""},
		{"SIGTERM", "run", func(_ *pane, pid int) { syscall.Kill(pid, syscall.SIGTERM) }, ""},
		{"SIGHUP", "run", func(_ *pane, pid int) { syscall.Kill(pid, syscall.SIGHUP) }, ""},
		{"SIGINT", "run", func(_ *pane, pid int) { syscall.Kill(pid, syscall.SIGINT) }, ""},
		{"SIGQUIT", "run", func(_ *pane, pid int) { syscall.Kill(pid, syscall.SIGQUIT) }, ""},
		{"fault", "fault", func(p *pane, _ int) { p.keys("2") }, "a fault of pushstat itself"},
		{"fetch-fault", "fetch-fault", func(p *pane, _ int) { p.keys("2") }, "a fault of pushstat itself"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPane(t, 100, 30)
			before := p.modes()
			pid := p.start(tt.kind, d.socket)
			tt.end(p, pid)
			p.until("end of the process", func(string) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
			p.wait("ready>", tt.says)
			if after := p.modes(); after != before {
				t.Errorf("the terminal is not as it was; before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// TestStopAndGoOn stops the screens in every way there is. The shell has the terminal as it was,
// and after fg the keys work.
func TestStopAndGoOn(t *testing.T) {
	d := newDaemon(t)
	for _, tt := range []struct {
		name string
		stop func(p *pane, pid int)
	}{
		{"ctrl-z", func(p *pane, _ int) { p.keys("C-z") }},
		{"SIGTSTP", func(_ *pane, pid int) { syscall.Kill(pid, syscall.SIGTSTP) }},
		{"SIGTSTP twice", func(_ *pane, pid int) {
			syscall.Kill(pid, syscall.SIGTSTP)
			syscall.Kill(pid, syscall.SIGTSTP)
		}},
		{"SIGTSTP to the group", func(_ *pane, pid int) { syscall.Kill(-pid, syscall.SIGTSTP) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPane(t, 100, 30)
			before := p.modes()
			pid := p.start("run", d.socket)
			for range 2 {
				tt.stop(p, pid)
				p.wait("Stopped", "ready>")
				if now := p.modes(); now != before {
					t.Errorf("the terminal is not as it was; before:\n%s\nnow:\n%s", before, now)
				}
				p.command("clear; fg")
				p.wait("[1 Overview]", "q quit")
				p.keys("2")
				p.wait("[2 Loops]")
				p.keys("1")
				p.wait("[1 Overview]")
			}
			p.keys("q")
			p.until("end of the process", func(string) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
			if after := p.modes(); after != before {
				t.Errorf("the terminal is not as it was; before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// TestGoOnAfterSIGSTOP: nothing can be put right before it, but the keys work after it.
func TestGoOnAfterSIGSTOP(t *testing.T) {
	p := newPane(t, 100, 30)
	before := p.modes()
	pid := p.start("run", newDaemon(t).socket)
	syscall.Kill(pid, syscall.SIGSTOP)
	p.wait("Stopped")
	p.command("stty icanon echo; fg")
	p.wait("[1 Overview]", "q quit")
	p.keys("2")
	p.wait("[2 Loops]")
	p.keys("q")
	p.until("end of the process", func(string) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
	if after := p.modes(); after != before {
		t.Errorf("the terminal is not as it was; before:\n%s\nafter:\n%s", before, after)
	}
}

// TestScreensEndWithTheirParent: a script that shows the screens is killed. They must not go on drawing over its shell.
func TestScreensEndWithTheirParent(t *testing.T) {
	d := newDaemon(t)
	p := newPane(t, 100, 30)
	before := p.modes()
	p.command(p.line("run", "", d.socket))
	p.wait("[1 Overview]")
	syscall.Kill(p.pid("pid"), syscall.SIGKILL)
	p.wait("the program that started pushstat has ended")
	if after := p.modes(); after != before {
		t.Errorf("the terminal is not as it was; before:\n%s\nafter:\n%s", before, after)
	}
}

// TestScreensUnderTmux goes through the views of a real pushd.
func TestScreensUnderTmux(t *testing.T) {
	d := newDaemon(t)
	for i := range 3 {
		d.hold(fmt.Sprintf("room-%d", i))
	}
	p := newPane(t, 80, 24)
	p.start("run", d.socket)
	p.wait(" OK ", "events (SSE)", "CONNECTIONS", "q quit")
	p.keys("2")
	p.wait("[2 Loops]", "2 loops", "write p99")
	p.keys("Tab")
	p.wait("[3 Channels]", "3 channels with subscribers", "room-2")
	p.keys("4")
	p.wait("[4 Connections]", "3 connections", "127.0.0.1:", "room-1")
	p.keys("Enter")
	p.wait("Connection ", "event loop", "channels")
	p.keys("Escape")
	p.wait("3 connections")
	p.keys("x")
	p.wait("[y/N]")
	p.keys("n")
	p.wait("Nothing was done")
	p.keys("x")
	p.wait("[y/N]")
	p.keys("y")
	p.wait("Closed connection", "2 connections")
	p.keys("5")
	p.wait("No routes")
	p.keys("6")
	p.wait("[6 Events]", "drops, overload")
	p.keys("?")
	p.wait("pushstat: keys", "in Events", "any key goes back")
	p.keys("Escape")
	p.wait("[6 Events]")
	p.keys("1")
	p.wait("[1 Overview]", "MESSAGES")
	p.tmux("resize-window", "-x", "120", "-y", "40")
	p.wait("highest", "Delivered")
	p.tmux("resize-window", "-x", "40", "-y", "10")
	p.wait("[1 Overview] 2 3 4 5 6", "conns 2")
	p.tmux("resize-window", "-x", "20", "-y", "5")
	p.wait("too small", "20x5, need 30x8")
	p.tmux("resize-window", "-x", "80", "-y", "24")
	p.wait("MESSAGES", "q quit")
}

// TestEventsAfterTheirKindIsChanged: the subscription of the new kind lives on when the end of the
// old one comes to pushd late.
func TestEventsAfterTheirKindIsChanged(t *testing.T) {
	d := newDaemon(t)
	p := newPane(t, 100, 30)
	p.start("run", d.socket)
	for i := range 8 {
		name := fmt.Sprintf("kind-%d", i)
		p.keys("6")
		p.wait("drops, overload")
		p.keys([]string{"a", "a", "a"}[:1+i%2*2]...)
		p.wait("everything that happens", "Nothing has happened")
		p.until("event of "+name, func(screen string) bool {
			if strings.Contains(screen, name) {
				return true
			}
			d.hold(name) // the subscription may not have begun before
			return false
		})
		p.keys("a", "c", "1")
		p.wait("[1 Overview]")
	}
}

// TestReconnectUnderTmux kills pushd and starts another in its place.
func TestReconnectUnderTmux(t *testing.T) {
	d := newDaemon(t)
	p := newPane(t, 80, 24)
	p.start("run", d.socket)
	p.wait(" OK ")
	pid := d.cmd.Process.Pid
	p.wait(fmt.Sprintf("pid %d", pid))
	d.kill()
	p.wait("CRITICAL", "NO ANSWER from pushd", "figures are of", fmt.Sprintf("pid %d", pid))
	d.start()
	p.wait("pushd was away and is back", fmt.Sprintf("pid %d", d.cmd.Process.Pid))
}
