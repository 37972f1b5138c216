package app

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns foreign text safe for a terminal: every control character, direction mark, line break and invalid
// byte becomes U+FFFD, so that nothing moves the cursor and nothing hides. Text without them is returned as it is.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
}
