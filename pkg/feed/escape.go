package feed

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// EscapeError is an escape sequence that Unescape does not understand.
type EscapeError struct {
	Offset   int    // of the backslash, in bytes from 0
	Sequence string // as it stands in the text
	Reason   string
}

// Error names the sequence and counts its position from 1, as editors do.
func (e *EscapeError) Error() string {
	return fmt.Sprintf("bad escape %q at byte %d: %s", e.Sequence, e.Offset+1, e.Reason)
}

// simpleEscapes maps the letter after a backslash to its byte (C11 6.4.4.4; \e as in most shells).
var simpleEscapes = map[byte]byte{
	'a': '\a', 'b': '\b', 'e': 0x1b, 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v',
	'\\': '\\', '\'': '\'', '"': '"', '?': '?',
}

// Unescape replaces the escape sequences of C in text: the simple ones, \ooo with one to three octal digits, \xHH with one
// or two hexadecimal digits, \uHHHH and \UHHHHHHHH. The error is an *EscapeError.
func Unescape(text string) (string, error) {
	if strings.IndexByte(text, '\\') < 0 {
		return text, nil
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			out = append(out, text[i])
			i++
			continue
		}
		var n int
		var reason string
		if out, n, reason = appendEscape(out, text[i:]); reason != "" {
			return "", &EscapeError{Offset: i, Sequence: text[i : i+n], Reason: reason}
		}
		i += n
	}
	return string(out), nil
}

// appendEscape appends what the escape sequence at the start of s stands for, and returns its length. A reason says
// what is wrong with it.
func appendEscape(dst []byte, s string) (out []byte, n int, reason string) {
	if len(s) == 1 {
		return dst, 1, "nothing follows the backslash"
	}
	c := s[1]
	if b, ok := simpleEscapes[c]; ok {
		return append(dst, b), 2, ""
	}
	switch {
	case '0' <= c && c <= '7':
		v, digits := number(s[1:], 8, 3)
		if v > 0xff {
			return dst, 1 + digits, "octal value above \\377"
		}
		return append(dst, byte(v)), 1 + digits, ""
	case c == 'x':
		v, digits := number(s[2:], 16, 2)
		if digits == 0 {
			return dst, 2, "no hexadecimal digit follows"
		}
		return append(dst, byte(v)), 2 + digits, ""
	case c == 'u' || c == 'U':
		want := 4
		if c == 'U' {
			want = 8
		}
		v, digits := number(s[2:], 16, want)
		switch {
		case digits < want:
			return dst, 2 + digits, fmt.Sprintf("%d hexadecimal digits must follow", want)
		case v > utf8.MaxRune || !utf8.ValidRune(rune(v)):
			return dst, 2 + digits, "no such Unicode character"
		}
		return utf8.AppendRune(dst, rune(v)), 2 + digits, ""
	}
	_, size := utf8.DecodeRuneInString(s[1:])
	return dst, 1 + size, "unknown"
}

// number reads up to most digits of the base from the start of s.
func number(s string, base uint32, most int) (v uint32, digits int) {
	for digits < most && digits < len(s) {
		d := base
		switch c := s[digits]; {
		case '0' <= c && c <= '9':
			d = uint32(c - '0')
		case 'a' <= c && c <= 'f':
			d = uint32(c-'a') + 10
		case 'A' <= c && c <= 'F':
			d = uint32(c-'A') + 10
		}
		if d >= base {
			break
		}
		v = v*base + d
		digits++
	}
	return v, digits
}
