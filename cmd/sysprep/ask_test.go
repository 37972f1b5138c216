package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/control"
	"holdfast/pkg/stats"
	"holdfast/pkg/sysprep"
)

// answering starts a control socket whose pushd is this process, and returns its path.
func answering(t *testing.T, connections int, rssAnon int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pushd.sock")
	ln, err := control.Listen(path, 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	snap := stats.Snapshot{PID: os.Getpid(), RSSAnonBytes: rssAnon, Connections: stats.Connections{Total: connections},
		FDs: stats.FDs{Used: connections, Limit: connections + 10}, Loops: make([]stats.LoopSnapshot, 3)}
	server := control.New(control.Options{Log: slog.New(slog.DiscardHandler), Program: "pushd test", MaxFrame: 1 << 20, MaxMessage: 1 << 18,
		Stats: func() stats.Snapshot { return snap }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("control socket: %v", err)
		}
	})
	return path
}

func TestAPushdThatAnswersIsReckonedWith(t *testing.T) {
	socket := answering(t, 20_000, sysprep.UserBaseBytes+20_000*333)
	_, out, errOut := sysprepOut("check", "-n", "1M", "--socket", socket, "--only", "memory,net.core.somaxconn,rlimit.nofile")
	if errOut != "" || !strings.Contains(out, "3 loops, 20,000 connections") || strings.Contains(out, "pushd's own memory") {
		t.Errorf("with a pushd that answers, stderr %q:\n%s", errOut, out)
	}
	_, out, _ = sysprepOut("check", "-n", "1M", "--socket", socket, "--only", "memory", "--json")
	if !strings.Contains(out, "+ 333 user") {
		t.Errorf("the measured 333 bytes are not in the formula:\n%s", out)
	}
	_, out, _ = sysprepOut("check", "-n", "1M", "--only", "memory", "--no-pushd")
	if !strings.Contains(out, "Assumed:") || !strings.Contains(out, "80 bytes of pushd's own memory") {
		t.Errorf("with --no-pushd it is not said what is assumed:\n%s", out)
	}
	code, out, errOut := sysprepOut("watch", "--socket", socket, "--count", "1")
	if code != app.OK || errOut != "" || !strings.Contains(out, " 20,000 ") || !strings.Contains(out, "open files of pushd: 20000 of 20010") {
		t.Errorf("watch with a pushd: exit code %d, stderr %q:\n%s", code, errOut, out)
	}
}

// What few connections cost cannot be told from what pushd takes anyway.
func TestFewConnectionsTellNothing(t *testing.T) {
	if p := pushd(&stats.Snapshot{Connections: stats.Connections{Total: 9_999}, RSSAnonBytes: 50 << 20}); p.UserBytes != 0 {
		t.Errorf("9,999 connections tell %d bytes each, want nothing", p.UserBytes)
	}
	if p := pushd(&stats.Snapshot{Connections: stats.Connections{Total: 10_000}, RSSAnonBytes: 1}); p.UserBytes != 1 {
		t.Errorf("a pushd below its base tells %d bytes each, want 1", p.UserBytes)
	}
}
