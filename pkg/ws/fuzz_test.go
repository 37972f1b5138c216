package ws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

const fuzzLimit = 200 // above MaxControl: gobwas/ws counts control frames too

// FuzzReader reads whatever a client may send: the same events at any split, and those that gobwas/ws finds.
func FuzzReader(f *testing.F) {
	for _, tt := range goodStreams {
		f.Add(tt.stream, uint16(3))
	}
	for _, tt := range badStreams {
		f.Add(tt.stream, uint16(7))
	}
	for _, s := range badTexts {
		f.Add(AppendMasked(nil, Text, s, [4]byte{}), uint16(1))
	}
	f.Fuzz(func(t *testing.T, stream []byte, at uint16) {
		compare(t, stream, int(at))
	})
}

// FuzzFrames makes frames of the fuzzer's bytes, which so reach further than the first head: from each step a first
// byte, a size and that many bytes of payload.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x81\x03abc\x01\x02ab\x89\x01p\x80\x01c\x88\x02\x03\xe8"), uint32(0), uint16(5))
	f.Add([]byte("\x01\x01\xe2\x80\x02\x82\xac"), uint32(0x01020304), uint16(9))
	f.Add([]byte("\x02\x7d"+strings.Repeat("x", 125)+"\x00\x60"+strings.Repeat("y", 96)+"\x80\x00"), uint32(9), uint16(300))
	f.Fuzz(func(t *testing.T, script []byte, mask uint32, at uint16) {
		var stream []byte
		for len(script) >= 2 {
			first, size := script[0], min(int(script[1]), len(script)-2)
			if Opcode(first & opcodeBits).control() {
				size = min(size, MaxControl)
			}
			n := len(stream)
			stream = AppendMasked(stream, Opcode(first&opcodeBits), script[2:2+size], [4]byte{byte(mask), byte(mask >> 8), byte(mask >> 16), byte(mask >> 24)})
			stream[n] = first
			script = script[2+size:]
		}
		compare(t, stream, int(at))
	})
}

func compare(t *testing.T, stream []byte, at int) {
	t.Helper()
	want, wantErr := feed(t, new(Reader), stream, len(stream)+1, fuzzLimit)
	at %= len(stream) + 1
	for how, read := range map[string]func() ([]string, error){
		"byte by byte":                    func() ([]string, error) { return feed(t, new(Reader), stream, 1, fuzzLimit) },
		fmt.Sprint("in pieces of ", at+1): func() ([]string, error) { return feed(t, new(Reader), stream, at+1, fuzzLimit) },
		fmt.Sprint("split at ", at):       func() ([]string, error) { return feedTwo(t, new(Reader), stream, at, fuzzLimit) },
	} {
		if got, err := read(); !slices.Equal(got, want) || err != wantErr {
			t.Errorf("% x %s = %q, %v, whole %q, %v", stream, how, got, err, want, wantErr)
		}
	}
	compareToGobwas(t, stream, want, wantErr)
}

// compareToGobwas compares what a Reader made of stream with what gobwas/ws makes of it: the finished messages, the
// control frames and the code of the failure.
func compareToGobwas(t *testing.T, stream []byte, events []string, err error) {
	t.Helper()
	if err == errLengthForm || err == errControlLarge {
		return // gobwas/ws takes lengths that are not minimal, so that it may find less than 126 behind these bits
	}
	padded := stream
	var failure *Error
	if errors.As(err, &failure) {
		// gobwas/ws judges a head when it has all of it. Nothing that follows can make a bad frame a good one.
		padded = append(slices.Clone(stream), bytes.Repeat([]byte{0xff}, MaxHead+MaxControl)...)
	}
	theirs, theirErr := readGobwas(padded)
	ours := slices.DeleteFunc(slices.Clone(events), func(e string) bool { return strings.HasSuffix(e, " and more") })
	code := Code(0)
	if failure != nil {
		code = failure.Code
	}
	if !slices.Equal(ours, theirs) || code != gobwasCode(theirErr) {
		t.Errorf("% x = %q, %v, gobwas/ws has %q, %v", stream, events, err, theirs, theirErr)
	}
}

// readGobwas reads stream with the reader of gobwas/ws. As in an eventLog, a message that control frames interrupt is
// listed with what follows the last of them.
func readGobwas(stream []byte) (events []string, err error) {
	r := wsutil.Reader{
		Source:         bytes.NewReader(stream),
		State:          ws.StateServerSide,
		CheckUTF8:      true,
		MaxMessageSize: fuzzLimit,
	}
	var message []byte
	control := func(h ws.Header, payload io.Reader) error {
		event, err := gobwasControl(h, payload)
		if event != "" {
			events, message = append(events, event), nil
		}
		return err
	}
	r.OnIntermediate = control
	for {
		h, err := r.NextFrame()
		if err != nil {
			return events, err
		}
		if h.OpCode.IsControl() {
			if err := control(h, &r); err != nil {
				return events, err
			}
			if err := r.Discard(); err != nil {
				return events, err
			}
			continue
		}
		message = nil
		name := names[Opcode(h.OpCode)]
		buf := make([]byte, 64)
		for {
			n, err := r.Read(buf)
			if message = append(message, buf[:n]...); err == io.EOF {
				break
			}
			if err != nil {
				return events, err
			}
		}
		events = append(events, fmt.Sprintf("%s %q", name, message))
	}
}

