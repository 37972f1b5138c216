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

// What is below a user's systemd or a container may be called anything, and is no unit of this machine.
func TestUnitOfIsTheSystemsOwn(t *testing.T) {
	for group, want := range map[string]string{
		"0::/system.slice/pushd.service": "pushd.service",
		"0::/pushd.service":              "pushd.service",
		"1:name=systemd:/system.slice/system-pushd.slice/pushd@a:b.service":              "pushd@a:b.service",
		"4:pids:/x\n0::/system.slice/push\\x2dd.service":                                 "push\\x2dd.service",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/pushd.service":       "",
		"0::/user.slice/user-1000.slice/user@1000.service/x;touch ${HOME}pwned;.service": "",
		"0::/system.slice/x y.service":                                                   "",
		"0::/system.slice/$(id).service":                                                 "",
		"0::/system.slice/\x1b[2J.service":                                               "",
		"0::/system.slice/docker-0123.scope/system.slice/pushd.service":                  "",
		"0::/../pushd.service":                                                           "",
		"0::/system.slice/pushd.service/sub":                                             "",
		"0::/":                                                                           "",
		"":                                                                               "",
	} {
		h := hostOf(t, "linux-6.18", map[string]string{"proc/77/cgroup": group})
		if got := h.UnitOf(77); got != want {
			t.Errorf("UnitOf in %q = %q, want %q", group, got, want)
		}
	}
}

func TestValidUnit(t *testing.T) {
	for name, want := range map[string]bool{"pushd.service": true, "pushd": true, "pushd@1.service": true, "a-b_c:d\\x2d.service": true,
		"": false, "-x": false, "../x": false, "..": false, "x/y": false, "x y": false, "x;y": false, "x'y": false, "x\ny": false, "é": false,
		strings.Repeat("x", 255): true, strings.Repeat("x", 256): false} {
		if got := ValidUnit(name); got != want {
			t.Errorf("ValidUnit(%q) = %v, want %v", name, got, want)
		}
	}
}

// The commands for root take a name for one word.
func TestUnitIsQuotedInCommands(t *testing.T) {
	const want = `mkdir -p '/etc/systemd/system/a\x2db.service.d'
printf '[Service]\nLimitNOFILE=5\n' \
  >> '/etc/systemd/system/a\x2db.service.d/90-holdfast.conf'
systemctl daemon-reload
systemctl restart 'a\x2db.service'`
	if got := directiveCommands(`a\x2db.service`, "LimitNOFILE=5"); got != want {
		t.Errorf("the commands are\n%s, want\n%s", got, want)
	}
	if got := shellWord("a'b"); got != `'a'\''b'` {
		t.Errorf("shellWord(a'b) = %s", got)
	}
}
