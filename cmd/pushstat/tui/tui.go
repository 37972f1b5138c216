// Package tui is pushstat's live screens: what a running pushd does, for an operator at a terminal.
//
// It is a Bubble Tea program in the usual shape. The model (model.go) keeps what is known of each pushd (node.go), asks for
// what the visible view needs and nothing else (fetch.go), and draws a frame once per interval and after keys (screen.go).
// Figures come from pkg/client; all foreign text goes through glyphs.clean before it is drawn.
package tui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/term"
)

// Options is what Run may be told. The zero value of each field but Sockets will do.
type Options struct {
	Sockets  []string      // paths of control sockets, at least one; "" stands for the usual places
	Interval time.Duration // from refresh to refresh; 0 means a second
	Timeout  time.Duration // for an answer of pushd; 0 means five seconds
	In, Out  *os.File      // the terminal; nil means standard input and output
	Environ  []string      // nil means that of the process
}

// framesPerSecond bounds how soon a drawn frame is seen, and how often Bubble Tea wakes to look for one.
const framesPerSecond = 20

// Usable returns nil when in and out are a terminal that the screens can be shown on, and otherwise an error that says why
// not. What is printed line by line works there.
func Usable(in, out *os.File, getenv func(string) string) error {
	switch kind := getenv("TERM"); {
	case !term.IsTerminal(int(out.Fd())):
		return errors.New("standard output is no terminal")
	case !term.IsTerminal(int(in.Fd())):
		return errors.New("standard input is no terminal")
	case kind == "":
		return errors.New("TERM is not set")
	case kind == "dumb" || kind == "unknown":
		return fmt.Errorf("TERM=%s", kind)
	}
	return nil
}

// Run shows the screens until the user quits or ctx ends, and gives the terminal back as it was, also after a panic, SIGTERM
// or SIGHUP. It asks every pushd once before it takes the terminal; when none answers, its error is a *client.DialError or
// wraps one.
func Run(ctx context.Context, o Options) error {
	o.setDefaults()
	return newModel(ctx, o, dialPushd).run(o)
}

// run shows m.
func (m *model) run(o Options) error {
	ctx, stop := signal.NotifyContext(m.ctx, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m.ctx, m.orphaned = ctx, func() { cancel(errOrphaned) }
	defer m.close()
	if err := m.connect(); err != nil {
		return err
	}
	t := &terminal{in: o.In, out: o.Out}
	defer t.give()
	if err := t.take(); err != nil {
		return fmt.Errorf("take the terminal: %w", err)
	}
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithEnvironment(o.Environ),
		tea.WithFPS(framesPerSecond), tea.WithoutSignalHandler())
	defer t.watchStops(p.Send)()
	_, err := p.Run()
	switch cause := context.Cause(ctx); {
	case errors.Is(err, tea.ErrProgramPanic):
		return errors.New("a fault of pushstat itself; the terminal is as it was")
	case cause == errOrphaned:
		return cause
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("show screens: %w", err)
	}
	return nil
}

// errOrphaned ends the screens when the program that started them has ended without a word: the terminal is its parent's again.
var errOrphaned = errors.New("the program that started pushstat has ended")

func (o *Options) setDefaults() {
	if o.Interval <= 0 {
		o.Interval = time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.In == nil {
		o.In = os.Stdin
	}
	if o.Out == nil {
		o.Out = os.Stdout
	}
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
}

// newModel returns the state before anything was asked.
func newModel(ctx context.Context, o Options, dial dialer) *model {
	m := &model{ctx: ctx, dial: dial, timeout: o.Timeout, interval: o.Interval, now: time.Now(), g: &unicodeGlyphs, parent: os.Getppid()}
	if !utf8Locale(getenvOf(o.Environ)) {
		m.g = &asciiGlyphs
	}
	for _, path := range o.Sockets {
		m.nodes = append(m.nodes, &node{path: path})
	}
	if len(m.nodes) > 1 {
		m.scope = -1
	}
	m.curves = make([]curves, len(m.nodes)+1)
	m.views = []view{overview{}, &loops{}, &channels{}, &connections{}, &routes{}, &events{}}
	return m
}

// getenvOf looks names up in an environment. The last entry of a name counts.
func getenvOf(environ []string) func(string) string {
	return func(name string) string {
		for i := len(environ) - 1; i >= 0; i-- {
			if v, ok := strings.CutPrefix(environ[i], name+"="); ok {
				return v
			}
		}
		return ""
	}
}
