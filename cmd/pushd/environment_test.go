package main

import (
	"strings"
	"testing"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/server"
)

func TestUnknownVariablesAreRefused(t *testing.T) {
	t.Setenv("PUSHD_MAX_QUEUD", "1MiB")
	t.Setenv("PUSHD_XYZ", "secret")
	t.Setenv("PUSHD_LOPS", "") // empty counts as not set
	t.Setenv("PUSHD_LOOPS", "1")
	const want = "pushd: $PUSHD_MAX_QUEUD: unknown variable (did you mean PUSHD_MAX_QUEUED?)\n" +
		"pushd: $PUSHD_XYZ: unknown variable\n"
	for _, args := range [][]string{nil, {"check"}} {
		if _, code, stdout, stderr := start(t, args...); code != app.Usage || stdout != "" || stderr != want {
			t.Errorf("%q: exit %d, stdout %q, stderr %q, want 2 and %q", args, code, stdout, stderr, want)
		}
	}
	if _, code, _, stderr := start(t, "--help"); code != app.OK {
		t.Errorf("--help: exit %d: %s", code, stderr)
	}
}

// A cluster names every service in the environment of every program.
func TestVariablesOfAClusterAreNoSettings(t *testing.T) {
	flags := settingFlags(server.NewOptions())
	environ := []string{
		"PUSHD_SERVICE_HOST=10.0.0.1", "PUSHD_SERVICE_PORT=7999", "PUSHD_SERVICE_PORT_HTTP=7999",
		"PUSHD_PORT=tcp://10.0.0.1:7999", "PUSHD_PORT_7999_TCP=tcp://10.0.0.1:7999", "PUSHD_PORT_7999_TCP_PROTO=tcp",
		"PUSHD_PORT_7999_TCP_PORT=7999", "PUSHD_PORT_7999_TCP_ADDR=10.0.0.1",
		"PUSHD_METRICS_SERVICE_HOST=10.0.0.1", "PUSHD_METRICS_PORT_9101_TCP=tcp://10.0.0.1:9101",
		"PUSHD_CONFIG=/x", "PUSHD_PUSHPIN_CONFIG=/y", "PUSHD_SOCKET=/z", "PUSHDX=1", "PUSHPUB_X=1",
	}
	if err := unknownVariables(environ, flags); err != nil {
		t.Errorf("unknownVariables = %v, want none", err)
	}
	err := unknownVariables([]string{"PUSHD_PORT=7999"}, flags)
	if err == nil || !strings.Contains(err.Error(), "$PUSHD_PORT: unknown variable") {
		t.Errorf("PUSHD_PORT=7999: %v, want an error", err)
	}
}
