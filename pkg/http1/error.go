package http1

import "errors"

// ErrShort says that more bytes are needed before anything can be decided.
var ErrShort = errors.New("http1: more bytes needed")

// Error is a message that cannot be accepted. Its values are static, so refusing costs no allocation and the exported
// ones can be compared.
type Error struct {
	Status int    // the status with which a server answers; without meaning for a Response
	Text   string // one line that names what was wrong, fit to be shown to the peer
}

// Error returns the text.
func (e *Error) Error() string { return "http1: " + e.Text }

// The refusals that a server may want to log or count: whoever connected does not speak HTTP at all.
var (
	// ErrTLS is a first byte that begins a TLS handshake record: the client speaks HTTPS to a plain port.
	ErrTLS = &Error{400, "not HTTP: this looks like a TLS handshake, and TLS is not spoken here"}
	// ErrNotHTTP is a beginning that no request and no response can have.
	ErrNotHTTP = &Error{400, "not HTTP: the first bytes cannot begin an HTTP/1.x message"}
)

var (
	errEmptyLines    = &Error{400, "bad request line: too many empty lines before it"}
	errMethodTooLong = &Error{501, "bad request line: method too long"}
	errConnect       = &Error{501, "method CONNECT is not supported"}
	errTab           = &Error{400, "bad request line: tab"}
	errNoTarget      = &Error{400, "bad request line: no target"}
	errNoVersion     = &Error{400, "bad request line: no HTTP version"}
	errSpace         = &Error{400, "bad request line: more than two spaces"}
	errVersion       = &Error{505, "HTTP version not supported: only HTTP/1.0 and HTTP/1.1 are spoken here"}

	errTargetTooLong = &Error{414, "target too long"}
	errTargetForm    = &Error{400, "bad target: it begins neither with / nor with http://"}
	errAsterisk      = &Error{400, "bad target: * without the method OPTIONS"}
	errFragment      = &Error{400, "bad target: it contains #"}
	errAuthority     = &Error{400, "bad target: invalid authority"}

	errStatusLine = &Error{400, "bad status line"}

	errHeadTooLarge  = &Error{431, "head too large"}
	errTooManyFields = &Error{431, "too many header fields"}
	errControl       = &Error{400, "bad head: control byte"}
	errBareCR        = &Error{400, "bad head: CR without LF"}
	errFold          = &Error{400, "bad header field: line folding"}
	errNoColon       = &Error{400, "bad header field: no colon"}
	errEmptyName     = &Error{400, "bad header field: empty name"}
	errNameSpace     = &Error{400, "bad header field: space before the colon"}
	errName          = &Error{400, "bad header field: invalid byte in the name"}

	errNoHost       = &Error{400, "missing header field: Host"}
	errHosts        = &Error{400, "repeated header field: Host"}
	errHost         = &Error{400, "bad header field: invalid Host"}
	errLengths      = &Error{400, "repeated header field: Content-Length"}
	errLength       = &Error{400, "bad header field: invalid Content-Length"}
	errCodings      = &Error{400, "repeated header field: Transfer-Encoding"}
	errCoding       = &Error{501, "unknown transfer coding: only chunked is understood"}
	errChunkedPlace = &Error{400, "bad header field: chunked is not the last transfer coding, or not once"}
	errNoCoding     = &Error{400, "bad header field: empty Transfer-Encoding"}
	errCodingLength = &Error{400, "conflicting header fields: Transfer-Encoding and Content-Length"}
	errCodingOld    = &Error{400, "bad header field: Transfer-Encoding in HTTP/1.0"}
	errExpect       = &Error{417, "unknown expectation: only 100-continue is understood"}

	errChunkSize     = &Error{400, "bad chunk: invalid size"}
	errChunkTooLarge = &Error{413, "bad chunk: size too large"}
	errChunkLine     = &Error{400, "bad chunk: line too long"}
	errChunkByte     = &Error{400, "bad chunk: control byte in its line"}
	errChunkEnd      = &Error{400, "bad chunk: CR LF missing"}
	errTrailer       = &Error{400, "bad chunk: invalid trailer section"}
	errTrailerLarge  = &Error{431, "trailer section too large"}
)
