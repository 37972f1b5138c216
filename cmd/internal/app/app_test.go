package app

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
)

// call is what an action saw.
type call struct {
	command string
	args    []string
	text    string
	n       int
	lines   bool
	headers []string
	wait    time.Duration
}

// testApp has options of every kind and a subcommand; what its actions saw goes to got.
func testApp(got *call) *cli.App {
	flags := func() []cli.Flag {
		size := Size(8192)
		return []cli.Flag{
			&cli.StringFlag{Name: "text", Aliases: []string{"t"}, Usage: "some `TEXT`", EnvVars: []string{"APPTEST_TEXT"}},
			&cli.IntFlag{Name: "number", Aliases: []string{"n"}, EnvVars: []string{"APPTEST_NUMBER"}},
			&cli.BoolFlag{Name: "lines", Aliases: []string{"l"}, Usage: "a message for each line"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Category: "Output"},
			&cli.StringSliceFlag{Name: "header", Aliases: []string{"H"}},
			&cli.DurationFlag{Name: "wait", Value: time.Second},
			&cli.GenericFlag{Name: "size", Value: &size, EnvVars: []string{"APPTEST_SIZE"}},
		}
	}
	saw := func(name string) cli.ActionFunc {
		return func(c *cli.Context) error {
			*got = call{command: name, args: c.Args().Slice(), text: c.String("text"), n: c.Int("number"),
				lines: c.Bool("lines"), headers: c.StringSlice("header"), wait: c.Duration("wait")}
			return nil
		}
	}
	a := New("apptest", "test the ways of an application")
	a.Flags = flags()
	a.Action = saw("root")
	a.Commands = []*cli.Command{{Name: "bench", Usage: "measure", Flags: flags(), Action: saw("bench")}}
	return a
}

// runApp runs a and returns its exit code and output.
func runApp(a *cli.App, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	a.Writer, a.ErrWriter = &out, &errs
	code = Run(context.Background(), a, append([]string{"apptest"}, args...))
	return code, out.String(), errs.String()
}

func TestOptionsStandAnywhere(t *testing.T) {
	tests := []struct {
		line string
		want call
	}{
		{"a b", call{args: []string{"a", "b"}}},
		{"a --text x b -n 3", call{args: []string{"a", "b"}, text: "x", n: 3}},
		{"a -- --text x", call{args: []string{"a", "--text", "x"}}},
		{"a -5 -", call{args: []string{"a", "-5", "-"}}},
		{"-.5", call{args: []string{"-.5"}}},
		{"a --number -5", call{args: []string{"a"}, n: -5}},
		{"a -ln7", call{args: []string{"a"}, lines: true, n: 7}},
		{"a -ql -n 7", call{args: []string{"a"}, lines: true, n: 7}},
		{"a -qn=7", call{args: []string{"a"}, n: 7}},
		{"a -tfoo", call{args: []string{"a"}, text: "foo"}},
		{"a --text= b", call{args: []string{"a", "b"}}},
		{"a --text=x=y", call{args: []string{"a"}, text: "x=y"}},
		{"a --lines=false", call{args: []string{"a"}}},
		{"a -t x --text y", call{args: []string{"a"}, text: "y"}},
		{"a --text --", call{args: []string{"a"}, text: "--"}},
		{"help", call{args: []string{"help"}}},
		{"h", call{args: []string{"h"}}},
		{"a bench", call{args: []string{"a", "bench"}}},
		{"-- bench", call{args: []string{"bench"}}},
		{"bench", call{command: "bench"}},
		{"bench a -l b -n 3", call{command: "bench", args: []string{"a", "b"}, lines: true, n: 3}},
		{"bench -- help", call{command: "bench", args: []string{"help"}}},
		{"bench help", call{command: "bench", args: []string{"help"}}},
		{"a -H x:y -H a:b,c", call{args: []string{"a"}, headers: []string{"x:y", "a:b,c"}}},
	}
	for _, tt := range tests {
		want := tt.want
		if want.command == "" {
			want.command = "root"
		}
		want.wait = time.Second
		var got call
		code, stdout, stderr := runApp(testApp(&got), strings.Fields(tt.line)...)
		if code != OK || stdout+stderr != "" {
			t.Errorf("%q: exit %d, stdout %q, stderr %q", tt.line, code, stdout, stderr)
		}
		if !equal(got, want) {
			t.Errorf("%q: got %+v, want %+v", tt.line, got, want)
		}
	}
}

