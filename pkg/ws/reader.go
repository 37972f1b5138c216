package ws

import (
	"encoding/binary"
	"io"
	"math"
	"unicode/utf8"
)

// MaxMessage bounds the limit of a message, in bytes.
const MaxMessage = math.MaxInt32

// MaxRest is the largest number of bytes that Next leaves unused when it returns ErrShort: a control frame of a client
// without its last byte.
const MaxRest = 2 + 4 + MaxControl - 1

// Event is what Next found: a piece of a message, or a whole control frame.
type Event struct {
	Opcode Opcode // Text, Binary, Close, Ping or Pong
	Fin    bool   // the message ends with this piece; true for control frames
	Code   Code   // of a close frame; CodeNone when it has none
	Data   []byte // unmasked: the piece, the payload of a ping or pong, the reason of a close frame
}

// Reader takes the frames of a peer apart. It is a plain value without pointers, small enough for each of a million
// connections to keep one. The zero value stands at the beginning of what a client sends to a server.
type Reader struct {
	left  uint32    // bytes of payload still to come in the current frame; 0 between frames
	size  uint32    // bytes of the message, up to the end of the current frame
	mask  [4]byte   // the key, turned so that its first byte is for the next byte of payload
	text  textState // of a text message
	phase phase
	fin   bool // the current frame is the last of its message

	// Client says that a client reads what a server sends: frames without a mask.
	Client bool
}

// phase is what a Reader stands in.
type phase uint8

const (
	betweenMessages phase = iota
	inText
	inBinary
	closed // a close frame has come
)

// Next returns the first event in b and the number of bytes of b that it used, and must then be called with the rest.
// The payload is unmasked in place: Data aliases b. A piece is empty only when its message ends with it.
//
// The error is ErrShort when b holds no further event: the caller keeps the bytes behind the n used ones, at most
// MaxRest, and gives them again in front of what comes next. It is io.EOF once a close frame has been returned; whatever
// follows it is discarded (RFC 6455 1.4). Or it is an *Error, after which the reader must not be used.
//
// A message of more than limit bytes, or of more than MaxMessage, is refused as soon as the length of the frame that
// makes it so is known.
func (r *Reader) Next(b []byte, limit int) (e Event, n int, err error) {
	switch {
	case r.text == textBroken: // the good bytes before were an event of their own
		return Event{}, 0, errText
	case r.phase == closed:
		return Event{}, len(b), io.EOF
	}
	for r.left == 0 {
		h, err := r.parseHead(b[n:], limit)
		if err == ErrShort {
			return Event{}, n, err
		}
		if err != nil {
			return Event{}, 0, err
		}
		if h.op.control() {
			return r.control(h, b, n)
		}
		n += h.bytes
		r.begin(h)
		if r.left > 0 || !r.fin {
			continue
		}
		if r.text != textWhole {
			return Event{}, 0, errText
		}
		return Event{Opcode: r.endMessage(), Fin: true, Data: b[n:n:n]}, n, nil
	}
	return r.piece(b, n)
}

// head is the head of one frame.
type head struct {
	bytes  int // of the head itself
	length uint64
	mask   [4]byte
	op     Opcode
	fin    bool
}

// parseHead reads a head and judges it, in the order of its bytes, so that a head in pieces meets the same verdict.
func (r *Reader) parseHead(b []byte, limit int) (h head, err error) {
	if len(b) == 0 {
		return h, ErrShort
	}
	if err := r.judgeFirst(b[0]); err != nil {
		return h, err
	}
	if len(b) == 1 {
		return h, ErrShort
	}
	h.op, h.fin = Opcode(b[0]&opcodeBits), b[0]&finBit != 0
	if err := r.judgeSecond(b[1], h.op); err != nil {
		return h, err
	}
	h.bytes = 2
	switch length := b[1] & lengthBits; length {
	case length16, length64:
		if h.length, h.bytes, err = parseLength(b, length); err != nil {
			return h, err
		}
	default:
		h.length = uint64(length)
	}
	if !h.op.control() && h.length > r.room(h.op, limit) {
		return h, errTooBig
	}
	if !r.Client {
		if len(b) < h.bytes+4 {
			return h, ErrShort
		}
		h.mask = [4]byte(b[h.bytes:])
		h.bytes += 4
	}
	return h, nil
}

