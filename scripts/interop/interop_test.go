// Package interop holds no code, only tests of pushd with software of others: as clients the npm
// packages ws, undici and eventsource, and Chromium; as backends Express with @fanoutio/serve-grip,
// and PHP; as publishers @fanoutio/grip and pushpin-publish; as the sink of its statistics statsd.
// They are written in JavaScript; this starts them.
package interop

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// required makes a missing counterpart a failure (make interop sets it). Without it nothing is installed either.
const required = "HOLDFAST_INTEROP"

// programs are what some of the test files need beside node, by the variable that tells them where it is.
var programs = map[string][]string{
	"HOLDFAST_CHROMIUM":        {"chromium", "chromium-browser", "google-chrome"},
	"HOLDFAST_PHP":             {"php"},
	"HOLDFAST_PUSHPIN_PUBLISH": {"pushpin-publish"},
}

// patience bounds what is run: longer than all waits of one test file that is stuck.
const patience = 4 * time.Minute

func TestInterop(t *testing.T) {
	node := program(t, "node")
	packages(t)
	bin := build(t)
	files, err := filepath.Glob("*.test.mjs")
	if err != nil || len(files) == 0 {
		t.Fatalf("test files: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, ".test.mjs"), func(t *testing.T) {
			env := []string{"HOLDFAST_BIN=" + bin, "TMPDIR=" + t.TempDir()}
			for variable, names := range programs {
				if uses(t, file, variable) {
					env = append(env, variable+"="+program(t, names...))
				}
			}
			out, err := run(t, env, node, "--test", "--test-reporter=spec", file)
			if err != nil {
				t.Fatalf("node --test %s: %v\n%s", file, err, out)
			}
			t.Logf("%s", out)
		})
	}
}

// program is the path of the first of the names that is installed.
func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "%s is not installed", strings.Join(names, ", "))
	return ""
}

// packages installs the npm packages, exactly those of package-lock.json.
func packages(t *testing.T) {
	t.Helper()
	if os.Getenv(required) == "" { // what is installed may be of another day
		missing(t, "the npm packages are not installed")
	}
	if out, err := run(t, nil, program(t, "npm"), "ci", "--ignore-scripts"); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
}

func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	if os.Getenv(required) != "" {
		t.Fatal(text)
	}
	t.Skip(text + ": make interop runs this")
}

// build returns the directory of freshly built binaries.
func build(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	if out, err := run(t, nil, "go", "build", "-o", bin+"/", "../../cmd/pushd", "../../cmd/pushpub", "../../cmd/pushstat"); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// uses reports whether the test file, or the module that starts a browser for it, reads the environment variable.
func uses(t *testing.T, file, variable string) bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(text, []byte(variable)) || bytes.Contains(text, []byte("./browser.mjs")) && uses(t, "browser.mjs", variable)
}

// run runs a program in a process group of its own and returns its output. When it takes too long the group is told to end:
// node's children are its own to end.
func run(t *testing.T, env []string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("ended after %v: %w", patience, err)
	}
	return string(out), err
}
