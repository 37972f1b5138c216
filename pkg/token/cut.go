package token

import "bytes"

const scheme = "bearer"

// Bearer returns the token in the value of an Authorization field, and whether the value has the scheme Bearer, in
// upper or lower case (RFC 6750 2.1, RFC 9110 11.1). The token aliases the value. It is not checked and may be empty,
// which is for Verify to refuse: a client that meant to show a token must not pass as one that has none.
func Bearer(value []byte) (tok []byte, ok bool) {
	value = trim(value)
	if len(value) < len(scheme) || !equalFold(value[:len(scheme)], scheme) {
		return nil, false
	}
	rest := value[len(scheme):]
	if len(rest) > 0 && rest[0] != ' ' {
		return nil, false
	}
	return trim(rest), true
}

// Cookie returns the value of the first cookie called name in the value of a Cookie field, and whether there is one
// (RFC 6265 4.2 and 5.4). It aliases the field; quotes around it are taken off. Names are case-sensitive. When several
// cookies have the name, the first is the one with the longest path.
func Cookie(field []byte, name string) (value []byte, ok bool) {
	if name == "" {
		return nil, false
	}
	for len(field) > 0 {
		pair, rest := field, []byte(nil)
		if i := bytes.IndexByte(field, ';'); i >= 0 {
			pair, rest = field[:i], field[i+1:]
		}
		if i := bytes.IndexByte(pair, '='); i >= 0 && string(trim(pair[:i])) == name {
			return unquote(trim(pair[i+1:])), true
		}
		field = rest
	}
	return nil, false
}

func unquote(b []byte) []byte {
	if len(b) >= 2 && b[0] == '"' && b[len(b)-1] == '"' {
		return b[1 : len(b)-1]
	}
	return b
}

// trim takes off the optional white space of HTTP (RFC 9110 5.6.3).
func trim(b []byte) []byte { return bytes.Trim(b, " \t") }

// equalFold compares b with lower, which is in lower case, without regard to the case of ASCII letters.
func equalFold(b []byte, lower string) bool {
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
