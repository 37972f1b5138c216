package http1

import (
	"bytes"
	"strconv"
)

// NextParam cuts the first parameter off a query, without decoding it; empty parameters are skipped. When rest is
// empty there are no more. A parameter without "=" has an empty value, and a query of nothing but "&" an empty key.
func NextParam(query []byte) (key, value, rest []byte) {
	param, rest, _ := bytes.Cut(skipAmpersands(query), ampersand)
	key, value, _ = bytes.Cut(param, equals)
	return key, value, skipAmpersands(rest)
}

func skipAmpersands(query []byte) []byte {
	for len(query) > 0 && query[0] == '&' {
		query = query[1:]
	}
	return query
}

var (
	ampersand = []byte{'&'}
	equals    = []byte{'='}
)

// EscapeError is a "%" at that index, from 0, that two hexadecimal digits do not follow.
type EscapeError int

// Error names the position.
func (e EscapeError) Error() string {
	return "http1: bad percent-encoding at byte " + strconv.Itoa(int(e))
}

// AppendUnescaped appends a key or value of a query, decoded: %XX is a byte and "+" a space. The error is an
// EscapeError, and dst is then returned as it was.
func AppendUnescaped(dst, s []byte) ([]byte, error) {
	start := len(dst)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '+':
			dst = append(dst, ' ')
		case '%':
			if i+2 >= len(s) || classes[s[i+1]]&classes[s[i+2]]&hexByte == 0 {
				return dst[:start], EscapeError(i)
			}
			dst = append(dst, hexValue(s[i+1])<<4|hexValue(s[i+2]))
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return dst, nil
}
