package tui

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sys/unix"
)

// slowTerminal is a terminal far away: it answers what it is asked only when the screens have been
// left, as it would when the user quits within a round trip.
type slowTerminal struct {
	t      *testing.T
	master *os.File
	user   *os.File // the side of programs
	cmd    *exec.Cmd
	seen   []byte
	at     int // bytes of seen that the test has waited for
	asked  int // bytes of seen that were answered
}

// newSlowTerminal runs the screens in a session of their own, in which no shell could continue them
// after a stop.
func newSlowTerminal(t *testing.T, socket string) *slowTerminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}
	if err != nil {
		t.Fatal(err)
	}
	user, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), helperEnv+"=run", "SOCKETS="+socket,
		"TERM=xterm-256color", "LC_ALL=C.UTF-8")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = user, user, user
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() }) //nolint:errcheck // it has ended, unless the test failed
	return &slowTerminal{t: t, master: master, user: user, cmd: cmd}
}

// questions are what Bubble Tea and we ask, with the answers of a terminal.
var questions = []struct{ ask, answer string }{
	{"\x1b[?2026$p", "\x1b[?2026;2$y"}, {"\x1b[?2027$p", "\x1b[?2027;2$y"},
	{"\x1b[?u", "\x1b[?0u"}, {askDevice, "\x1b[?62;4c"},
}

// readUntil reads what the screens write until it has text, behind what the test has waited for
// before.
func (s *slowTerminal) readUntil(text string) {
	s.t.Helper()
	buf := make([]byte, 4096)
	s.master.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // the test's own ends it
	from := s.at
	for !bytes.Contains(s.seen[from:], []byte(text)) {
		n, err := s.master.Read(buf)
		if err != nil {
			s.t.Fatalf("read the terminal: %v; want %q behind %d bytes, and the last are %q",
				err, text, from, s.seen[max(0, len(s.seen)-200):])
		}
		s.seen = append(s.seen, buf[:n]...)
	}
	s.at = from + bytes.Index(s.seen[from:], []byte(text)) + len(text)
}

func (s *slowTerminal) keys(text string) {
	s.t.Helper()
	if _, err := s.master.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// answer answers what was asked since the last time, in the order of the questions.
func (s *slowTerminal) answer() {
	s.t.Helper()
	for rest := s.seen[s.asked:]; len(rest) > 0; rest = rest[1:] {
		for _, q := range questions {
			if bytes.HasPrefix(rest, []byte(q.ask)) {
				s.keys(q.answer)
			}
		}
	}
	s.asked = len(s.seen)
}

// left is what a shell would read from the terminal now.
func (s *slowTerminal) left() string {
	s.t.Helper()
	fd := int(s.user.Fd())
	mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	if mode.Lflag&unix.ICANON == 0 || mode.Lflag&unix.ECHO == 0 {
		s.t.Error("the terminal is still in raw mode")
	}
	mode.Lflag &^= unix.ICANON
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 0, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, mode); err != nil {
		s.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := unix.Read(fd, buf)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(buf[:n])
}

// Answers of the terminal that come when the user has quit do not end up at the shell's prompt.
func TestLateAnswersAreNotLeftToTheShell(t *testing.T) {
	s := newSlowTerminal(t, newDaemon(t).socket)
	s.readUntil("\x1b[?u")
	s.readUntil("q\x1b") // its hints are the end of the first screen
	s.keys("q")
	s.readUntil("\x1b[?1049l")
	s.readUntil(askDevice) // not before the screens are left
	if !bytes.Contains(s.seen, []byte(questions[0].ask)) {
		t.Errorf("the terminal is not asked what it can do, so that there is nothing to test")
	}
	s.answer()
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the screens end with %v", err)
	}
	if got := s.left(); got != "" {
		t.Errorf("the shell reads %q", got)
	}
}

// Without a shell that could continue it Ctrl-Z does not freeze the screens.
func TestStopWithoutAShellIsNone(t *testing.T) {
	s := newSlowTerminal(t, newDaemon(t).socket)
	s.readUntil("\x1b[?u")
	s.readUntil("q\x1b") // its hints are the end of the first screen
	s.answer()
	s.keys("\x1a")
	s.readUntil("\x1b[?1049l")
	s.readUntil(askDevice)
	s.answer()
	s.readUntil("\x1b[?1049h")
	s.keys("2")
	s.readUntil("Loops")
	s.keys("q")
	s.readUntil(askDevice)
	s.answer()
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the screens end with %v", err)
	}
	if got := s.left(); got != "" {
		t.Errorf("the shell reads %q", got)
	}
}

// A stop signal that came before the process went on does not stop it again.
func TestStopBeforeGoingOnIsOver(t *testing.T) {
	begun := time.Now()
	tm := &terminal{taken: begun.Add(time.Second)}
	early := suspension{tm, true, begun}
	late := suspension{tm, true, begun.Add(2 * time.Second)}
	if !early.over() || late.over() {
		t.Errorf("over: %v before, %v after; want true, false", early.over(), late.over())
	}
	if msg := (stopMsg{early}).cmd()(); msg != tea.ClearScreen() {
		t.Errorf("a stop that is over gives %T, want only a new picture", msg)
	}
}
