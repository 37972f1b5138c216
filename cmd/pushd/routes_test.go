package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/cmd/internal/app"
)

// check reads the routes file: every mistake with its place, doubtful lines as warnings.
func TestCheckReadsTheRoutes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "routes")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(t.TempDir(), "s")
	check := func() (int, string) {
		_, code, _, stderr := start(t, "check", "--routes", file, "--socket", socket, "--listen", ":80")
		return code, stderr
	}
	write("* 127.0.0.1:80\n")
	if code, stderr := check(); code != app.OK || stderr != "" {
		t.Errorf("a good file: exit %d, %q", code, stderr)
	}
	write("*,proto=ws 127.0.0.1:80\n* 127.0.0.1:80\n")
	if code, stderr := check(); code != app.OK || !strings.Contains(stderr, "warning: "+file+":1:") {
		t.Errorf("a doubtful file: exit %d, %q", code, stderr)
	}
	write("* 127.0.0.1:80\nx,path_bge=/a 127.0.0.1:80\ny 127.0.0.1\n")
	if code, stderr := check(); code != app.Failed || !strings.Contains(stderr, file+":2:3: ") || !strings.Contains(stderr, "path_beg") || !strings.Contains(stderr, file+":3:") {
		t.Errorf("a bad file: exit %d, %q", code, stderr)
	}
	os.Remove(file)
	if code, stderr := check(); code != app.Failed || !strings.Contains(stderr, file) {
		t.Errorf("no file: exit %d, %q", code, stderr)
	}
}
