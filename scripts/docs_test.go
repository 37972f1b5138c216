package scripts

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// In bash pushd is a command of the shell: a command line that begins with the bare name does
// something else.
func TestNoDocumentedCommandLineIsTheShellsPushd(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no docs: %v", err)
	}
	bare := regexp.MustCompile(`^\s+(\$ )?(\w+=\S+ )*pushd( -|$| check\b)`)
	for _, page := range append(pages, "../README.md", "run.sh") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			if n++; bare.MatchString(line) {
				t.Errorf("%s:%d: %s", page, n, strings.TrimSpace(line))
			}
		}
	}
}

// The page at / shows what the README has the reader publish.
func TestREADMEPublishesToTheChannelOfThePage(t *testing.T) {
	page, err := os.ReadFile("../pkg/demo/index.html")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	channel := regexp.MustCompile(`id="channel"[^>]* value="([^"]+)"`).FindSubmatch(page)
	if channel == nil {
		t.Fatal("the page at / names no channel")
	}
	want := string(channel[1])
	for _, m := range regexp.MustCompile(`channel=(\w+)'|pushpub (?:-l )?(\w+) |"channel":"(\w+)"`).FindAllStringSubmatch(string(readme), -1) {
		if got := m[1] + m[2] + m[3]; got != want && got != "bench" {
			t.Errorf("README has %q; the page at / watches %q", m[0], want)
		}
	}
}
