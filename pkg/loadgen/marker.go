package loadgen

import (
	"bytes"
	"time"
)

// A marker is in every message: "@TS=", 19 digits of CLOCK_REALTIME in nanoseconds when it was published, ";", 10 digits
// of its number, ";". The front is what other load clients look for.
const (
	stampPrefix  = "@TS="
	stampDigits  = 19
	numberDigits = 10
	markerLen    = len(stampPrefix) + stampDigits + 1 + numberDigits + 1
)

// marker is what a message says about itself.
type marker struct {
	at     int64  // nanoseconds since 1970
	number uint32 // among all messages of the run
}

// appendMarker appends the marker of message n.
func appendMarker(dst []byte, at time.Time, n uint32) []byte {
	dst = append(dst, stampPrefix...)
	dst = appendNumber(dst, uint64(at.UnixNano()), stampDigits)
	return appendNumber(dst, uint64(n), numberDigits)
}

// appendNumber appends n in so many digits, with zeros in front, and a semicolon.
func appendNumber(dst []byte, n uint64, digits int) []byte {
	end := len(dst) + digits
	dst = append(dst, "0000000000000000000;"[stampDigits-digits:]...)
	for i := end - 1; n > 0; i-- {
		dst[i] = '0' + byte(n%10)
		n /= 10
	}
	return dst
}

// nextMarker finds the first marker in b and returns it and the number of bytes to its end. Without one it reports false,
// and n is the number of bytes that can be forgotten: what follows could be the front of a marker.
func nextMarker(b []byte) (m marker, n int, ok bool) {
	for {
		at := bytes.IndexByte(b[n:], stampPrefix[0])
		if at < 0 {
			return marker{}, len(b), false
		}
		n += at
		m, state := parseMarker(b[n:])
		switch state {
		case whole:
			return m, n + markerLen, true
		case short:
			return marker{}, n, false
		}
		n++
	}
}

// parsed says what parseMarker found.
type parsed uint8

const (
	noMarker parsed = iota
	short           // all there is fits, and more is needed
	whole
)

// parseMarker reads the marker that b begins with.
func parseMarker(b []byte) (m marker, p parsed) {
	b = b[:min(len(b), markerLen)]
	if front := min(len(b), len(stampPrefix)); string(b[:front]) != stampPrefix[:front] {
		return marker{}, noMarker
	}
	at, rest, p := parseNumber(b[min(len(b), len(stampPrefix)):], stampDigits)
	if p != whole {
		return marker{}, p
	}
	number, _, p := parseNumber(rest, numberDigits)
	switch {
	case p != whole:
		return marker{}, p
	case number > maxMessages:
		return marker{}, noMarker
	}
	return marker{at: at, number: uint32(number)}, whole
}

// parseNumber reads a number of so many digits and the semicolon behind it.
func parseNumber(b []byte, digits int) (n int64, rest []byte, p parsed) {
	for i := range b {
		if i == digits {
			if b[i] != ';' {
				return 0, nil, noMarker
			}
			return n, b[i+1:], whole
		}
		d := b[i] - '0'
		if d > 9 {
			return 0, nil, noMarker
		}
		n = n*10 + int64(d)
	}
	return 0, nil, short
}
