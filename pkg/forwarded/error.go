package forwarded

import "errors"

var (
	// ErrShort says that more bytes are needed before anything can be decided.
	ErrShort = errors.New("forwarded: more bytes needed")
	// ErrNone says that the bytes do not begin a header of the PROXY protocol.
	ErrNone = errors.New("forwarded: no PROXY header")
)

// Error is a header of the PROXY protocol that must be refused: the connection is to be closed. Its values are static, so
// refusing costs no allocation.
type Error struct {
	Text string // one line that names what was wrong
}

// Error returns the text.
func (e *Error) Error() string { return "forwarded: " + e.Text }

var (
	errLine      = &Error{"bad PROXY line: longer than 107 bytes"}
	errLineEnd   = &Error{"bad PROXY line: it does not end in CR LF"}
	errProtocol  = &Error{"bad PROXY line: the protocol is not TCP4, TCP6 or UNKNOWN"}
	errParts     = &Error{"bad PROXY line: not two addresses and two ports, with one space between them"}
	errLineAddr  = &Error{"bad PROXY line: invalid address"}
	errLinePort  = &Error{"bad PROXY line: invalid port"}
	errVersion   = &Error{"bad PROXY header: the version is not 2"}
	errCommand   = &Error{"bad PROXY header: unknown command"}
	errFamily    = &Error{"bad PROXY header: unknown address family"}
	errTransport = &Error{"bad PROXY header: unknown transport"}
	errLong      = &Error{"bad PROXY header: longer than 4096 bytes"}
	errAddresses = &Error{"bad PROXY header: too short for its addresses"}
	errVector    = &Error{"bad PROXY header: an extension goes beyond the end"}
	errSumForm   = &Error{"bad PROXY header: malformed or repeated checksum"}
	errSum       = &Error{"bad PROXY header: wrong checksum"}
)
