package ws

import (
	"fmt"
	"strings"
	"testing"
)

func TestAppendFrame(t *testing.T) {
	tests := []struct {
		rule    string
		op      Opcode
		payload string
		head    string
	}{
		{"5.7: text", Text, "Hello", "\x81\x05"},
		{"5.7: ping", Ping, "Hello", "\x89\x05"},
		{"empty", Binary, "", "\x82\x00"},
		{"largest short length", Text, strings.Repeat("x", 125), "\x81\x7d"},
		{"smallest of 16 bits", Text, strings.Repeat("x", 126), "\x81\x7e\x00\x7e"},
		{"5.7: 256 bytes", Binary, strings.Repeat("x", 256), "\x82\x7e\x01\x00"},
		{"largest of 16 bits", Binary, strings.Repeat("x", 65535), "\x82\x7e\xff\xff"},
		{"5.7: 64 KiB", Binary, strings.Repeat("x", 65536), "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"},
		{"largest pong", Pong, strings.Repeat("x", MaxControl), "\x8a\x7d"},
		{"close", Close, "\x03\xe8", "\x88\x02"},
		{"continuation", Continuation, "a", "\x80\x01"},
	}
	for _, tt := range tests {
		want := "before" + tt.head + tt.payload
		if got := string(AppendFrame([]byte("before"), tt.op, tt.payload)); got != want {
			t.Errorf("%s: AppendFrame of a string = %.40q, want %.40q", tt.rule, got, want)
		}
		if got := string(AppendFrame([]byte("before"), tt.op, []byte(tt.payload))); got != want {
			t.Errorf("%s: AppendFrame of bytes = %.40q, want %.40q", tt.rule, got, want)
		}
		if got := string(AppendFrameHead([]byte("before"), tt.op, len(tt.payload))); got != "before"+tt.head {
			t.Errorf("%s: AppendFrameHead = %.40q, want %.40q", tt.rule, got, "before"+tt.head)
		}
		clientHead := "before" + string([]byte{tt.head[0], tt.head[1] | 0x80}) + tt.head[2:] + "\x00\x00\x00\x00"
		if got := string(AppendMasked([]byte("before"), tt.op, tt.payload, [4]byte{})); got != clientHead+tt.payload {
			t.Errorf("%s: AppendMasked with zeros = %.40q, want %.40q", tt.rule, got, clientHead+tt.payload)
		}
	}
	const want = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58" // RFC 6455 5.7
	if got := string(AppendMasked(nil, Text, "Hello", [4]byte{0x37, 0xfa, 0x21, 0x3d})); got != want {
		t.Errorf("5.7: AppendMasked(Hello) = % x, want % x", got, want)
	}
}

func TestControlFrameOver125BytesPanics(t *testing.T) {
	for _, op := range []Opcode{Close, Ping, Pong} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("AppendFrame of opcode %d with 126 bytes does not panic", op)
				}
			}()
			AppendFrame(nil, op, make([]byte, MaxControl+1))
		}()
	}
}

func TestAppendClose(t *testing.T) {
	longest := strings.Repeat("r", MaxReason)
	tests := []struct {
		code    Code
		reason  string
		payload string
		err     error
	}{
		{CodeNormal, "", "\x03\xe8", nil},
		{CodeGoingAway, "bye", "\x03\xe9bye", nil},
		{CodeTooBig, longest, "\x03\xf1" + longest, nil},
		{4999, euro, "\x13\x87" + euro, nil},
		{CodeNone, "", "", nil},
		{CodeNone, "bye", "", ErrCode},
		{0, "", "", ErrCode},
		{999, "bye", "", ErrCode},
		{1004, "", "", ErrCode},
		{CodeAbnormal, "", "", ErrCode},
		{CodeTLSHandshake, "", "", ErrCode},
		{1016, "", "", ErrCode},
		{2999, "", "", ErrCode},
		{5000, "", "", ErrCode},
		{CodeNormal, longest + "r", "\x03\xe8", ErrReason},
		{CodeNormal, "\xff", "\x03\xe8", ErrReason},
		{CodeNormal, longest[1:] + "\xc3", "\x03\xe8", ErrReason},
	}
	key := [4]byte{1, 2, 3, 4}
	for _, tt := range tests {
		want := "before" + string([]byte{0x88, byte(len(tt.payload))}) + tt.payload
		if got := string(AppendClose([]byte("before"), tt.code, tt.reason)); got != want {
			t.Errorf("AppendClose(%d, %q) = %q, want %q", tt.code, tt.reason, got, want)
		}
		if got := string(AppendClose([]byte("before"), tt.code, []byte(tt.reason))); got != want {
			t.Errorf("AppendClose(%d, %q as bytes) = %q, want %q", tt.code, tt.reason, got, want)
		}
		if got, want := string(AppendMaskedClose(nil, tt.code, tt.reason, key)), string(AppendMasked(nil, Close, tt.payload, key)); got != want {
			t.Errorf("AppendMaskedClose(%d, %q) = %q, want %q", tt.code, tt.reason, got, want)
		}
		if err := CheckClose(tt.code, tt.reason); err != tt.err {
			t.Errorf("CheckClose(%d, %q) = %v, want %v", tt.code, tt.reason, err, tt.err)
		}
	}
}

func TestCodeValid(t *testing.T) {
	valid := map[Code]bool{
		1000: true, 1001: true, 1002: true, 1003: true, 1007: true, 1008: true, 1009: true, 1010: true, 1011: true, // RFC 6455 7.4.1
		1012: true, 1013: true, 1014: true, // IANA
	}
	for c := 0; c <= 0xffff; c++ {
		want := valid[Code(c)] || c >= 3000 && c <= 4999 // 7.4.2
		if got := Code(c).Valid(); got != want {
			t.Errorf("Code(%d).Valid() = %t, want %t", c, got, want)
		}
	}
}

func TestMaskBytesAtEveryOffset(t *testing.T) {
	for _, key := range [][4]byte{{1, 2, 4, 8}, {0xff, 0, 0, 0}, {}} {
		for size := range 100 {
			for split := range size + 1 {
				b := make([]byte, size)
				for i := range b {
					b[i] = byte(i)
				}
				maskBytes(b[:split], key)
				maskBytes(b[split:], rotateKey(key, split))
				for i := range b {
					if want := byte(i) ^ key[i%4]; b[i] != want {
						t.Fatalf("byte %d of %d masked with % x in two parts, split at %d = %x, want %x", i, size, key, split, b[i], want)
					}
				}
			}
		}
	}
}

func TestTextStateKnowsEveryCharacter(t *testing.T) {
	for r := rune(0); r <= 0x10ffff; r++ {
		b := []byte(string(r)) // surrogates become U+FFFD
		s := textWhole
		for i, c := range b {
			if s = s.step(c); (s == textWhole) != (i == len(b)-1) || s == textBroken {
				t.Fatalf("%U: state %d after % x", r, s, b[:i+1])
			}
		}
	}
	if got, want := fmt.Sprint(textBroken.step('a')), fmt.Sprint(textBroken); got != want {
		t.Errorf("a broken text is in state %s after another byte, want %s", got, want)
	}
}
