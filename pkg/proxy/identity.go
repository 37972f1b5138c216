package proxy

import (
	"bytes"
	"strings"
)

// identityStripper takes the transfer coding identity out of the heads of responses. HTTP had it
// once and meant no coding (RFC 2616, 3.6); servers of that time still say it, and net/http takes
// it for an error.
type identityStripper struct {
	inHead  bool
	first   bool   // the next line is a status line
	midLine bool   // what comes is the rest of a line that was let through
	interim bool   // the head is of an interim response: another follows
	kept    []byte // the beginning of a line that is not whole
}

const (
	transferEncoding = "transfer-encoding:"
	maxKeptLine      = 128 // a longer line is let through
)

// begin has the next byte be the first of a response.
func (s *identityStripper) begin() {
	*s = identityStripper{inHead: true, first: true, kept: s.kept[:0]}
}

// strip drops the field from b, which begins with what was kept. It returns what is left, in b's
// memory, and keeps the beginning of a line that is not whole, unless no more follows.
func (s *identityStripper) strip(b []byte, last bool) []byte {
	out := b[:0]
	for len(b) > 0 && s.inHead {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			if !last && !s.midLine && len(b) < maxKeptLine {
				s.kept = append(s.kept, b...)
				return out
			}
			b = s.line(b)
			s.midLine = true
			return append(out, b...)
		}
		line := b[:i+1]
		b = b[i+1:]
		out = append(out, s.line(line)...)
	}
	return append(out, b...)
}

// line returns what is left of a line.
func (s *identityStripper) line(line []byte) []byte {
	switch {
	case s.midLine:
		s.midLine = line[len(line)-1] != '\n'
	case s.first:
		s.first = false
		_, status, _ := bytes.Cut(line, []byte(" "))
		s.interim = len(status) > 3 && status[0] == '1' && !bytes.HasPrefix(status, []byte("101"))
	case len(bytes.TrimRight(line, "\r\n")) == 0:
		s.inHead, s.first = s.interim, s.interim
	case isField(line):
		return withoutIdentity(line)
	}
	return line
}

// isField reports whether a whole line is the field.
func isField(line []byte) bool {
	const n = len(transferEncoding)
	return len(line) > n && line[len(line)-1] == '\n' && strings.EqualFold(string(line[:n]), transferEncoding)
}

// withoutIdentity returns the line of the field without the coding: nothing when no other is named.
func withoutIdentity(line []byte) []byte {
	var others []string
	found := false
	for coding := range strings.SplitSeq(string(line[len(transferEncoding):]), ",") {
		if coding = strings.TrimSpace(coding); strings.EqualFold(coding, "identity") {
			found = true
		} else if coding != "" {
			others = append(others, coding)
		}
	}
	switch {
	case !found:
		return line
	case len(others) == 0:
		return nil
	}
	return append(line[:len(transferEncoding)], strings.Join(others, ",")+"\r\n"...) // shorter than it was
}
