package grip

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// PackagedKey is the secret in the configuration that Pushpin ships. Everybody knows it.
const PackagedKey = "changeme"

const (
	minSecretBytes = 32 // RFC 7518 3.2: as many as the hash has
	minRSABits     = 2048
	maxRSABits     = 8192 // the cost of a check grows with the square
)

const beginPEM = "-----BEGIN "

// readKey reads the forms of sig_key and upstream_key: "base64:" and a secret, "file:" and the path of a PEM or of a
// hexadecimal file, or the secret itself. Text that begins as PEM does is PEM everywhere: as a secret, a public key would
// let everybody sign. No error shows a byte of the key.
func readKey(spec string, readFile func(path string) ([]byte, error)) (material []byte, isPEM bool, err error) {
	material = []byte(spec)
	path, inFile := strings.CutPrefix(spec, "file:")
	coded, isBase64 := strings.CutPrefix(spec, "base64:")
	switch {
	case inFile && path == "":
		return nil, false, errors.New("file: without a path")
	case inFile:
		if material, err = readFile(path); err != nil {
			return nil, false, err
		}
		material = bytes.TrimSpace(material)
	case isBase64:
		var ok bool
		if material, ok = decodeBase64(coded); !ok {
			return nil, false, errors.New("what follows base64: is not base64")
		}
	}
	if bytes.HasPrefix(material, []byte(beginPEM)) {
		return material, true, nil
	}
	if inFile {
		decoded := make([]byte, hex.DecodedLen(len(material)))
		if _, err := hex.Decode(decoded, material); err != nil {
			return nil, false, fmt.Errorf("%q is neither PEM nor a secret in hexadecimal", path)
		}
		material = decoded
	}
	if len(material) == 0 {
		return nil, false, errors.New("it is empty")
	}
	return material, false, nil
}

// secretWarning says what makes a secret weak, or returns "".
func secretWarning(secret []byte) string {
	switch {
	case string(secret) == PackagedKey:
		return fmt.Sprintf("it is %q, which stands in every pushpin.conf: everybody can sign with it", PackagedKey)
	case len(secret) < minSecretBytes:
		return fmt.Sprintf("a secret of %d bytes is short, RFC 7518 section 3.2 demands %d for HS256", len(secret), minSecretBytes)
	}
	return ""
}

// decodePEM returns the one block, after the parameters that openssl ecparam writes before a key.
func decodePEM(text []byte) (*pem.Block, error) {
	var found *pem.Block
	for rest := text; bytes.Contains(rest, []byte(beginPEM)); {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("it has a PEM block that cannot be read")
		}
		switch {
		case block.Type == "EC PARAMETERS":
		case found != nil:
			return nil, errors.New("it has several PEM blocks, give one key")
		default:
			found = block
		}
	}
	switch {
	case found == nil:
		return nil, errors.New("it has no key")
	case found.Type == "ENCRYPTED PRIVATE KEY" || found.Headers["DEK-Info"] != "":
		return nil, errors.New("it is encrypted, which is not supported")
	}
	return found, nil
}

func parsePrivate(text []byte) (jwt.SigningMethod, any, error) {
	block, err := decodePEM(text)
	if err != nil {
		return nil, nil, err
	}
	var private any
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, nil, fmt.Errorf("PEM block %q is no private key, which signing needs", cut(block.Type))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("parse PEM block %q: %w", block.Type, err)
	}
	switch private := private.(type) {
	case *rsa.PrivateKey:
		method, err := methodOf(&private.PublicKey)
		return method, private, err
	case *ecdsa.PrivateKey:
		method, err := methodOf(&private.PublicKey)
		return method, private, err
	}
	method, err := methodOf(private)
	return method, private, err
}

func parsePublic(text []byte) (jwt.SigningMethod, any, error) {
	block, err := decodePEM(text)
	if err != nil {
		return nil, nil, err
	}
	var public any
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
		return nil, nil, fmt.Errorf("PEM block %q is neither a public key nor a certificate", cut(block.Type))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("parse PEM block %q: %w", block.Type, err)
	}
	method, err := methodOf(public)
	return method, public, err
}

// methodOf returns the one algorithm for which a public key is.
func methodOf(public any) (jwt.SigningMethod, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		switch bits := public.N.BitLen(); {
		case bits < minRSABits || bits > maxRSABits:
			return nil, fmt.Errorf("an RSA key of %d bits, from %d to %d are allowed", bits, minRSABits, maxRSABits)
		case public.N.Bit(0) == 0 || public.E < 3 || public.E%2 == 0:
			return nil, errors.New("an RSA key with an invalid modulus or exponent")
		}
		return jwt.SigningMethodRS256, nil
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return nil, fmt.Errorf("it is for the curve %s, ES256 needs P-256", public.Curve.Params().Name)
		}
		return jwt.SigningMethodES256, nil
	}
	return nil, fmt.Errorf("%T is not supported: give an RSA key for RS256 or a P-256 key for ES256", public)
}

// isPublicDER recognises public keys that are not in PEM.
func isPublicDER(b []byte) bool {
	_, pkix := x509.ParsePKIXPublicKey(b)
	_, pkcs1 := x509.ParsePKCS1PublicKey(b)
	_, cert := x509.ParseCertificate(b)
	return pkix == nil || pkcs1 == nil || cert == nil
}
