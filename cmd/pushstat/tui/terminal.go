package tui

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal is the user's terminal around Bubble Tea. It is in raw mode from take to give, so that
// answers of the terminal that come after Bubble Tea has ended are read here and not by the shell.
type terminal struct {
	in, out *os.File
	before  *unix.Termios // how it was
	taken   time.Time
	stops   chan os.Signal // SIGTSTP and SIGCONT
}

// Bounds of the wait for answers of the terminal. Bubble Tea asks it for what it can do when it
// begins.
const (
	answersTake = 5 * time.Second // an older question has its answer, or gets none
	settleTime  = time.Second     // a terminal that does not answer by then does not
)

// askDevice is the question that every terminal answers (DA1). Answers come in the order of the
// questions.
const askDevice = "\x1b[c"

var deviceAnswer = regexp.MustCompile(`\x1b\[\?[0-9;]*c`)

// take notes how the terminal is and puts it into raw mode.
func (t *terminal) take() (err error) {
	fd := int(t.in.Fd())
	if t.before == nil {
		if t.before, err = unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
			return err
		}
	}
	t.taken = time.Now()
	_, err = term.MakeRaw(fd)
	return err
}

// give waits for answers that are under way, throws them away, and makes the terminal as it was.
func (t *terminal) give() {
	if t.before == nil {
		return
	}
	fd := int(t.in.Fd())
	if !t.foreground() { // it is somebody else's now
		return
	}
	if time.Since(t.taken) < answersTake {
		t.settle(fd)
	}
	unix.IoctlSetTermios(fd, unix.TCSETSF, t.before) //nolint:errcheck // the terminal has gone
}

// foreground reports whether the terminal belongs to this process group.
func (t *terminal) foreground() bool {
	group, err := unix.IoctlGetInt(int(t.in.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// settle asks the terminal one more question and reads up to its answer.
func (t *terminal) settle(fd int) {
	if _, err := t.out.WriteString(askDevice); err != nil {
		return
	}
	var got []byte
	buf := make([]byte, 256)
	for end := time.Now().Add(settleTime); !deviceAnswer.Match(got); {
		wait := time.Until(end).Milliseconds()
		if wait <= 0 {
			return
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, int(wait)); errors.Is(err, unix.EINTR) {
			continue
		}
		if fds[0].Revents == 0 {
			return
		}
		n, err := unix.Read(fd, buf)
		if n <= 0 || err != nil {
			return
		}
		got = append(got, buf[:n]...)
	}
}

// watchStops tells the program of SIGTSTP and SIGCONT until stop is called.
func (t *terminal) watchStops(send func(tea.Msg)) (stop func()) {
	t.stops = make(chan os.Signal, 1)
	signal.Notify(t.stops, syscall.SIGTSTP, syscall.SIGCONT)
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case s := <-t.stops:
				send(stopMsg{suspension{t, s == syscall.SIGTSTP, time.Now()}})
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(t.stops)
		close(done)
		<-ended
	}
}

// stopMsg says that the process is to stop, or that it was stopped and goes on: a shell may have
// changed the terminal meanwhile.
type stopMsg struct{ suspension }

// cmd has the suspension run. A terminal that is raw is still ours, or ours again, and only to be
// drawn again.
func (s stopMsg) cmd() tea.Cmd {
	if s.over() || !s.stop && s.t.raw() {
		return tea.ClearScreen
	}
	return tea.Exec(s.suspension, func(error) tea.Msg { return tea.ResumeMsg{} })
}

// raw reports whether the terminal is in raw mode.
func (t *terminal) raw() bool {
	now, err := unix.IoctlGetTermios(int(t.in.Fd()), unix.TCGETS)
	return err == nil && now.Lflag&(unix.ICANON|unix.ECHO) == 0
}

// suspension gives the terminal back, stops the process where it is to stop, and takes the terminal
// again when it goes on. Bubble Tea runs it as a command that needs the terminal.
type suspension struct {
	t    *terminal
	stop bool
	at   time.Time // when the signal came
}

// over reports whether the process has been stopped and continued since. One SIGCONT answers every
// stop signal before it.
func (s suspension) over() bool { return s.at.Before(s.t.taken) }

// Run stops the process.
func (s suspension) Run() error {
	if s.stop && !s.over() {
		s.t.give()
		stopThread()
		for len(s.t.stops) > 0 { // they came before SIGCONT, or are it
			<-s.t.stops
		}
	}
	return s.t.take()
}

// SetStdin is for commands with an input of their own.
func (suspension) SetStdin(io.Reader) {}

// SetStdout is for commands with an output of their own.
func (suspension) SetStdout(io.Writer) {}

// SetStderr is for commands with an output of their own.
func (suspension) SetStderr(io.Writer) {}

// stopThread stops this process until it gets SIGCONT. The kernel does nothing where no shell could
// continue it. Only a signal to the calling thread stops before this function goes on. SIGTSTP
// itself would be caught by our handler.
func stopThread() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGTTIN) //nolint:errcheck // it is this thread
}

// suspend stops the process group, as Ctrl-Z does on a terminal that is not raw.
func suspend() tea.Msg {
	syscall.Kill(0, syscall.SIGTSTP) //nolint:errcheck // it is our own group
	return nil
}
