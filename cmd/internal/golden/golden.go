// Package golden compares the output of the command lines with files in their testdata.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// testdata is that of the package under test, whatever its tests make the working directory later.
var testdata, _ = filepath.Abs("testdata")

// Check compares got with testdata/name, or rewrites the file when the test was run with -update.
func Check(t testing.TB, name, got string) {
	t.Helper()
	path := filepath.Join(testdata, name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("testdata/%s differs (run with -update to rewrite it); got:\n%s", name, got)
	}
}
