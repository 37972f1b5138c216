package token

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
)

func TestFormsOfAKey(t *testing.T) {
	hs, rs, es := hs256(secret), rs256(), es256()
	rsaPublic, ecPublic := &rsaKey().PublicKey, &ecKey().PublicKey
	files := map[string]string{
		"secret": secret, "secret-nl": secret + "\n", "secret-crlf": secret + "\r\n", "rsa": rs.spec, "ec": es.spec,
		"text-before": "for pushd:\n" + es.spec + "\n\n",
		"cert":        certificatePEM(t, ecKey()),
		"secret-nl2":  secret + "\n\n",
	}
	readFile := func(path string) ([]byte, error) {
		if text, found := files[path]; found {
			return []byte(text), nil
		}
		return noFile(path)
	}
	bytesAnd := secret + "\xff\xfe\x00"
	for spec, s := range map[string]*signer{
		secret:             hs,
		"0" + secret:       hs256("0" + secret), // the byte with which DER begins
		" " + secret + " ": hs256(" " + secret + " "),
		"file:secret":      hs, "FILE:secret": hs, "file:secret-nl": hs, "file:secret-crlf": hs,
		"file:secret-nl2": hs256(secret + "\n"),
		"base64:" + base64.StdEncoding.EncodeToString([]byte(bytesAnd)):      hs256(bytesAnd),
		"base64:" + base64.URLEncoding.EncodeToString([]byte(bytesAnd)):      hs256(bytesAnd),
		"Base64:" + base64.RawStdEncoding.EncodeToString([]byte(bytesAnd)):   hs256(bytesAnd),
		"base64:" + base64.RawURLEncoding.EncodeToString([]byte(bytesAnd)):   hs256(bytesAnd),
		"base64:" + base64.StdEncoding.EncodeToString([]byte(rs.spec)):       rs,
		"base64:" + base64.StdEncoding.EncodeToString([]byte(secret)) + "\n": hs,
		rs.spec:             rs,
		es.spec:             es,
		publicPEM(ecPublic): es,
		toPEM("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(rsaPublic)): rs,
		"file:rsa": rs, "file:ec": es, "file:text-before": es, "file:cert": es,
	} {
		k, err := ParseKey(spec, readFile)
		if err != nil {
			t.Errorf("ParseKey(%q) = %v", spec, err)
			continue
		}
		if k.Algorithm() != s.alg {
			t.Errorf("ParseKey(%q): algorithm %s, want %s", spec, k.Algorithm(), s.alg)
		}
		if _, err := k.Verify(s.token(goodClaims), testTime, 0); err != nil {
			t.Errorf("ParseKey(%q): Verify = %v", spec, err)
		}
	}
}

func TestRefusedKeys(t *testing.T) {
	const (
		private = "it is a private key, and who verifies should not hold it: give the public key, as openssl pkey -in KEY -pubout writes it"
		notPEM  = "it has a PEM block that cannot be read: are its line breaks in place?"
		bare    = "it is the inside of a PEM block without its first and last line: give a public key as PEM"
	)
	rs, es := rs256(), es256()
	ed, edPrivate, _ := ed25519.GenerateKey(rand.Reader)
	x, _ := ecdh.X25519().GenerateKey(rand.Reader)
	ecDER, _ := x509.MarshalECPrivateKey(ecKey())
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(edPrivate)
	pkcs1 := x509.MarshalPKCS1PrivateKey(rsaKey())
	inside := strings.Join(strings.Split(strings.TrimSpace(es.spec), "\n")[1:3], "\n")
	for name, tt := range map[string]struct{ spec, text string }{
		"empty":                   {"", "token key: it is empty"},
		"short":                   {"correct horse", "token key: a secret of 13 bytes is too short, RFC 7518 section 3.2 demands 32 for HS256: make one with openssl rand -base64 32"},
		"31 bytes":                {strings.Repeat("s", 31), "token key: a secret of 31 bytes is too short, RFC 7518 section 3.2 demands 32 for HS256: make one with openssl rand -base64 32"},
		"a whole file of it":      {strings.Repeat("\x00", 5000), "token key: a secret of 5000 bytes is too long, at most 4096 are allowed: is it the right file?"},
		"empty base64":            {"base64:", "token key: it is empty"},
		"broken base64":           {"base64:" + secret, "token key: what follows base64: is not base64"},
		"two alphabets":           {"base64:" + strings.Repeat("ab+_", 20), "token key: what follows base64: is not base64"},
		"short in base64":         {"base64:c2hvcnQ=", "token key: a secret of 5 bytes is too short, RFC 7518 section 3.2 demands 32 for HS256: make one with openssl rand -base64 32"},
		"no path":                 {"file:", "token key: file: without a path"},
		"no file":                 {"file:none", "read token key: open none: file does not exist"},
		"RSA private":             {toPEM("RSA PRIVATE KEY", pkcs1), "token key: " + private},
		"EC private":              {toPEM("EC PRIVATE KEY", ecDER), "token key: " + private},
		"EC private, parameters":  {toPEM("EC PARAMETERS", []byte("\x06\x01\x01")) + toPEM("EC PRIVATE KEY", ecDER), "token key: " + private},
		"PKCS8 private":           {toPEM("PRIVATE KEY", pkcs8), "token key: " + private},
		"encrypted private":       {toPEM("ENCRYPTED PRIVATE KEY", pkcs8), "token key: " + private},
		"OpenSSH private":         {toPEM("OPENSSH PRIVATE KEY", pkcs8), "token key: " + private},
		"public and private":      {es.spec + toPEM("EC PRIVATE KEY", ecDER), "token key: " + private},
		"two public":              {es.spec + rs.spec, "token key: it has 2 PEM blocks, give one public key or certificate"},
		"public and broken":       {es.spec + "-----BEGIN PUBLIC KEY-----\n", "token key: " + notPEM},
		"one line":                {strings.ReplaceAll(es.spec, "\n", " "), "token key: " + notPEM},
		"escaped line breaks":     {strings.ReplaceAll(es.spec, "\n", `\n`), "token key: " + notPEM},
		"cut":                     {es.spec[:80], "token key: " + notPEM},
		"other PEM":               {toPEM("CERTIFICATE REQUEST", ecDER), `token key: PEM block "CERTIFICATE REQUEST" is neither a public key nor a certificate`},
		"other bytes in PEM":      {toPEM("PUBLIC KEY", []byte("x")), `token key: parse PEM block "PUBLIC KEY": asn1: syntax error: truncated tag or length`},
		"Ed25519":                 {publicPEM(ed), "token key: ed25519.PublicKey is not supported: give an RSA key for RS256 or a P-256 key for ES256"},
		"X25519":                  {publicPEM(x.PublicKey()), "token key: *ecdh.PublicKey is not supported: give an RSA key for RS256 or a P-256 key for ES256"},
		"P-224":                   {publicPEM(&newCurveKey(elliptic.P224()).PublicKey), "token key: it is for the curve P-224, ES256 needs P-256"},
		"P-384":                   {publicPEM(&newCurveKey(elliptic.P384()).PublicKey), "token key: it is for the curve P-384, ES256 needs P-256"},
		"P-521":                   {publicPEM(&newCurveKey(elliptic.P521()).PublicKey), "token key: it is for the curve P-521, ES256 needs P-256"},
		"RSA 1024":                {rsaOf(1024, 1, 65537), "token key: an RSA key of 1024 bits, from 2048 to 8192 are allowed"},
		"RSA 2047":                {rsaOf(2047, 1, 65537), "token key: an RSA key of 2047 bits, from 2048 to 8192 are allowed"},
		"RSA 8193":                {rsaOf(8193, 1, 65537), "token key: an RSA key of 8193 bits, from 2048 to 8192 are allowed"},
		"RSA exponent 1":          {rsaOf(2048, 1, 1), "token key: an RSA key with an invalid modulus or exponent"},
		"RSA even modulus":        {rsaOf(2048, 2, 65537), "token key: an RSA key with an invalid modulus or exponent"},
		"RSA even exponent":       {rsaOf(2048, 1, 65536), "token key: an RSA key with an invalid modulus or exponent"},
		"DER":                     {string(pkix(&ecKey().PublicKey)), "token key: it is a key in DER: give a public key as PEM"},
		"DER in base64":           {"base64:" + base64.StdEncoding.EncodeToString(pkcs1), "token key: it is a key in DER: give a public key as PEM"},
		"inside of PEM":           {inside, "token key: " + bare},
		"inside of PEM, one line": {strings.ReplaceAll(inside, "\n", ""), "token key: " + bare},
		"JWK":                     {`{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}`, "token key: it is a JSON Web Key: give a public key as PEM"},
		"JWK set":                 {` {"keys":[{"kty":"RSA","n":"abc","e":"AQAB"}]} `, "token key: it is a JSON Web Key: give a public key as PEM"},
		"SSH":                     {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl", "token key: it is an SSH key: give a public key as PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := ParseKey(tt.spec, noFile)
			if err == nil || err.Error() != tt.text {
				t.Errorf("ParseKey = %v, %v, want %s", k, err, tt.text)
			}
		})
	}
}

