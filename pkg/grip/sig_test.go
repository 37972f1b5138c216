package grip

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"
)

const secret = "thirty-two bytes and a few more of them"

var testTime = time.Unix(1_800_000_000, 0)

var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, minRSABits)) })
	ecKey  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func publicPEM(key any) string { return pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key))) }

func privatePEM(key any) string {
	return pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))
}

// certificate returns one for the key that has expired long ago, which does not matter.
func certificate() string {
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1, 0)}
	return pemOf("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, t, t, &ecKey().PublicKey, ecKey())))
}

// files reads "file:" keys of tests.
type files map[string]string

func (f files) read(path string) ([]byte, error) {
	text, found := f[path]
	if !found {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return []byte(text), nil
}

func TestVectorOfPushpin(t *testing.T) {
	const want = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3OTUyOTY1ODYsImlzcyI6InB1c2hwaW4ifQ.oIksGGCaoLxPOVOFgD03QvRURYX_pe9Fojfm4i2EeS4"
	k := must(ParseSigKey("changeme", nil))
	if got, err := k.Sign("pushpin", time.Unix(1795296586, 0)); got != want || err != nil {
		t.Errorf("Sign = %s, %v, want %s", got, err, want)
	}
	if err := must(ParseUpstreamKey("changeme", nil)).Verify(want, time.Unix(1795296585, 0)); err != nil {
		t.Errorf("Verify of the vector = %v", err)
	}
}

// pairs are the forms of keys that belong together.
func pairs() []struct{ alg, sign, verify string } {
	public, ecPublic := publicPEM(&rsaKey().PublicKey), publicPEM(&ecKey().PublicKey)
	return []struct{ alg, sign, verify string }{
		{"HS256", secret, "base64:" + base64.StdEncoding.EncodeToString([]byte(secret))},
		{"HS256", "file:hex", secret},
		{"RS256", privatePEM(rsaKey()), public},
		{"RS256", "file:rsa", "file:rsa.pub"},
		{"RS256", "base64:" + base64.StdEncoding.EncodeToString([]byte(privatePEM(rsaKey()))), "base64:" + base64.StdEncoding.EncodeToString([]byte(public))},
		{"ES256", privatePEM(ecKey()), ecPublic},
		{"ES256", "file:ec", "file:cert"},
	}
}

func testFiles() files {
	return files{
		"hex":     hex.EncodeToString([]byte(secret)) + "\n",
		"rsa":     "\n" + pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey())),
		"rsa.pub": pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)),
		"ec":      pemOf("EC PARAMETERS", []byte{6, 0}) + pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ecKey()))),
		"cert":    certificate(),
		"empty":   " \n",
		"text":    "not hexadecimal",
		"odd":     "abc",
	}
}

func TestSignAndVerify(t *testing.T) {
	exp := testTime.Add(SigLifetime)
	for _, p := range pairs() {
		signer := must(ParseSigKey(p.sign, testFiles().read))
		verifier := must(ParseUpstreamKey(p.verify, testFiles().read))
		tok, err := signer.Sign(`a"<b>`, exp)
		if err != nil {
			t.Fatalf("%s: Sign = %v", p.alg, err)
		}
		if signer.String() != p.alg || verifier.String() != p.alg || signer.Warning() != "" || verifier.Warning() != "" {
			t.Errorf("%s: keys %s %q and %s %q", p.alg, signer, signer.Warning(), verifier, verifier.Warning())
		}
		parts := strings.Split(tok, ".")
		var claims map[string]any
		if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(parts[1])), &claims); err != nil ||
			len(claims) != 2 || claims["iss"] != `a"<b>` || claims["exp"] != float64(exp.Unix()) {
			t.Errorf("%s: claims %v, %v", p.alg, claims, err)
		}
		if err := verifier.Verify(tok, testTime); err != nil {
			t.Errorf("%s: Verify = %v", p.alg, err)
		}
		if !independentlyGood(p.alg, parts) {
			t.Errorf("%s: the signature of %s is wrong", p.alg, tok)
		}
		for at, want := range map[time.Time]string{
			exp.Add(-time.Second): "", exp: "verify Grip-Sig: it has expired", exp.Add(time.Hour): "verify Grip-Sig: it has expired",
		} {
			if got := fmt.Sprint(verifier.Verify(tok, at)); got != want && (want != "" || got != "<nil>") {
				t.Errorf("%s: Verify at %v = %s, want %q", p.alg, at, got, want)
			}
		}
	}
}

