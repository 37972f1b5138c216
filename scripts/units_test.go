// Package scripts holds no code, only the tests of the systemd units beside it.
package scripts

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/server"
	"holdfast/pkg/wire"
)

const (
	service     = "pushd.service"
	maxExposure = 15 // tenths, as systemd-analyze takes it
)

// sockets are the units with the names under which pushd takes their descriptors.
var sockets = map[string]string{
	"pushd.socket":         "clients",
	"pushd-publish.socket": "publish",
	"pushd-control.socket": "control",
	"pushd-metrics.socket": "metrics",
}

// settings reads a unit file. What is set several times has several values.
func settings(t *testing.T, unit string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		key, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if found && !strings.HasPrefix(key, "#") {
			values[key] = append(values[key], value)
		}
	}
	return values
}

// setting is the one value of a key.
func setting(t *testing.T, unit, key string) string {
	t.Helper()
	v := settings(t, unit)[key]
	if len(v) != 1 {
		t.Fatalf("%s: %s=%q, want one value", unit, key, v)
	}
	return v[0]
}

// installed copies the units to a directory where ExecStart= is a program that is there, and returns the paths.
func installed(t *testing.T) []string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	units := []string{service}
	for unit := range sockets {
		units = append(units, unit)
	}
	for i, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		text = regexp.MustCompile(`(?m)^ExecStart=\S+`).ReplaceAll(text, []byte("ExecStart="+program))
		units[i] = filepath.Join(dir, unit)
		if err := os.WriteFile(units[i], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return units
}

// analyze runs systemd-analyze and returns all of its output.
func analyze(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skipf("systemd is not installed, the units are not tried: %v", err)
	}
	out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestUnitsAreValid(t *testing.T) {
	if out := analyze(t, append([]string{"verify", "--man=no"}, installed(t)...)...); out != "" {
		t.Errorf("systemd-analyze verify says:\n%s", out)
	}
}

func TestServiceIsConfined(t *testing.T) {
	out := analyze(t, "security", "--offline=true", "--no-pager", "--threshold="+strconv.Itoa(maxExposure), installed(t)[0])
	lines := strings.Split(strings.TrimSpace(out), "\n")
	t.Log(lines[len(lines)-1])
}

func TestUnitsAgreeWithPushd(t *testing.T) {
	o := server.NewOptions()
	stop, err := time.ParseDuration(setting(t, service, "TimeoutStopSec"))
	if err != nil || stop < o.DrainTimeout+time.Minute { // what sysprep asks for a million connections
		t.Errorf("TimeoutStopSec is %v (%v), want a minute more than the drain of %v", stop, err, o.DrainTimeout)
	}
	if got := setting(t, service, "ExecReload"); got != "/bin/kill -HUP $MAINPID" {
		t.Errorf("ExecReload=%s, want the signal at which pushd reads its routes again", got)
	}
	files, err := strconv.Atoi(setting(t, service, "LimitNOFILE"))
	if need := 1_000_000 + server.SpareFiles(64, 1); err != nil || files < need {
		t.Errorf("LimitNOFILE is %d (%v), want %d for a million connections", files, err, need)
	}
	for unit, name := range sockets {
		if got := setting(t, unit, "FileDescriptorName"); got != name {
			t.Errorf("%s: FileDescriptorName=%s, want %s", unit, got, name)
		}
	}
	for _, addr := range settings(t, "pushd.socket")["ListenStream"] {
		if addr != o.Listen[0] {
			t.Errorf("pushd.socket listens on %s, pushd on %s", addr, o.Listen[0])
		}
	}
	if got := setting(t, "pushd-publish.socket", "ListenStream"); got != o.PublishListen {
		t.Errorf("pushd-publish.socket listens on %s, pushd on %s", got, o.PublishListen)
	}
	path := wire.SocketPaths(func(string) string { return "" }, 0, os.TempDir())[0]
	if got := setting(t, "pushd-control.socket", "ListenStream"); got != path {
		t.Errorf("pushd-control.socket is at %s, and looked for at %s", got, path)
	}
	if dir := "/run/" + setting(t, service, "RuntimeDirectory"); filepath.Dir(path) != dir {
		t.Errorf("the service may write in %s, and the control socket is %s", dir, path)
	}
}

// allowed is what SystemCallFilter= lets through: the names of system calls.
func allowed(t *testing.T) map[string]bool {
	t.Helper()
	calls := make(map[string]bool)
	for i, value := range settings(t, service)["SystemCallFilter"] {
		list, deny := strings.CutPrefix(value, "~")
		if i == 0 {
			if deny {
				t.Fatalf("SystemCallFilter=%s comes first, which allows all but that", value)
			}
			list += " @default" // systemd adds it to every list of this kind
		}
		for _, set := range strings.Fields(list) {
			for _, call := range members(t, set) {
				calls[call] = !deny
			}
		}
	}
	return calls
}

// members are the system calls of a set, and of the sets in it.
func members(t *testing.T, set string) []string {
	t.Helper()
	var calls []string
	lines := bufio.NewScanner(strings.NewReader(analyze(t, "syscall-filter", "--no-pager", set)))
	for lines.Scan() {
		switch name := strings.TrimSpace(lines.Text()); {
		case name == set || name == "" || name[0] == '#':
		case name[0] == '@':
			calls = append(calls, members(t, name)...)
		default:
			calls = append(calls, name)
		}
	}
	return calls
}

// Systemd is not there to confine a pushd in a test. So a free one is watched, for what would have been refused.
func TestServiceMayDoWhatPushdDoes(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skipf("strace is not installed, pushd's system calls are not compared with the unit's: %v", err)
	}
	calls := allowed(t)
	trace := traceLife(t)
	called := regexp.MustCompile(`(?m)^\d+ +(\w+)\(`).FindAllSubmatch(trace, -1)
	refused := make(map[string]bool)
	for _, c := range called {
		if name := string(c[1]); !calls[name] && !refused[name] {
			refused[name] = true
			t.Errorf("pushd calls %s, which SystemCallFilter= refuses", name)
		}
	}
	if len(called) < 100 {
		t.Fatalf("%d system calls seen:\n%s", len(called), trace)
	}
	families := setting(t, service, "RestrictAddressFamilies")
	for _, s := range regexp.MustCompile(`socket\((AF_\w+)`).FindAllSubmatch(trace, -1) {
		if !strings.Contains(families+" ", string(s[1])+" ") {
			t.Errorf("pushd opens a socket of %s; RestrictAddressFamilies=%s", s[1], families)
		}
	}
	if bytes.Contains(trace, []byte("PROT_WRITE|PROT_EXEC")) {
		t.Error("pushd maps memory that is writable and executable; MemoryDenyWriteExecute= refuses that")
	}
}
