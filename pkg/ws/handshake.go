package ws

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
)

// Version is the protocol version of RFC 6455, the value of Sec-WebSocket-Version.
const Version = "13"

// UpgradeRequired are the field lines that an answer with status 426 must have (RFC 9110 15.5.22, RFC 6455 4.4).
const UpgradeRequired = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: " + Version + "\r\n"

const (
	acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455 1.3
	nonceBytes = 16                                     // that Sec-WebSocket-Key encodes
	keyBytes   = (nonceBytes + 2) / 3 * 4               // of Sec-WebSocket-Key
)

// HandshakeError is a request that does not open a WebSocket. Its values are static.
type HandshakeError struct {
	Status int    // 400, or 426, whose answer has the lines of UpgradeRequired
	Text   string // one line that names what was wrong, fit to be shown to the peer
}

// Error returns the text.
func (e *HandshakeError) Error() string { return "ws: " + e.Text }

var (
	errMethod    = &HandshakeError{400, "bad WebSocket handshake: the method is not GET"}
	errHTTP      = &HandshakeError{400, "bad WebSocket handshake: it needs HTTP/1.1"}
	errBody      = &HandshakeError{400, "bad WebSocket handshake: the request has a body"}
	errNoUpgrade = &HandshakeError{426, "WebSocket only: Upgrade: websocket and Connection: Upgrade are needed"}
	errNoVersion = &HandshakeError{400, "missing header field: Sec-WebSocket-Version"}
	errVersions  = &HandshakeError{400, "repeated header field: Sec-WebSocket-Version"}
	errVersion   = &HandshakeError{426, "WebSocket version not supported: only 13 is spoken here"}
	errNoKey     = &HandshakeError{400, "missing header field: Sec-WebSocket-Key"}
	errKeys      = &HandshakeError{400, "repeated header field: Sec-WebSocket-Key"}
	errKey       = &HandshakeError{400, "bad header field: Sec-WebSocket-Key is not base64 of 16 bytes"}
)

var (
	nameKey     = []byte("sec-websocket-key")
	nameVersion = []byte("sec-websocket-version")
	nameOffer   = []byte("sec-websocket-protocol")
	nameUpgrade = []byte("upgrade")
	protocol    = []byte("websocket")
	comma       = []byte{','}
)

// Handshake is what a request says about opening a WebSocket (RFC 6455 4.2.1), as a parser of HTTP
// found it. Its slices alias the request. Origin and the target are the caller's business.
type Handshake struct {
	Method  []byte
	Minor   int  // the request's version is HTTP/1.Minor
	Upgrade bool // Connection names the Upgrade fields
	HasBody bool // the request's framing announces at least one byte of body

	Protocols []string // subprotocols that are served, the preferred one first; empty: any

	named    bool   // an Upgrade field names websocket
	protocol []byte // the subprotocol that is chosen so far, and how early it was preferred
	chosen   int

	key, version   []byte // Sec-WebSocket-Key, Sec-WebSocket-Version; nil when there is none
	keys, versions int    // how many of them there are
}

// Add takes one header field of the request; all of them, in any order, are to be given. Fields that do not concern the
// handshake are ignored.
func (h *Handshake) Add(name, value []byte) {
	switch {
	case equalFold(name, nameKey):
		h.key = value
		h.keys++
	case equalFold(name, nameVersion):
		h.version = value
		h.versions++
	case equalFold(name, nameOffer):
		h.offer(value)
	case equalFold(name, nameUpgrade):
		h.named = h.named || hasProtocol(value)
	}
}

// Check returns nil when the request opens a WebSocket, or a *HandshakeError.
func (h *Handshake) Check() error {
	switch {
	case h.Minor < 1:
		return errHTTP
	case !h.Upgrade || !h.named: // HEAD is told the same as GET
		return errNoUpgrade
	case string(h.Method) != "GET":
		return errMethod
	case h.versions > 1:
		return errVersions
	case h.versions == 0:
		return errNoVersion
	case string(h.version) != Version:
		return errVersion
	case h.keys > 1:
		return errKeys
	case h.keys == 0:
		return errNoKey
	case !validKey(h.key):
		return errKey
	case h.HasBody:
		return errBody
	}
	return nil
}

// Key returns the request's Sec-WebSocket-Key for AppendUpgrade. It aliases the request.
func (h *Handshake) Key() []byte { return h.key }

// hasProtocol reports whether the list of an Upgrade field has the member websocket.
func hasProtocol(list []byte) bool {
	for len(list) > 0 {
		var member []byte
		member, list, _ = bytes.Cut(list, comma)
		if equalFold(bytes.Trim(member, " \t"), protocol) {
			return true
		}
	}
	return false
}

// equalFold compares b with lower, which is in lower case, without regard to the case of ASCII letters; bytes.EqualFold
// would take the Kelvin sign for a k.
func equalFold(b, lower []byte) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// validKey reports whether key is base64 of 16 bytes. Bits that do not count may be set, as with most servers.
func validKey(key []byte) bool {
	var nonce [nonceBytes + 2]byte // the decoder wants room for whole groups
	if len(key) != keyBytes {
		return false
	}
	n, err := base64.StdEncoding.Decode(nonce[:], key)
	return err == nil && n == nonceBytes
}

// AppendAccept appends the Sec-WebSocket-Accept value for key (RFC 6455 4.2.2). A client compares it with the answer's.
// Key is a valid Sec-WebSocket-Key; one of another size panics.
func AppendAccept(dst, key []byte) []byte {
	var buf [keyBytes + len(acceptGUID)]byte
	if len(key) != keyBytes {
		panic("ws: Sec-WebSocket-Key of a wrong size")
	}
	copy(buf[copy(buf[:], key):], acceptGUID)
	sum := sha1.Sum(buf[:])
	return base64.StdEncoding.AppendEncode(dst, sum[:])
}

// AppendUpgrade appends the whole head of the 101 response for key, and for the subprotocol, if
// there is one. The caller should send it with one write: Tsung takes a head in two pieces for an
// error.
func AppendUpgrade(dst, key, protocol []byte) []byte {
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = AppendAccept(dst, key)
	if len(protocol) > 0 {
		dst = append(append(dst, "\r\nSec-WebSocket-Protocol: "...), protocol...)
	}
	return append(dst, "\r\n\r\n"...)
}
