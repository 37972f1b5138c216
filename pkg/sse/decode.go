package sse

import (
	"errors"
	"math"
)

var (
	// ErrShort says that all bytes were used and no event has ended.
	ErrShort = errors.New("sse: more bytes needed")
	// ErrTooLarge is an event beyond the decoder's bound.
	ErrTooLarge = errors.New("sse: event too large")
)

// DefaultMaxEvent is the bound of a Decoder that sets none, in bytes.
const DefaultMaxEvent = 1 << 20

// Decoder reads an event stream by the rules of WHATWG HTML 9.2.6. The zero value stands at the beginning of a stream.
//
// Next fills in the exported slices, which belong to the decoder and change with the next call.
type Decoder struct {
	MaxEvent int // bound for one event: its fields and its unfinished line, in bytes; 0 means DefaultMaxEvent

	Type   []byte // the event field; empty means "message"
	Data   []byte
	LastID []byte // the last event id, which stays until another comes: what a client sends as Last-Event-ID
	Retry  int    // the last reconnection time in milliseconds; 0 before any

	id      []byte // last event ID buffer; becomes LastID at the end of the event
	line    []byte // the unfinished line
	bom     uint8  // bytes of the byte order mark seen, or bomDone
	afterCR bool   // the last byte was a CR, so a LF belongs to it
	fresh   bool   // Type and Data are those of an event that Next returned
}

const (
	bomBytes = "\xef\xbb\xbf"
	bomDone  = uint8(len(bomBytes)) + 1
)

// Next reads b up to the end of the first event and returns the number of bytes that it used; call it again with the
// rest. It returns ErrShort when b ended first; the decoder then keeps what it needs. After ErrTooLarge it must not be
// used.
func (d *Decoder) Next(b []byte) (n int, err error) {
	if d.fresh {
		d.Type, d.Data, d.fresh = d.Type[:0], d.Data[:0], false
	}
	if d.bom != bomDone {
		n = d.skipBOM(b)
	}
	for n < len(b) {
		if d.afterCR {
			d.afterCR = false
			if b[n] == '\n' {
				n++
				continue
			}
		}
		end := n + indexBreak(b[n:])
		if !d.fits(end - n) {
			return n, ErrTooLarge
		}
		if end == len(b) {
			d.line = append(d.line, b[n:]...)
			return end, ErrShort
		}
		line := b[n:end]
		if len(d.line) > 0 {
			d.line = append(d.line, line...)
			line = d.line
		}
		d.afterCR = b[end] == '\r'
		n = end + 1
		dispatched := d.takeLine(line)
		d.line = d.line[:0]
		if dispatched {
			return n, nil
		}
	}
	return n, ErrShort
}

// skipBOM takes the byte order mark at the beginning of the stream, if there is one (9.2.5). Bytes that turn out not to
// be one begin the first line.
func (d *Decoder) skipBOM(b []byte) (n int) {
	for ; n < len(b); n++ {
		if b[n] != bomBytes[d.bom] {
			d.line = append(d.line, bomBytes[:d.bom]...)
			d.bom = bomDone
			return n
		}
		if d.bom++; int(d.bom) == len(bomBytes) {
			d.bom = bomDone
			return n + 1
		}
	}
	return n
}

// fits reports whether the event stays within the bound with more bytes in its current line.
func (d *Decoder) fits(more int) bool {
	bound := d.MaxEvent
	if bound <= 0 {
		bound = DefaultMaxEvent
	}
	return len(d.line)+len(d.Data)+len(d.Type)+len(d.id)+more <= bound
}

// takeLine takes one whole line and reports whether it ended an event.
func (d *Decoder) takeLine(line []byte) (dispatched bool) {
	if len(line) == 0 {
		return d.dispatch()
	}
	name, value := line, []byte(nil)
	for i, c := range line {
		if c != ':' {
			continue
		}
		name, value = line[:i], line[i+1:]
		if len(value) > 0 && value[0] == ' ' {
			value = value[1:]
		}
		break
	}
	switch string(name) { // a comment has an empty name
	case "data":
		d.Data = append(append(d.Data, value...), '\n')
	case "event":
		d.Type = append(d.Type[:0], value...)
	case "id":
		d.setID(value)
	case "retry":
		d.setRetry(value)
	}
	return false
}

// dispatch ends the event. One without any data line is dropped, but its id counts.
func (d *Decoder) dispatch() bool {
	d.LastID = append(d.LastID[:0], d.id...)
	if len(d.Data) == 0 {
		d.Type = d.Type[:0]
		return false
	}
	d.Data = d.Data[:len(d.Data)-1]
	d.fresh = true
	return true
}

func (d *Decoder) setID(value []byte) {
	for _, c := range value {
		if c == 0 {
			return
		}
	}
	d.id = append(d.id[:0], value...)
}

// setRetry takes a value of digits only. One too large for an int is taken for the largest.
func (d *Decoder) setRetry(value []byte) {
	ms := 0
	for _, c := range value {
		if c < '0' || c > '9' {
			return
		}
		if digit := int(c - '0'); ms > (math.MaxInt-digit)/10 {
			ms = math.MaxInt
		} else {
			ms = ms*10 + digit
		}
	}
	if len(value) > 0 {
		d.Retry = ms
	}
}