func equal(a, b call) bool {
	return a.command == b.command && strings.Join(a.args, "\x00") == strings.Join(b.args, "\x00") && a.text == b.text &&
		a.n == b.n && a.lines == b.lines && strings.Join(a.headers, "\x00") == strings.Join(b.headers, "\x00") && a.wait == b.wait
}

func TestUsageErrorsAreOneLineOnStderr(t *testing.T) {
	tests := []struct {
		line, env, want string
	}{
		{line: "--lisen x", want: "unknown option --lisen"},
		{line: "--lnies a", want: "unknown option --lnies (did you mean --lines?)"},
		{line: "a --headr=x:y", want: "unknown option --headr (did you mean --header?)"},
		{line: "-z", want: "unknown option -z"},
		{line: "-lz", want: "unknown option -lz"},
		{line: "-v", want: "unknown option -v"},
		{line: "bench --vresion", want: "unknown option --vresion (did you mean --version?)"},
		{line: "a --text", want: "option --text needs a value"},
		{line: "a -t", want: "option -t needs a value"},
		{line: "a -lt", want: "option -t needs a value"},
		{line: "-n x", want: `--number: "x" is not a whole number`},
		{line: "--number 99999999999999999999", want: `--number: "99999999999999999999" is not a whole number`},
		{line: "bench --wait 5", want: `--wait: "5" is not a duration such as 500ms, 10s or 1m`},
		{line: "--lines=maybe", want: `--lines: "maybe" is not true or false`},
		{line: "--size 8KB", want: `--size: "8KB" is not a size: want bytes, or a number with KiB, MiB or GiB, such as 256KiB`},
		{env: "APPTEST_NUMBER=x", want: `$APPTEST_NUMBER: "x" is not a whole number`},
		{env: "APPTEST_SIZE=big", want: `$APPTEST_SIZE: "big" is not a size: want bytes, or a number with KiB, MiB or GiB, such as 256KiB`},
		{line: "--lines bench", want: "--lines is not an option of apptest bench"},
	}
	for _, tt := range tests {
		t.Run(tt.line+tt.env, func(t *testing.T) {
			if k, v, ok := strings.Cut(tt.env, "="); ok {
				t.Setenv(k, v)
			}
			var got call
			code, stdout, stderr := runApp(testApp(&got), strings.Fields(tt.line)...)
			if want := "apptest: " + tt.want + "\n"; code != Usage || stdout != "" || stderr != want {
				t.Errorf("exit %d, stdout %q, stderr %q, want %d and %q", code, stdout, stderr, Usage, want)
			}
			if got.command != "" {
				t.Errorf("the action ran: %+v", got)
			}
		})
	}
}

func TestSharedOptionsFollowTheSubcommand(t *testing.T) {
	for _, line := range []string{"report -n 3 --text x a", "-n 3 report a --text x", "-n 3 --text x report a"} {
		var got call
		a := testApp(&got)
		Share(a)
		a.Commands = []*cli.Command{{
			Name:  "report",
			Flags: []cli.Flag{&cli.BoolFlag{Name: "json"}},
			Action: func(c *cli.Context) error {
				got = call{command: "report", args: c.Args().Slice(), text: c.String("text"), n: c.Int("number")}
				if !Given(c, "n") || !Given(c, "number") || Given(c, "lines") {
					t.Errorf("%q: Given(n, number, lines) = %v %v %v", line, Given(c, "n"), Given(c, "number"), Given(c, "lines"))
				}
				return nil
			},
		}}
		code, _, stderr := runApp(a, strings.Fields(line)...)
		if want := (call{command: "report", args: []string{"a"}, text: "x", n: 3}); code != OK || !equal(got, want) {
			t.Errorf("%q: exit %d, %q, got %+v, want %+v", line, code, stderr, got, want)
		}
	}
}

