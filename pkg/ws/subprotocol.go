package ws

import "bytes"

// maxPlainProtocol is the length of the longest offered subprotocol that is taken for a name. The
// registered ones have at most 40 bytes; what is longer carries a token.
const maxPlainProtocol = 64

// ValidProtocol reports whether s can be the name of a subprotocol: a token (RFC 6455 4.1).
func ValidProtocol[T string | []byte](s T) bool {
	const separators = `"(),/:;<=>?@[\]{}`
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || bytes.IndexByte([]byte(separators), s[i]) >= 0 {
			return false
		}
	}
	return len(s) > 0
}

// Protocol returns the subprotocol with which the 101 response answers the request's offer, or
// nil. It is the first of Protocols that is offered. When Protocols is empty it is the first that
// is offered, because browsers fail a handshake that leaves their offer unanswered. An offer that
// looks like a token is then the last choice: pages pass tokens there, and answers end up in
// logs. It aliases the request.
func (h *Handshake) Protocol() []byte { return h.protocol }

// offer takes a Sec-WebSocket-Protocol field. Members that are no names are ignored.
func (h *Handshake) offer(list []byte) {
	for len(list) > 0 {
		var member []byte
		member, list, _ = bytes.Cut(list, comma)
		if member = bytes.Trim(member, " \t"); !ValidProtocol(member) {
			continue
		}
		rank, served := h.rank(member)
		if served && (h.protocol == nil || rank < h.chosen) {
			h.protocol, h.chosen = member, rank
		}
	}
}

// rank is lower for a subprotocol that is preferred. Names have case (RFC 6455 4.2.2).
func (h *Handshake) rank(name []byte) (rank int, served bool) {
	if len(h.Protocols) == 0 {
		if len(name) > maxPlainProtocol || isToken(name) {
			rank = 1
		}
		return rank, true
	}
	for i, s := range h.Protocols {
		if s == string(name) {
			return i, true
		}
	}
	return 0, false
}

// isToken reports whether name looks like a JSON Web Token: base64url of `{"`, and a dot behind it.
func isToken(name []byte) bool {
	return bytes.HasPrefix(name, []byte("eyJ")) && bytes.IndexByte(name, '.') > 0
}
