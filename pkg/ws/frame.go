package ws

import "encoding/binary"

// Opcode is the kind of a frame (RFC 6455 5.2).
type Opcode uint8

// The opcodes. All others are reserved.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xa
)

func (op Opcode) control() bool { return op&0x8 != 0 }

func (op Opcode) reserved() bool { return op&0x7 > Binary }

const (
	// MaxControl is the largest payload of a control frame, in bytes (RFC 6455 5.5).
	MaxControl = 125
	// MaxHead is the largest head of a frame, in bytes: two, eight for the length, four for the mask.
	MaxHead = 14
)

// The bits of the first two bytes of a frame.
const (
	finBit     = 0x80
	rsvBits    = 0x70
	opcodeBits = 0x0f

	maskBit    = 0x80
	lengthBits = 0x7f
	length16   = 126 // two bytes of length follow
	length64   = 127 // eight bytes of length follow
)

// AppendFrame appends a whole frame as a server sends it: final and without a mask. Payload of Text must be UTF-8. The
// payload of a control frame has at most MaxControl bytes; more panics.
func AppendFrame[T string | []byte](dst []byte, op Opcode, payload T) []byte {
	dst = AppendFrameHead(dst, op, len(payload))
	return append(dst, payload...)
}

// AppendFrameHead appends what precedes n bytes of payload in a frame of a server.
func AppendFrameHead(dst []byte, op Opcode, n int) []byte {
	return appendHead(dst, op, n, 0)
}

// AppendMasked appends a whole frame as a client sends it, masked with key (RFC 6455 5.3). Otherwise it is AppendFrame.
func AppendMasked[T string | []byte](dst []byte, op Opcode, payload T, key [4]byte) []byte {
	dst = appendHead(dst, op, len(payload), maskBit)
	dst = append(dst, key[:]...)
	n := len(dst)
	dst = append(dst, payload...)
	maskBytes(dst[n:], key)
	return dst
}

func appendHead(dst []byte, op Opcode, n int, mask byte) []byte {
	if op.control() && n > MaxControl {
		panic("ws: control frame of more than 125 bytes")
	}
	switch {
	case n < length16:
		return append(dst, finBit|byte(op), mask|byte(n))
	case n < 1<<16:
		dst = append(dst, finBit|byte(op), mask|length16)
		return binary.BigEndian.AppendUint16(dst, uint16(n))
	}
	dst = append(dst, finBit|byte(op), mask|length64)
	return binary.BigEndian.AppendUint64(dst, uint64(n))
}
