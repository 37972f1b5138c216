package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

const secret = "thirty-two bytes and a few more of them"

var testTime = time.Unix(1_800_000_000, 0)

// goodClaims are valid for a quarter of an hour from testTime.
const goodClaims = `{"sub":"ada","channels":["news","room-*"],"exp":1800000900}`

// signer makes tokens without golang-jwt, which is what is tested.
type signer struct {
	alg  string
	spec string // for ParseKey
	sign func(text []byte) []byte
}

func (s *signer) raw(header, payload string) string {
	text := b64(header) + "." + b64(payload)
	return text + "." + b64(string(s.sign([]byte(text))))
}

func (s *signer) token(payload string) string {
	return s.raw(`{"alg":"`+s.alg+`","typ":"JWT"}`, payload)
}

func (s *signer) key(t testing.TB) *Key {
	t.Helper()
	return mustKey(t, s.spec)
}

func hs256(secret string) *signer {
	return &signer{"HS256", secret, func(text []byte) []byte {
		h := hmac.New(sha256.New, []byte(secret))
		h.Write(text)
		return h.Sum(nil)
	}}
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, minRSABits)
	if err != nil {
		panic(err)
	}
	return key
})

var ecKey = sync.OnceValue(func() *ecdsa.PrivateKey { return newCurveKey(elliptic.P256()) })

func newCurveKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func rs256() *signer {
	return &signer{"RS256", publicPEM(&rsaKey().PublicKey), func(text []byte) []byte {
		sum := sha256.Sum256(text)
		sig, err := rsa.SignPKCS1v15(rand.Reader, rsaKey(), crypto.SHA256, sum[:])
		if err != nil {
			panic(err)
		}
		return sig
	}}
}

func es256() *signer {
	return &signer{"ES256", publicPEM(&ecKey().PublicKey), func(text []byte) []byte {
		sum := sha256.Sum256(text)
		r, s, err := ecdsa.Sign(rand.Reader, ecKey(), sum[:])
		if err != nil {
			panic(err)
		}
		sig := make([]byte, 64)
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
		return sig
	}}
}

func signers() []*signer { return []*signer{hs256(secret), rs256(), es256()} }

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func publicPEM(public any) string { return toPEM("PUBLIC KEY", pkix(public)) }

func pkix(public any) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err)
	}
	return der
}

func toPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func noFile(path string) ([]byte, error) {
	return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
}

func mustKey(t testing.TB, spec string) *Key {
	t.Helper()
	k, err := ParseKey(spec, noFile)
	if err != nil {
		t.Fatalf("ParseKey = %v", err)
	}
	return k
}

// refused checks that k refuses tok at testTime with this claim and text.
func refused(t *testing.T, k *Key, tok, claim, text string) {
	t.Helper()
	c, err := k.Verify(tok, testTime, 0)
	var refusal *Error
	if !errors.As(err, &refusal) {
		t.Errorf("Verify(%.200q) = %+v, %v, want an *Error with %q", tok, c, err, text)
		return
	}
	if refusal.Claim != claim || refusal.Text != text {
		t.Errorf("Verify(%.200q) = claim %q, text %q, want %q, %q", tok, refusal.Claim, refusal.Text, claim, text)
	}
	if fmt.Sprint(c) != fmt.Sprint(Claims{}) {
		t.Errorf("Verify(%.200q) refused and returned %+v", tok, c)
	}
}
