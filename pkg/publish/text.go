package publish

import (
	"strings"
	"unicode/utf8"
)

// ToText returns content as it goes to a client that must get text: U+FFFD stands for each byte
// that is not part of a UTF-8 character, as in most decoders. Text that is UTF-8 costs no
// allocation.
func ToText(content string) string {
	if utf8.ValidString(content) {
		return content
	}
	var b strings.Builder
	b.Grow(len(content) + 2*utf8.UTFMax)
	for _, r := range content {
		b.WriteRune(r)
	}
	return b.String()
}