// errGobwasClosed ends a stream at its close frame.
var errGobwasClosed = errors.New("closed")

func gobwasControl(h ws.Header, payload io.Reader) (event string, err error) {
	b := make([]byte, h.Length)
	if _, err := io.ReadFull(payload, b); err != nil && (err != io.EOF || len(b) > 0) {
		return "", io.ErrUnexpectedEOF
	}
	if h.OpCode != ws.OpClose {
		return fmt.Sprintf("%s %q", names[Opcode(h.OpCode)], b), nil
	}
	if len(b) == 0 {
		return `close 1005 ""`, errGobwasClosed
	}
	code, reason := ws.ParseCloseFrameData(b)
	if code > 4999 { // RFC 6455 7.4.2 ends there, gobwas/ws does not
		return "", ws.ErrProtocolStatusCodeUnknown
	}
	err = ws.CheckCloseFrameData(code, reason)
	if code >= 1012 && code <= 1014 && err == ws.ErrProtocolStatusCodeUnknown { // registered after RFC 6455
		if err = nil; !utf8.ValidString(reason) {
			err = ws.ErrProtocolInvalidUTF8
		}
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("close %d %q", code, reason), errGobwasClosed
}

// gobwasCode returns the code with which an error of gobwas/ws closes a connection, 0 when it is none of the peer.
func gobwasCode(err error) Code {
	var protocol ws.ProtocolError
	switch {
	case errors.Is(err, ws.ErrProtocolInvalidUTF8), errors.Is(err, wsutil.ErrInvalidUTF8):
		return CodeInvalidData
	case errors.Is(err, wsutil.ErrMessageTooLarge):
		return CodeTooBig
	case errors.As(err, &protocol), errors.Is(err, ws.ErrHeaderLengthMSB), errors.Is(err, ws.ErrHeaderLengthUnexpected):
		return CodeProtocolError
	}
	return 0
}

// FuzzWrittenFramesAreReadBack sends a message in fragments with a ping between them, to a server and to a client.
func FuzzWrittenFramesAreReadBack(f *testing.F) {
	f.Add([]byte("hello "+euro), "ping", uint16(7), uint32(0x01020304), uint8(3), uint16(1001), false)
	f.Add([]byte("\xff"), "", uint16(0), uint32(0), uint8(1), uint16(1006), true)
	f.Add(bytes.Repeat([]byte("x"), 300), "p", uint16(150), uint32(1), uint8(200), uint16(4000), true)
	f.Fuzz(func(t *testing.T, payload []byte, small string, at uint16, mask uint32, size uint8, code uint16, client bool) {
		small = small[:min(len(small), MaxControl)]
		cut := min(int(at), len(payload))
		key := [4]byte{byte(mask), byte(mask >> 8), byte(mask >> 16), byte(mask >> 24)}
		write := func(dst []byte, op Opcode, p []byte) []byte { return AppendMasked(dst, op, p, key) }
		end := func(dst []byte) []byte { return AppendMaskedClose(dst, Code(code), small, key) }
		if client {
			write = func(dst []byte, op Opcode, p []byte) []byte { return AppendFrame(dst, op, p) }
			end = func(dst []byte) []byte { return AppendClose(dst, Code(code), small) }
		}
		op, name := Binary, "binary"
		if utf8.Valid(payload) {
			op, name = Text, "text"
		}
		stream := write(nil, op, payload[:cut])
		stream[0] &^= finBit
		stream = write(stream, Ping, []byte(small))
		stream = end(write(stream, Continuation, payload[cut:]))

		var want []string
		if cut > 0 {
			want = append(want, fmt.Sprintf("%s %q and more", name, payload[:cut]))
		}
		want = append(want, fmt.Sprintf("ping %q", small), fmt.Sprintf("%s %q", name, payload[cut:]))
		switch {
		case !Code(code).Valid():
			want = append(want, `close 1005 ""`)
		case CheckClose(Code(code), small) != nil:
			want = append(want, fmt.Sprintf("close %d %q", code, ""))
		default:
			want = append(want, fmt.Sprintf("close %d %q", code, small))
		}
		stream = append(stream, "late"...)
		r := Reader{Client: client}
		if got, err := feed(t, &r, stream, int(size)+1, len(payload)); !slices.Equal(got, want) || err != io.EOF {
			t.Errorf("%q split at %d, with %q and %d, in pieces of %d = %.200q, %v, want %.200q, EOF", payload, cut, small, code, size, got, err, want)
		}
	})
}
