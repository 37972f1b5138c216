package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"holdfast/cmd/internal/app"
	"holdfast/cmd/internal/golden"
	"holdfast/pkg/sysprep"
)

// hosts are the fixture trees.
var hosts = []string{"debian", "tuned", "container", "arm64"}

func fixture(host string) string { return filepath.Join("../../pkg/sysprep/testdata", host) }

// sysprepOut runs the command and returns its exit code and output.
func sysprepOut(args ...string) (code int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	a := newApp()
	a.Writer, a.ErrWriter = &out, &errOut
	code = app.Run(context.Background(), a, append([]string{"sysprep"}, args...))
	return code, out.String(), errOut.String()
}

func TestReports(t *testing.T) {
	tests := []struct {
		host, n string
		code    int
	}{
		{"debian", "15000", app.OK},
		{"debian", "1M", app.Failed},
		{"tuned", "1M", app.OK},
		{"container", "15000", app.OK},
		{"container", "1M", app.Failed},
		{"arm64", "1M", app.Failed},
	}
	for _, tt := range tests {
		name := tt.host + "-" + tt.n
		t.Run(name, func(t *testing.T) {
			code, out, errOut := sysprepOut("check", "-n", tt.n, "--root", fixture(tt.host))
			if code != tt.code || errOut != "" {
				t.Errorf("exit code %d with %q on stderr, want %d and nothing", code, errOut, tt.code)
			}
			golden.Check(t, name+".txt", out)

			code, out, errOut = sysprepOut("check", "--json", "-n", tt.n, "--root", fixture(tt.host))
			if code != tt.code || errOut != "" {
				t.Errorf("with --json exit code %d with %q on stderr, want %d and nothing", code, errOut, tt.code)
			}
			golden.Check(t, name+".json", out)
		})
	}
}

func TestHelp(t *testing.T) {
	for name, args := range map[string][]string{"help.txt": {"--help"}, "help-check.txt": {"check", "--help"}} {
		code, out, errOut := sysprepOut(args...)
		if code != app.OK || errOut != "" {
			t.Errorf("sysprep %q: exit code %d with %q on stderr", args, code, errOut)
		}
		golden.Check(t, name, out)
	}
}

func TestReportKeepsTo80Columns(t *testing.T) {
	for _, host := range hosts {
		for _, n := range []string{"1", "20k", "1M", "123456789", "1G"} {
			_, out, _ := sysprepOut("check", "-n", n, "--root", fixture(host))
			for line := range strings.Lines(out) {
				if w := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); w > width {
					t.Errorf("%s, -n %s: %d columns: %s", host, n, w, line)
				}
			}
		}
	}
}

func TestLastLineIsTheCapacity(t *testing.T) {
	tests := []struct{ host, want string }{
		{"debian", "Capacity: 311,539 connections, limited first by memory"},
		{"tuned", "Capacity: 1,077,427 connections, limited first by rlimit.nofile"},
		{"container", "Capacity: 63,247 connections, limited first by rlimit.nofile"},
		{"arm64", "Capacity: 420,020 connections, limited first by memory"},
	}
	for _, tt := range tests {
		_, out, _ := sysprepOut("check", "-n", "15000", "--root", fixture(tt.host))
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if got := lines[len(lines)-1]; got != tt.want {
			t.Errorf("%s: last line %q, want %q", tt.host, got, tt.want)
		}
	}
}

func TestJSONHasTheKeysOfTheContract(t *testing.T) {
	_, out, _ := sysprepOut("check", "-n", "1M", "--json", "--root", fixture("debian"))
	var r map[string]any
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"n", "role", "kernel", "capacity", "first_limit", "checks"} {
		if r[key] == nil {
			t.Errorf("the report has no %q", key)
		}
	}
	checks, _ := r["checks"].([]any)
	if len(checks) == 0 {
		t.Fatal("the report has no checks")
	}
	for _, c := range checks {
		for _, key := range []string{"id", "outcome", "current", "wanted", "why", "fix_now", "fix_for_good"} {
			if _, ok := c.(map[string]any)[key].(string); !ok {
				t.Errorf("check %v has no %q", c, key)
			}
		}
	}
}

