package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// MaxBytes is the length of the longest token that is looked at.
const MaxBytes = 4096

// Verify checks that the token was signed with the key and is good at the time now; clocks may differ by leeway. A
// refusal is an *Error. It may be called from any goroutine; it does not keep the token.
func (k *Key) Verify(tok string, now time.Time, leeway time.Duration) (Claims, error) {
	if err := checkForm(tok); err != nil {
		return Claims{}, err
	}
	var p payload
	t, err := k.parser.ParseWithClaims(tok, &p, k.find)
	if err != nil {
		return Claims{}, k.explain(t, &p, err)
	}
	set, err := parseSet(p.raw)
	if err != nil {
		return Claims{}, err
	}
	return set.check(k.Audience, now, leeway)
}

// checkForm refuses what is not three parts of base64url letters. The decoder would pass over CR and LF.
func checkForm(tok string) error {
	switch {
	case tok == "":
		return errEmpty
	case len(tok) > MaxBytes:
		return &Error{Text: fmt.Sprintf("it is %d bytes long, at most %d are allowed", len(tok), MaxBytes)}
	}
	for i := range len(tok) {
		switch c := tok[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		case c == '=':
			return errPadding
		default:
			return &Error{Text: fmt.Sprintf("byte %d (0x%02x) is not of base64url", i, c)}
		}
	}
	switch n := strings.Count(tok, ".") + 1; n {
	case 3:
		return nil
	case 5:
		return &Error{Text: "it has 5 parts: encrypted tokens are not read, a signed one has 3"}
	default:
		return &Error{Text: fmt.Sprintf("it is not a signed token: parts joined by dots: %d instead of 3", n)}
	}
}

// explain says why golang-jwt refused a token, of which t and p are what it has read so far.
func (k *Key) explain(t *jwt.Token, p *payload, err error) error {
	if t == nil || t.Header == nil {
		return errHeader
	}
	alg, named := t.Header["alg"].(string)
	var own *Error
	switch {
	case !named:
		return errNoAlg
	case alg != k.alg:
		return &Error{Text: fmt.Sprintf("algorithm %q is not allowed, the key is for %s", cut(alg), k.alg)}
	case p.raw == nil:
		return errPayload
	case errors.As(err, &own):
		return own
	case errors.Is(err, jwt.ErrTokenMalformed):
		return errEncoding
	}
	return errSignature
}

// payload takes the claims as they are, so that they can be read after the signature was checked.
type payload struct {
	jwt.RegisteredClaims // for its methods, which nobody calls
	raw                  json.RawMessage
}

// UnmarshalJSON keeps a copy of b.
func (p *payload) UnmarshalJSON(b []byte) error { return p.raw.UnmarshalJSON(b) }
