package origin

import "bytes"

var schemeEnd = []byte("://")

// cutScheme splits b at "://".
func cutScheme(b []byte) (scheme, authority []byte, found bool) {
	i := bytes.Index(b, schemeEnd)
	if i < 0 {
		return nil, b, false
	}
	return b[:i], b[i+len(schemeEnd):], true
}

// validScheme checks RFC 3986 3.1.
func validScheme(b []byte) bool {
	for i, c := range b {
		if !isLetter(c) && (i == 0 || !isDigit(c) && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return len(b) > 0
}

// cutPort splits an authority without user information. A port is written as a decimal number without leading zeros,
// as browsers do; port is nil when there is none.
func cutPort(b []byte) (host, port []byte, ok bool) {
	end := len(b)
	if len(b) > 0 && b[0] == '[' {
		end = bytes.IndexByte(b, ']') + 1
		if end == 0 {
			return nil, nil, false
		}
	} else if i := bytes.IndexByte(b, ':'); i >= 0 {
		end = i
	}
	if end == len(b) {
		return b, nil, true
	}
	host, port = b[:end], b[end+1:]
	return host, port, b[end] == ':' && validPort(port)
}

func validPort(b []byte) bool {
	const maxPort = 65535
	n := 0
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
		if n = n*10 + int(c-'0'); n > maxPort {
			return false
		}
	}
	return len(b) > 0 && b[0] != '0'
}

func isDefaultPort(scheme, port []byte) bool {
	switch string(port) {
	case "80":
		return equalFold(scheme, "http")
	case "443":
		return equalFold(scheme, "https")
	}
	return false
}

func validHost(b []byte) bool {
	if len(b) > 0 && b[0] == '[' {
		return validIPv6(b)
	}
	return validName(b)
}

// validName checks a host name, and an IPv4 address as browsers write it: a name that ends in a number is an address
// (URL standard, "ends in a number checker"), of which they send only the dotted decimal form.
func validName(b []byte) bool {
	const maxName, maxLabel = 254, 63 // RFC 1035 2.3.4; a dot at the end comes on top
	label := 0
	for i, c := range b {
		switch {
		case isLetter(c) || isDigit(c) || c == '-' || c == '_':
			label++
		case c == '.' && label > 0 && label <= maxLabel && i > 0:
			label = 0
		default:
			return false
		}
	}
	return len(b) > 0 && len(b) <= maxName && label <= maxLabel && (!endsInNumber(b) || isIPv4(b))
}

func endsInNumber(b []byte) bool {
	b = bytes.TrimSuffix(b, []byte{'.'})
	last := b[bytes.LastIndexByte(b, '.')+1:]
	if len(last) >= 2 && last[0] == '0' && last[1]|0x20 == 'x' {
		for _, c := range last[2:] {
			if !isHex(c) {
				return false
			}
		}
		return true
	}
	for _, c := range last {
		if !isDigit(c) {
			return false
		}
	}
	return len(last) > 0
}

// isIPv4 reports whether b is four decimal numbers from 0 to 255 without leading zeros, joined by dots.
func isIPv4(b []byte) bool {
	numbers, digits, n := 1, 0, 0
	for _, c := range b {
		switch {
		case c == '.' && digits > 0:
			numbers, digits, n = numbers+1, 0, 0
		case isDigit(c) && (digits == 0 || n > 0):
			digits++
			if n = n*10 + int(c-'0'); n > 255 {
				return false
			}
		default:
			return false
		}
	}
	return numbers == 4 && digits > 0
}

// validIPv6 checks the letters of an address in brackets; whether it is one is for whom it is compared with.
func validIPv6(b []byte) bool {
	if len(b) < len("[::]") || b[len(b)-1] != ']' {
		return false
	}
	for _, c := range b[1 : len(b)-1] {
		if !isHex(c) && c != ':' {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// equalFold compares b with lower, which is in lower case, without regard to the case of ASCII letters.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if lowered(c) != lower[i] {
			return false
		}
	}
	return true
}

func sameFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lowered(a[i]) != lowered(b[i]) {
			return false
		}
	}
	return true
}

func lowered(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
