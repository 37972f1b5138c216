package token

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of the claims.
const (
	MaxUserBytes    = 255 // of sub
	MaxChannels     = 256 // that a token names
	MaxChannelBytes = 255 // of each of them, with its star
)

const maxDate = 253402300799 // the last second of the year 9999

// Claims is what a good token says. Its slices are its own.
type Claims struct {
	User     string    // sub, or empty
	Channels []string  // at least one: a channel's name, or the beginning of names with a star behind it
	Expires  time.Time // exp, without leeway
}

// Allows reports whether the token names the channel. A star counts only at a pattern's end; elsewhere it is a byte of
// the name like any other.
func (c Claims) Allows(channel []byte) bool {
	for _, p := range c.Channels {
		if prefix, open := strings.CutSuffix(p, "*"); open {
			if len(channel) >= len(prefix) && string(channel[:len(prefix)]) == prefix {
				return true
			}
		} else if string(channel) == p {
			return true
		}
	}
	return false
}

// set are the claims that are looked at, as JSON; nil for one that is not there.
type set struct {
	exp, nbf, iat, sub, aud, channels json.RawMessage
}

func (s *set) claim(name string) *json.RawMessage {
	switch name { // claim names are case-sensitive: RFC 7519 section 10.1.1
	case "exp":
		return &s.exp
	case "nbf":
		return &s.nbf
	case "iat":
		return &s.iat
	case "sub":
		return &s.sub
	case "aud":
		return &s.aud
	case "channels":
		return &s.channels
	}
	return nil
}

// parseSet takes apart the payload, which is valid JSON as encoding/json understands that: it would replace what is not
// UTF-8 by U+FFFD, so that names which differ would become one.
func parseSet(raw []byte) (*set, error) {
	switch {
	case !utf8.Valid(raw):
		return nil, errUTF8
	case hasLoneSurrogate(raw):
		return nil, errSurrogate
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, errPayload
	}
	s := new(set)
	for d.More() {
		var value json.RawMessage
		token, err := d.Token()
		if err == nil {
			err = d.Decode(&value)
		}
		name, isName := token.(string)
		if err != nil || !isName {
			return nil, errPayload
		}
		if claim := s.claim(name); claim != nil {
			if *claim != nil {
				return nil, faultf(name, "it stands twice")
			}
			*claim = value
		}
	}
	return s, nil
}

func (s *set) check(audience string, now time.Time, leeway time.Duration) (c Claims, err error) {
	if c.Expires, err = s.checkTimes(now, leeway); err != nil {
		return Claims{}, err
	}
	if err := s.checkAudience(audience); err != nil {
		return Claims{}, err
	}
	if c.User, err = s.user(); err != nil {
		return Claims{}, err
	}
	if c.Channels, err = s.patterns(); err != nil {
		return Claims{}, err
	}
	return c, nil
}

func (s *set) checkTimes(now time.Time, leeway time.Duration) (expires time.Time, err error) {
	if s.exp == nil {
		return expires, missing("exp")
	}
	if expires, err = numericDate("exp", s.exp); err != nil {
		return expires, err
	}
	if !now.Before(expires.Add(leeway)) { // RFC 7519 4.1.4: not on its second either
		return expires, faultf("exp", "expired %s ago", span(now.Sub(expires)))
	}
	if s.nbf != nil {
		from, err := numericDate("nbf", s.nbf)
		if err != nil {
			return expires, err
		}
		if now.Before(from.Add(-leeway)) {
			return expires, faultf("nbf", "not valid for another %s", span(from.Sub(now)))
		}
	}
	if s.iat != nil {
		issued, err := numericDate("iat", s.iat)
		if err != nil {
			return expires, err
		}
		if now.Before(issued.Add(-leeway)) {
			return expires, faultf("iat", "issued %s in the future", span(issued.Sub(now)))
		}
	}
	return expires, nil
}

func (s *set) checkAudience(audience string) error {
	if audience == "" {
		return nil
	}
	if s.aud == nil {
		return missing("aud")
	}
	list, err := stringOrArray("aud", s.aud)
	if err != nil {
		return err
	}
	if !slices.Contains(list, audience) {
		return faultf("aud", "it does not name %q", cut(audience))
	}
	return nil
}

func (s *set) user() (string, error) {
	if s.sub == nil {
		return "", nil
	}
	var user string
	if s.sub[0] != '"' || json.Unmarshal(s.sub, &user) != nil {
		return "", faultf("sub", "it is not a string")
	}
	return user, checkText("sub", user, MaxUserBytes)
}

func (s *set) patterns() ([]string, error) {
	const claim = "channels"
	if s.channels == nil {
		return nil, missing(claim)
	}
	list, err := stringOrArray(claim, s.channels)
	switch {
	case err != nil:
		return nil, err
	case len(list) == 0:
		return nil, faultf(claim, "it names none")
	case len(list) > MaxChannels:
		return nil, faultf(claim, "it names %d, at most %d are allowed", len(list), MaxChannels)
	}
	for _, p := range list {
		if p == "" {
			return nil, faultf(claim, "one of them is empty")
		}
		if err := checkText(claim, p, MaxChannelBytes); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func checkText(claim, text string, maxBytes int) error {
	if len(text) > maxBytes {
		return faultf(claim, "%q is %d bytes long, at most %d are allowed", cut(text), len(text), maxBytes)
	}
	if i := strings.IndexFunc(text, unicode.IsControl); i >= 0 {
		return faultf(claim, "%q has a control character at byte %d", cut(text), i)
	}
	return nil
}

// stringOrArray reads a string as an array of one (RFC 7519 4.1.3 has that for aud).
func stringOrArray(claim string, raw json.RawMessage) ([]string, error) {
	var one string
	if raw[0] == '"' && json.Unmarshal(raw, &one) == nil {
		return []string{one}, nil
	}
	var elements []any // strings would take null for an empty one
	if raw[0] != '[' || json.Unmarshal(raw, &elements) != nil {
		return nil, faultf(claim, "it is neither a string nor an array of strings")
	}
	list := make([]string, len(elements))
	for i, e := range elements {
		text, isString := e.(string)
		if !isString {
			return nil, faultf(claim, "element %d is not a string", i)
		}
		list[i] = text
	}
	return list, nil
}

// numericDate reads seconds since 1970, which may have a fraction (RFC 7519 section 2).
func numericDate(claim string, raw json.RawMessage) (time.Time, error) {
	if c := raw[0]; c != '-' && (c < '0' || c > '9') {
		return time.Time{}, faultf(claim, "it is not a number")
	}
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || seconds < 0 || seconds > maxDate {
		return time.Time{}, faultf(claim, "%q seconds are not in the years 1970 to 9999", cut(string(raw)))
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

// hasLoneSurrogate reports whether valid JSON has an escape like \ud800 without its other half.
func hasLoneSurrogate(raw []byte) bool {
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return false
		}
		raw = raw[i:]
		first := escapedUnit(raw)
		switch {
		case first < 0:
			raw = raw[2:] // a backslash and the byte that it escapes
		case !utf16.IsSurrogate(first):
			raw = raw[6:]
		case utf16.DecodeRune(first, escapedUnit(raw[6:])) == utf8.RuneError:
			return true
		default:
			raw = raw[12:]
		}
	}
}

// escapedUnit returns the UTF-16 unit of the \u escape with which b begins, or -1 when it begins with something else.
func escapedUnit(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(unit)
}
