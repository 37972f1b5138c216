package ws

import (
	"fmt"
	"io"
	"slices"
	"testing"
)

// feed gives a copy of stream to r in pieces of size bytes, as a connection does that keeps what was not used. It returns
// the events as text, with neighbouring pieces of a message as one, and the error that ended it: ErrShort when r wants
// more.
func feed(t *testing.T, r *Reader, stream []byte, size, limit int) (events []string, err error) {
	t.Helper()
	return feedPieces(t, r, slices.Collect(slices.Chunk(stream, max(size, 1))), limit)
}

// feedTwo is feed for a stream in two pieces, the first of which has at bytes.
func feedTwo(t *testing.T, r *Reader, stream []byte, at, limit int) (events []string, err error) {
	t.Helper()
	return feedPieces(t, r, [][]byte{stream[:at], stream[at:]}, limit)
}

func feedPieces(t *testing.T, r *Reader, pieces [][]byte, limit int) (events []string, err error) {
	t.Helper()
	var log eventLog
	var rest []byte
	err = ErrShort
	for _, piece := range pieces {
		b := append(slices.Clone(rest), piece...)
		for {
			e, n, next := r.Next(b, limit)
			if b = b[n:]; next == ErrShort {
				break
			}
			if next != nil {
				return log.events(), next
			}
			if len(e.Data) == 0 && !e.Fin {
				t.Fatalf("event %+v is empty and ends nothing", e)
			}
			log.add(e)
		}
		if rest = b; len(rest) > MaxRest {
			t.Fatalf("%d bytes left unused, more than MaxRest", len(rest))
		}
	}
	return log.events(), err
}

// eventLog gathers events as text.
type eventLog struct {
	list  []string
	piece []byte // of the message that goes on
	kind  string
}

var names = map[Opcode]string{Text: "text", Binary: "binary", Ping: "ping", Pong: "pong", Close: "close"}

func (l *eventLog) add(e Event) {
	name := names[e.Opcode]
	switch {
	case e.Opcode == Close:
		name = fmt.Sprint(name, " ", e.Code)
		fallthrough
	case e.Opcode.control():
		l.flush()
		l.list = append(l.list, fmt.Sprintf("%s %q", name, e.Data))
	default:
		if l.kind = name; len(e.Data) > 0 {
			l.piece = append(l.piece, e.Data...)
		}
		if e.Fin {
			l.list = append(l.list, fmt.Sprintf("%s %q", name, l.piece))
			l.piece, l.kind = nil, ""
		}
	}
}

// flush ends the entry of a message that goes on.
func (l *eventLog) flush() {
	if len(l.piece) > 0 {
		l.list = append(l.list, fmt.Sprintf("%s %q and more", l.kind, l.piece))
	}
	l.piece = nil
}

func (l *eventLog) events() []string {
	l.flush()
	return l.list
}

// masked returns a client's frame that begins with first; its key depends on the payload's length.
func masked(first byte, payload string) []byte {
	key := [4]byte{0x37, 0xfa, 0x21, byte(len(payload))}
	b := AppendMasked(nil, Binary, payload, key)
	b[0] = first
	return b
}

// join concatenates frames.
func join(frames ...[]byte) []byte { return slices.Concat(frames...) }

const (
	fin  = finBit
	text = byte(Text)
	bin  = byte(Binary)
	more = byte(Continuation)
	clos = byte(Close)
	ping = byte(Ping)
	pong = byte(Pong)
)

const testLimit = 1000

func checkAtEverySplit(t *testing.T, rule string, r Reader, stream []byte, want []string, wantErr error) {
	t.Helper()
	check := func(how string, got []string, err error) {
		t.Helper()
		if !slices.Equal(got, want) || err != wantErr {
			t.Errorf("%s: % x %s = %q, %v, want %q, %v", rule, head200(stream), how, got, err, want, wantErr)
		}
	}
	for size := len(stream); size > 0; size-- {
		if size > 40 && size < len(stream)-40 && size%16 != 0 {
			continue
		}
		fresh := r
		got, err := feed(t, &fresh, stream, size, testLimit)
		check(fmt.Sprintf("in pieces of %d", size), got, err)
	}
	for at := range stream {
		fresh := r
		got, err := feedTwo(t, &fresh, stream, at, testLimit)
		check(fmt.Sprintf("split at %d", at), got, err)
	}
}

func head200(b []byte) []byte { return b[:min(len(b), 200)] }

func TestNextDiscardsWhatFollowsAClose(t *testing.T) {
	var r Reader
	stream := join(masked(fin|clos, "\x03\xe8"), masked(fin|text, "late"))
	e, n, err := r.Next(stream, testLimit)
	if err != nil || e.Opcode != Close || e.Code != CodeNormal || n != 8 {
		t.Fatalf("Next = %+v, %d, %v, want a close of 1000 with 8 bytes", e, n, err)
	}
	for _, more := range [][]byte{stream[n:], {0xff, 0xff}, nil} {
		if e, n, err := r.Next(more, testLimit); e.Opcode != 0 || n != len(more) || err != io.EOF {
			t.Errorf("Next(% x) after the close = %+v, %d, %v, want all used and EOF", more, e, n, err)
		}
	}
}

func TestControlFrameStaysMaskedUntilItIsWhole(t *testing.T) {
	stream := masked(fin|ping, "abc")
	b := slices.Clone(stream)
	for i := range b {
		var r Reader
		if _, n, err := r.Next(b[:i], testLimit); n != 0 || err != ErrShort {
			t.Errorf("Next(the first %d bytes) = %d, %v, want 0, ErrShort", i, n, err)
		}
	}
	if !slices.Equal(b, stream) {
		t.Errorf("the bytes of an unfinished ping were changed from % x to % x", stream, b)
	}
}

func TestDataCannotGrowIntoWhatFollows(t *testing.T) {
	next := masked(fin|text, "next")
	for _, frame := range [][]byte{masked(fin|text, "a"), masked(fin|text, ""), masked(fin|text, "a\xff"), masked(fin|ping, "a"), masked(fin|clos, "\x03\xe8a")} {
		var r Reader
		e, _, err := r.Next(join(frame, next), testLimit)
		if err != nil || cap(e.Data) != len(e.Data) {
			t.Errorf("Next(% x) = %+v with room for %d bytes, %v, want no room beyond the data", frame, e, cap(e.Data), err)
		}
	}
}
