package main

import (
	"slices"
	"strings"
	"testing"

	"holdfast/cmd/internal/app"
)

func TestSubprotocolsKeepTheirOrder(t *testing.T) {
	want := []string{"v2.chat", "v1.chat", "mqtt"}
	for _, args := range [][]string{
		{"--ws-protocol", "v2.chat", "--ws-protocol", "v1.chat", "--ws-protocol", "mqtt"},
		{"--ws-protocol", "v2.chat,v1.chat, mqtt"},
	} {
		o, code, _, stderr := start(t, args...)
		if code != app.OK || !slices.Equal(o.WSProtocols, want) {
			t.Errorf("pushd %q: exit %d, %q, %s; want %q", args, code, o.WSProtocols, stderr, want)
		}
	}
}

func TestBadSubprotocols(t *testing.T) {
	for value, want := range map[string]string{
		"a/b":                    `"a/b" is not the name of a subprotocol`,
		"m\u00fc":                `"mü" is not the name of a subprotocol`,
		"a,b,a":                  `"a" is there twice`,
		strings.Repeat("x,", 33): "33 names, at most 32 are allowed",
	} {
		_, code, _, stderr := start(t, "--ws-protocol", value)
		if code != app.Usage || !strings.Contains(stderr, want) {
			t.Errorf("--ws-protocol %q: exit %d, %q, want %q", value, code, stderr, want)
		}
	}
}
