// Package pkg holds no code, only the test of what imports what (docs/architecture.md).
package pkg

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A package imports only packages of lower floors, and from outside the standard library only what its line names. That
// wire stands above publish and stats, and client above wire, makes the edges between them ordinary ones.
var floors = []map[string][]string{
	0: {
		"demo":        nil,
		"forwarded":   nil,
		"grip":        {"github.com/golang-jwt/jwt/v5"},
		"http1":       nil,
		"nearest":     nil,
		"origin":      nil,
		"publish":     {"github.com/evanphx/json-patch/v5"},
		"pushpinconf": nil,
		"share":       nil,
		"slab":        nil,
		"sse":         nil,
		"stats":       {"github.com/HdrHistogram/hdrhistogram-go"},
		"timewheel":   nil,
		"token":       {"github.com/golang-jwt/jwt/v5"},
		"version":     nil,
		"ws":          nil,
	},
	1: {
		"endpoint": nil,
		"exchange": nil,
		"hub":      nil,
		"metrics": {"github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_golang/prometheus/collectors",
			"github.com/prometheus/client_golang/prometheus/promhttp"},
		"netloop": {"github.com/mailru/easygo/netpoll", "golang.org/x/sys/unix"},
		"route":   nil,
		"sysprep": {"golang.org/x/sys/unix"},
		"wire":    {"github.com/vmihailenco/msgpack/v5", "github.com/vmihailenco/msgpack/v5/msgpcode"},
	},
	2: {
		"client":  nil,
		"control": {"golang.org/x/sys/unix"},
		"feed":    nil,
		"proxy":   nil,
		"session": nil,
	},
	3: {
		"loadgen": {"golang.org/x/sys/unix"},
		"server":  {"golang.org/x/sys/unix"},
	},
}

// restricted are packages that only one room may use, of the tree that this test sees.
var restricted = map[string]string{
	"charm.land/bubbletea/v2":         "cmd/pushstat/tui",
	"charm.land/lipgloss/v2":          "cmd/pushstat/tui",
	"github.com/charmbracelet/x/ansi": "cmd/pushstat/tui",
	"github.com/fatih/color":          "cmd",
	"github.com/golang-jwt/jwt/v5":    "pkg/token, pkg/grip",
	"github.com/urfave/cli/v2":        "cmd",
	"unsafe":                          "pkg/netloop, pkg/wire", // one audited file each
}

// noted are edges that a floor would allow and the design does not.
var noted = map[[2]string]string{
	{"session", "netloop"}: "a connection is a number for session; sockets are behind its Transport",
	{"hub", "netloop"}:     "the hub frames nothing and writes nothing",
	{"control", "netloop"}: "control reaches clients through the hub only",
}

const module = "holdfast/"

func TestImportsGoDownTheFloors(t *testing.T) {
	floorOf := map[string]int{}
	for floor, packages := range floors {
		for name := range packages {
			floorOf[name] = floor
		}
	}
	seen := map[string]bool{}
	forEachImport(t, ".", func(file, imported string) {
		name, _, _ := strings.Cut(filepath.ToSlash(file), "/")
		floor, known := floorOf[name]
		if !known {
			t.Errorf("%s: package %s has no floor in this test's table", file, name)
			return
		}
		seen[name] = true
		target, ours := strings.CutPrefix(imported, module+"pkg/")
		switch {
		case strings.HasPrefix(imported, module+"cmd/"):
			t.Errorf("%s imports %s: nothing below cmd imports it", file, imported)
		case ours && floorOf[target] >= floor:
			t.Errorf("%s (floor %d) imports %s (floor %d), which is not below it", file, floor, target, floorOf[target])
		case ours:
			if why := noted[[2]string{name, target}]; why != "" {
				t.Errorf("%s imports %s: %s", file, target, why)
			}
		case strings.Contains(strings.Split(imported, "/")[0], ".") && !slices.Contains(floors[floor][name], imported):
			t.Errorf("%s imports %s, which the line of %s does not name", file, imported, name)
		}
	})
	for name := range floorOf {
		if !seen[name] {
			t.Errorf("package %s stands in the table and has no code", name)
		}
	}
}

func TestRestrictedImports(t *testing.T) {
	for _, root := range []string{".", "../cmd"} {
		forEachImport(t, root, func(file, imported string) {
			rooms, found := restricted[imported]
			dir := strings.TrimPrefix(filepath.ToSlash(filepath.Join("pkg", root, filepath.Dir(file))), "pkg/../")
			if found && !slices.ContainsFunc(strings.Split(rooms, ", "), func(room string) bool { return strings.HasPrefix(dir, room) }) {
				t.Errorf("%s/%s imports %s, which is for %s", root, file, imported, rooms)
			}
		})
	}
}

// forEachImport calls fn for every import of the production files below root, with paths relative to root.
func forEachImport(t *testing.T, root string, fn func(file, imported string)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		for _, spec := range f.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			fn(rel, imported)
		}
		n++
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 5 {
		t.Fatalf("found %d files below %s", n, root)
	}
}
