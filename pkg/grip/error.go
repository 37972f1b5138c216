package grip

import (
	"strconv"
	"unicode/utf8"
)

// Error is a response of a backend that cannot be followed.
type Error struct {
	Text  string // one line that names the header or field and what is wrong with it, in Pushpin's words where it has some
	Value string // what stood there, shortened, for the log; empty when that says nothing
}

// Error returns the text and the value.
func (e *Error) Error() string {
	if e.Value == "" {
		return "grip: " + e.Text
	}
	return "grip: " + e.Text + ": " + strconv.Quote(e.Value)
}

func fault(text, value string) *Error { return &Error{Text: text, Value: cut(value)} }

const maxQuotedBytes = 64 // of a bad value that an error shows

// cut shortens what an error shows of foreign text.
func cut(s string) string {
	if len(s) <= maxQuotedBytes {
		return s
	}
	n := maxQuotedBytes
	for n > maxQuotedBytes-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

// show makes foreign text fit to stand in an Error's Text between single quotes.
func show(s string) string {
	q := strconv.Quote(cut(s))
	return q[1 : len(q)-1]
}
