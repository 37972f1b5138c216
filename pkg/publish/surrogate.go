package publish

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode/utf16"
)

// loneSurrogate returns the offset of the first escape in b, which is valid JSON, that is one half
// of a surrogate pair without the other, as \ud800; or -1. It stands for no character.
// encoding/json reads it as U+FFFD, so that two different names would become one.
func loneSurrogate(b []byte) int {
	for i := 0; ; {
		next := bytes.IndexByte(b[i:], '\\') // only strings have any
		if next < 0 {
			return -1
		}
		i += next
		r, size := escape(b[i:])
		if utf16.IsSurrogate(r) {
			low, more := escape(b[i+size:])
			if utf16.DecodeRune(r, low) == '\ufffd' {
				return i
			}
			size += more
		}
		i += size
	}
}

// escape reads the escape at the beginning of b and returns its length. Its character is 0 unless
// it has the form \uXXXX.
func escape(b []byte) (r rune, size int) {
	if len(b) < 2 || b[0] != '\\' {
		return 0, 0
	}
	if b[1] != 'u' {
		return 0, 2
	}
	n, _ := strconv.ParseUint(string(b[2:6]), 16, 16) // valid JSON has four digits
	return rune(n), 6
}

// surrogateError names the field of o in which the JSON text b has a lone surrogate.
func surrogateError(o object, b []byte) error {
	for _, key := range slices.Sorted(maps.Keys(o.fields)) {
		raw := o.fields[key]
		if loneSurrogate(raw) < 0 {
			continue
		}
		if inner, ok := asObject("'"+key+"'", raw); ok {
			return surrogateError(inner, raw)
		}
		return fmt.Errorf("%s contains '%s' with invalid value: %s", o.name, key, halfPair(raw))
	}
	return fmt.Errorf("%s contains a field with an invalid name: %s", o.name, halfPair(b))
}

func halfPair(b []byte) string {
	i := loneSurrogate(b)
	return fmt.Sprintf("%s is half of a surrogate pair", b[i:i+6])
}