// independentlyGood checks a signature without golang-jwt.
func independentlyGood(alg string, parts []string) bool {
	text, sig := []byte(parts[0]+"."+parts[1]), must(base64.RawURLEncoding.DecodeString(parts[2]))
	sum := sha256.Sum256(text)
	switch alg {
	case "RS256":
		return rsa.VerifyPKCS1v15(&rsaKey().PublicKey, crypto.SHA256, sum[:], sig) == nil
	case "ES256":
		return len(sig) == 64 && ecdsa.Verify(&ecKey().PublicKey, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	}
	return hmac.Equal(sig, mac(string(text), secret))
}

func mac(text, key string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return h.Sum(nil)
}

func TestTokensOfOneSecondAreShared(t *testing.T) {
	k := must(ParseSigKey(privatePEM(ecKey()), nil)) // no two signatures of ECDSA are the same
	sign := func(iss string, at time.Time) string { return must(k.Sign(iss, at)) }
	first := sign("a", testTime)
	if again := sign("a", testTime.Add(time.Millisecond)); again != first {
		t.Error("a second token of the same second was signed")
	}
	if other := sign("b", testTime); other == first {
		t.Error("another issuer got the same token")
	}
	if later := sign("a", testTime.Add(time.Second)); later == first {
		t.Error("a later token is the same")
	}
}

func hs256(header, claims string) string {
	text := base64URL([]byte(header)) + "." + base64URL([]byte(claims))
	return text + "." + base64URL(mac(text, secret))
}

func TestVerifyRefuses(t *testing.T) {
	const head, claims = `{"alg":"HS256"}`, `{"exp":1900000000}`
	k := must(ParseUpstreamKey(secret, nil))
	for _, tok := range []string{
		hs256(head, claims), hs256(`{"alg":"HS256","typ":"x"}`, `{"exp":1800000001,"iss":7,"nbf":1e12,"aud":{}}`), hs256(head, `{"exp":1900000000.5}`),
	} {
		if err := k.Verify(tok, testTime); err != nil {
			t.Errorf("Verify(%s) = %v", tok, err)
		}
	}
	good := hs256(head, claims)
	for name, tok := range map[string]string{
		"nothing":             "",
		"text":                "abc",
		"two parts":           good[:strings.LastIndexByte(good, '.')],
		"no signature":        good[:strings.LastIndexByte(good, '.')+1],
		"another signature":   good[:len(good)-4] + "AAAA",
		"padding":             good + "=",
		"line end":            good + "\n",
		"line break":          strings.Replace(good, ".", "\r.", 1),
		"none":                base64URL([]byte(`{"alg":"none"}`)) + "." + base64URL([]byte(claims)) + ".",
		"HS384":               hs256(`{"alg":"HS384"}`, claims),
		"crit":                hs256(`{"alg":"HS256","crit":["x"]}`, claims),
		"no exp":              hs256(head, `{}`),
		"Exp":                 hs256(head, `{"Exp":1900000000}`),
		"exp is text":         hs256(head, `{"exp":"1900000000"}`),
		"exp is 0":            hs256(head, `{"exp":0}`),
		"exp is negative":     hs256(head, `{"exp":-1900000000}`),
		"exp is now":          hs256(head, `{"exp":1800000000}`),
		"exp is past":         hs256(head, `{"exp":1700000000}`),
		"claims are a list":   hs256(head, `[1900000000]`),
		"too long":            hs256(head, `{"exp":1900000000,"x":"`+strings.Repeat("x", 4096)+`"}`),
		"key of somebody":     must(must(ParseSigKey("changeme", nil)).Sign("x", testTime.Add(time.Hour))),
		"other kind of key":   must(must(ParseSigKey(privatePEM(ecKey()), nil)).Sign("x", testTime.Add(time.Hour))),
		"JSON serialization":  `{"payload":"x"}`,
		"space in front":      " " + good,
		"five parts":          good + ".a.b",
		"header is not JSON":  hs256("HS256", claims),
		"claims are not JSON": hs256(head, "exp"),
	} {
		if err := k.Verify(tok, testTime); err == nil || !strings.HasPrefix(err.Error(), "verify Grip-Sig: ") || len(err.Error()) > 8192 {
			t.Errorf("%s: Verify(%s) = %v, want a refusal", name, cut(tok), err)
		}
	}
	// The public key as a secret of HS256 is the classic way in.
	public := publicPEM(&rsaKey().PublicKey)
	text := base64URL([]byte(head)) + "." + base64URL([]byte(claims))
	if err := must(ParseUpstreamKey(public, nil)).Verify(text+"."+base64URL(mac(text, public)), testTime); err == nil {
		t.Error("a token signed with the public key as a secret is good")
	}
}

func TestWeakKeys(t *testing.T) {
	for spec, want := range map[string]string{
		"changeme":            `it is "changeme", which stands in every pushpin.conf: everybody can sign with it`,
		"base64:Y2hhbmdlbWU=": `it is "changeme", which stands in every pushpin.conf: everybody can sign with it`,
		"short":               "a secret of 5 bytes is short, RFC 7518 section 3.2 demands 32 for HS256",
		"Changeme":            "a secret of 8 bytes is short, RFC 7518 section 3.2 demands 32 for HS256",
		secret:                "",
	} {
		if got := must(ParseSigKey(spec, nil)).Warning(); got != want {
			t.Errorf("warning of the signing key %q = %q, want %q", spec, got, want)
		}
		if got := must(ParseUpstreamKey(spec, nil)).Warning(); got != want {
			t.Errorf("warning of the upstream key %q = %q, want %q", spec, got, want)
		}
	}
}

func TestBadKeys(t *testing.T) {
	public, private := publicPEM(&rsaKey().PublicKey), privatePEM(rsaKey())
	edPublic, edPrivate, _ := ed25519.GenerateKey(rand.Reader)
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	encrypted := strings.Replace(pemOf("RSA PRIVATE KEY", []byte("x")), "\n", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1)
	for _, tt := range []struct {
		spec, sign, verify string // the errors; "" for a good key
	}{
		{"", "it is empty", "it is empty"},
		{"base64:", "it is empty", "it is empty"},
		{"base64:a*", "what follows base64: is not base64", "what follows base64: is not base64"},
		{"file:", "file: without a path", "file: without a path"},
		{"file:none", "open none: file does not exist", "open none: file does not exist"},
		{"file:empty", "it is empty", "it is empty"},
		{"file:text", `"text" is neither PEM nor a secret in hexadecimal`, `"text" is neither PEM nor a secret in hexadecimal`},
		{"file:odd", `"odd" is neither PEM nor a secret in hexadecimal`, `"odd" is neither PEM nor a secret in hexadecimal`},
		{public, `PEM block "PUBLIC KEY" is no private key, which signing needs`, ""},
		{private, "", `PEM block "PRIVATE KEY" is neither a public key nor a certificate`},
		{public + public, "it has several PEM blocks, give one key", "it has several PEM blocks, give one key"},
		{"-----BEGIN PUBLIC KEY-----\nAAAA", "it has a PEM block that cannot be read", "it has a PEM block that cannot be read"},
		{pemOf("EC PARAMETERS", []byte("x")), "it has no key", "it has no key"},
		{pemOf("ENCRYPTED PRIVATE KEY", []byte("x")), "it is encrypted, which is not supported", "it is encrypted, which is not supported"},
		{encrypted, "it is encrypted, which is not supported", "it is encrypted, which is not supported"},
		{privatePEM(edPrivate), "ed25519.PrivateKey is not supported: give an RSA key for RS256 or a P-256 key for ES256", `PEM block "PRIVATE KEY" is neither a public key nor a certificate`},
		{publicPEM(edPublic), `PEM block "PUBLIC KEY" is no private key, which signing needs`, "ed25519.PublicKey is not supported: give an RSA key for RS256 or a P-256 key for ES256"},
		{privatePEM(p384), "it is for the curve P-384, ES256 needs P-256", `PEM block "PRIVATE KEY" is neither a public key nor a certificate`},
		{publicPEM(&p384.PublicKey), `PEM block "PUBLIC KEY" is no private key, which signing needs`, "it is for the curve P-384, ES256 needs P-256"},
		{"base64:" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)), "", "it is a public key in DER: give it as PEM"},
	} {
		sig, err := ParseSigKey(tt.spec, testFiles().read)
		wantKeyError(t, tt.spec, sig != nil, err, "key for Grip-Sig: ", tt.sign)
		upstream, err := ParseUpstreamKey(tt.spec, testFiles().read)
		wantKeyError(t, tt.spec, upstream != nil, err, "upstream key: ", tt.verify)
	}
	for _, kind := range []string{"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"} {
		if k, err := ParseSigKey(pemOf(kind, []byte("x")), nil); k != nil || err == nil || !strings.Contains(err.Error(), "parse PEM block") {
			t.Errorf("ParseSigKey(bad %s) = %v, %v", kind, k, err)
		}
	}
	for _, kind := range []string{"PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE"} {
		if k, err := ParseUpstreamKey(pemOf(kind, []byte("x")), nil); k != nil || err == nil || !strings.Contains(err.Error(), "parse PEM block") {
			t.Errorf("ParseUpstreamKey(bad %s) = %v, %v", kind, k, err)
		}
	}
}

