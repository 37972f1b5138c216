package token

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"strings"
)

// recognise names the coding of a key that is not PEM, or returns "" for what may be a secret.
func recognise(b []byte) string {
	text := string(bytes.TrimSpace(b))
	switch {
	case isDER(b):
		return "a key in DER"
	case isBareBase64(text):
		return "the inside of a PEM block without its first and last line"
	case isJWK(b):
		return "a JSON Web Key"
	case strings.HasPrefix(text, "ssh-") || strings.HasPrefix(text, "ecdsa-sha2-") || strings.HasPrefix(text, "---- BEGIN SSH2"):
		return "an SSH key"
	}
	return ""
}

func isDER(b []byte) bool {
	const sequence = 0x30 // with which all of them begin
	if len(b) < minSecretBytes || b[0] != sequence {
		return false
	}
	for _, parse := range []func([]byte) error{
		func(b []byte) error { _, err := x509.ParsePKIXPublicKey(b); return err },
		func(b []byte) error { _, err := x509.ParsePKCS1PublicKey(b); return err },
		func(b []byte) error { _, err := x509.ParseCertificate(b); return err },
		func(b []byte) error { _, err := x509.ParsePKCS8PrivateKey(b); return err },
		func(b []byte) error { _, err := x509.ParsePKCS1PrivateKey(b); return err },
		func(b []byte) error { _, err := x509.ParseECPrivateKey(b); return err },
	} {
		if parse(b) == nil {
			return true
		}
	}
	return false
}

func isBareBase64(text string) bool {
	der, ok := decodeBase64(strings.Join(strings.Fields(text), ""))
	return ok && isDER(der)
}

// isJWK recognises a JSON Web Key and a set of them (RFC 7517).
func isJWK(b []byte) bool {
	var key struct {
		Type string            `json:"kty"`
		Keys []json.RawMessage `json:"keys"`
	}
	return json.Unmarshal(b, &key) == nil && (key.Type != "" || key.Keys != nil)
}
