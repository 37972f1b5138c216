package ws

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"unsafe"
)

const euro = "\xe2\x82\xac"

var goodStreams = []struct {
	rule   string
	stream []byte
	want   []string
}{
	{"nothing", nil, nil},
	{"5.7: a masked text of one frame", []byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), []string{`text "Hello"`}},
	{"5.3: a mask of zeros", []byte("\x81\x85\x00\x00\x00\x00Hello"), []string{`text "Hello"`}},
	{"5.2: binary need not be UTF-8", masked(fin|bin, "\xff\x00\xc0"), []string{`binary "\xff\x00\xc0"`}},
	{"5.2: empty messages", join(masked(fin|text, ""), masked(fin|bin, "")), []string{`text ""`, `binary ""`}},
	{"5.2: 16 bits of length", masked(fin|text, strings.Repeat("x", 126)), []string{fmt.Sprintf("text %q", strings.Repeat("x", 126))}},
	{"several messages", join(masked(fin|text, "a"), masked(fin|bin, "b"), masked(fin|text, "c")), []string{`text "a"`, `binary "b"`, `text "c"`}},
	{"5.4: fragments", join(masked(text, "Hel"), masked(more, "lo"), masked(fin|more, "!")), []string{`text "Hello!"`}},
	{"5.4: empty fragments", join(masked(text, ""), masked(more, ""), masked(more, "a"), masked(more, ""), masked(fin|more, "")), []string{`text "a"`}},
	{"5.4: nothing but empty fragments", join(masked(bin, ""), masked(more, ""), masked(fin|more, "")), []string{`binary ""`}},
	{"5.4: control frames inside a message", join(masked(text, "a"), masked(fin|ping, "p"), masked(more, "b"), masked(fin|pong, ""), masked(fin|more, "c"), masked(fin|text, "d")),
		[]string{`text "a" and more`, `ping "p"`, `text "b" and more`, `pong ""`, `text "c"`, `text "d"`}},
	{"5.5.2: pings", join(masked(fin|ping, ""), masked(fin|ping, strings.Repeat("p", 125))), []string{`ping ""`, `ping "` + strings.Repeat("p", 125) + `"`}},
	{"5.5.1: close without a code", masked(fin|clos, ""), []string{`close 1005 ""`}},
	{"5.5.1: close with a code", masked(fin|clos, "\x03\xe8"), []string{`close 1000 ""`}},
	{"5.5.1: close with a reason", masked(fin|clos, "\x0f\xa1"+euro), []string{`close 4001 "€"`}},
	{"5.5.1: close with the longest reason", masked(fin|clos, "\x03\xe9"+strings.Repeat("r", MaxReason)), []string{`close 1001 "` + strings.Repeat("r", MaxReason) + `"`}},
	{"5.5.1: close inside a message", join(masked(text, "a"), masked(fin|clos, "")), []string{`text "a" and more`, `close 1005 ""`}},
	{"5.6: a character over two fragments", join(masked(text, "a\xe2"), masked(more, "\x82"), masked(fin|ping, ""), masked(fin|more, "\xacb")),
		[]string{`text "a\xe2\x82" and more`, `ping ""`, `text "\xacb"`}},
	{"8.1: the ends of the ranges of UTF-8", masked(fin|text, "\x00\x7f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0003ffff\U000fffff\U0010ffff"),
		[]string{fmt.Sprintf("text %q", "\x00\x7f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0003ffff\U000fffff\U0010ffff")}},
	{"10.4: a message of the limit", masked(fin|bin, strings.Repeat("x", testLimit)), []string{`binary "` + strings.Repeat("x", testLimit) + `"`}},
	{"10.4: fragments of the limit, and again", join(masked(bin, strings.Repeat("x", testLimit-1)), masked(fin|more, "x"), masked(bin, "y"), masked(fin|more, "z")),
		[]string{`binary "` + strings.Repeat("x", testLimit) + `"`, `binary "yz"`}},
	{"10.4: control frames do not count", join(masked(bin, strings.Repeat("x", testLimit)), masked(fin|ping, "p"), masked(fin|more, "")),
		[]string{`binary "` + strings.Repeat("x", testLimit) + `" and more`, `ping "p"`, `binary ""`}},
}

