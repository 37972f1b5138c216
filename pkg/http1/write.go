package http1

import (
	"strconv"
	"time"
)

// AppendStatusLine appends the status line of an HTTP/1.1 response. An empty reason means the standard one; any other
// must be a ValidFieldValue. A status without three digits panics.
func AppendStatusLine(dst []byte, status int, reason string) []byte {
	if status < 100 || status > 999 {
		panic("http1: status without three digits")
	}
	if reason == "" {
		reason = Reason(status)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, reason...)
	return append(dst, "\r\n"...)
}

// AppendField appends a field line. The caller guarantees a ValidFieldName and a ValidFieldValue. A head ends with one
// more "\r\n".
func AppendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// AppendContentLength appends a Content-Length field line for n bytes.
func AppendContentLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, "\r\n"...)
}

// AppendDate appends t as an IMF-fixdate (RFC 9110 5.6.7), the value of a Date field.
func AppendDate(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 GMT")
}

// ValidFieldName reports whether s can be the name of a field: a token (RFC 9110 5.6.2).
func ValidFieldName[T string | []byte](s T) bool {
	for i := range len(s) {
		if classes[s[i]]&tokenByte == 0 {
			return false
		}
	}
	return len(s) > 0
}

// ValidFieldValue reports whether s can be the value of a field, or a reason phrase: it has no control byte but tabs
// (RFC 9110 5.5).
func ValidFieldValue[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
