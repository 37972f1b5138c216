package http1

import (
	"encoding/binary"
	"math/bits"
)

// byteClass is a set of properties of a byte.
type byteClass uint8

const (
	tokenByte byteClass = 1 << iota // tchar, RFC 9110 5.6.2
	hostByte                        // reg-name, IPv6 or port, RFC 3986 3.2.2
	hexByte
	unreservedByte // RFC 3986 2.3
)

// classes holds the class of each byte.
var classes = func() (t [256]byteClass) {
	mark := func(s string, c byteClass) {
		for i := range len(s) {
			t[s[i]] |= c
		}
	}
	const alnum = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	mark(alnum+"!#$%&'*+-.^_`|~", tokenByte)
	mark(alnum+"-._~%!$&'()*+,;=:", hostByte)
	mark("0123456789ABCDEFabcdef", hexByte)
	mark(alnum+"-._~", unreservedByte)
	return t
}()

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// indexControl returns the first index at or after i of a control byte (below 0x20, or 0x7f) in b, or len(b).
// It looks at eight bytes at a time, because values are long and control bytes are rare.
func indexControl(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ lowBits*0x7f
		// A borrow can only spoil bytes above a true hit, so the lowest hit is exact.
		hits := ((x-lowBits*0x20)&^x | (del-lowBits)&^del) & highBits
		if hits != 0 {
			return i + bits.TrailingZeros64(hits)/8
		}
	}
	for ; i < len(b); i++ {
		if b[i] < 0x20 || b[i] == 0x7f {
			return i
		}
	}
	return len(b)
}

// nextLine finds the end of the line in which from lies: its text ends before end, the next line begins at next.
// Bytes before from are known to be good and to hold no line end.
func nextLine(b []byte, from int) (end, next int, err error) {
	for i := from; ; i++ {
		i = indexControl(b, i)
		if i == len(b) {
			return 0, 0, ErrShort
		}
		switch b[i] {
		case '\t':
		case '\n':
			return i, i + 1, nil
		case '\r':
			if i+1 == len(b) {
				return 0, 0, ErrShort
			}
			if b[i+1] != '\n' {
				return 0, 0, errBareCR
			}
			return i, i + 2, nil
		default:
			return 0, 0, errControl
		}
	}
}

// equalFold reports whether b is s without regard to ASCII case. Unlike bytes.EqualFold it folds nothing else: the
// Kelvin sign is not a k.
func equalFold[T string | []byte](b T, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range len(b) {
		if b[i] != s[i] && lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// trimSpace cuts optional whitespace (RFC 9110 5.6.3) from both ends of b.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
