package sysprep

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeSystemctl puts a shell script in the place of systemctl.
func fakeSystemctl(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestShowUnit(t *testing.T) {
	fakeSystemctl(t, `[ "$5" = pushd.service ] || { echo "Unit $5 is odd" >&2; exit 4; }
echo LoadState=loaded; echo LimitNOFILE=1048576; echo "TimeoutStopUSec=1min 30s"`)
	got, err := showUnit("pushd.service")
	if err != nil || got["LimitNOFILE"] != "1048576" || got["TimeoutStopUSec"] != "1min 30s" {
		t.Errorf("showUnit = %v, %v", got, err)
	}
	if _, err := showUnit("other.service"); err == nil || !strings.Contains(err.Error(), "Unit other.service is odd") {
		t.Errorf("showUnit of what systemctl refuses: %v, want its words", err)
	}
	if _, err := showUnit("--now"); err == nil || !strings.Contains(err.Error(), "is no unit") {
		t.Errorf("showUnit of an option: %v, want an error", err)
	}
}

func TestThereIsNoSystemctl(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := showUnit("pushd.service"); err == nil || !strings.Contains(err.Error(), "there is no systemctl") {
		t.Errorf("showUnit without systemctl: %v", err)
	}
}

func TestParseTimespan(t *testing.T) {
	for in, want := range map[string]time.Duration{"1min 30s": 90 * time.Second, "10s": 10 * time.Second, "500ms": 500 * time.Millisecond,
		"1h 1min": 61 * time.Minute, "1.5s": 1500 * time.Millisecond, "2w": 336 * time.Hour} {
		if got, ok := parseTimespan(in); !ok || got != want {
			t.Errorf("parseTimespan(%q) = %v, %v, want %v", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "10", "s", "-1s", "1min 30", "99999999999999h", "NaNs", "Infs"} {
		if got, ok := parseTimespan(in); ok {
			t.Errorf("parseTimespan(%q) = %v, want an error", in, got)
		}
	}
}

func TestParseRelease(t *testing.T) {
	for in, want := range map[string]kernelVersion{"6.18.44-fc-v669": {6, 18}, "4.19.0-26-amd64": {4, 19}, "5.4": {5, 4}, "": {}, "x": {}, "-5.4": {}, "6": {}} {
		if got := parseRelease(in); got != want {
			t.Errorf("parseRelease(%q) = %v, want %v", in, got, want)
		}
	}
}
