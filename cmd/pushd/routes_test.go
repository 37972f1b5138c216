package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/server"
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

// Every mistake stands in a line of its own that begins as all of pushd's messages do, at the start as in check. Keys and files are
// looked at as well.
func TestMistakesInRoutesAreLines(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "routes")
	text := "a,path_bge=/a 127.0.0.1:80\nb,sig_key=file:missing.pem 127.0.0.1:80\nc 127.0.0.1:443,ssl,client_cert=c.pem,client_key=k.pem\n" +
		"d,sig_key=base64:? 127.0.0.1:80\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	want := []string{
		file + `:1:3: unknown parameter "path_bge" of a condition; did you mean "path_beg"?`,
		file + ":2:3: sig_key: key for Grip-Sig: open " + dir + "/missing.pem: no such file or directory",
		file + ":3:21: client_cert and client_key: open " + dir + "/c.pem: no such file or directory",
		file + ":4:3: sig_key is not base64 as its prefix says",
	}
	kept := run
	run = server.Run
	defer func() { run = kept }()
	for _, args := range [][]string{nil, {"check"}} {
		var stdout, stderr strings.Builder
		code := pushd(t.Context(), append(append([]string{"pushd"}, args...), "--routes", file, "--socket", filepath.Join(dir, "s"),
			"--listen", "127.0.0.1:0", "--publish-listen", "off"), &stdout, &stderr)
		if got := "pushd: " + strings.Join(want, "\npushd: ") + "\n"; code != app.Failed || stderr.String() != got {
			t.Errorf("%v: exit %d, stderr\n%swant\n%s", args, code, stderr.String(), got)
		}
	}
}

func TestFewOpenFilesForBackendsAreSaid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "routes")
	if err := os.WriteFile(file, []byte("* 127.0.0.1:80\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"--routes", file, "--socket", filepath.Join(t.TempDir(), "s"), "--backend-concurrency", "100", "--max-connections", "10", "--backend-connections"}
	const want = "one route gets at most 50 of the 99 connections to backends (backend-connections), and not the 100 of backend-concurrency"
	for connections, said := range map[string]bool{"99": true, "200": false} {
		for _, command := range [][]string{{"check"}, nil} {
			_, code, _, stderr := start(t, append(append(command, args...), connections)...)
			if code != app.OK || strings.Contains(stderr, want) != said {
				t.Errorf("%v with %s connections: exit %d, stderr %q", command, connections, code, stderr)
			}
		}
	}
}
