package proxy

import (
	"os"
	"strings"
	"testing"
)

// The page for backend developers names each cause, and says each text that a client can get.
func TestPageNamesEveryCause(t *testing.T) {
	page, err := os.ReadFile("../../docs/grip.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range causes {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/grip.md does not name the cause %s", name)
		}
	}
	for _, test := range badResponses {
		text, _, _ := strings.Cut(strings.TrimSuffix(test.text, "\n"), ":")
		if !strings.Contains(string(page), "`"+text) {
			t.Errorf("docs/grip.md does not say %q", text)
		}
	}
}
