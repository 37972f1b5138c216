package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// frame is a frame around any payload.
func frame(payload string) []byte {
	b := append(beginFrame(nil), payload...)
	endFrame(b, 0)
	return b
}

func TestSplitFrameAtEverySplit(t *testing.T) {
	whole := append(frame("first"), frame("second")...)
	for i := range len(frame("first")) {
		payload, rest, err := SplitFrame(whole[:i], 100)
		if payload != nil || len(rest) != i || !errors.Is(err, ErrShort) {
			t.Errorf("SplitFrame of %d bytes = %q, %q, %v, want ErrShort", i, payload, rest, err)
		}
	}
	payload, rest, err := SplitFrame(whole, 100)
	if string(payload) != "first" || !bytes.Equal(rest, frame("second")) || err != nil {
		t.Errorf("SplitFrame = %q, %q, %v, want first and the second frame", payload, rest, err)
	}
}

func TestSplitFrameRefusesByTheLengthAlone(t *testing.T) {
	for _, n := range []uint32{6, 1 << 31, 1<<32 - 1} {
		_, _, err := SplitFrame(binary.BigEndian.AppendUint32(nil, n), 5)
		if !errors.Is(err, &Error{Code: FrameTooLarge}) {
			t.Errorf("SplitFrame of a length of %d = %v, want frame too large", n, err)
		}
	}
	if payload, _, err := SplitFrame(frame("12345"), 5); string(payload) != "12345" || err != nil {
		t.Errorf("SplitFrame of exactly the maximum = %q, %v", payload, err)
	}
}

func TestReaderYieldsAllFramesHoweverTheyArrive(t *testing.T) {
	var stream []byte
	var want []string
	for _, n := range []int{0, 1, 5, 3000, 5000, 70_000, 10, 200_000, 65_536, 65_532, 2, 130_000, 7} {
		want = append(want, strings.Repeat(string(rune('a'+len(want))), n))
		stream = append(stream, frame(want[len(want)-1])...)
	}
	for name, src := range map[string]io.Reader{
		"whole":           bytes.NewReader(stream),
		"one byte a read": iotest.OneByteReader(bytes.NewReader(stream)),
		"half the room":   iotest.HalfReader(bytes.NewReader(stream)),
		"end with data":   iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		r := NewReader(src, 1<<20)
		var got [][]byte
		for {
			p, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: frame %d: %v", name, len(got), err)
			}
			got = append(got, p)
		}
		// Compared only now: what was given out first must have outlived all later reads.
		if len(got) != len(want) {
			t.Fatalf("%s: %d frames, want %d", name, len(got), len(want))
		}
		for i := range want {
			if string(got[i]) != want[i] {
				t.Errorf("%s: frame %d has %d bytes %.20q, want %d bytes %.20q", name, i, len(got[i]), got[i], len(want[i]), want[i])
			}
		}
	}
}

func TestReaderAtEverySplit(t *testing.T) {
	whole := append(append([]byte(Magic), frame("first")...), frame("second")...)
	for i := range len(whole) + 1 {
		r := NewReader(io.MultiReader(bytes.NewReader(whole[:i]), bytes.NewReader(whole[i:])), 100)
		if err := r.Magic(); err != nil {
			t.Fatalf("split at %d: Magic: %v", i, err)
		}
		for _, want := range []string{"first", "second"} {
			if p, err := r.Next(); string(p) != want || err != nil {
				t.Fatalf("split at %d: Next = %q, %v, want %q", i, p, err, want)
			}
		}
		if p, err := r.Next(); err != io.EOF {
			t.Fatalf("split at %d: Next at the end = %q, %v, want EOF", i, p, err)
		}
	}
}

