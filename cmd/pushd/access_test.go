package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/hub"
)

// An address that others can reach needs a word about who may come in.
func TestOthersThanThisMachine(t *testing.T) {
	key := "--token-key=" + testSecret
	for _, address := range []string{":7999", "0.0.0.0:7999", "[::]:7999", "192.0.2.1:7999", "push.example:7999", "127.0.0.1:1,:2"} {
		_, code, _, stderr := start(t, "--listen", address)
		if code != app.Failed || !strings.Contains(stderr, "--token-key") || !strings.Contains(stderr, "--anonymous") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q", address, code, stderr)
		}
		if _, code, _, _ := start(t, "check", "--listen", address); code != app.Failed {
			t.Errorf("check of %s: exit %d, want %d", address, code, app.Failed)
		}
		for _, who := range []string{"--anonymous", key} {
			if _, code, _, stderr := start(t, "--listen", address, who); code != app.OK {
				t.Errorf("%s %.11s: exit %d, %q", address, who, code, stderr)
			}
		}
	}
	for _, address := range []string{"127.0.0.1:7999", "127.5.5.5:7999", "[::1]:7999", "localhost:7999"} {
		if _, code, _, stderr := start(t, "--listen", address); code != app.OK {
			t.Errorf("%s: exit %d, %q", address, code, stderr)
		}
	}
	if _, code, _, stderr := start(t, "--anonymous", key); code != app.Usage || !strings.Contains(stderr, "choose one") {
		t.Errorf("both: exit %d, %q", code, stderr)
	}
}

// The secret is in nothing that pushd prints.
func TestCheckKeepsTheKey(t *testing.T) {
	for _, args := range [][]string{{"check"}, {"check", "--json"}} {
		_, code, stdout, stderr := start(t, append(args, "--token-key", testSecret, "--publish-token-file", "testdata/publish-token")...)
		if strings.Contains(stdout+stderr, testSecret) || strings.Contains(stdout+stderr, "for-tests-and") || !strings.Contains(stdout, "for HS256") {
			t.Errorf("%v: exit %d, %s%s", args, code, stdout, stderr)
		}
	}
}

func TestBadAccessSettings(t *testing.T) {
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct{ name, value, want string }{
		{"token-key", "short", "RFC 7518"},
		{"token-key", "file:/nonexistent/key", "/nonexistent/key"},
		{"token-key", "base64:!!!", "base64"},
		{"token-cookie", "a b", "not the name of a cookie"},
		{"token-grace", "-1s", "out of range"},
		{"allow-origin", "example.com", "https://example.com"},
		{"allow-origin", "https://example.com/", "slash"},
		{"allow-origin", "*,https://a.example", "alone"},
		{"trusted-proxies", "10.0.0.0/33", "10.0.0.0/33"},
		{"trusted-proxies", "proxy.example", "proxy.example"},
		{"publish-token-file", "/nonexistent/token", "/nonexistent/token"},
		{"publish-token-file", file("short"), "at least 16"},
		{"publish-token-file", file(strings.Repeat("x", 5000)), "at most 4096"},
		{"publish-token-file", file("two lines of it\nin one file"), "one line"},
		{"publish-host", "a/b", "not a host name"},
		{"publish-listen", "192.0.2.1:5561", "--publish-token-file"},
		{"history", "many", "want [PATTERN=]N[:TIME]"},
		{"history", "-1", "want [PATTERN=]N[:TIME]"},
		{"history", "10001", "from 0 to 10000"},
		{"history", "=5", "channel name is empty"},
		{"history", "a*b=5", "at the end"},
		{"history", "5:1", "not a time"},
		{"history", "5:10ms", "from 1s to 8760h"},
		{"history", "5:9999h", "from 1s to 8760h"},
		{"token-key", "", "it is empty"},
		{"publish-token-file", "", "it is empty"},
		{"token-audience", "push", "token-key"},
		{"history", "5,6", "twice"},
		{"history-memory", "1KiB", "out of range"},
		{"max-subscriptions", "0", "out of range"},
		{"max-subscriptions", "1001", "out of range"},
		{"max-per-address", "-1", "out of range"},
	} {
		_, code, _, stderr := start(t, "--"+tt.name+"="+tt.value)
		if code != app.Usage || !strings.Contains(stderr, tt.want) || !strings.Contains(stderr, "--"+tt.name) {
			t.Errorf("--%s=%.40s: exit %d, %q, want %q", tt.name, tt.value, code, stderr, tt.want)
		}
	}
}

// A variable that protects something and came out empty stops the start; others count as not set.
func TestEmptyKeyVariable(t *testing.T) {
	for _, variable := range []string{"PUSHD_TOKEN_KEY", "PUSHD_PUBLISH_TOKEN_FILE"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, "")
			if _, code, _, stderr := start(t); code != app.Usage || !strings.Contains(stderr, "$"+variable+": it is empty") {
				t.Errorf("exit %d, %q", code, stderr)
			}
		})
	}
	path := writeConfig(t, "token-key = \"\"\n")
	if _, code, _, stderr := start(t, "--config", path); code != app.Usage || !strings.Contains(stderr, "it is empty") {
		t.Errorf("in the file: exit %d, %q", code, stderr)
	}
	path = writeConfig(t, "history = 100\n")
	if o, code, _, stderr := start(t, "--config", path); code != app.OK || len(o.History) != 1 || o.History[0].Items != 100 {
		t.Errorf("history as a number: exit %d, %q, %v", code, stderr, o.History)
	}
}

func TestHistoryRules(t *testing.T) {
	o, code, _, stderr := start(t, "--history", "100", "--history", "chat-*=50:1h", "--history", "a=b=1", "--history", "quiet=0", "--history-ttl", "30s")
	want := []hub.HistoryRule{
		{Pattern: "*", Items: 100, TTL: 30 * time.Second}, {Pattern: "chat-*", Items: 50, TTL: time.Hour},
		{Pattern: "a=b", Items: 1, TTL: 30 * time.Second}, {Pattern: "quiet", Items: 0, TTL: 30 * time.Second},
	}
	if code != app.OK || len(o.History) != len(want) {
		t.Fatalf("exit %d, %q, %v", code, stderr, o.History)
	}
	for i, rule := range o.History {
		if rule != want[i] {
			t.Errorf("rule %d = %v, want %v", i, rule, want[i])
		}
	}
}