func wantKeyError(t *testing.T, spec string, parsed bool, err error, prefix, want string) {
	t.Helper()
	if want == "" {
		if err != nil || !parsed {
			t.Errorf("key %q: %v", cut(spec), err)
		}
		return
	}
	if err == nil || parsed || err.Error() != prefix+want {
		t.Errorf("key %q: %v, want %s%s", cut(spec), err, prefix, want)
	}
}

func TestRSAKeySizes(t *testing.T) {
	for _, tt := range []struct {
		key  *rsa.PublicKey
		want string
	}{
		{&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}, "an RSA key of 1024 bits, from 2048 to 8192 are allowed"},
		{&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 8192, 1), E: 65537}, "an RSA key of 8193 bits, from 2048 to 8192 are allowed"},
		{&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(0), 2047, 1), E: 65537}, "an RSA key with an invalid modulus or exponent"},
		{&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 2047, 1), E: 1}, "an RSA key with an invalid modulus or exponent"},
	} {
		if _, err := methodOf(tt.key); err == nil || err.Error() != tt.want {
			t.Errorf("methodOf = %v, want %s", err, tt.want)
		}
	}
}

// Nothing that prints a key shows a byte of it.
func TestKeysAreNotPrinted(t *testing.T) {
	for _, key := range []any{must(ParseSigKey(secret, nil)), must(ParseUpstreamKey(secret, nil))} {
		var b bytes.Buffer
		slog.New(slog.NewTextHandler(&b, nil)).Info("key", "key", key)
		fmt.Fprintf(&b, "%v %+v %s", key, key, key)
		for _, form := range []string{secret, secret[5:15], fmt.Sprint([]byte(secret[:3]))[1:9], hex.EncodeToString([]byte(secret[:5]))} {
			if strings.Contains(b.String(), form) {
				t.Errorf("%T is printed as %s", key, b.String())
			}
		}
	}
}

// BenchmarkSign is what a Grip-Sig costs, as the first of its second and as a later one.
func BenchmarkSign(b *testing.B) {
	for alg, spec := range map[string]string{"HS256": secret, "RS256": privatePEM(rsaKey()), "ES256": privatePEM(ecKey())} {
		k := must(ParseSigKey(spec, nil))
		b.Run(alg+"/first", func(b *testing.B) {
			at := testTime
			for b.Loop() {
				at = at.Add(time.Second)
				must(k.Sign("pushpin", at))
			}
		})
		b.Run(alg+"/shared", func(b *testing.B) {
			for b.Loop() {
				must(k.Sign("pushpin", testTime))
			}
		})
	}
}