func TestGivenIsOnlyTheCommandLine(t *testing.T) {
	t.Setenv("APPTEST_TEXT", "x")
	a := testApp(&call{})
	a.Action = func(c *cli.Context) error {
		if !c.IsSet("text") || Given(c, "text") {
			t.Errorf("IsSet = %v, Given = %v; want true, false", c.IsSet("text"), Given(c, "text"))
		}
		return nil
	}
	if code, _, stderr := runApp(a); code != OK {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestHelpAndVersionGoToStdout(t *testing.T) {
	for _, line := range []string{"-h", "--help", "a --help", "bench a -h", "--help --bogus", "--lines --help", "-qh"} {
		code, stdout, stderr := runApp(testApp(&call{}), strings.Fields(line)...)
		if code != OK || stderr != "" || !strings.HasPrefix(stdout, "apptest") || !strings.Contains(stdout, "-t, --text TEXT") {
			t.Errorf("%q: exit %d, stderr %q, stdout:\n%s", line, code, stderr, stdout)
		}
	}
	for _, line := range []string{"-V", "--version", "bench -V"} {
		code, stdout, stderr := runApp(testApp(&call{}), strings.Fields(line)...)
		if code != OK || stderr != "" || !strings.HasPrefix(stdout, "apptest ") || strings.Count(stdout, "\n") != 1 {
			t.Errorf("%q: exit %d, stdout %q, stderr %q", line, code, stdout, stderr)
		}
	}
}

func TestExitCodes(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	gone := &fs.PathError{Op: "write", Path: os.Stdout.Name(), Err: syscall.EPIPE}
	tests := []struct {
		ctx    context.Context
		err    error
		code   int
		stderr string
	}{
		{err: nil, code: OK},
		{err: errors.New("read: no such thing"), code: Failed, stderr: "apptest: read: no such thing\n"},
		{err: Usagef("no channel given"), code: Usage, stderr: "apptest: no channel given\n"},
		{err: Exit(NotThere, errors.New("no pushd\nat b\x1b[2J")), code: NotThere, stderr: "apptest: no pushd\nat b\ufffd[2J\n"},
		{err: Exit(NoReceivers, nil), code: NoReceivers},
		{err: gone, code: Failed},
		{err: &fs.PathError{Op: "write", Path: "other", Err: syscall.EPIPE}, code: Failed, stderr: "apptest: write other: broken pipe\n"},
		{ctx: cancelled, err: context.Canceled, code: Failed, stderr: "apptest: interrupted\n"},
	}
	for _, tt := range tests {
		var stderr bytes.Buffer
		a := New("apptest", "")
		a.ErrWriter = &stderr
		a.Action = func(*cli.Context) error { return tt.err }
		ctx := tt.ctx
		if ctx == nil {
			ctx = context.Background()
		}
		if code := Run(ctx, a, []string{"apptest"}); code != tt.code || stderr.String() != tt.stderr {
			t.Errorf("%v: exit %d, stderr %q, want %d, %q", tt.err, code, stderr.String(), tt.code, tt.stderr)
		}
	}
}

func TestMainCancelsAtSIGTERM(t *testing.T) {
	a := New("apptest", "")
	a.ErrWriter = &bytes.Buffer{}
	a.Action = func(c *cli.Context) error {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			return err
		}
		<-c.Context.Done()
		return nil
	}
	if code := Main(a, []string{"apptest"}); code != OK {
		t.Errorf("exit %d, want 0", code)
	}
}

func TestMisspeltSocketVariableIsRefused(t *testing.T) {
	for variable, refused := range map[string]bool{
		"PUSHD_SOKET=/x": true, "PUSHD_SOCKETS=/x": true, "PUSHD_SCOKET=/x": true,
		"PUSHD_SOCKET=/x": false, "PUSHD_SOCKET_MODE=0600": false, "PUSHD_SOCKET_GROUP=a": false,
		"PUSHD_SOKET=": false, "PUSHD_STATSD=a:1": false, "PUSHD_ROUTES=/x": false, "XPUSHD_SOKET=/x": false,
	} {
		err := misspeltSocket([]string{"HOME=/", variable})
		if name, _, _ := strings.Cut(variable, "="); refused != (err != nil) || refused && !strings.Contains(err.Error(), "$"+name+": ") {
			t.Errorf("%s: %v, refused: want %t", variable, err, refused)
		}
	}
}
