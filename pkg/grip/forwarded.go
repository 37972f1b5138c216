package grip

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// ForwardedProto says what the backend learns about the client's connection being encrypted. The zero value passes on what
// the client says.
type ForwardedProto struct {
	Accept   bool // accept_x_forwarded_protocol: the client's word was looked at, and goes no further
	Proto    bool // X-Forwarded-Proto is set
	Protocol bool // X-Forwarded-Protocol is set
}

// ParseForwardedProto reads set_x_forwarded_protocol: "true" sets both headers, "proto-only" the one, all else none.
func ParseForwardedProto(set string, accept bool) ForwardedProto {
	return ForwardedProto{Accept: accept, Proto: set == "true" || set == "proto-only", Protocol: set == "true"}
}

func (p ForwardedProto) apply(h http.Header, secure bool) {
	if p == (ForwardedProto{}) {
		return
	}
	h.Del("X-Forwarded-Proto")
	h.Del("X-Forwarded-Protocol")
	if secure && p.Proto {
		h.Set("X-Forwarded-Proto", "https")
	}
	if secure && p.Protocol {
		h.Set("X-Forwarded-Protocol", "https")
	}
}

// ForwardedSecure reports whether the client says that its connection is encrypted, which accept_x_forwarded_protocol
// believes.
func ForwardedSecure(h http.Header) bool {
	proto := h.Get("X-Forwarded-Proto")
	if proto == "" {
		proto = h.Get("X-Forwarded-Protocol")
	}
	return proto == "https" || proto == "wss"
}

// ForwardedFor is the rule for X-Forwarded-For. The zero value passes the client's on and adds nothing.
type ForwardedFor struct {
	truncate, add bool
	keep          int // addresses that truncate leaves, the last ones
}

// ParseForwardedFor reads x_forwarded_for: "truncate:N" keeps the last N addresses, "append" adds the client's; both are
// joined by a comma.
func ParseForwardedFor(rule string) (ForwardedFor, error) {
	var r ForwardedFor
	for _, part := range splitList(rule) {
		number, truncate := strings.CutPrefix(part, "truncate:")
		switch {
		case part == "":
		case part == "append":
			r.add = true
		case truncate:
			n, err := strconv.ParseUint(number, 10, 31)
			if err != nil {
				return ForwardedFor{}, fmt.Errorf("rule for X-Forwarded-For: %q is not the number of addresses that truncate keeps", cut(number))
			}
			r.truncate, r.keep = true, int(n)
		default:
			return ForwardedFor{}, fmt.Errorf("rule for X-Forwarded-For: %q is neither append nor truncate:N", cut(part))
		}
	}
	return r, nil
}

func (r ForwardedFor) apply(h http.Header, peer netip.Addr) {
	if r == (ForwardedFor{}) {
		return
	}
	list := elements(h, "X-Forwarded-For")
	if r.truncate {
		list = list[max(0, len(list)-r.keep):]
	}
	if r.add && peer.IsValid() {
		list = append(list, peer.Unmap().WithZone("").String())
	}
	setList(h, "X-Forwarded-For", list)
}
