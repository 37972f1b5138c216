package app

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// commandApp is an application whose first argument is always a command.
func commandApp(got *call) *cli.App {
	a := testApp(got)
	HelpCommands(a)
	return a
}

func TestHelpAndVersionAreCommands(t *testing.T) {
	_, help, _ := runApp(commandApp(&call{}), "--help")
	_, bench, _ := runApp(commandApp(&call{}), "bench", "--help")
	_, version, _ := runApp(commandApp(&call{}), "--version")
	for line, want := range map[string]string{
		"help": help, "help help": help, "help version": help, "help --help": help, "help bench": bench, "version": version,
	} {
		var got call
		code, stdout, stderr := runApp(commandApp(&got), strings.Fields(line)...)
		if code != OK || stderr != "" || stdout != want || got.command != "" {
			t.Errorf("%q: exit %d, stderr %q, ran %q, stdout:\n%s\nwant:\n%s", line, code, stderr, got.command, stdout, want)
		}
	}
	for _, want := range []string{"  help     ", "  version  "} {
		if !strings.Contains(help, want) {
			t.Errorf("the help does not list %q:\n%s", strings.TrimSpace(want), help)
		}
	}
}

// The option of a command that was misspelt is not the fault.
func TestUnknownCommandIsNamedBeforeItsOptions(t *testing.T) {
	for line, want := range map[string]string{
		"bensh --rate 5":  `unknown command "bensh" (did you mean bench?)`,
		"bensh -z":        `unknown command "bensh" (did you mean bench?)`,
		"x --rate 5":      `unknown command "x"; there are: bench`,
		"help bensh":      `unknown command "bensh" (did you mean bench?)`,
		"version bench":   `unexpected argument "bench"`,
		"help bench more": `unexpected argument "more"`,
		"--rate 5":        `unknown option --rate`,
		"--lines --rat":   `unknown option --rat`,
	} {
		code, stdout, stderr := runApp(commandApp(&call{}), strings.Fields(line)...)
		if want := "apptest: " + want + "\n"; code != Usage || stdout != "" || stderr != want {
			t.Errorf("%q: exit %d, stdout %q, stderr %q, want %d and %q", line, code, stdout, stderr, Usage, want)
		}
	}
}

func TestHelpLeavesOutWhatTheCommandRefuses(t *testing.T) {
	a := testApp(&call{})
	a.Commands = append(a.Commands, &cli.Command{Name: "list"}, &cli.Command{Name: "more"})
	Share(a)
	Without(a, "list", "number", "wait")
	Without(a, "list", "text")
	_, list, _ := runApp(a, "list", "--help")
	for _, option := range []string{"--number", "--wait", "--text"} {
		if strings.Contains(list, option) {
			t.Errorf("the help of list offers %s:\n%s", option, list)
		}
	}
	if !strings.Contains(list, "--lines") || !strings.Contains(list, "--help") {
		t.Errorf("the help of list lacks shared options:\n%s", list)
	}
	a = testApp(&call{})
	a.Commands = append(a.Commands, &cli.Command{Name: "more"})
	Share(a)
	Without(a, "list", "number")
	if _, more, _ := runApp(a, "more", "--help"); !strings.Contains(more, "--number") {
		t.Errorf("the help of more lacks --number:\n%s", more)
	}
}

// terminal is a terminal of a width.
func terminal(t *testing.T, width uint16) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: width})
	}
	if err != nil {
		t.Fatal(err)
	}
	user, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	return user
}

func TestHelpFitsTheTerminal(t *testing.T) {
	for columns, want := range map[uint16]int{0: 80, 40: 80, 80: 80, 96: 96, 100: 100, 300: 120} {
		if got := helpWidth(terminal(t, columns)); got != want {
			t.Errorf("in %d columns the help is %d wide, want %d", columns, got, want)
		}
	}
	if got := helpWidth(&strings.Builder{}); got != 80 {
		t.Errorf("where there is no terminal the help is %d wide, want 80", got)
	}
	for _, width := range []int{80, 100} {
		h := &help{width: width}
		long := strings.Repeat("überlang ", 40)
		h.head("apptest list", long, "apptest list "+long, "")
		h.row("--option", long)
		for line := range strings.Lines(h.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > width {
				t.Errorf("%d wide: a line has %d characters: %q", width, n, line)
			}
		}
		if lines := slices.Collect(strings.Lines(h.String())); !strings.HasPrefix(lines[len(lines)-1], strings.Repeat(" ", helpColumn)+"ü") {
			t.Errorf("%d wide: the last line is %q, want it in the column of explanations", width, lines[len(lines)-1])
		}
	}
}
