package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/server"
)

// smallHost is the copy of a host with memory for about 100,000 connections, and the backlog of an old kernel.
func smallHost(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"proc/meminfo":                             "MemTotal: 2097152 kB\n",
		"proc/sys/net/core/somaxconn":              "128\n",
		"proc/sys/fs/epoll/max_user_watches":       "500000\n",
		"proc/sys/net/ipv4/tcp_rmem":               "4096 131072 6291456\n",
		"proc/sys/net/ipv4/tcp_mem":                "20000 30000 40000\n",
		"proc/sys/net/ipv4/tcp_max_orphans":        "8192\n",
		"proc/sys/net/netfilter/nf_conntrack_max":  "bad\n",
		"proc/sys/vm/overcommit_memory":            "0\n",
		"proc/self/cgroup":                         "0::/\n",
		"sys/kernel/mm/transparent_hugepage/other": "",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestStrictHost(t *testing.T) {
	root := smallHost(t)
	tests := []struct {
		n       int
		listen  string
		refused bool
		checks  []string // named in the log, each once
	}{
		{1000, "127.0.0.1:7999", false, []string{"net.core.somaxconn"}}, // who connects from here only can wait
		{1000, "[::1]:7999", false, []string{"net.core.somaxconn"}},
		{1000, ":7999", true, []string{"net.core.somaxconn"}},
		{1_000_000, "127.0.0.1:7999", true, []string{"memory", "fs.epoll.max_user_watches", "net.core.somaxconn"}},
	}
	for _, tt := range tests {
		for _, strict := range []bool{false, true} {
			var log bytes.Buffer
			o := server.Options{MaxConnections: tt.n, Listen: []string{tt.listen}, Log: slog.New(slog.NewTextHandler(&log, nil))}
			err := checkHost(o, root, true, strict)
			if refused := err != nil; refused != (strict && tt.refused) {
				t.Errorf("%d on %s, strict %v: %v, want refused %v", tt.n, tt.listen, strict, err, tt.refused)
			}
			if got := strings.Count(log.String(), "\n"); got != len(tt.checks) {
				t.Errorf("%d on %s: %d lines in the log, want %d:\n%s", tt.n, tt.listen, got, len(tt.checks), log.String())
			}
			for _, id := range tt.checks {
				if strings.Count(log.String(), "check="+id+" ") != 1 {
					t.Errorf("%d on %s: %s is not named once:\n%s", tt.n, tt.listen, id, log.String())
				}
			}
		}
	}
}

// Without --max-connections a start says what the host holds, and warns only of what is wrong with it for any number.
func TestStartWithoutAskingForANumber(t *testing.T) {
	var log bytes.Buffer
	o := server.Options{MaxConnections: 1_048_320, Listen: []string{":7999"}, Log: slog.New(slog.NewTextHandler(&log, nil))}
	if err := checkHost(o, smallHost(t), false, false); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "level=INFO") || !strings.Contains(lines[0], "check=memory") ||
		!strings.Contains(lines[1], "check=net.core.somaxconn ") {
		t.Errorf("the log has\n%s\nwant the capacity by the memory, and the backlog of an old kernel", log.String())
	}
}

// --strict-host refuses by what was asked for, so something has to be.
func TestStrictHostNeedsANumber(t *testing.T) {
	_, code, _, stderr := start(t, "--strict-host")
	if code != app.Usage || !strings.Contains(stderr, "max-connections") {
		t.Errorf("--strict-host alone: exit %d, %q, want %d and the option that is missing", code, stderr, app.Usage)
	}
	if o, code, _, stderr := start(t, "--strict-host", "--max-connections", "11"); code != app.OK || o.MaxConnections != 11 {
		t.Errorf("--strict-host for 11: exit %d, %s", code, stderr)
	}
}

func TestHostThatCannotBeChecked(t *testing.T) {
	o := server.Options{MaxConnections: 1000, Listen: []string{":7999"}, Log: slog.New(slog.DiscardHandler)}
	if err := checkHost(o, t.TempDir(), true, false); err != nil {
		t.Errorf("without /proc: %v, want a start", err)
	}
	if err := checkHost(o, t.TempDir(), true, true); err == nil || !strings.Contains(err.Error(), "/proc") {
		t.Errorf("without /proc and with --strict-host: %v, want a refusal", err)
	}
}

func BenchmarkCheckHost(b *testing.B) {
	o := server.Options{MaxConnections: 15_000, Listen: []string{":7999"}, Log: slog.New(slog.DiscardHandler)}
	for b.Loop() {
		if err := checkHost(o, "/", true, false); err != nil {
			b.Fatal(err)
		}
	}
}
