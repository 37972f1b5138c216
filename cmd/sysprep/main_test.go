package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"

	"holdfast/cmd/internal/app"
	"holdfast/cmd/internal/golden"
	"holdfast/pkg/sysprep"
)

// hosts are archives of pkg/sysprep/testdata/hosts.
var hosts = []string{"linux-4.19", "linux-6.1", "linux-6.18", "netns", "container-v1", "container-v2", "arm64", "tuned"}

const archives = "../../pkg/sysprep/testdata/hosts"

// fixture writes the files of an archive below a directory, those of its base first, and returns that.
func fixture(t *testing.T, host string) string {
	t.Helper()
	dir := t.TempDir()
	unpack(t, host, dir)
	return dir
}

func unpack(t *testing.T, host, dir string) {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join(archives, host+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(a.Comment)) {
		if base, ok := strings.CutPrefix(strings.TrimSpace(line), "base: "); ok {
			unpack(t, base, dir)
		}
		if gone, ok := strings.CutPrefix(strings.TrimSpace(line), "remove: "); ok {
			if err := os.Remove(filepath.Join(dir, gone)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, f := range a.Files { // Write overwrites nothing
		if err := os.Remove(filepath.Join(dir, f.Name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := txtar.Write(a, dir); err != nil {
		t.Fatal(err)
	}
}

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
		args    []string
		code    int
	}{
		{"linux-6.1", "15000", nil, app.OK},
		{"linux-6.1", "1M", nil, app.Failed},
		{"tuned", "1M", nil, app.OK},
		{"container-v2", "15000", nil, app.OK},
		{"container-v2", "1M", nil, app.Failed},
		{"netns", "100k", []string{"--role", "loadgen", "--sources", "2"}, app.Failed},
		{"arm64", "1M", nil, app.Failed},
	}
	for _, tt := range tests {
		name := tt.host + "-" + tt.n
		t.Run(name, func(t *testing.T) {
			root := fixture(t, tt.host)
			args := append([]string{"check", "-n", tt.n, "--root", root}, tt.args...)
			code, out, errOut := sysprepOut(args...)
			if code != tt.code || errOut != "" {
				t.Errorf("exit code %d with %q on stderr, want %d and nothing", code, errOut, tt.code)
			}
			golden.Check(t, name+".txt", out)

			code, out, errOut = sysprepOut(append(args, "--json")...)
			if code != tt.code || errOut != "" {
				t.Errorf("with --json exit code %d with %q on stderr, want %d and nothing", code, errOut, tt.code)
			}
			if tt.host == "container-v2" {
				golden.Check(t, name+".json", out)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for name, args := range map[string][]string{"help.txt": {"--help"}, "help-check.txt": {"check", "--help"},
		"help-capacity.txt": {"capacity", "--help"}, "help-explain.txt": {"explain", "--help"}, "help-watch.txt": {"watch", "--help"}} {
		code, out, errOut := sysprepOut(args...)
		if code != app.OK || errOut != "" {
			t.Errorf("sysprep %q: exit code %d with %q on stderr", args, code, errOut)
		}
		golden.Check(t, name, out)
	}
}

// Only what is meant to be pasted, such as a long path, may be wider than a terminal of 80 columns.
func TestReportKeepsTo80Columns(t *testing.T) {
	for _, host := range hosts {
		root := fixture(t, host)
		for _, args := range [][]string{{"check", "-n", "1"}, {"check", "-n", "20k"}, {"check", "-n", "1M"}, {"check", "-n", "123456789", "--role", "both"},
			{"check", "-n", "1G", "--role", "loadgen", "--workers", "7"}, {"capacity"}, {"explain", "net.ipv4.tcp_mem"}} {
			_, out, errOut := sysprepOut(append(args, "--root", root)...)
			if errOut != "" {
				t.Errorf("%s, %v: %s", host, args, errOut)
			}
			for line := range strings.Lines(out) {
				if w := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); w > width {
					t.Errorf("%s, %v: %d columns: %s", host, args, w, line)
				}
			}
		}
	}
}

func TestLastLineIsTheCapacity(t *testing.T) {
	tests := []struct{ host, want string }{
		{"linux-6.1", "Capacity: 513,003 connections, limited first by rlimit.nofile"},
		{"tuned", "Capacity: 1,077,427 connections, limited first by rlimit.nofile"},
		{"container-v2", "Capacity: 63,247 connections, limited first by rlimit.nofile"},
		{"arm64", "Capacity: 513,003 connections, limited first by rlimit.nofile"},
	}
	for _, tt := range tests {
		root := fixture(t, tt.host)
		for _, args := range [][]string{{"check", "-n", "15000", "--root", root}, {"capacity", "--root", root}} {
			_, out, _ := sysprepOut(args...)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if got := lines[len(lines)-1]; got != tt.want {
				t.Errorf("%s: last line of %s %q, want %q", tt.host, args[0], got, tt.want)
			}
		}
	}
}

func TestCapacity(t *testing.T) {
	code, out, errOut := sysprepOut("capacity", "--root", fixture(t, "container-v2"))
	if code != app.OK || errOut != "" {
		t.Errorf("exit code %d with %q on stderr", code, errOut)
	}
	golden.Check(t, "capacity.txt", out)
	code, out, errOut = sysprepOut("capacity", "--json", "--root", fixture(t, "container-v2"))
	if code != app.OK || errOut != "" {
		t.Errorf("exit code %d with %q on stderr", code, errOut)
	}
	golden.Check(t, "capacity.json", out)
}

func TestExplain(t *testing.T) {
	root := fixture(t, "container-v2")
	for name, args := range map[string][]string{"explain-list.txt": {"explain"}, "explain-tcp_mem.txt": {"explain", "net.ipv4.tcp_mem", "--root", root},
		"explain-memory.txt": {"explain", "cgroup.memory", "--root", root, "-n", "2M"}} {
		code, out, errOut := sysprepOut(args...)
		if code != app.OK || errOut != "" {
			t.Errorf("sysprep %q: exit code %d with %q on stderr", args, code, errOut)
		}
		golden.Check(t, name, out)
	}
}

func TestJSONHasTheKeysOfTheContract(t *testing.T) {
	_, out, _ := sysprepOut("check", "-n", "1M", "--json", "--root", fixture(t, "linux-6.1"))
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
	if len(checks) != len(sysprep.Checks()) {
		t.Fatalf("the report has %d checks, want %d", len(checks), len(sysprep.Checks()))
	}
	for _, c := range checks {
		for _, key := range []string{"id", "outcome", "current", "wanted", "why", "fix_now", "fix_for_good"} {
			if _, ok := c.(map[string]any)[key].(string); !ok {
				t.Errorf("check %v has no %q", c, key)
			}
		}
	}
}

func TestSelection(t *testing.T) {
	root := fixture(t, "linux-6.1")
	_, out, _ := sysprepOut("check", "-n", "1M", "--root", root, "--only", "fs.nr_open, net.core.somaxconn", "--only", "memory", "--json")
	var r sysprep.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Checks) != 3 {
		t.Errorf("--only of three ids made %d checks, %v", len(r.Checks), err)
	}
	_, out, _ = sysprepOut("check", "-n", "1M", "--root", root, "--skip", "rlimit.nofile", "--json")
	if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Checks) != len(sysprep.Checks())-1 {
		t.Errorf("--skip of one id left %d checks, %v", len(r.Checks), err)
	}
	if code, _, _ := sysprepOut("check", "-n", "1M", "--root", root, "--only", "rlimit.nofile"); code != app.Failed {
		t.Errorf("--only of what fails ends with %d", code)
	}
	if code, _, _ := sysprepOut("check", "-n", "1M", "--root", root, "--skip", "rlimit.nofile"); code != app.OK {
		t.Errorf("--skip of what fails ends with %d", code)
	}
	if code, _, _ := sysprepOut("check", "-n", "1M", "--root", root, "--skip", "rlimit.nofile", "--strict"); code != app.Failed {
		t.Errorf("--strict with warnings ends with %d, want %d", code, app.Failed)
	}
}

func TestWatch(t *testing.T) {
	root := fixture(t, "tuned")
	code, out, errOut := sysprepOut("watch", "--root", root, "--count", "2", "--interval", "10ms")
	if lines := strings.Split(strings.TrimRight(out, "\n"), "\n"); code != app.OK || errOut != "" || len(lines) != 3 || !strings.Contains(lines[0], "tcp-pages") {
		t.Errorf("exit code %d, stderr %q, output:\n%s", code, errOut, out)
	}
	code, out, errOut = sysprepOut("watch", "--root", root, "--count", "2", "--interval", "10ms", "--json")
	for line := range strings.Lines(out) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil || v["sockets"] != 12.0 || v["touched"] == nil || v["connections"] != nil {
			t.Errorf("a line of --json is %s: %v", line, err)
		}
	}
	if code != app.OK || errOut != "" || strings.Count(out, "\n") != 2 {
		t.Errorf("exit code %d, stderr %q, output:\n%s", code, errOut, out)
	}
	if code, _, errOut := sysprepOut("watch", "--root", fixture(t, "netns"), "--interval", "1ms"); code != app.Usage || !strings.Contains(errOut, "out of range") {
		t.Errorf("--interval 1ms: exit code %d, stderr %q", code, errOut)
	}
	if err := os.Remove(filepath.Join(root, "proc/net/sockstat")); err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := sysprepOut("watch", "--root", root); code != app.NotThere || !strings.HasPrefix(errOut, "sysprep: nothing to watch: ") {
		t.Errorf("without sockstat: exit code %d, stderr %q", code, errOut)
	}
}

// A limit that is met between two lines marks the second one.
func TestWatchMarksTheMoment(t *testing.T) {
	root := fixture(t, "tuned")
	h, err := sysprep.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w := writes(func(b []byte) {
		netstat := filepath.Join(root, "proc/net/netstat")
		switch {
		case strings.Contains(string(b), "!"):
			cancel() // as Ctrl-C does
		default:
			if err := os.WriteFile(netstat, []byte("TcpExt: ListenOverflows\nTcpExt: 12\n"), 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	var out bytes.Buffer
	if err := watch(ctx, io.MultiWriter(&out, w), h, &watchOptions{interval: 10 * time.Millisecond}, false); err != nil {
		t.Fatal(err)
	}
	if want := "ListenOverflows +12: full accept queue (sysprep explain net.core.somaxconn)"; !strings.Contains(out.String(), "\n! ") || !strings.Contains(out.String(), want) {
		t.Errorf("the moment is not marked:\n%s", out.String())
	}
}

// writes is a function that sees what is written.
type writes func([]byte)

func (w writes) Write(b []byte) (int, error) { w(b); return len(b), nil }

func TestUsageErrors(t *testing.T) {
	var names []string
	for _, c := range newApp().Commands {
		names = append(names, c.Name)
	}
	commands := strings.Join(names, ", ")
	tests := []struct {
		args []string
		want string
	}{
		{nil, "sysprep: no command given; there are: " + commands + "\n"},
		{[]string{"chekc"}, "sysprep: unknown command \"chekc\" (did you mean check?)\n"},
		{[]string{"chek", "-n", "1M"}, "sysprep: unknown command \"chek\" (did you mean check?)\n"},
		{[]string{"nothing", "-n", "1M"}, "sysprep: unknown command \"nothing\"; there are: " + commands + "\n"},
		{[]string{"check"}, "sysprep: option -n is missing: for how many connections?\n"},
		{[]string{"check", "-n"}, "sysprep: option -n needs a value\n"},
		{[]string{"check", "-n", "many"}, "sysprep: -n: \"many\" is no number of connections, such as 15000, 250k or 1M\n"},
		{[]string{"check", "-n", ""}, "sysprep: -n: \"\" is no number of connections, such as 15000, 250k or 1M\n"},
		{[]string{"check", "-n", "0"}, "sysprep: -n: 0 connections are out of range, 1 to 1000000000\n"},
		{[]string{"check", "-n", "2G"}, "sysprep: -n: 2G connections are out of range, 1 to 1000000000\n"},
		{[]string{"check", "-n", "1M", "more"}, "sysprep: unexpected argument \"more\"\n"},
		{[]string{"check", "-n", "1M", "--role", "servr"}, "sysprep: --role: \"servr\" is no role; there are server, loadgen and both (did you mean server?)\n"},
		{[]string{"check", "-n", "1M", "--only", "tcp_mem"}, "sysprep: --only: there is no check \"tcp_mem\"; did you mean net.ipv4.tcp_mem?\n"},
		{[]string{"check", "-n", "1M", "--skip", "xyz"}, "sysprep: --skip: there is no check \"xyz\"; sysprep explain lists them\n"},
		{[]string{"check", "-n", "1M", "--only", ","}, "sysprep: --only: no id given; sysprep explain lists them\n"},
		{[]string{"check", "-n", "1M", "--only", "memory", "--skip", "memory"}, "sysprep: --skip leaves out every check of --only\n"},
		{[]string{"check", "-n", "1M", "--msg-bytes", "9G"}, "sysprep: --msg-bytes: 9663676416 is out of range, 1 to 1073741824\n"},
		{[]string{"check", "-n", "1M", "--ports", "65536"}, "sysprep: --ports: 65536 is out of range, 1 to 65535\n"},
		{[]string{"check", "-n", "1M", "--workers", "0"}, "sysprep: --workers: 0 is out of range, 1 to 1000000\n"},
		{[]string{"check", "-n", "1M", "--rate", "fast"}, "sysprep: --rate: \"fast\" is no number of connections, such as 15000, 250k or 1M\n"},
		{[]string{"check", "-n", "1M", "--pid", "0"}, "sysprep: --pid: 0 is no process\n"},
		{[]string{"check", "-n", "1M", "--pid", "1", "--unit", "x"}, "sysprep: --pid and --unit: give one of them\n"},
		{[]string{"check", "-n", "1M", "--unit", "../x"}, "sysprep: --unit: \"../x\" is no unit, such as pushd.service\n"},
		{[]string{"check", "-n", "1M", "--socket", "x", "--no-pushd"}, "sysprep: --socket and --no-pushd: give one of them\n"},
		{[]string{"explain", "somaxconn"}, "sysprep: there is no check \"somaxconn\"; did you mean net.core.somaxconn?\n"},
		{[]string{"watch", "--count", "0"}, "sysprep: --count: 0 is no number of lines\n"},
		{[]string{"capacity", "more"}, "sysprep: unexpected argument \"more\"\n"},
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

func TestWhatIsNotThere(t *testing.T) {
	root := fixture(t, "tuned")
	for want, args := range map[string][]string{
		"sysprep: cannot check: there is no process 4711\n": {"check", "-n", "1M", "--root", root, "--pid", "4711"},
		"no pushd answers on a control socket":              {"check", "-n", "1M", "--socket", filepath.Join(root, "none.sock")},
	} {
		if code, out, errOut := sysprepOut(args...); code != app.NotThere || out != "" || !strings.Contains(errOut, want) {
			t.Errorf("sysprep %q: exit code %d, stdout %q, stderr %q; want %d and %q", args, code, out, errOut, app.NotThere, want)
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
	code, out, errOut = sysprepOut("check", "-n", "1k", "--root", empty)
	if code != app.NotThere || errOut != "sysprep: none of the checks could be made\n" {
		t.Errorf("with an empty proc: exit code %d, stderr %q", code, errOut)
	}
	if !strings.HasSuffix(out, "\nCapacity: unknown\n") {
		t.Errorf("with an empty proc the report ends in %q", out)
	}
	if strings.Contains(out, "Ready") {
		t.Errorf("with an empty proc the host is called ready:\n%s", out)
	}

	// a check that sets no bound says nothing about a number
	root := fixture(t, "tuned")
	for _, name := range []string{"meminfo", "self", "sys/fs", "sys/net/netfilter"} {
		if err := os.RemoveAll(filepath.Join(root, "proc", name)); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errOut = sysprepOut("check", "-n", "1k", "--root", root)
	if code != app.NotThere || errOut != "sysprep: none of the checks that bound the number could be made\n" || !strings.Contains(out, "Not known whether ready for 1,000 connections") {
		t.Errorf("without what bounds: exit code %d, stderr %q, stdout\n%s", code, errOut, out)
	}
	code, out, errOut = sysprepOut("check", "-n", "1k", "--root", root, "--only", "net.core.somaxconn")
	if code != app.OK || errOut != "" || !strings.Contains(out, "Not known whether ready for 1,000 connections: 1 ok\n") {
		t.Errorf("one check that bounds nothing: exit code %d, stderr %q, stdout\n%s", code, errOut, out)
	}
}

// The ports bound a load generator, also where there are more than any number takes.
func TestPortsBoundALoadGenerator(t *testing.T) {
	root := fixture(t, "tuned")
	code, out, errOut := sysprepOut("check", "-n", "1M", "--root", root, "--only", portRange, "--role", "loadgen",
		"--sources", "1000000", "--destinations", "1000000", "--ports", "65535")
	if code != app.OK || errOut != "" || !strings.Contains(out, "\nReady for 1,000,000 connections as far as these checks go: 1 ok\n") {
		t.Errorf("very many addresses: exit code %d, stderr %q, stdout\n%s", code, errOut, out)
	}
}

func TestColour(t *testing.T) {
	h, err := sysprep.Open(fixture(t, "linux-6.1"))
	if err != nil {
		t.Fatal(err)
	}
	r := sysprep.Run(h, sysprep.Target{N: 1_000_000}, sysprep.Selection{})
	var plain, colored bytes.Buffer
	if err := errors.Join(writeReport(&colored, r, "", true), writeReport(&plain, r, "", false)); err != nil {
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
	if err := writeReport(&out, r, "\x1b[2J", false); err != nil {
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
	if err := writeReport(&b, r, "", false); err != nil {
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
		"process 10762 has 10762": "process 10762 has 10,762", "the ports 7999-8000": "the ports 7999-8000", "7999,8000 and 7000": "7999,8000 and 7,000",
		"port 80800": "port 80800", "nsenter -t 12345 -n": "nsenter -t 12345 -n", "is 7999-8000, and 7999,8000 in": "is 7999-8000, and 7999,8000 in",
		"1000, or 16384": "1,000, or 16,384",
	} {
		if got := grouped(in); got != want {
			t.Errorf("grouped(%q) = %q, want %q", in, got, want)
		}
	}
}