// TestRefusedFileIsNamed checks that the error names the file, and nothing of what it holds.
func TestRefusedFileIsNamed(t *testing.T) {
	_, err := ParseKey("file:/etc/pushd.key", func(string) ([]byte, error) { return []byte("hunter2\n"), nil })
	if err == nil || !strings.HasPrefix(err.Error(), `token key in "/etc/pushd.key": a secret of 7 bytes`) || strings.Contains(err.Error(), "hunter") {
		t.Errorf("ParseKey = %v", err)
	}
}

func TestPrintShowsNoKey(t *testing.T) {
	for _, s := range signers() {
		k := s.key(t)
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "key", k)
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "key", k, "in", struct{ K *Key }{k})
		options := struct{ key *Key }{k}
		printed := log.String()
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			printed += fmt.Sprintf(strings.Repeat(verb+" ", 3), k, *k, options)
		}
		for name, leak := range map[string]string{"text": secret[:8], "hex": fmt.Sprintf("%x", secret[:8]),
			"numbers": "116 104 105 114", "Go bytes": "0x74, 0x68", "modulus": rsaKey().N.String()[:12]} {
			if strings.Contains(printed, leak) {
				t.Errorf("%s: a print shows the key as %s: %s", s.alg, name, printed)
			}
		}
		if k.String() != s.alg || !strings.Contains(log.String(), `"key":"`+s.alg+`"`) {
			t.Errorf("%s: String = %q, log %s", s.alg, k.String(), &log)
		}
	}
}

// rsaOf makes the public key with a modulus of so many bits, of which the lowest are low.
func rsaOf(bits uint, low int64, e int) string {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return publicPEM(&rsa.PublicKey{N: n.Add(n, big.NewInt(low)), E: e})
}

func certificatePEM(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return toPEM("CERTIFICATE", der)
}
