package http1

import "math"

// framing gathers the fields that say how a message is framed and what becomes of its connection.
type framing struct {
	host, expect   []byte
	hosts, codings int
	expects        bool
	upgrade        bool // there is an Upgrade field with a value

	close, keepAlive, upgrades bool // members of Connection
}

// frame reads the framing fields and sets ContentLength, Chunked and KeepAlive. It refuses whatever two recipients
// could understand differently (RFC 9112 6.1, 6.3, 11.2).
func (h *Head) frame() (f framing, err error) {
	for i := range h.Fields {
		name, value := h.Fields[i].Name, h.Fields[i].Value
		switch len(name) {
		case len("host"):
			if equalFold(name, "host") {
				f.host = value
				f.hosts++
			}
		case len("expect"):
			if equalFold(name, "expect") {
				f.expect, f.expects = value, true
			}
		case len("upgrade"):
			if len(value) > 0 && equalFold(name, "upgrade") {
				f.upgrade = true
			}
		case len("connection"):
			if equalFold(name, "connection") {
				f.connection(value)
			}
		case len("content-length"):
			if equalFold(name, "content-length") {
				err = h.setLength(value)
			}
		case len("transfer-encoding"):
			if equalFold(name, "transfer-encoding") {
				f.codings++
				err = h.setCoding(value)
			}
		}
		if err != nil {
			return f, err
		}
	}
	switch {
	case f.codings > 1:
		return f, errCodings
	case h.Chunked && h.ContentLength >= 0:
		return f, errCodingLength
	case h.Chunked && h.Minor == 0:
		return f, errCodingOld
	}
	h.KeepAlive = !f.close && (h.Minor >= 1 || f.keepAlive)
	return f, nil
}

func (f *framing) connection(list []byte) {
	for len(list) > 0 {
		var member []byte
		switch member, list = nextMember(list); {
		case equalFold(member, "close"):
			f.close = true
		case equalFold(member, "keep-alive"):
			f.keepAlive = true
		case equalFold(member, "upgrade"):
			f.upgrades = true
		}
	}
}

func (h *Head) setLength(value []byte) error {
	if h.ContentLength >= 0 {
		return errLengths
	}
	n, ok := parseLength(value)
	if !ok {
		return errLength
	}
	h.ContentLength = n
	return nil
}

// parseLength reads a Content-Length: digits and nothing else (RFC 9110 8.6).
func parseLength(value []byte) (n int64, ok bool) {
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(value) > 0
}

// setCoding reads a Transfer-Encoding. Nothing but chunked, once and alone, is accepted.
func (h *Head) setCoding(value []byte) error {
	if equalFold(value, "chunked") {
		h.Chunked = true
		return nil
	}
	members, chunked := 0, 0
	last := false // chunked is the last member so far
	for list := value; len(list) > 0; {
		var member []byte
		if member, list = nextMember(list); len(member) == 0 {
			continue
		}
		members++
		if last = equalFold(member, "chunked"); last {
			chunked++
		}
	}
	switch {
	case members == 0:
		return errNoCoding
	case chunked > 1 || chunked == 1 && !last:
		return errChunkedPlace
	case chunked == 1 && members == 1: // with empty members around it
		return errChunkedPlace
	}
	return errCoding
}