func TestReaderTellsAnUnfinishedFrame(t *testing.T) {
	whole := frame("payload")
	for i := 1; i < len(whole); i++ {
		r := NewReader(bytes.NewReader(whole[:i]), 100)
		if _, err := r.Next(); err != io.ErrUnexpectedEOF {
			t.Errorf("Next of the first %d bytes = %v, want %v", i, err, io.ErrUnexpectedEOF)
		}
		if r.Ready() || r.Buffered() != i {
			t.Errorf("after %d bytes: Ready = %v, Buffered = %d", i, r.Ready(), r.Buffered())
		}
	}
}

func TestForeignBytesAreSeenAtTheFirst(t *testing.T) {
	for _, s := range []string{"G", "HFS.", "HFSt", "\x16\x03\x01", "HFGET / HTTP/1.1"} {
		r := NewReader(iotest.OneByteReader(strings.NewReader(s)), 100)
		if err := r.Magic(); !errors.Is(err, &Error{Code: BadHello}) {
			t.Errorf("Magic of %q = %v, want bad hello", s, err)
		}
	}
}

// endless gives out a frame head and then as many bytes as it is asked for; it counts what it was offered room for.
type endless struct {
	head []byte
	room int
	left int
}

func (e *endless) Read(p []byte) (int, error) {
	e.room = max(e.room, len(p))
	if n := copy(p, e.head); n > 0 {
		e.head = e.head[n:]
		return n, nil
	}
	n := min(len(p), e.left)
	e.left -= n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func TestReaderBuysNoMemoryOnAnnouncement(t *testing.T) {
	src := &endless{head: binary.BigEndian.AppendUint32(nil, 1<<30), left: 100}
	r := NewReader(src, 1<<30)
	if _, err := r.Next(); err != io.ErrUnexpectedEOF {
		t.Fatalf("Next = %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if len(r.buf) > nextBuffer {
		t.Errorf("100 bytes of an announced GiB hold a buffer of %d bytes, want %d at most", len(r.buf), nextBuffer)
	}
	src = &endless{head: binary.BigEndian.AppendUint32(nil, 1<<30), left: 1 << 20}
	r = NewReader(src, 1<<30)
	if _, err := r.Next(); err != io.ErrUnexpectedEOF {
		t.Fatalf("Next = %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if len(r.buf) > 4<<20 {
		t.Errorf("1 MiB of an announced GiB holds a buffer of %d bytes", len(r.buf))
	}
}

func TestReaderSharesBuffers(t *testing.T) {
	const frames = 10_000
	stream := bytes.Repeat(frame(strings.Repeat("x", 96)), frames)
	n := testing.AllocsPerRun(1, func() {
		r := NewReader(bytes.NewReader(stream), 1<<20)
		for range frames {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if limit := float64(len(stream)/nextBuffer + 8); n > limit {
		t.Errorf("%d small frames cost %v allocations, want %v at most", frames, n, limit)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(append([]byte(Magic), frame("first")...), 3)
	f.Add(binary.BigEndian.AppendUint32([]byte(Magic), 1<<31), 1)
	f.Fuzz(func(t *testing.T, b []byte, split int) {
		split = min(max(split, 0), len(b))
		whole := NewReader(bytes.NewReader(b), 1<<16)
		parts := NewReader(io.MultiReader(bytes.NewReader(b[:split]), iotest.OneByteReader(bytes.NewReader(b[split:]))), 1<<16)
		if a, b := whole.Magic(), parts.Magic(); (a == nil) != (b == nil) {
			t.Fatalf("Magic = %v whole, %v in parts", a, b)
		}
		for {
			p, err := whole.Next()
			q, err2 := parts.Next()
			if !bytes.Equal(p, q) || (err == nil) != (err2 == nil) {
				t.Fatalf("Next = %q, %v whole, %q, %v in parts", p, err, q, err2)
			}
			if err != nil {
				return
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	stream := bytes.Repeat(frame(strings.Repeat("x", 330)), 1000)
	src := bytes.NewReader(stream)
	r := NewReader(src, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Next(); err != nil {
			src.Reset(stream)
		}
	}
}
