package forwarded

import (
	"bytes"
	"fmt"
	"net/netip"
)

// ParsePrefixes reads addresses and CIDR prefixes. An address stands for itself alone. IPv4-mapped ones become IPv4.
func ParsePrefixes(values []string) ([]netip.Prefix, error) {
	prefixes := make([]netip.Prefix, 0, len(values))
	for _, value := range values {
		p, err := parsePrefix(value)
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}

func parsePrefix(value string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(value); err == nil {
		if addr.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("address %q: a zone is not possible here", value)
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(value)
	if err != nil {
		return p, fmt.Errorf("%q is neither an address nor a prefix like 10.0.0.0/8 or fd00::/8", value)
	}
	if addr := p.Addr(); addr.Is4In6() {
		if p.Bits() < 96 {
			return p, fmt.Errorf("prefix %q: an IPv4-mapped prefix has at least 96 bits", value)
		}
		p = netip.PrefixFrom(addr.Unmap(), p.Bits()-96)
	}
	if p != p.Masked() { // trusting more than was meant is the worse guess
		return p, fmt.Errorf("prefix %q: bits are set beyond its length: either %s or %s is meant", value, p.Masked(), p.Addr())
	}
	return p, nil
}

// maxHops bounds the addresses of X-Forwarded-For that are looked at. A chain of trusted proxies is shorter.
const maxHops = 32

// Client returns the address of the client whose request came from peer with the given values of X-Forwarded-For, in the
// order in which they stand in the request. Each proxy adds the address from which it was asked at the end, so they are read
// from there: the first address that trusted does not contain is the client's, and what stands before it is the client's own
// word. Where something else than an address stands (nothing, "unknown", an identifier of RFC 7239 section 6.3) and where the
// values end, the address read last is the best that is known. An address may have a port.
func Client(peer netip.Addr, fields [][]byte, trusted []netip.Prefix) netip.Addr {
	client, hops := peer.Unmap(), 0
	for i := len(fields) - 1; i >= 0 && contains(trusted, client); i-- {
		for rest, more := fields[i], true; more && contains(trusted, client); hops++ {
			comma := bytes.LastIndexByte(rest, ',')
			addr, ok := parseHop(rest[comma+1:])
			if !ok || hops == maxHops {
				return client
			}
			if client, more = addr, comma >= 0; more {
				rest = rest[:comma]
			}
		}
	}
	return client
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// parseHop reads one element of X-Forwarded-For: an address, or an address and a port, with IPv6 then in brackets.
func parseHop(b []byte) (netip.Addr, bool) {
	b = bytes.Trim(b, " \t")
	host, port := b, []byte(nil)
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || bytes.IndexByte(b[:end], ':') < 0 {
			return netip.Addr{}, false
		}
		host, port = b[1:end], b[end+1:]
	} else if colon := bytes.IndexByte(b, ':'); colon >= 0 && bytes.IndexByte(b[colon+1:], ':') < 0 {
		host, port = b[:colon], b[colon:]
	}
	if len(port) > 0 {
		if _, ok := parsePort(port[1:]); !ok || port[0] != ':' {
			return netip.Addr{}, false
		}
	}
	return parseAddr(host)
}
