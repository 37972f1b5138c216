package wire

import (
	"encoding/binary"
	"errors"
	"io"
)

// Sizes of a Reader's buffers, in bytes. The first buffer is small, because most clients say little.
const (
	firstBuffer = 4 << 10
	nextBuffer  = 64 << 10
	minRoom     = 2 << 10 // less room than this is not worth a read
)

// Reader splits what it reads into frames. It belongs to one goroutine.
//
// A payload that it returns stays as it is for ever: the Reader never writes again over bytes that it has given out,
// so items may alias them. Small frames share a buffer, which lives until the last of those items is gone. A large
// frame gets a buffer that grows with the bytes that have arrived, never with the length that was announced.
type Reader struct {
	src  io.Reader
	max  int
	buf  []byte
	r, w int // buf[r:w] is read and not yet given out
}

// NewReader returns a Reader of frames from src with payloads of max bytes at most.
func NewReader(src io.Reader, max int) *Reader { return &Reader{src: src, max: max} }

// SetMax changes the longest payload, in bytes, from the next frame on.
func (r *Reader) SetMax(max int) { r.max = max }

// Magic reads the four bytes that open a connection. Foreign bytes are an *Error of code BadHello at the first
// one that differs.
func (r *Reader) Magic() error {
	for {
		have := min(r.w-r.r, len(Magic))
		if string(r.buf[r.r:r.r+have]) != Magic[:have] {
			return Errorf(BadHello, "the first bytes are not %q", Magic)
		}
		if have == len(Magic) {
			r.r += have
			return nil
		}
		if err := r.fill(0); err != nil {
			return r.ended(err)
		}
	}
}

// Next returns the payload of the next frame, reading as much as it must. At the end of the stream it returns
// io.EOF between frames and io.ErrUnexpectedEOF inside one; the source's own errors as they are; and an *Error of code
// FrameTooLarge.
func (r *Reader) Next() ([]byte, error) {
	for {
		payload, rest, err := SplitFrame(r.buf[r.r:r.w], r.max)
		if err == nil {
			r.r = r.w - len(rest)
			return payload, nil
		}
		if !errors.Is(err, ErrShort) {
			return nil, err
		}
		need := 0
		if r.w-r.r >= headLen {
			need = headLen + int(binary.BigEndian.Uint32(r.buf[r.r:]))
		}
		if err := r.fill(need); err != nil {
			return nil, r.ended(err)
		}
	}
}

// Ready reports whether Next would return without reading.
func (r *Reader) Ready() bool {
	_, _, err := SplitFrame(r.buf[r.r:r.w], r.max)
	return !errors.Is(err, ErrShort)
}

// Buffered is the number of bytes that were read and not yet returned. When Ready is false they are the beginning
// of an unfinished frame.
func (r *Reader) Buffered() int { return r.w - r.r }

func (r *Reader) ended(err error) error {
	if errors.Is(err, io.EOF) && r.w > r.r {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fill reads once. need is the size of the frame at r.r, or 0 while that is not known.
func (r *Reader) fill(need int) error {
	room := len(r.buf) - r.w
	enough := need > 0 && r.r+need <= len(r.buf) // the frame's end fits
	outgrown := need > 0 && !enough && r.r > 0   // it does not, and moving now copies least
	if room == 0 || outgrown || room < minRoom && !enough {
		r.renew(need)
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	if n > 0 {
		return nil // an error that came with bytes comes again
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// renew moves the unfinished frame to a fresh buffer.
func (r *Reader) renew(need int) {
	pending := r.buf[r.r:r.w]
	size := nextBuffer
	if r.buf == nil {
		size = firstBuffer
	}
	if need > size { // believe the announced length only as far as the bytes have come
		size = min(need, max(size, 2*len(pending)))
	}
	size = max(size, len(pending)+minRoom)
	fresh := make([]byte, size)
	r.w = copy(fresh, pending)
	r.r = 0
	r.buf = fresh
}