func TestReader(t *testing.T) {
	for _, tt := range goodStreams {
		want := tt.want
		wantErr := error(ErrShort)
		if len(want) > 0 && strings.HasPrefix(want[len(want)-1], "close") {
			var r Reader
			if _, err := feed(t, &r, tt.stream, len(tt.stream), testLimit); err == ErrShort {
				t.Errorf("%s: the reader wants more after a close frame", tt.rule)
			}
			wantErr = io.EOF
		}
		checkAtEverySplit(t, tt.rule, Reader{}, tt.stream, want, wantErr)
	}
}

// badStreams end with the byte that shows the error; no byte before it does.
var badStreams = []struct {
	rule   string
	stream []byte
	events []string
	want   error
}{
	{"5.2: RSV1", []byte{0xc1}, nil, errReservedBits},
	{"5.2: RSV2", []byte{0xa1}, nil, errReservedBits},
	{"5.2: RSV3", []byte{0x91}, nil, errReservedBits},
	{"5.2: RSV1 on a continuation", join(masked(text, "a"), []byte{0xc0}), []string{`text "a" and more`}, errReservedBits},
	{"5.2: RSV1 on a ping", []byte{0xc9}, nil, errReservedBits},
	{"5.2: opcode 3", []byte{0x83}, nil, errOpcode},
	{"5.2: opcode 7", []byte{0x87}, nil, errOpcode},
	{"5.2: opcode 11", []byte{0x8b}, nil, errOpcode},
	{"5.2: opcode 15", []byte{0x8f}, nil, errOpcode},
	{"5.5: opcode 15 is reserved before it is fragmented", []byte{0x0f}, nil, errOpcode},
	{"5.5: fragmented ping", []byte{0x09}, nil, errControlFin},
	{"5.5: fragmented close inside a message", join(masked(text, "a"), []byte{0x08}), []string{`text "a" and more`}, errControlFin},
	{"5.5: ping of 126 bytes", []byte{0x89, 0xfe}, nil, errControlLarge},
	{"5.5: pong with 64 bits of length", []byte{0x8a, 0xff}, nil, errControlLarge},
	{"5.5: close of 126 bytes", []byte{0x88, 0xfe}, nil, errControlLarge},
	{"5.4: continuation of nothing", []byte{0x80}, nil, errContinuation},
	{"5.4: continuation of nothing, not final", []byte{0x00}, nil, errContinuation},
	{"5.4: continuation after the end", join(masked(fin|text, "a"), []byte{0x80}), []string{`text "a"`}, errContinuation},
	{"5.4: continuation after a ping", join(masked(fin|ping, "a"), []byte{0x80}), []string{`ping "a"`}, errContinuation},
	{"5.4: text inside a message", join(masked(text, "a"), []byte{0x81}), []string{`text "a" and more`}, errInterleaved},
	{"5.4: binary inside an empty message", join(masked(bin, ""), masked(fin|pong, ""), []byte{0x02}), []string{`pong ""`}, errInterleaved},
	{"5.1: unmasked text", []byte{0x81, 0x05}, nil, errUnmasked},
	{"5.1: unmasked and empty", []byte{0x82, 0x00}, nil, errUnmasked},
	{"5.1: unmasked ping", []byte{0x89, 0x00}, nil, errUnmasked},
	{"5.1: unmasked comes before too large", []byte{0x89, 0x7e}, nil, errUnmasked},
	{"5.2: 16 bits for 125", []byte{0x81, 0xfe, 0x00, 125}, nil, errLengthForm},
	{"5.2: 16 bits for 0", []byte{0x82, 0xfe, 0x00, 0x00}, nil, errLengthForm},
	{"5.2: 64 bits for 65535", []byte{0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, nil, errLengthForm},
	{"5.2: 64 bits for 0", []byte{0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0}, nil, errLengthForm},
	{"5.2: the highest bit", []byte{0x82, 0xff, 0x80}, nil, errLengthBit},
	{"10.4: one byte over the limit", []byte{0x82, 0xfe, testLimit >> 8, testLimit&0xff + 1}, nil, errTooBig},
	{"10.4: 2^32 bytes", []byte{0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0}, nil, errTooBig},
	{"10.4: 2^63-1 bytes", []byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, nil, errTooBig},
	{"10.4: a text of 2^32+1 bytes, the first of which is bad", []byte{0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 1}, nil, errTooBig},
	{"10.4: fragments over the limit", join(masked(bin, strings.Repeat("x", testLimit)), []byte{0x80, 0x81}),
		[]string{`binary "` + strings.Repeat("x", testLimit) + `" and more`}, errTooBig},
	{"10.4: a fragment of 2^63-1 bytes", join(masked(bin, "x"), []byte{0x80, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), []string{`binary "x" and more`}, errTooBig},
	{"5.5.1: close of one byte", []byte{0x88, 0x81}, nil, errCloseLength},
	{"7.4.2: code 0", masked(fin|clos, "\x00\x00"), nil, errCloseCode},
	{"7.4.2: code 999", masked(fin|clos, "\x03\xe7bye"), nil, errCloseCode},
	{"7.4.1: code 1004", masked(fin|clos, "\x03\xec"), nil, errCloseCode},
	{"7.4.1: code 1005", masked(fin|clos, "\x03\xed"), nil, errCloseCode},
	{"7.4.1: code 1006", masked(fin|clos, "\x03\xee"), nil, errCloseCode},
	{"7.4.1: code 1015", masked(fin|clos, "\x03\xf7"), nil, errCloseCode},
	{"7.4.2: code 2999", masked(fin|clos, "\x0b\xb7"), nil, errCloseCode},
	{"7.4.2: code 5000", masked(fin|clos, "\x13\x88"), nil, errCloseCode},
	{"7.4.2: code 65535 with a bad reason", masked(fin|clos, "\xff\xff\xff"), nil, errCloseCode},
	{"8.1: bad reason", masked(fin|clos, "\x03\xe8\xff"), nil, errCloseReason},
	{"8.1: reason that ends inside a character", masked(fin|clos, "\x03\xe8a\xe2\x82"), nil, errCloseReason},
}

// badTexts are messages whose last byte shows that they are not UTF-8, with nothing before it that does.
var badTexts = []string{
	"\x80", "\xbf", "\xc0", "\xc1", "\xf5", "\xfe", "\xff", "a\x80", "hello\xff", euro + "\xac",
	"\xc2\x41", "\xc2\xc2", "\xdf\x7f", "\xe0\x80", "\xe0\x9f", "\xe1\xc0", "\xed\xa0", "\xed\xbf", "\xef\x7f",
	"\xe2\x82\xc0", "\xe2\x82\x7f", "\xe2\x41", "\xf0\x80", "\xf0\x8f", "\xf1\x7f", "\xf4\x90", "\xf4\xbf", "\xf3\xc0",
	"\xf0\x90\xc0", "\xf4\x8f\x7f", "\xf0\x9f\x98\x41", "0123456789abcdef" + euro + "0123456789\xed\xa0",
	"a long text before\xf0\x9f\x98\x80\xf0\x9f\x98\xf0",
}

func TestReaderRefuses(t *testing.T) {
	for _, tt := range badStreams {
		checkAtEverySplit(t, tt.rule, Reader{}, tt.stream, tt.events, tt.want)
		var r Reader
		if events, err := feed(t, &r, tt.stream[:len(tt.stream)-1], len(tt.stream), testLimit); err != ErrShort {
			t.Errorf("%s: % x without its last byte = %q, %v, want ErrShort", tt.rule, head200(tt.stream), events, err)
		}
	}
}

func TestBadTextIsRefusedAtItsFirstBadByte(t *testing.T) {
	for _, s := range badTexts {
		var good []string
		if len(s) > 1 {
			good = []string{fmt.Sprintf("text %q and more", s[:len(s)-1])}
		}
		whole := masked(fin|text, s)
		checkAtEverySplit(t, "8.1: one frame", Reader{}, whole, good, errText)
		// The frame goes on, but is not waited for.
		long := masked(fin|text, s+strings.Repeat("x", 300))
		checkAtEverySplit(t, "8.1: a frame that goes on", Reader{}, long, good, errText)
		checkAtEverySplit(t, "8.1: a frame that has not come", Reader{}, long[:len(long)-300], good, errText)
		for i := range s {
			checkAtEverySplit(t, "8.1: two frames", Reader{}, join(masked(text, s[:i]), masked(fin|more, s[i:])), good, errText)
		}
	}
}

func TestTextThatEndsInsideACharacter(t *testing.T) {
	for _, s := range []string{"\xc2", "a\xe2\x82", "\xe0\xa0", "\xed\x9f", "\xf0", "\xf0\x90\x80", "ab\xf4\x8f", "\xf1"} {
		var good, all []string
		if len(s) > 1 {
			good = []string{fmt.Sprintf("text %q and more", s[:len(s)-1])}
		}
		all = []string{fmt.Sprintf("text %q and more", s)}
		checkAtEverySplit(t, "8.1: one frame", Reader{}, masked(fin|text, s), good, errText)
		checkAtEverySplit(t, "8.1: a last frame without payload", Reader{}, join(masked(text, s), masked(fin|more, "")), all, errText)
		checkAtEverySplit(t, "8.1: a message that goes on", Reader{}, masked(text, s), all, ErrShort)
	}
}

func TestClientReadsUnmaskedFrames(t *testing.T) {
	long := strings.Repeat("x", 300)
	stream := AppendFrame(nil, Text, "Hello")
	stream = AppendFrame(stream, Ping, "")
	stream = AppendFrame(stream, Binary, long)
	stream = AppendClose(stream, CodeTooBig, "bye")
	want := []string{`text "Hello"`, `ping ""`, `binary "` + long + `"`, `close 1009 "bye"`}
	checkAtEverySplit(t, "5.1: unmasked", Reader{Client: true}, stream, want, io.EOF)
	checkAtEverySplit(t, "5.1: masked text", Reader{Client: true}, []byte{0x81, 0x85}, nil, errMasked)
	checkAtEverySplit(t, "5.1: masked ping", Reader{Client: true}, []byte{0x89, 0x80}, nil, errMasked)
}

func TestLongFrames(t *testing.T) {
	for _, size := range []int{65535, 65536, 200000} {
		payload := strings.Repeat(euro, size/3) + strings.Repeat("x", size%3)
		want := fmt.Sprintf("text %q", payload)
		for _, piece := range []int{1, 1021, 4096, 65536, size + MaxHead} {
			for _, r := range []Reader{{}, {Client: true}} {
				stream := AppendMasked(nil, Text, payload, [4]byte{9, 8, 7, 6})
				if r.Client {
					stream = AppendFrame(nil, Text, payload)
				}
				if got, err := feed(t, &r, stream, piece, size); len(got) != 1 || got[0] != want || err != ErrShort {
					t.Errorf("text of %d bytes in pieces of %d = %.100q, %v", size, piece, got, err)
				}
			}
		}
	}
}

func TestLimitIsCapped(t *testing.T) {
	overMax := []byte{0x82, 0xff, 0, 0, 0, 0, 0x80, 0, 0, 0}
	atMax := []byte{0x82, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}
	const huge = int(^uint(0) >> 1)
	for _, tt := range []struct {
		stream []byte
		limit  int
		want   error
	}{
		{overMax, huge, errTooBig},
		{atMax, huge, ErrShort},
		{masked(fin|bin, "x"), 0, errTooBig},
		{masked(fin|bin, "x"), -1, errTooBig},
		{masked(fin|bin, ""), -1, ErrShort},
	} {
		var r Reader
		if events, err := feed(t, &r, tt.stream, len(tt.stream), tt.limit); err != tt.want {
			t.Errorf("% x with limit %d = %q, %v, want %v", tt.stream, tt.limit, events, err, tt.want)
		}
	}
}

func TestLimitMayShrinkInsideAMessage(t *testing.T) {
	var r Reader
	if _, err := feed(t, &r, masked(bin, "0123456789"), 100, 10); err != ErrShort {
		t.Fatalf("ten bytes of a message = %v, want ErrShort", err)
	}
	if _, err := feed(t, &r, masked(more, "0"), 100, 5); err != errTooBig {
		t.Errorf("one more with limit 5 = %v, want %v", err, errTooBig)
	}
}

func TestReaderIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Reader{}); n > 16 {
		t.Errorf("a Reader has %d bytes, want at most 16: every connection keeps one", n)
	}
}

func TestErrorsFitTheirCloseFrame(t *testing.T) {
	for _, tt := range badStreams {
		var r Reader
		_, err := feed(t, &r, tt.stream, len(tt.stream), testLimit)
		e, ok := err.(*Error)
		if !ok || CheckClose(e.Code, e.Text) != nil {
			t.Errorf("%s: %v cannot be told to the peer", tt.rule, err)
		}
	}
	for _, tt := range []struct {
		err  *Error
		want Code
	}{{errText, 1007}, {errCloseReason, 1007}, {errTooBig, 1009}, {errCloseCode, 1002}, {errUnmasked, 1002}, {errReservedBits, 1002}} {
		if tt.err.Code != tt.want || tt.err.Error() != "ws: "+tt.err.Text {
			t.Errorf("%q has code %d, want %d", tt.err.Error(), tt.err.Code, tt.want)
		}
	}
}
