package ws

import (
	"strings"
	"testing"
)

func TestProtocolOfAnOffer(t *testing.T) {
	const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"
	long := strings.Repeat("x", maxPlainProtocol+1)
	const field = "Sec-WebSocket-Protocol: "
	for _, tt := range []struct {
		rule   string
		served []string
		offer  []string
		want   string
	}{
		{"nothing offered", nil, nil, ""},
		{"nothing offered, some served", []string{"a"}, nil, ""},
		{"the first", nil, []string{field + "chat, superchat"}, "chat"},
		{"one", nil, []string{field + "v12.stomp"}, "v12.stomp"},
		{"the first of two fields", nil, []string{field + "b", field + "a"}, "b"},
		{"a name in another case", nil, []string{"SEC-WEBSOCKET-PROTOCOL: \tMQTT ,x"}, "MQTT"},
		{"members that are no names", nil, []string{field + ", ,a b,x/y,\"q\",m\u00fc, good"}, "good"},
		{"only such", nil, []string{field + ",a b", field}, ""},
		{"a token is not echoed", nil, []string{field + jwt + ", chat"}, "chat"},
		{"nor a long one", nil, []string{field + long + ",chat"}, "chat"},
		{"the name before a token", nil, []string{field + "access_token, " + jwt}, "access_token"},
		{"a client that offers nothing else needs it", nil, []string{field + jwt}, jwt},
		{"the first of such", nil, []string{field + long + "," + jwt}, long},
		{"eyJ without a dot", nil, []string{field + "eyJ, b"}, "eyJ"},

		{"served", []string{"a", "b"}, []string{field + "b, a"}, "a"},
		{"served, in two fields", []string{"a", "b"}, []string{field + "b", field + "a"}, "a"},
		{"the second served", []string{"a", "b"}, []string{field + "c, b"}, "b"},
		{"not served", []string{"a", "b"}, []string{field + "c, A, aa"}, ""},
	} {
		h := Handshake{Method: []byte("GET"), Minor: 1, Upgrade: true, Protocols: tt.served}
		for _, f := range append([]string{"Upgrade: websocket", "Sec-WebSocket-Version: 13",
			"Sec-WebSocket-Key: " + sampleKey}, tt.offer...) {
			name, value, _ := strings.Cut(f, ": ")
			h.Add([]byte(name), []byte(value))
		}
		if err := h.Check(); err != nil {
			t.Errorf("%s: Check() = %v", tt.rule, err)
		}
		if got := string(h.Protocol()); got != tt.want {
			t.Errorf("%s: Protocol() = %q, want %q", tt.rule, got, tt.want)
		}
	}
}

// FuzzProtocol checks that what is answered was offered, and can be answered.
func FuzzProtocol(f *testing.F) {
	for _, offer := range []string{"chat", "a, b", "eyJ.x,y", ",,", "a b", "x\r\nSet-Cookie: a"} {
		f.Add([]byte(offer), "")
		f.Add([]byte(offer), "b")
	}
	f.Fuzz(func(t *testing.T, offer []byte, served string) {
		h := Handshake{}
		if served != "" {
			h.Protocols = []string{served}
		}
		h.Add([]byte("Sec-WebSocket-Protocol"), offer)
		switch got := string(h.Protocol()); {
		case got == "":
		case strings.ContainsAny(got, ", \t\r\n\x00"):
			t.Errorf("offer %q: answer %q is no name", offer, got)
		case !strings.Contains(string(offer), got):
			t.Errorf("offer %q: answer %q was not offered", offer, got)
		case served != "" && got != served:
			t.Errorf("offer %q: answer %q is not served, only %q", offer, got, served)
		}
	})
}