// judgeFirst judges the first byte of a frame: flags and opcode (RFC 6455 5.2, 5.4, 5.5).
func (r *Reader) judgeFirst(c byte) error {
	op := Opcode(c & opcodeBits)
	switch {
	case c&rsvBits != 0:
		return errReservedBits
	case op.reserved():
		return errOpcode
	case op.control():
		if c&finBit == 0 {
			return errControlFin
		}
	case op == Continuation:
		if r.phase == betweenMessages {
			return errContinuation
		}
	case r.phase != betweenMessages:
		return errInterleaved
	}
	return nil
}

// judgeSecond judges the second byte of a frame: mask and short length (RFC 6455 5.1, 5.5, 5.5.1).
func (r *Reader) judgeSecond(c byte, op Opcode) error {
	switch masked := c&maskBit != 0; {
	case masked && r.Client:
		return errMasked
	case !masked && !r.Client:
		return errUnmasked
	case op.control() && c&lengthBits > MaxControl:
		return errControlLarge
	case op == Close && c&lengthBits == 1:
		return errCloseLength
	}
	return nil
}

// parseLength reads the extended payload length of the frame b (RFC 6455 5.2) and returns the bytes up to its end.
func parseLength(b []byte, form byte) (length uint64, end int, err error) {
	if form == length16 {
		if len(b) < 4 {
			return 0, 0, ErrShort
		}
		if length = uint64(binary.BigEndian.Uint16(b[2:])); length < length16 {
			return 0, 0, errLengthForm
		}
		return length, 4, nil
	}
	switch {
	case len(b) > 2 && b[2]&0x80 != 0:
		return 0, 0, errLengthBit
	case len(b) < 10:
		return 0, 0, ErrShort
	}
	if length = binary.BigEndian.Uint64(b[2:]); length < 1<<16 {
		return 0, 0, errLengthForm
	}
	return length, 10, nil
}

// room returns how many bytes the message may still have.
func (r *Reader) room(op Opcode, limit int) uint64 {
	room := uint64(max(0, min(limit, MaxMessage)))
	if op != Continuation {
		return room
	}
	return room - min(room, uint64(r.size))
}

// begin enters a data frame that was judged.
func (r *Reader) begin(h head) {
	switch h.op {
	case Text:
		r.phase, r.size = inText, 0
	case Binary:
		r.phase, r.size = inBinary, 0
	}
	r.left, r.mask, r.fin = uint32(h.length), h.mask, h.fin
	r.size += uint32(h.length)
}

// piece returns what has arrived of the payload, which begins at b[n] and is not at its end.
func (r *Reader) piece(b []byte, n int) (Event, int, error) {
	if n == len(b) {
		return Event{}, n, ErrShort
	}
	data := b[n:min(len(b), n+int(r.left))]
	maskBytes(data, r.mask)
	fin := r.fin && len(data) == int(r.left)
	if r.phase == inText {
		good, state := r.text.take(data, fin)
		if r.text = state; state == textBroken {
			if good == 0 {
				return Event{}, 0, errText
			}
			return Event{Opcode: Text, Data: data[:good:good]}, n + good, nil
		}
	}
	r.left -= uint32(len(data))
	r.mask = rotateKey(r.mask, len(data))
	e := Event{Opcode: r.opcode(), Fin: fin, Data: data[:len(data):len(data)]}
	if fin {
		r.endMessage()
	}
	return e, n + len(data), nil
}

func (r *Reader) opcode() Opcode {
	if r.phase == inText {
		return Text
	}
	return Binary
}

// endMessage leaves the message and returns what it was.
func (r *Reader) endMessage() Opcode {
	op := r.opcode()
	r.phase = betweenMessages
	return op
}

// control returns the control frame whose head h stands at b[n]. Until it is whole its bytes stay as they are.
func (r *Reader) control(h head, b []byte, n int) (Event, int, error) {
	begin := n + h.bytes
	end := begin + int(h.length)
	if len(b) < end {
		return Event{}, n, ErrShort
	}
	data := b[begin:end:end]
	maskBytes(data, h.mask)
	e := Event{Opcode: h.op, Fin: true, Data: data}
	if h.op == Close {
		if err := e.parseClose(); err != nil {
			return Event{}, 0, err
		}
		r.phase = closed
	}
	return e, end, nil
}

// parseClose takes the payload of a close frame apart (RFC 6455 5.5.1). It does not have one byte.
func (e *Event) parseClose() error {
	if len(e.Data) == 0 {
		e.Code = CodeNone
		return nil
	}
	e.Code, e.Data = Code(binary.BigEndian.Uint16(e.Data)), e.Data[2:]
	switch {
	case !e.Code.Valid():
		return errCloseCode
	case !utf8.Valid(e.Data):
		return errCloseReason
	}
	return nil
}
