package feed

import (
	"strconv"
	"strings"
	"time"
)

// Expand replaces the placeholders of a message's text: {{now}} by the time of now in RFC 3339, {{unixms}} and {{unixns}}
// by its milliseconds and nanoseconds since 1970, {{count}} by count. Anything else in braces stays as it is, for a
// message may well be a template of somebody else's.
func Expand(text string, now time.Time, count int) string {
	start := strings.Index(text, "{{")
	if start < 0 {
		return text
	}
	out := make([]byte, 0, len(text)+32)
	for start >= 0 {
		out = append(out, text[:start]...)
		text = text[start:]
		n := 0
		if out, n = appendPlaceholder(out, text, now, count); n == 0 {
			out = append(out, text[0]) // only one brace: "{{{now}}" holds a placeholder
			n = 1
		}
		text = text[n:]
		start = strings.Index(text, "{{")
	}
	return string(append(out, text...))
}

// appendPlaceholder appends the value of the placeholder at the start of text and returns its length, 0 when there is
// none.
func appendPlaceholder(dst []byte, text string, now time.Time, count int) (out []byte, n int) {
	name, _, ok := strings.Cut(text[2:], "}}")
	if !ok {
		return dst, 0
	}
	switch name {
	case "now":
		dst = now.AppendFormat(dst, time.RFC3339)
	case "unixms":
		dst = strconv.AppendInt(dst, now.UnixMilli(), 10)
	case "unixns":
		dst = strconv.AppendInt(dst, now.UnixNano(), 10)
	case "count":
		dst = strconv.AppendInt(dst, int64(count), 10)
	default:
		return dst, 0
	}
	return dst, len(name) + 4
}
