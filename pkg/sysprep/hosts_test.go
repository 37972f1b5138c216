package sysprep

import (
	"errors"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
)

// hostNames are the archives of testdata/hosts.
var hostNames = []string{"linux-4.19", "linux-5.4", "linux-5.15", "linux-6.1", "linux-6.18", "netns", "container-v1", "container-v2", "arm64", "tuned"}

// hostFiles reads an archive: the files of its base, less those that it removes, and its own.
func hostFiles(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata/hosts", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for line := range strings.Lines(string(a.Comment)) {
		line = strings.TrimSpace(line)
		if base, ok := strings.CutPrefix(line, "base: "); ok {
			maps.Copy(files, hostFiles(t, base))
		}
		if gone, ok := strings.CutPrefix(line, "remove: "); ok {
			if files[gone] == nil {
				t.Fatalf("%s removes %s, which is not there", name, gone)
			}
			delete(files, gone)
		}
	}
	for _, f := range a.Files {
		files[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return files
}

// hostOf makes a Host of an archive with changes; a change of "-" removes the file.
func hostOf(t testing.TB, name string, changes map[string]string) *Host {
	t.Helper()
	files := hostFiles(t, name)
	for file, content := range changes {
		if content == "-" {
			delete(files, file)
			continue
		}
		files[file] = &fstest.MapFile{Data: []byte(content + "\n")}
	}
	h := NewHost(files, 4096)
	if smaps, err := h.text("proc/self/smaps"); err == nil {
		if n, ok := parsePageBytes(smaps); ok {
			h.pageBytes = n
		}
	}
	return h
}

// withUnit gives the host a systemd that knows one unit.
func withUnit(h *Host, properties map[string]string) *Host {
	h.systemd = func(unit string) (map[string]string, error) {
		switch unit {
		case "pushd.service":
			return properties, nil
		case "":
			return map[string]string{"DefaultLimitNOFILE": "524288"}, nil
		}
		return map[string]string{"LoadState": "not-found"}, nil
	}
	return h
}

// sysctlChange is a change of one kernel setting.
func sysctlChange(pairs ...string) map[string]string {
	m := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		m[sysctlPath(pairs[i])] = pairs[i+1]
	}
	return m
}

// one makes one check.
func one(t testing.TB, h *Host, id string, target Target) Finding {
	t.Helper()
	r := Run(h, target, Selection{Only: []string{id}})
	if len(r.Checks) != 1 {
		t.Fatalf("there is no check %s", id)
	}
	return r.Checks[0]
}

var errNoSystemd = errors.New("no systemd in this test")
