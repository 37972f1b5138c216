package grip

import (
	"strings"
	"unicode/utf8"
)

// validName reports whether s is a token (RFC 9110 5.6.2).
func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// validValue reports whether s can stand in a head: it has no control byte but tabs (RFC 9110 5.5).
func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func validReason(s string) bool { return len(s) <= MaxReasonBytes && validValue(s) }

func validText(s string) bool { return validValue(s) && utf8.ValidString(s) }
