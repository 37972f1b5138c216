package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"holdfast/cmd/internal/app"
	"holdfast/cmd/pushstat/tui"
	"holdfast/pkg/nearest"
)

// Bounds of --interval.
const (
	minInterval = 10 * time.Millisecond
	maxInterval = time.Hour
)

const description = `On a terminal it shows screens, with ? for their keys. Elsewhere, and with report,
it prints a line every --interval. The first line comes at once; its rates are
"-" (with --json "rates" is null), because a rate takes two readings. Each rate
is per second, over the time since the line before.

Columns: open connections and how many of them are held as events, stream, poll
and ws; connections accepted and closed, items published, delivered and dropped
per second; bytes waiting for slow clients, resident memory, and open files of
pushd. With several sockets each has its line, and a
last one adds them up. --json prints an object a line, with the totals of
--once --json beside the rates.

The exit code is 3 when no pushd is there. One that goes away later is waited
for. Ctrl-C ends with 0.`

// options is what the command line asked for.
type options struct {
	sockets  []string // paths, without patterns; never empty: "" stands for the usual places
	interval time.Duration
	count    int // lines to print, 0 for no end
	once     bool
	json     bool
	timeout  time.Duration
}

// newApp builds the command line.
func newApp() *cli.App {
	a := app.New("pushstat", "show what a running pushd does")
	app.Share(a)
	a.UsageText = "pushstat [--interval TIME]\npushstat report [--interval TIME] [--count N] [--json]\npushstat --once [--json]\npushstat COMMAND"
	a.Description = description
	a.Flags = []cli.Flag{
		&cli.StringSliceFlag{Name: "socket", Usage: "control socket at `PATH`, which may be a pattern (repeatable; default $PUSHD_SOCKET, else the places where pushd puts it)"},
		&cli.DurationFlag{Name: "interval", Aliases: []string{"i"}, Usage: "`TIME` from line to line", Value: time.Second},
		&cli.IntFlag{Name: "count", Aliases: []string{"n"}, Usage: "end after `N` lines"},
		&cli.BoolFlag{Name: "once", Usage: "print the state once, in full", DisableDefaultText: true},
		&cli.BoolFlag{Name: "json", Usage: "print JSON", DisableDefaultText: true},
		&cli.DurationFlag{Name: "timeout", Usage: "`TIME` to wait for an answer of pushd", Value: 5 * time.Second},
	}
	a.Action = screens
	a.Commands = []*cli.Command{{
		Name:      "report",
		Usage:     "print a line every --interval, as pushstat does elsewhere",
		UsageText: "pushstat report [--interval TIME] [--count N] [--json]",
		Action:    action,
	}, connectionsCommand(), channelsCommand(), routesCommand(), closeCommand(), eventsCommand(), recordCommand(), plotCommand()}
	app.HelpCommands(a)
	for name, without := range refused {
		app.Without(a, name, without...)
	}
	return a
}

// refused are the shared options that a command does not take.
var refused = map[string][]string{
	"connections": notForLists,
	"channels":    notForLists,
	"routes":      notForLists,
	"close":       notForLists,
	"events":      {"interval", "once"},
	"record":      {"once"},
	"plot":        {"socket", "interval", "count", "once", "json", "timeout"},
}

// notForLists are the options of pushstat that commands do not take which ask once.
var notForLists = []string{"interval", "count", "once"}

// screens shows the live screens where there is a terminal for them and nothing else was asked for, and lines elsewhere.
func screens(c *cli.Context) error {
	for _, name := range []string{"once", "json", "count"} {
		if app.Given(c, name) {
			return action(c)
		}
	}
	if c.NArg() > 0 || c.App.Writer != io.Writer(os.Stdout) || !term.IsTerminal(int(os.Stdout.Fd())) {
		return action(c)
	}
	if err := tui.Usable(os.Stdin, os.Stdout, os.Getenv); err != nil {
		fmt.Fprintf(c.App.ErrWriter, "pushstat: %v: no screens there, lines instead\n", err)
		return action(c)
	}
	o, err := readOptions(c)
	if err != nil {
		return err
	}
	return coded(tui.Run(c.Context, tui.Options{Sockets: o.sockets, Interval: o.interval, Timeout: o.timeout}))
}

func action(c *cli.Context) error {
	o, err := readOptions(c)
	if err != nil {
		return err
	}
	if c.NArg() > 0 {
		hint := ""
		var names []string
		for _, cmd := range c.App.Commands {
			names = append(names, cmd.Name)
		}
		if s := nearest.Name(c.Args().First(), names); s != "" {
			hint = " (did you mean " + s + "?)"
		}
		return app.Usagef("unknown argument %q%s", c.Args().First(), hint)
	}
	if o.once {
		return once(c.Context, o, c.App.Writer)
	}
	return newReport(o, c.App.Writer, c.App.ErrWriter).run(c.Context)
}

func readOptions(c *cli.Context) (options, error) {
	o := options{interval: c.Duration("interval"), count: c.Int("count"), once: c.Bool("once"), json: c.Bool("json"), timeout: c.Duration("timeout")}
	switch {
	case o.interval < minInterval || o.interval > maxInterval:
		return o, app.Usagef("--interval: %v is out of range, %v to 1h are allowed", o.interval, minInterval)
	case app.Given(c, "count") && o.count < 1:
		return o, app.Usagef("--count: %d is out of range, 1 or more is allowed", o.count)
	case o.timeout <= 0:
		return o, app.Usagef("--timeout: %v is out of range, more than 0 is allowed", o.timeout)
	case o.once && (app.Given(c, "count") || app.Given(c, "interval")):
		return o, app.Usagef("--once goes without --count and --interval")
	}
	var err error
	o.sockets, err = expandSockets(c.StringSlice("socket"))
	return o, err
}

// expandSockets replaces patterns by the paths that match, and leaves out what is there twice.
func expandSockets(values []string) ([]string, error) {
	if len(values) == 0 {
		return []string{""}, nil
	}
	var out []string
	for _, v := range values {
		paths := []string{v}
		if strings.ContainsAny(v, "*?[") {
			matches, err := filepath.Glob(v)
			if err != nil {
				return nil, app.Usagef("--socket: bad pattern %q", v)
			}
			if len(matches) == 0 {
				return nil, app.Exit(app.NotThere, noMatchError(v))
			}
			paths = matches
		}
		for _, p := range paths {
			if p == "" {
				return nil, app.Usagef("--socket: the path is empty")
			}
			if !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// noMatchError is a pattern that matches no socket.
type noMatchError string

func (e noMatchError) Error() string { return "no pushd: no socket matches " + string(e) }
