package main

import (
	"log"
	"os"
	"strings"
	"testing"
)

// What net/http says of a backend comes as a line of pushd's own log, without what the backend sent, and not without bound.
func TestLibrariesWriteToTheLog(t *testing.T) {
	var out strings.Builder
	redirectLog(newLogger(&out, "info", "json"))
	defer log.SetOutput(os.Stderr)
	for range 1000 {
		log.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", "secret", nil)
	}
	got := out.String()
	if n := strings.Count(got, "\n"); n < 1 || n > 3 || !strings.Contains(got, `"err":"Unsolicited response received on idle HTTP channel"`) || strings.Contains(got, "secret") {
		t.Errorf("%d lines: %.300s", n, got)
	}
}
