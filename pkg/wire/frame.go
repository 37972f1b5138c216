package wire

import (
	"encoding/binary"
)

// Magic is the first thing that either side sends.
const Magic = "HFST"

// Version is the version of the protocol that this package speaks.
const Version = 1

// Sizes of the framing, in bytes.
const (
	MaxFrame = 1 << 20 // length of a frame's payload, unless configured
	MaxHello = 4 << 10 // everything up to the end of the hello frame, magic and length included
	headLen  = 4       // the length in front of every payload
)

// SplitFrame cuts the first frame off b, whose payload may have max bytes at most. The payload and the rest alias b.
// The error is ErrShort while the frame is incomplete, or an *Error of code FrameTooLarge.
func SplitFrame(b []byte, max int) (payload, rest []byte, err error) {
	if len(b) < headLen {
		return nil, b, ErrShort
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(max) {
		return nil, b, tooLarge(n, max)
	}
	end := headLen + int(n)
	if len(b) < end {
		return nil, b, ErrShort
	}
	return b[headLen:end:end], b[end:], nil
}

func tooLarge(n uint32, max int) *Error {
	return Errorf(FrameTooLarge, "a frame of %d bytes is announced, %d are allowed", n, max)
}

// beginFrame appends room for a frame's length.
func beginFrame(dst []byte) []byte { return append(dst, 0, 0, 0, 0) }

// endFrame writes the length of the frame that begins at start of b and goes to its end.
func endFrame(b []byte, start int) {
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-headLen))
}
