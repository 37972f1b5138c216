package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"holdfast/cmd/internal/app"
	"holdfast/cmd/internal/golden"
	"holdfast/pkg/sysprep"
)

// snapshot is the text of every file below dir.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := strings.CutPrefix(path, dir)
		files[name] = strings.TrimSpace(string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// changed lists the files that two snapshots differ in.
func changed(a, b map[string]string) []string {
	var names []string
	for name := range a {
		if text, ok := b[name]; !ok || text != a[name] {
			names = append(names, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// oneSpaced makes the white space of the kernel's files comparable with what was written to them.
func oneSpaced(files map[string]string) map[string]string {
	for name, text := range files {
		files[name] = strings.Join(strings.Fields(text), " ")
	}
	return files
}

func TestFixAndUndo(t *testing.T) {
	root := fixture(t, "linux-6.18")
	if err := os.MkdirAll(filepath.Join(root, "run/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	before := oneSpaced(snapshot(t, root))
	args := func(more ...string) []string { return append(more, "--root", root) }

	code, out, errOut := sysprepOut(args("fix", "-n", "1M", "--dry-run")...)
	golden.Check(t, "fix-dry-run.txt", out)
	if errOut != "" || code != app.OK {
		t.Errorf("a dry run: exit code %d, stderr %q", code, errOut)
	}
	if got := changed(before, oneSpaced(snapshot(t, root))); got != nil {
		t.Errorf("a dry run changes %q", got)
	}

	code, out, errOut = sysprepOut(args("fix", "-n", "1M", "--yes")...)
	golden.Check(t, "fix.txt", out)
	if errOut != "" || code != app.OK {
		t.Errorf("fix: exit code %d, stderr %q", code, errOut)
	}
	after := oneSpaced(snapshot(t, root))
	for _, name := range []string{"/etc/sysctl.d/90-holdfast.conf", "/etc/systemd/system/pushd.service.d/90-holdfast.conf", "/proc/sys/net/core/somaxconn"} {
		if !slices.Contains(changed(before, after), name) {
			t.Errorf("fix did not change %s", name)
		}
	}

	code, out, errOut = sysprepOut(args("fix", "-n", "1M", "--yes")...)
	if code != app.OK || errOut != "" || !strings.Contains(out, "\nNothing to do.\n") {
		t.Errorf("a second fix: exit code %d, stderr %q\n%s", code, errOut, out)
	}
	if got := changed(after, oneSpaced(snapshot(t, root))); got != nil {
		t.Errorf("a second fix changes %q", got)
	}

	code, out, errOut = sysprepOut(args("undo", "--dry-run")...)
	golden.Check(t, "undo-dry-run.txt", out)
	if code != app.OK || errOut != "" {
		t.Errorf("a dry undo: exit code %d, stderr %q", code, errOut)
	}
	code, out, errOut = sysprepOut(args("undo")...)
	golden.Check(t, "undo.txt", out)
	if code != app.OK || errOut != "" {
		t.Errorf("undo: exit code %d, stderr %q", code, errOut)
	}
	if got := changed(before, oneSpaced(snapshot(t, root))); got != nil {
		t.Errorf("after undo %q differ", got)
	}
	code, out, errOut = sysprepOut(args("undo")...)
	if code != app.OK || out != "Nothing to undo.\n" || errOut != "" {
		t.Errorf("a second undo: exit code %d, stdout %q, stderr %q", code, out, errOut)
	}
}

// What cannot be done from inside of a container or namespace is told apart, and makes the exit code 1.
func TestFixFromInside(t *testing.T) {
	for _, host := range []string{"netns", "container-v2"} {
		code, out, errOut := sysprepOut("fix", "-n", "1M", "--yes", "--root", fixture(t, host))
		golden.Check(t, "fix-"+host+".txt", out)
		if code != app.Failed || errOut != "" {
			t.Errorf("%s: exit code %d, stderr %q", host, code, errOut)
		}
	}
}

func TestFixAsJSON(t *testing.T) {
	root := fixture(t, "linux-6.18")
	code, out, errOut := sysprepOut("fix", "-n", "1M", "--yes", "--json", "--only", "net.core.somaxconn", "--root", root)
	var p sysprep.Plan
	if err := json.Unmarshal([]byte(out), &p); err != nil || code != app.OK || errOut != "" {
		t.Fatalf("exit code %d, stderr %q, %v\n%s", code, errOut, err, out)
	}
	if len(p.Steps) != 1 || p.Steps[0].Key != "net.core.somaxconn" || p.Steps[0].State != sysprep.StepDone || p.Steps[0].After != p.Steps[0].Value {
		t.Errorf("the steps are %+v, want somaxconn done", p.Steps)
	}
	code, out, _ = sysprepOut("undo", "--json", "--root", root)
	var u struct{ Undone []sysprep.Undone }
	if err := json.Unmarshal([]byte(out), &u); err != nil || code != app.OK || len(u.Undone) != 2 {
		t.Errorf("undo: exit code %d, %v\n%s", code, err, out)
	}
	code, out, _ = sysprepOut("undo", "--json", "--root", root)
	if code != app.OK || out != "{\n  \"undone\": []\n}\n" {
		t.Errorf("a second undo: exit code %d\n%s", code, out)
	}
}

func TestFixNeedsConsent(t *testing.T) {
	root := fixture(t, "linux-6.18")
	before := snapshot(t, root)
	code, out, errOut := sysprepOut("fix", "-n", "1M", "--root", root)
	if code != app.Usage || out != "" || errOut != "sysprep: there is no terminal to ask on: --yes does it, --dry-run only tells\n" {
		t.Errorf("fix without a terminal: exit code %d, stdout %q, stderr %q", code, out, errOut)
	}
	if got := changed(before, snapshot(t, root)); got != nil {
		t.Errorf("it changes %q", got)
	}
}

// On a terminal only a yes is a yes.
func TestFixAsksOnATerminal(t *testing.T) {
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("no script(1) to make a terminal")
	}
	for answer, want := range map[string]string{"y": "  set", "n": "sysprep: nothing was changed", "": "sysprep: nothing was changed"} {
		root := fixture(t, "linux-6.18")
		cmd := exec.Command("script", "-qec", fmt.Sprintf("%s -test.run=^TestHelperMain$", os.Args[0]), "/dev/null")
		cmd.Env = append(os.Environ(), helperArgs+"=fix -n 1M --only net.core.somaxconn --root "+root)
		cmd.Stdin = strings.NewReader(answer + "\n")
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), "Raise 1 setting? [y/N] ") || !strings.Contains(string(out), want) || (answer == "y") != (err == nil) {
			t.Errorf("answer %q: %v, want %q in\n%s", answer, err, want, out)
		}
	}
}

func TestWhatFailedIsPainted(t *testing.T) {
	setColours(true)
	defer setColours(false)
	if got := painted("NOT SET"); got == "NOT SET" || !strings.Contains(got, "NOT SET") {
		t.Errorf("painted(NOT SET) = %q, want it in colour", got)
	}
	if got := painted("set"); got != "set" {
		t.Errorf("painted(set) = %q, want it plain", got)
	}
}

// helperArgs makes the test program be sysprep.
const helperArgs = "HOLDFAST_TEST_SYSPREP"

func TestHelperMain(t *testing.T) {
	args := os.Getenv(helperArgs)
	if args == "" {
		t.Skip("for TestFixAsksOnATerminal")
	}
	os.Exit(app.Main(newApp(), append([]string{"sysprep"}, strings.Fields(args)...)))
}

// Interrupted, fix says what to do next.
func TestFixInterrupted(t *testing.T) {
	root := fixture(t, "linux-6.18")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errOut bytes.Buffer
	a := newApp()
	a.Writer, a.ErrWriter = &out, &errOut
	code := app.Run(ctx, a, []string{"sysprep", "fix", "-n", "1M", "--yes", "--root", root})
	if code != app.Failed || errOut.String() != "sysprep: interrupted; sysprep fix goes on from here, sysprep undo goes back\n" {
		t.Errorf("exit code %d, stderr %q", code, errOut.String())
	}
	if !strings.Contains(out.String(), "\nNot raised\n") || !strings.Contains(out.String(), "  not tried\n") {
		t.Errorf("the account does not say what was not tried:\n%s", out.String())
	}
}

// Nothing is half done when there is no place for the record.
func TestFixWithoutAPlaceForTheRecord(t *testing.T) {
	root := fixture(t, "linux-6.18")
	if err := os.MkdirAll(filepath.Join(root, "var"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "var/lib"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, root)
	code, out, errOut := sysprepOut("fix", "-n", "1M", "--yes", "--root", root)
	if code != app.Failed || errOut != "sysprep: mkdir /var/lib: not a directory\n" || !strings.Contains(out, "\nNot raised\n") {
		t.Errorf("exit code %d, stderr %q\n%s", code, errOut, out)
	}
	if got := changed(before, snapshot(t, root)); got != nil {
		t.Errorf("it changes %q", got)
	}
}

func TestPrint(t *testing.T) {
	for _, form := range []string{"sysctl", "systemd", "ansible"} {
		root := fixture(t, "linux-6.18")
		before := snapshot(t, root)
		code, out, errOut := sysprepOut("print", form, "-n", "1M", "--root", root)
		golden.Check(t, "print-"+form+".txt", out)
		if code != app.OK || errOut != "" {
			t.Errorf("print %s: exit code %d, stderr %q", form, code, errOut)
		}
		if got := changed(before, snapshot(t, root)); got != nil {
			t.Errorf("print %s changes %q", form, got)
		}
	}
	// where all is well there is nothing in it, and that is valid as well
	for form, want := range map[string]string{"sysctl": "# What sysprep found too low for 1000 connections, role server.\n",
		"ansible": "      ansible.builtin.meta: noop\n"} {
		_, out, _ := sysprepOut("print", form, "-n", "1000", "--only", "fs.nr_open", "--root", fixture(t, "tuned"))
		if !strings.HasSuffix(out, want) {
			t.Errorf("print %s of a tuned host is %q, want it to end in %q", form, out, want)
		}
	}
}

func TestHelpOfFixAndAudit(t *testing.T) {
	for _, name := range []string{"fix", "undo", "print", "audit"} {
		code, out, errOut := sysprepOut(name, "--help")
		if code != app.OK || errOut != "" {
			t.Errorf("%s --help: exit code %d, stderr %q", name, code, errOut)
		}
		golden.Check(t, "help-"+name+".txt", out)
	}
}

func TestUsageOfFixAndAudit(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"fix", "--yes"}, "option -n is missing: for how many connections?"},
		{[]string{"fix", "-n", "1M", "--yes", "now"}, `unexpected argument "now"`},
		{[]string{"fix", "-n", "1M", "--yes", "--dry-run"}, "--dry-run and --yes contradict each other"},
		{[]string{"fix", "-n", "1M", "--json"}, "--json asks nothing; it needs --dry-run or --yes"},
		{[]string{"fix", "-n", "1M", "--yes", "--only", "net.core.somaxcon"}, "--only: there is no check \"net.core.somaxcon\"; did you mean net.core.somaxconn?"},
		{[]string{"fix", "-n", "1M", "--yes", "--role", "proxy"}, `--role: "proxy" is no role; there are server, loadgen and both`},
		{[]string{"undo", "all"}, `unexpected argument "all"`},
		{[]string{"undo", "--yes"}, "unknown option --yes"},
		{[]string{"print", "-n", "1M"}, "say what to print: sysctl, systemd or ansible"},
		{[]string{"print", "sysctl", "-n", "1M", "x"}, `unexpected argument "x"`},
		{[]string{"print", "ansibel", "-n", "1M"}, `"ansibel" is not sysctl, systemd or ansible (did you mean ansible?)`},
		{[]string{"print", "sysctl"}, "option -n is missing: for how many connections?"},
		{[]string{"audit", "-n", "1M"}, "say what to audit: pushpin, appwrite, netty, or a file"},
		{[]string{"audit", "./mine.conf"}, "option -n is missing: for how many connections?"},
		{[]string{"audit", "netty", "pushpin", "-n", "1M"}, `unexpected argument "pushpin"`},
		{[]string{"audit", "pushpn", "-n", "1M"}, `there is neither a published tuning nor a file "pushpn" (did you mean pushpin?)`},
		{[]string{"audit", "nginx", "-n", "1M"}, `there is neither a published tuning nor a file "nginx"; there are pushpin, appwrite, netty`},
	}
	for _, tt := range tests {
		code, out, errOut := sysprepOut(tt.args...)
		if code != app.Usage || out != "" || errOut != "sysprep: "+tt.want+"\n" {
			t.Errorf("sysprep %q: exit code %d, stdout %q, stderr %q; want %d, nothing and %q", tt.args, code, out, errOut, app.Usage, tt.want)
		}
	}
}

// Every table and text keeps to the width; only a path or a command that is pasted may be longer.
func TestFixAndAuditKeepTo80Columns(t *testing.T) {
	for _, host := range hosts {
		root := fixture(t, host)
		for _, args := range [][]string{{"fix", "--dry-run"}, {"fix", "--dry-run", "--role", "loadgen"}, {"audit", "pushpin"}, {"audit", "appwrite"},
			{"audit", "netty", "--role", "both"}} {
			_, out, _ := sysprepOut(append(args, "-n", "1M", "--root", root)...)
			for line := range strings.Lines(out) {
				if w := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); w > width && len(strings.Fields(line)) > 4 {
					t.Errorf("%s, %q: %d columns: %s", host, args, w, line)
				}
			}
		}
	}
}
