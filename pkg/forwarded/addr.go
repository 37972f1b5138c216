package forwarded

import (
	"bytes"
	"net/netip"
)

// parseAddr reads an address as netip.ParseAddr does, but from bytes and without an allocation. There are no zones: they
// mean nothing on another host. An IPv4-mapped address becomes its IPv4 address.
func parseAddr(b []byte) (netip.Addr, bool) {
	if bytes.IndexByte(b, ':') >= 0 {
		a, ok := parse6(b)
		return netip.AddrFrom16(a).Unmap(), ok
	}
	a, ok := parse4(b)
	return netip.AddrFrom4(a), ok
}

// parse4 reads four decimal numbers without leading zeros.
func parse4(b []byte) (a [4]byte, ok bool) {
	for i := range a {
		if i > 0 {
			if len(b) == 0 || b[0] != '.' {
				return a, false
			}
			b = b[1:]
		}
		v, n, ok := decimal(b, 255)
		if !ok {
			return a, false
		}
		a[i], b = byte(v), b[n:]
	}
	return a, len(b) == 0
}

// parsePort reads a port without leading zeros.
func parsePort(b []byte) (uint16, bool) {
	v, n, ok := decimal(b, 65535)
	return uint16(v), ok && n == len(b)
}

// decimal reads the digits at the beginning of b, at least one, and returns their value, which is at most most, and how
// many they are.
func decimal(b []byte, most int) (v, n int, ok bool) {
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		v = 10*v + int(b[n]-'0')
		if n++; v > most || n > 1 && b[0] == '0' {
			return 0, 0, false
		}
	}
	return v, n, n > 0
}

// parse6 reads the text forms of RFC 4291 section 2.2.
func parse6(b []byte) (a [16]byte, ok bool) {
	n, gap := 0, -1 // bytes of a that are known; the place of the zeros for which :: stands
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = 0, b[2:]
	}
	for len(b) > 0 && n < len(a) {
		v, digits := hexadecimal(b)
		if digits == 0 {
			return a, false
		}
		if digits < len(b) && b[digits] == '.' {
			four, ok := parse4(b)
			if !ok || n > len(a)-len(four) {
				return a, false
			}
			n, b = n+copy(a[n:], four[:]), nil
			break
		}
		a[n], a[n+1] = byte(v>>8), byte(v)
		n, b = n+2, b[digits:]
		if len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return a, false
		}
		if b = b[1:]; b[0] == ':' {
			if gap >= 0 {
				return a, false
			}
			gap, b = n, b[1:]
		}
	}
	if len(b) > 0 || (n == len(a)) == (gap >= 0) { // :: stands for one group at least
		return a, false
	}
	if gap >= 0 {
		tail := n - gap
		copy(a[len(a)-tail:], a[gap:n])
		clear(a[gap : len(a)-tail])
	}
	return a, true
}

// hexadecimal reads up to four digits at the beginning of b and returns their value and how many they are.
func hexadecimal(b []byte) (v uint16, n int) {
	for n < len(b) && n < 4 {
		d := b[n]
		switch {
		case d >= '0' && d <= '9':
			d -= '0'
		case d|0x20 >= 'a' && d|0x20 <= 'f':
			d = d | 0x20 - 'a' + 10
		default:
			return v, n
		}
		v = v<<4 | uint16(d)
		n++
	}
	return v, n
}
