package ws

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// Code is the status code of a close frame.
type Code uint16

// The status codes of RFC 6455 7.4.1 and of the IANA registry that it founded.
const (
	CodeNormal            Code = 1000
	CodeGoingAway         Code = 1001
	CodeProtocolError     Code = 1002
	CodeUnsupportedData   Code = 1003
	CodeNone              Code = 1005 // never sent: the close frame has no code
	CodeAbnormal          Code = 1006 // never sent: the connection ended without a close frame
	CodeInvalidData       Code = 1007
	CodePolicyViolation   Code = 1008
	CodeTooBig            Code = 1009
	CodeExtensionRequired Code = 1010
	CodeInternalError     Code = 1011
	CodeServiceRestart    Code = 1012
	CodeTryAgainLater     Code = 1013
	CodeBadGateway        Code = 1014
	CodeTLSHandshake      Code = 1015 // never sent
)

// Valid reports whether a close frame may carry c: registered for that, or of the ranges for libraries and applications
// (RFC 6455 7.4.2).
func (c Code) Valid() bool {
	switch {
	case c >= 3000:
		return c <= 4999
	case c >= CodeInvalidData:
		return c <= CodeBadGateway
	}
	return c >= CodeNormal && c <= CodeUnsupportedData
}

// MaxReason is the largest reason of a close frame, in bytes: a control frame's payload without the status code.
const MaxReason = MaxControl - 2

// What CheckClose complains of.
var (
	ErrCode   = errors.New("ws: no close frame may carry this status code")
	ErrReason = errors.New("ws: close reason is not UTF-8 of at most 123 bytes")
)

// CheckClose returns an error that names what AppendClose would leave out, or nil.
func CheckClose[T string | []byte](code Code, reason T) error {
	switch {
	case !code.Valid() && (code != CodeNone || len(reason) > 0):
		return ErrCode
	case !validReason(reason):
		return ErrReason
	}
	return nil
}

func validReason[T string | []byte](reason T) bool {
	if len(reason) > MaxReason {
		return false
	}
	var buf [MaxReason]byte
	return utf8.Valid(buf[:copy(buf[:], reason)])
}

// AppendClose appends a close frame as a server sends it. A code that is not Valid is left out, and the reason with it,
// since the frame has no place for a reason alone; CodeNone says so on purpose. A reason that is too long or not UTF-8
// is left out, so that nothing can break the frame.
func AppendClose[T string | []byte](dst []byte, code Code, reason T) []byte {
	var buf [MaxControl]byte
	return AppendFrame(dst, Close, buf[:putClose(&buf, code, reason)])
}

// AppendMaskedClose is AppendClose as a client does it.
func AppendMaskedClose[T string | []byte](dst []byte, code Code, reason T, key [4]byte) []byte {
	var buf [MaxControl]byte
	return AppendMasked(dst, Close, buf[:putClose(&buf, code, reason)], key)
}

// putClose writes the payload of a close frame and returns its size.
func putClose[T string | []byte](buf *[MaxControl]byte, code Code, reason T) (n int) {
	if !code.Valid() {
		return 0
	}
	binary.BigEndian.PutUint16(buf[:], uint16(code))
	if !validReason(reason) {
		return 2
	}
	return 2 + copy(buf[2:], reason)
}
