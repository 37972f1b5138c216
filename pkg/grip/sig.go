package grip

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// SigLifetime is how long a Grip-Sig is good, in Pushpin.
const SigLifetime = time.Hour

// SigKey signs Grip-Sig tokens. Any goroutine may use it at any time.
type SigKey struct {
	alg     string
	warning string
	sign    func(text string) ([]byte, error) // holds the key where no print of the struct can reach it
	last    atomic.Pointer[signed]
}

// signed is a token that was made last. Requests of one second and issuer share it.
type signed struct {
	issuer  string
	expires int64
	token   string
}

// ParseSigKey reads sig_key: "base64:" and a secret, "file:" and a path, or the secret itself. A file holds a private key as
// PEM (RSA for RS256, P-256 for ES256) or a secret in hexadecimal. There is no default key.
func ParseSigKey(spec string, readFile func(path string) ([]byte, error)) (*SigKey, error) {
	material, isPEM, err := readKey(spec, readFile)
	if err != nil {
		return nil, fmt.Errorf("key for Grip-Sig: %w", err)
	}
	if !isPEM {
		return newSigKey(jwt.SigningMethodHS256, material, secretWarning(material)), nil
	}
	method, private, err := parsePrivate(material)
	if err != nil {
		return nil, fmt.Errorf("key for Grip-Sig: %w", err)
	}
	return newSigKey(method, private, ""), nil
}

func newSigKey(method jwt.SigningMethod, key any, warning string) *SigKey {
	return &SigKey{
		alg:     method.Alg(),
		warning: warning,
		sign:    func(text string) ([]byte, error) { return method.Sign(text, key) },
	}
}

// Warning says what makes the key weak, for the log, or returns "".
func (k *SigKey) Warning() string { return k.warning }

// String returns the algorithm and nothing of the key.
func (k *SigKey) String() string { return k.alg }

// LogValue makes the log show what String returns.
func (k *SigKey) LogValue() slog.Value { return slog.StringValue(k.alg) }

// Sign returns a token that names the issuer and is good until expires, in whole seconds. Two calls with the same
// arguments may return the same token.
func (k *SigKey) Sign(issuer string, expires time.Time) (string, error) {
	exp := expires.Unix()
	if t := k.last.Load(); t != nil && t.issuer == issuer && t.expires == exp {
		return t.token, nil
	}
	name, err := json.Marshal(issuer)
	if err != nil {
		return "", fmt.Errorf("encode issuer of Grip-Sig: %w", err)
	}
	// By hand, because Pushpin writes typ before alg, and golang-jwt sorts.
	text := base64URL([]byte(`{"typ":"JWT","alg":"`+k.alg+`"}`)) + "." +
		base64URL([]byte(`{"exp":`+strconv.FormatInt(exp, 10)+`,"iss":`+string(name)+`}`))
	signature, err := k.sign(text)
	if err != nil {
		return "", fmt.Errorf("sign Grip-Sig: %w", err)
	}
	token := text + "." + base64URL(signature)
	k.last.Store(&signed{issuer, exp, token})
	return token, nil
}

func base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// UpstreamKey verifies the Grip-Sig of a GRIP proxy that stands before pushd. Any goroutine may use it at any time.
type UpstreamKey struct {
	alg     string
	warning string
	parser  *jwt.Parser
	find    jwt.Keyfunc // holds the key where no print of the struct can reach it
}

// ParseUpstreamKey reads upstream_key, which has the forms of ParseSigKey with a public key or a certificate as PEM.
func ParseUpstreamKey(spec string, readFile func(path string) ([]byte, error)) (*UpstreamKey, error) {
	material, isPEM, err := readKey(spec, readFile)
	switch {
	case err != nil:
		return nil, fmt.Errorf("upstream key: %w", err)
	case !isPEM && isPublicDER(material):
		return nil, errors.New("upstream key: it is a public key in DER: give it as PEM")
	case !isPEM:
		return newUpstreamKey(jwt.SigningMethodHS256, material, secretWarning(material)), nil
	}
	method, public, err := parsePublic(material)
	if err != nil {
		return nil, fmt.Errorf("upstream key: %w", err)
	}
	return newUpstreamKey(method, public, ""), nil
}

var errCritical = errors.New("header parameter crit is not supported")

func newUpstreamKey(method jwt.SigningMethod, key any, warning string) *UpstreamKey {
	return &UpstreamKey{
		alg:     method.Alg(),
		warning: warning,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{method.Alg()}), // no token can choose another
			jwt.WithStrictDecoding(),
			jwt.WithoutClaimsValidation(), // Verify does
		),
		find: func(t *jwt.Token) (any, error) {
			if _, critical := t.Header["crit"]; critical { // RFC 7515 4.1.11
				return nil, errCritical
			}
			return key, nil
		},
	}
}

// Warning says what makes the key weak, for the log, or returns "".
func (k *UpstreamKey) Warning() string { return k.warning }

// String returns the algorithm and nothing of the key.
func (k *UpstreamKey) String() string { return k.alg }

// LogValue makes the log show what String returns.
func (k *UpstreamKey) LogValue() slog.Value { return slog.StringValue(k.alg) }

const maxSigBytes = 4096

// Verify checks that token was signed with the key and has not expired at the time now. Of its claims only exp counts. The
// error is for the log: a client without a good token is an ordinary client.
func (k *UpstreamKey) Verify(token string, now time.Time) error {
	if len(token) > maxSigBytes {
		return fmt.Errorf("verify Grip-Sig: it is %d bytes long, at most %d are allowed", len(token), maxSigBytes)
	}
	if strings.ContainsAny(token, "\r\n") { // which the decoder of base64 passes over
		return errors.New("verify Grip-Sig: it contains a line break")
	}
	claims := jwt.MapClaims{}
	if _, err := k.parser.ParseWithClaims(token, claims, k.find); err != nil {
		return fmt.Errorf("verify Grip-Sig: %w", err)
	}
	exp, isNumber := claims["exp"].(float64)
	switch {
	case !isNumber || exp <= 0:
		return errors.New("verify Grip-Sig: it has no expiry")
	case float64(now.Unix()) >= exp:
		return errors.New("verify Grip-Sig: it has expired")
	}
	return nil
}
