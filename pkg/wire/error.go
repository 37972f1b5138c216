package wire

import (
	"errors"
	"fmt"
)

// Code is the stable number of an error of the protocol. A number is never given a second meaning.
type Code int

// The error codes of protocol version 1.
const (
	BadFrame           Code = 1  // the bytes of a frame are not a message
	FrameTooLarge      Code = 2  // a frame is announced that is longer than the receiver's maximum
	BadHello           Code = 3  // the first bytes are not a hello
	VersionUnsupported Code = 4  // no version of the protocol is spoken by both sides
	UnknownMessage     Code = 5  // the type of a message is not known; the message was passed over
	BadItem            Code = 6  // an item is malformed; its neighbours are not touched
	ItemTooLarge       Code = 7  // an item has more content than one message may have
	Busy               Code = 8  // the server has as many clients, or as many inspections of one, as it may have
	ShuttingDown       Code = 9  // the server is about to end
	Timeout            Code = 10 // a hello or the rest of a frame did not arrive in time
	Internal           Code = 11 // the server failed; the text says how
	BadRequest         Code = 12 // a cold message has a value that cannot be served
)

// String returns the name of the code as docs/protocol.md lists it.
func (c Code) String() string {
	switch c {
	case BadFrame:
		return "bad frame"
	case FrameTooLarge:
		return "frame too large"
	case BadHello:
		return "bad hello"
	case VersionUnsupported:
		return "version unsupported"
	case UnknownMessage:
		return "unknown message"
	case BadItem:
		return "bad item"
	case ItemTooLarge:
		return "item too large"
	case Busy:
		return "busy"
	case ShuttingDown:
		return "shutting down"
	case Timeout:
		return "timeout"
	case Internal:
		return "internal error"
	case BadRequest:
		return "bad request"
	}
	return fmt.Sprintf("error %d", int(c))
}

// Error is an error that crosses the wire: in an ack of its own item, or in an error frame.
type Error struct {
	Code Code
	Text string // what was wrong, for a person; "" when the code says it all
}

// Error returns the name of the code and the text.
func (e *Error) Error() string {
	if e.Text == "" {
		return e.Code.String()
	}
	return e.Code.String() + ": " + e.Text
}

// Is reports whether target is an Error of the same code, so that errors.Is(err, &Error{Code: Busy}) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errorf makes an Error with a formatted text.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// ErrShort is returned by splitters that need more bytes to go on.
var ErrShort = errors.New("wire: more bytes needed")
