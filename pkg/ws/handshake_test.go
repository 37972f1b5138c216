package ws

import (
	"bufio"
	"errors"
	"net/http"
	"strings"
	"testing"
)

const sampleKey = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455 1.3

// handshake returns a good handshake with these fields instead of its own, given as "name: value".
// One without Upgrade has a good one.
func handshake(fields ...string) Handshake {
	h := Handshake{Method: []byte("GET"), Minor: 1, Upgrade: true}
	if !strings.Contains(strings.Join(fields, "\n"), "Upgrade: ") {
		h.Add([]byte("Upgrade"), []byte("websocket"))
	}
	if fields == nil {
		fields = []string{"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + sampleKey}
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		h.Add([]byte(name), []byte(value))
	}
	return h
}

func TestHandshake(t *testing.T) {
	const version, key = "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + sampleKey
	with := func(change func(*Handshake)) Handshake {
		h := handshake()
		change(&h)
		return h
	}
	upgrade := func(lists ...string) Handshake {
		fields := []string{version, key}
		for _, list := range lists {
			fields = append(fields, "Upgrade: "+list)
		}
		return handshake(fields...)
	}
	tests := []struct {
		rule string
		h    Handshake
		want error
	}{
		{"4.2.1: good", handshake(), nil},
		{"names in any case and order, among others", handshake("Host: a", "SEC-WEBSOCKET-KEY: "+sampleKey, "Origin: null", "sec-websocket-version: 13", "Sec-WebSocket-Protocol: x", "Sec-WebSocket-Extensions: permessage-deflate"), nil},
		{"tcpkali's key", handshake(version, "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw=="), nil},
		{"bits of the key that do not count", handshake(version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="), nil},
		{"the protocol in another case", upgrade("WebSocket"), nil},
		{"the protocol in a list", upgrade("h2c,\twebsocket , foo"), nil},
		{"the protocol in the second of two fields", upgrade("h2c", "websocket"), nil},
		{"the protocol in the first of two fields", upgrade("websocket", "h2c"), nil},

		{"4.2.1: POST", with(func(h *Handshake) { h.Method = []byte("POST") }), errMethod},
		{"HEAD as GET without an upgrade", with(func(h *Handshake) {
			h.Method, h.Upgrade = []byte("HEAD"), false
		}), errNoUpgrade},
		{"4.2.1: HEAD", with(func(h *Handshake) { h.Method = []byte("HEAD") }), errMethod},
		{"4.2.1: a method in lower case", with(func(h *Handshake) { h.Method = []byte("get") }), errMethod},
		{"4.2.1: HTTP/1.0", with(func(h *Handshake) { h.Minor, h.Upgrade = 0, false }), errHTTP},
		{"a body that would be taken for frames", with(func(h *Handshake) { h.HasBody = true }), errBody},
		{"4.2.1: no upgrade", upgrade(""), errNoUpgrade},
		{"4.2.1: another protocol", upgrade("h2c"), errNoUpgrade},
		{"4.2.1: other protocols", upgrade("h2c", "foo, bar"), errNoUpgrade},
		{"4.2.1: Connection does not name it", with(func(h *Handshake) { h.Upgrade = false }), errNoUpgrade},
		{"4.2.1: part of a name", upgrade("websockets, xwebsocket, web socket"), errNoUpgrade},
		{"4.2.1: no version", handshake(key), errNoVersion},
		{"4.4: version 8", handshake(key, "Sec-WebSocket-Version: 8"), errVersion},
		{"4.4: version 14", handshake(key, "Sec-WebSocket-Version: 14"), errVersion},
		{"4.4: version 013", handshake(key, "Sec-WebSocket-Version: 013"), errVersion},
		{"4.4: an empty version", handshake(key, "Sec-WebSocket-Version: "), errVersion},
		{"4.4: a list of versions", handshake(key, "Sec-WebSocket-Version: 13, 8"), errVersion},
		{"11.3.5: two versions", handshake(key, version, version), errVersions},
		{"4.2.1: no key", handshake(version), errNoKey},
		{"4.2.1: an empty key", handshake(version, "Sec-WebSocket-Key: "), errKey},
		{"4.2.1: 15 bytes", handshake(version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"), errKey},
		{"4.2.1: 17 bytes", handshake(version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQA="), errKey},
		{"4.2.1: 18 bytes", handshake(version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA"), errKey},
		{"4.2.1: no base64", handshake(version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j-Q=="), errKey},
		{"4.2.1: no padding", handshake(version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"), errKey},
		{"4.2.1: a line end in the key", handshake(version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\n="), errKey},
		{"4.2.1: a long key", handshake(version, "Sec-WebSocket-Key: "+strings.Repeat("A", 8000)), errKey},
		{"11.3.1: two keys", handshake(version, key, "sec-websocket-key: "+sampleKey), errKeys},
		{"a name with a Kelvin sign", handshake(version, "Sec-WebSoc\u212Aet-Key: "+sampleKey), errNoKey},
	}
	for _, tt := range tests {
		err := tt.h.Check()
		if err != tt.want {
			t.Errorf("%s: Check() = %v, want %v", tt.rule, err, tt.want)
			continue
		}
		var refusal *HandshakeError
		if errors.As(err, &refusal) && (refusal.Error() != "ws: "+refusal.Text || refusal.Status != 426 && refusal.Status != 400) {
			t.Errorf("%s: refused with status %d and text %q", tt.rule, refusal.Status, refusal.Error())
		}
	}
	if errVersion.Status != 426 || errNoUpgrade.Status != 426 || errKey.Status != 400 {
		t.Errorf("a wrong version is refused with %d, no upgrade with %d, a bad key with %d, want 426, 426, 400",
			errVersion.Status, errNoUpgrade.Status, errKey.Status)
	}
}

func TestAppendUpgradeIsAWholeHead(t *testing.T) {
	h := handshake()
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
	head := string(AppendUpgrade([]byte("before"), h.Key(), h.Protocol()))
	head, found := strings.CutPrefix(head, "beforeHTTP/1.1 101 Switching Protocols\r\n")
	if !found || !strings.HasSuffix(head, "\r\n\r\n") {
		t.Fatalf("AppendUpgrade = %q, want a whole head behind what was there", head)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n") {
		if !strings.Contains(line, ": ") { // Tsung fails without the space
			t.Errorf("line %q has no colon and space", line)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader("HTTP/1.1 101 Switching Protocols\r\n"+head)), nil)
	if err != nil {
		t.Fatalf("net/http reads the head as %v", err)
	}
	defer resp.Body.Close()
	for name, want := range map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="} {
		if got := resp.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if len(resp.Header) != 3 {
		t.Errorf("the head has the fields %v, want three: no extension and no protocol may be claimed", resp.Header)
	}
}

func TestAppendUpgradeNamesTheSubprotocol(t *testing.T) {
	head := string(AppendUpgrade(nil, []byte(sampleKey), []byte("chat")))
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head)), nil)
	if err != nil {
		t.Fatalf("net/http reads %q as %v", head, err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Values("Sec-WebSocket-Protocol"); len(got) != 1 || got[0] != "chat" || len(resp.Header) != 4 {
		t.Errorf("the head has the fields %v, want one more with chat", resp.Header)
	}
}

func TestUpgradeRequiredLines(t *testing.T) {
	head := "HTTP/1.1 426 Upgrade Required\r\n" + UpgradeRequired + "Content-Length: 0\r\n\r\n"
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if h := resp.Header; h.Get("Upgrade") != "websocket" || h.Get("Sec-WebSocket-Version") != "13" || h.Get("Connection") != "Upgrade" {
		t.Errorf("UpgradeRequired gives %v", h)
	}
}

func TestAppendAcceptPanicsOnAKeyOfAnotherSize(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("AppendAccept(short) does not panic")
		}
	}()
	AppendAccept(nil, []byte("short"))
}
