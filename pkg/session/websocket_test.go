package session

import (
	"strings"
	"testing"
)

// handshakeHead is a good handshake with further field lines.
func handshakeHead(fields string) string {
	return "GET /ws?channel=a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + fields + "\r\n"
}

// A browser fails a handshake that leaves its offer unanswered.
func TestSubprotocolIsAnswered(t *testing.T) {
	const accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	served := testOptions
	served.WSProtocols = []string{"v2", "v1"}
	for _, tt := range []struct {
		name   string
		opts   Options
		fields string
		want   string
	}{
		{"none offered", testOptions, "", ""},
		{"the first", testOptions, "Sec-WebSocket-Protocol: v1, v2\r\n", "Sec-WebSocket-Protocol: v1\r\n"},
		{"the preferred", served, "Sec-WebSocket-Protocol: v1, v2\r\n", "Sec-WebSocket-Protocol: v2\r\n"},
		{"not served", served, "Sec-WebSocket-Protocol: v3\r\n", ""},
	} {
		f := newFakeWith(t, tt.opts)
		_, c := f.request(handshakeHead("Upgrade: websocket\r\n" + tt.fields))
		if got := c.out.String(); got != accepted+tt.want+"\r\n" || !c.held {
			t.Errorf("%s: answer %q, want %q at the end", tt.name, got, tt.want)
		}
	}
}

// The members of repeated fields make up one list (RFC 9110 5.3).
func TestUpgradeInTwoFields(t *testing.T) {
	for _, fields := range []string{
		"Upgrade: h2c\r\nUpgrade: websocket\r\n", "Upgrade: websocket\r\nUpgrade: h2c\r\n",
		"Upgrade: h2c, WebSocket\r\nConnection: HTTP2-Settings\r\n",
	} {
		f := newFake(t)
		_, c := f.request(handshakeHead(fields))
		if got := c.out.String(); !strings.HasPrefix(got, "HTTP/1.1 101 ") {
			t.Errorf("%q: answer %q, want 101", fields, got)
		}
	}
}
