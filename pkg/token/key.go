package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

const (
	minSecretBytes = 32      // RFC 7518 3.2: as many as the hash has
	maxSecretBytes = 4 << 10 // a larger file is another one
	minRSABits     = 2048
	maxRSABits     = 8192 // the cost of a check grows with the square: 8192 bits take 16 times as long as 2048
)

// Key verifies tokens. It does not change, and any goroutine may use it at any time.
type Key struct {
	// Audience, when not empty, must be among the token's aud. Without it aud is ignored, although RFC 7519 4.1.3 would
	// have a token for somebody else refused: pushd has no name of its own by which to tell. It is set before the first
	// Verify.
	Audience string

	alg    string
	parser *jwt.Parser
	find   jwt.Keyfunc // holds the key where no print of the struct can reach it
}

var beginPEM = []byte("-----BEGIN ")

// ParseKey reads the value of --token-key: a literal secret, "base64:" and a secret (either alphabet, padding optional),
// "file:" and the path of a secret or a PEM file, or the PEM text itself. A PEM public key or certificate is for RS256
// (RSA) or ES256 (P-256), everything else is a secret for HS256. One newline at a file's end does not belong to the
// secret. Of a certificate only the key counts, not its dates or its issuer.
//
// Public material in another coding than PEM is refused, because as a secret it would let everybody sign. No error
// shows a byte of the key.
func ParseKey(spec string, readFile func(path string) ([]byte, error)) (*Key, error) {
	if path, ok := cutPrefixFold(spec, "file:"); ok {
		if path == "" {
			return nil, errors.New("token key: file: without a path")
		}
		text, err := readFile(path)
		if err != nil {
			return nil, fmt.Errorf("read token key: %w", err)
		}
		key, err := parseMaterial(trimNewline(text))
		if err != nil {
			return nil, fmt.Errorf("token key in %q: %w", path, err)
		}
		return key, nil
	}
	material := []byte(spec)
	if coded, ok := cutPrefixFold(spec, "base64:"); ok {
		if material, ok = decodeBase64(coded); !ok {
			return nil, errors.New("token key: what follows base64: is not base64")
		}
	}
	key, err := parseMaterial(material)
	if err != nil {
		return nil, fmt.Errorf("token key: %w", err)
	}
	return key, nil
}

// Algorithm returns the one algorithm (RFC 7518 3.1) that tokens for the key must have.
func (k *Key) Algorithm() string { return k.alg }

// String returns the algorithm and nothing of the key.
func (k *Key) String() string { return k.alg }

// LogValue makes the log show what String returns.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.alg) }

func newKey(method jwt.SigningMethod, material any) *Key {
	return &Key{
		alg: method.Alg(),
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{method.Alg()}),
			jwt.WithStrictDecoding(),
			jwt.WithoutClaimsValidation(), // claims.go does
		),
		find: func(t *jwt.Token) (any, error) {
			// RFC 7515 4.1.11: an extension that is not understood makes the token invalid, and none is.
			if _, critical := t.Header["crit"]; critical {
				return nil, errCritical
			}
			return material, nil
		},
	}
}

func parseMaterial(b []byte) (*Key, error) {
	switch {
	case len(b) == 0:
		return nil, errors.New("it is empty")
	case bytes.Contains(b, beginPEM):
		return parsePEM(b)
	}
	if what := recognise(b); what != "" {
		return nil, fmt.Errorf("it is %s: give a public key as PEM", what)
	}
	if len(b) < minSecretBytes {
		return nil, fmt.Errorf("a secret of %d bytes is too short, RFC 7518 section 3.2 demands %d for HS256: make one with openssl rand -base64 32",
			len(b), minSecretBytes)
	}
	if len(b) > maxSecretBytes {
		return nil, fmt.Errorf("a secret of %d bytes is too long, at most %d are allowed: is it the right file?", len(b), maxSecretBytes)
	}
	return newKey(jwt.SigningMethodHS256, b), nil
}

func parsePEM(b []byte) (*Key, error) {
	var first *pem.Block
	n := 0
	for rest := b; bytes.Contains(rest, beginPEM); n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("it has a PEM block that cannot be read: are its line breaks in place?")
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil, errors.New("it is a private key, and who verifies should not hold it: give the public key, as openssl pkey -in KEY -pubout writes it")
		}
		if first == nil {
			first = block
		}
	}
	if n > 1 {
		return nil, fmt.Errorf("it has %d PEM blocks, give one public key or certificate", n)
	}
	public, err := parsePublic(first)
	if err != nil {
		return nil, err
	}
	switch public := public.(type) {
	case *rsa.PublicKey:
		if err := checkRSA(public); err != nil {
			return nil, err
		}
		return newKey(jwt.SigningMethodRS256, public), nil
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return nil, fmt.Errorf("it is for the curve %s, ES256 needs P-256", public.Curve.Params().Name)
		}
		return newKey(jwt.SigningMethodES256, public), nil
	}
	return nil, fmt.Errorf("%T is not supported: give an RSA key for RS256 or a P-256 key for ES256", public)
}

func parsePublic(block *pem.Block) (public any, err error) {
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			public = cert.PublicKey
		}
	default:
		return nil, fmt.Errorf("PEM block %q is neither a public key nor a certificate", cut(block.Type))
	}
	if err != nil {
		return nil, fmt.Errorf("parse PEM block %q: %w", block.Type, err)
	}
	return public, nil
}

func checkRSA(public *rsa.PublicKey) error {
	switch bits := public.N.BitLen(); {
	case bits < minRSABits || bits > maxRSABits:
		return fmt.Errorf("an RSA key of %d bits, from %d to %d are allowed", bits, minRSABits, maxRSABits)
	case public.N.Bit(0) == 0 || public.E < 3 || public.E%2 == 0:
		return errors.New("an RSA key with an invalid modulus or exponent")
	}
	return nil
}

// cutPrefixFold is strings.CutPrefix without regard to case: a secret that begins with "File:" is a path.
func cutPrefixFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

func trimNewline(b []byte) []byte {
	b, ok := bytes.CutSuffix(b, []byte("\n"))
	if ok {
		b = bytes.TrimSuffix(b, []byte("\r"))
	}
	return b
}

func decodeBase64(s string) ([]byte, bool) {
	for _, coding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if b, err := coding.Strict().DecodeString(s); err == nil {
			return b, true
		}
	}
	return nil, false
}
