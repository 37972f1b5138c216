package token

import (
	"fmt"
	"time"
)

// Error is a token that is refused.
type Error struct {
	Claim string // the claim that failed, or empty when the token's form, algorithm or signature did
	Text  string // one line without control characters that names what was wrong, fit to be shown to the client
}

// Error returns the text.
func (e *Error) Error() string { return "token: " + e.Text }

var (
	errEmpty     = &Error{Text: "it is empty"}
	errPadding   = &Error{Text: "it is padded with =, which RFC 7515 section 2 does not allow"}
	errHeader    = &Error{Text: "header is not base64url of a JSON object"}
	errPayload   = &Error{Text: "payload is not base64url of a JSON object"}
	errEncoding  = &Error{Text: "signature is not base64url"}
	errNoAlg     = &Error{Text: `header names no algorithm ("alg")`}
	errCritical  = &Error{Text: `header parameter "crit" is not supported`}
	errSignature = &Error{Text: "signature does not match the key"}
	errUTF8      = &Error{Text: "payload is not valid UTF-8"}
	errSurrogate = &Error{Text: "payload has half of a surrogate pair, which no UTF-8 can express"}
)

const maxQuotedBytes = 64 // of foreign text in an error

// cut bounds what an error shows of foreign text, which is to be printed with %q.
func cut(s string) string {
	if len(s) > maxQuotedBytes {
		return s[:maxQuotedBytes] + "..."
	}
	return s
}

func faultf(claim, format string, args ...any) error {
	return &Error{Claim: claim, Text: fmt.Sprintf("claim %q: ", claim) + fmt.Sprintf(format, args...)}
}

func missing(claim string) error {
	return &Error{Claim: claim, Text: fmt.Sprintf("claim %q is missing", claim)}
}

// span writes d, which is not negative, in its two largest units.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d m %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%d h %d m", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/day, d%day/time.Hour)
}