func TestUsageErrors(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{nil, "sysprep: no command given; there is: check\n"},
		{[]string{"chekc"}, "sysprep: unknown command \"chekc\"; there is: check\n"},
		{[]string{"check"}, "sysprep: option -n is missing: for how many connections?\n"},
		{[]string{"check", "-n"}, "sysprep: option -n needs a value\n"},
		{[]string{"check", "-n", "many"}, "sysprep: -n: \"many\" is no number of connections, such as 15000, 250k or 1M\n"},
		{[]string{"check", "-n", ""}, "sysprep: -n: \"\" is no number of connections, such as 15000, 250k or 1M\n"},
		{[]string{"check", "-n", "0"}, "sysprep: -n: 0 connections are out of range, 1 to 1000000000\n"},
		{[]string{"check", "-n", "2G"}, "sysprep: -n: 2G connections are out of range, 1 to 1000000000\n"},
		{[]string{"check", "-n", "1M", "more"}, "sysprep: unexpected argument \"more\"\n"},
		{[]string{"check", "-n", "1M", "--jsno"}, "sysprep: unknown option --jsno (did you mean --json?)\n"},
	}
	for _, tt := range tests {
		code, out, errOut := sysprepOut(tt.args...)
		if code != app.Usage || out != "" || errOut != tt.want {
			t.Errorf("sysprep %q: exit code %d, stdout %q, stderr %q; want %d, nothing and %q",
				tt.args, code, out, errOut, app.Usage, tt.want)
		}
	}
}

func TestNothingToCheck(t *testing.T) {
	empty := t.TempDir()
	code, out, errOut := sysprepOut("check", "-n", "1M", "--root", empty)
	if code != app.NotThere || out != "" || !strings.HasPrefix(errOut, "sysprep: cannot check: there is no proc directory below ") {
		t.Errorf("without proc: exit code %d, stdout %q, stderr %q", code, out, errOut)
	}

	if err := os.Mkdir(filepath.Join(empty, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	code, out, errOut = sysprepOut("check", "-n", "1M", "--root", empty)
	if code != app.NotThere || errOut != "sysprep: none of the checks could be made\n" {
		t.Errorf("with an empty proc: exit code %d, stderr %q", code, errOut)
	}
	if !strings.HasSuffix(out, "\nCapacity: unknown\n") {
		t.Errorf("with an empty proc the report ends in %q", out)
	}
}

func TestColour(t *testing.T) {
	h, err := sysprep.Open(fixture("debian"))
	if err != nil {
		t.Fatal(err)
	}
	r := sysprep.Run(h, sysprep.Target{N: 1_000_000})
	var plain, colored bytes.Buffer
	if err := errors.Join(writeReport(&colored, r, true), writeReport(&plain, r, false)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(colored.String(), "\x1b[31;1m[FAIL]\x1b[") {
		t.Error("a failed check of a coloured report is not red and bold")
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Error("a plain report has escape sequences")
	}
}

func TestForeignTextCannotMoveTheCursor(t *testing.T) {
	r := sysprep.Report{N: 1, Role: sysprep.RoleServer, Kernel: "6.1\x1b[2J", Checks: []sysprep.Finding{
		{ID: "memory", Group: sysprep.GroupMemory, Outcome: sysprep.Skip, Why: "\"\x1b[2J\" is no number"},
	}}
	var out bytes.Buffer
	if err := writeReport(&out, r, false); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("an escape sequence of the host reaches the terminal: %q", out.String())
	}
}

func TestReadyOnlyOnceTheWarningsAreHeeded(t *testing.T) {
	// such as a hard limit that is too low, but which the process may raise
	held, id := int64(10), "rlimit.nofile"
	r := sysprep.Report{N: 11, Capacity: &held, FirstLimit: &id, Checks: []sysprep.Finding{
		{ID: id, Group: sysprep.GroupFiles, Outcome: sysprep.Warn, Current: "1", Wanted: "2", Holds: &held},
	}}
	var b bytes.Buffer
	if err := writeReport(&b, r, false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "Ready for 11 connections once the warnings are heeded: 1 warned\n") {
		t.Errorf("the verdict hides that the capacity is too low:\n%s", b.String())
	}
}

func TestGrouped(t *testing.T) {
	for in, want := range map[string]string{
		"999": "999", "1000": "1,000", "1048576": "1,048,576", "1000000*1.02 + 1024 = 1021024": "1,000,000*1.02 + 1,024 = 1,021,024",
		"/dev/tty12345": "/dev/tty12345", "v1.12345": "v1.12345", "x86_64000": "x86_64000", "unlimited": "unlimited",
		"(1234)": "(1,234)", "\"12345\"": "\"12345\"",
	} {
		if got := grouped(in); got != want {
			t.Errorf("grouped(%q) = %q, want %q", in, got, want)
		}
	}
}
