package ws

import "errors"

// ErrShort says that more bytes are needed before anything else can be told.
var ErrShort = errors.New("ws: more bytes needed")

// Error is a breach of the protocol by the peer, for which the connection must be failed (RFC 6455 7.1.7). Its values
// are static, so refusing costs no allocation.
type Error struct {
	Code Code   // what the close frame says
	Text string // one line that names what was wrong; it fits the reason of a close frame
}

// Error returns the text.
func (e *Error) Error() string { return "ws: " + e.Text }

var (
	errReservedBits = &Error{CodeProtocolError, "reserved bit set without an extension"}
	errOpcode       = &Error{CodeProtocolError, "reserved opcode"}
	errControlFin   = &Error{CodeProtocolError, "fragmented control frame"}
	errControlLarge = &Error{CodeProtocolError, "control frame of more than 125 bytes"}
	errContinuation = &Error{CodeProtocolError, "continuation frame without a message to continue"}
	errInterleaved  = &Error{CodeProtocolError, "new message inside a fragmented message"}
	errUnmasked     = &Error{CodeProtocolError, "frame of a client without a mask"}
	errMasked       = &Error{CodeProtocolError, "frame of a server with a mask"}
	errLengthForm   = &Error{CodeProtocolError, "payload length not in its shortest form"}
	errLengthBit    = &Error{CodeProtocolError, "payload length with its highest bit set"}
	errCloseLength  = &Error{CodeProtocolError, "close frame with half a status code"}
	errCloseCode    = &Error{CodeProtocolError, "close frame with an invalid status code"}
	errCloseReason  = &Error{CodeInvalidData, "close reason is not UTF-8"}
	errText         = &Error{CodeInvalidData, "text message is not UTF-8"}
	errTooBig       = &Error{CodeTooBig, "message too big"}
)
