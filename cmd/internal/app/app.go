// Package app holds what the four mains share on top of urfave/cli: how arguments are read, how help, version and
// errors are printed, which exit code means what, and the values (sizes) that several of them take.
//
// Options may stand before or after the arguments, and after a subcommand's name. Nothing below Main ends the process:
// an action returns an error, and Usagef and Exit give it another exit code than 1.
package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"holdfast/pkg/nearest"
	"holdfast/pkg/version"
)

// The exit codes of all four binaries.
const (
	OK          = 0
	Failed      = 1 // failed or refused
	Usage       = 2 // the command line, the environment or the configuration is wrong
	NotThere    = 3 // the counterpart is not there: no pushd on the socket, no /proc to check
	NoReceivers = 4 // accepted, but nobody received it, and somebody had to
)

// Keys of cli.App.Metadata.
const (
	sharedKey   = "app.shared"
	givenKey    = "app.given"
	commandsKey = "app.commands"
	withoutKey  = "app.without"
)

// New returns an application that behaves as the holdfast binaries do once it is run by Main or Run. The caller fills
// in Flags, Commands, UsageText, Description and Action. The options -h/--help and -V/--version are there already.
func New(name, usage string) *cli.App {
	return &cli.App{
		Name:                      name,
		HelpName:                  name,
		Usage:                     usage,
		Version:                   version.String(),
		HideHelp:                  true, // Run prints help and version itself
		HideHelpCommand:           true,
		HideVersion:               true,
		DisableSliceFlagSeparator: true,
		Metadata:                  map[string]any{},
		Reader:                    os.Stdin,
		Writer:                    os.Stdout,
		ErrWriter:                 os.Stderr,
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              usageError,
	}
}

// Share makes the options of a belong to its subcommands too: `pushd check --listen :80` means the same as
// `pushd --listen :80 check`. Without it the options of a are refused where a subcommand runs.
func Share(a *cli.App) { a.Metadata[sharedKey] = true }

// Given reports whether the option stood on the command line, by any of its names. An option that was set by the
// environment or a file was not given.
func Given(c *cli.Context, name string) bool {
	given, _ := c.App.Metadata[givenKey].(map[string]bool)
	return given[name]
}

// Main runs a with a context that ends at the first SIGINT or SIGTERM; the second one kills the process. It returns
// the exit code. args includes the program's name.
func Main(a *cli.App, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return Run(ctx, a, args)
}

// Run runs a within ctx, prints what went wrong on a.ErrWriter as `NAME: error`, once, and returns the exit code.
// args includes the program's name.
func Run(ctx context.Context, a *cli.App, args []string) int {
	err := run(ctx, a, args)
	var pe *fs.PathError
	switch {
	case err == nil:
		return OK
	case errors.As(err, &pe) && pe.Path == os.Stdout.Name() && errors.Is(err, syscall.EPIPE):
		return Failed // the reader of our output left; there is nobody to tell
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		err = Exit(Code(err), errors.New("interrupted"))
	}
	if !silent(err) {
		fmt.Fprintf(a.ErrWriter, "%s: %s\n", a.Name, printableLines(err.Error()))
	}
	return Code(err)
}

func run(ctx context.Context, a *cli.App, args []string) error {
	prepare(a)
	if len(args) > 0 {
		args = args[1:]
	}
	p, err := parse(a, args)
	if err != nil {
		return err
	}
	switch {
	case p.help:
		return writeHelp(a, p.command)
	case p.version:
		_, err := fmt.Fprintf(a.Writer, "%s %s\n", a.Name, a.Version)
		return err
	}
	if err := misspeltSocket(os.Environ()); err != nil {
		return err
	}
	if p.literal {
		a.Commands = nil // after "--" nothing is the name of a subcommand
	}
	a.Metadata[givenKey] = p.given
	return a.RunContext(ctx, append([]string{a.Name}, p.args...))
}

// prepare gives every command the application's ways, which urfave/cli does not hand down.
func prepare(a *cli.App) {
	a.Flags = append(a.Flags, builtins()...)
	var each func(path string, cmds []*cli.Command)
	each = func(path string, cmds []*cli.Command) {
		for _, c := range cmds {
			c.HideHelp, c.HideHelpCommand = true, true
			c.OnUsageError = usageError
			each(path+" "+c.Name, c.Subcommands)
		}
	}
	each(a.Name, a.Commands)
}

func builtins() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "print this help", DisableDefaultText: true},
		&cli.BoolFlag{Name: "version", Aliases: []string{"V"}, Usage: "print the version", DisableDefaultText: true},
	}
}

// exitError is an error with an exit code. Its err is nil when everything was said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Exit returns err with the exit code that the process ends with. With a nil err nothing is printed.
func Exit(code int, err error) error { return &exitError{code: code, err: err} }

// misspeltSocket refuses a variable that was meant to be PUSHD_SOCKET, the only one that all
// binaries read. Without it they would go to another pushd.
func misspeltSocket(environ []string) error {
	const socket = "PUSHD_SOCKET"
	others := []string{socket, socket + "_MODE", socket + "_GROUP"} // pushd's own
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "PUSHD_") && value != "" && nearest.Name(name, others) == socket &&
			name != socket && nearest.Distance(name, socket) <= 2 {
			return Usagef("$%s: unknown variable (did you mean %s?)", name, socket)
		}
	}
	return nil
}

// Usagef returns an error that ends the process with Usage. Its text names the option or argument, the value and what
// is allowed, in one line.
func Usagef(format string, args ...any) error {
	return &exitError{code: Usage, err: fmt.Errorf(format, args...)}
}

// Code returns the exit code for err: that of Exit or Usagef if it was made by them, else OK or Failed.
func Code(err error) int {
	var e *exitError
	switch {
	case err == nil:
		return OK
	case errors.As(err, &e):
		return e.code
	}
	return Failed
}

func silent(err error) bool {
	var e *exitError
	return errors.As(err, &e) && e.err == nil
}

func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = Printable(l)
	}
	return strings.Join(lines, "\n")
}
