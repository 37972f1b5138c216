package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestEachAlgorithmLetsItsTokenIn(t *testing.T) {
	want := Claims{User: "ada", Channels: []string{"news", "room-*"}, Expires: time.Unix(1800000900, 0)}
	for _, s := range signers() {
		got, err := s.key(t).Verify(s.token(goodClaims), testTime, 0)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: Verify = %+v, %v, want %+v", s.alg, got, err, want)
		}
	}
}

// The examples of RFC 7515 name no channels: that they are refused for that alone shows that the signature is good.
func TestExamplesOfRFC7515(t *testing.T) {
	const payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	point, _ := decodeBase64("BH_Nzidw9sRdQYPL7m_bS3tYBzM1e-nvE7rPbjx70VRFx_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")
	ec, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ spec, header, signature string }{
		"A.1": {"base64:AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
			"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
		"A.3": {publicPEM(ec), "eyJhbGciOiJFUzI1NiJ9",
			"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
	} {
		_, err := mustKey(t, tt.spec).Verify(tt.header+"."+payload+"."+tt.signature, time.Unix(1300819380-1, 0), 0)
		if want := `token: claim "channels" is missing`; err == nil || err.Error() != want {
			t.Errorf("%s: Verify = %v, want %s", name, err, want)
		}
	}
}

func TestAlgorithmIsTheKeys(t *testing.T) {
	for _, s := range signers() {
		k := s.key(t)
		for _, alg := range []string{"none", "None", "NONE", "", "HS256", "HS384", "HS512", "RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA", s.alg + " "} {
			if alg == s.alg {
				continue
			}
			want := fmt.Sprintf("algorithm %q is not allowed, the key is for %s", alg, s.alg)
			header := fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, alg)
			refused(t, k, s.raw(header, goodClaims), "", want)
			refused(t, k, b64(header)+"."+b64(goodClaims)+".", "", want)
		}
		lower := strings.ToLower(s.alg)
		refused(t, k, s.raw(`{"alg":"`+lower+`"}`, goodClaims), "", `algorithm "`+lower+`" is not allowed, the key is for `+s.alg)
		for _, other := range signers() {
			if other.alg != s.alg {
				refused(t, k, other.token(goodClaims), "", `algorithm "`+other.alg+`" is not allowed, the key is for `+s.alg)
				refused(t, k, other.raw(`{"alg":"`+s.alg+`"}`, goodClaims), "", "signature does not match the key")
			}
		}
	}
}

// Tokens that are properly signed with the key, in an algorithm of the same family.
func TestOtherAlgorithmOfTheSameKey(t *testing.T) {
	for alg, sign := range map[string]func(text string) ([]byte, error){
		"HS384": func(text string) ([]byte, error) { return jwt.SigningMethodHS384.Sign(text, []byte(secret)) },
		"HS512": func(text string) ([]byte, error) { return jwt.SigningMethodHS512.Sign(text, []byte(secret)) },
		"RS384": func(text string) ([]byte, error) { return jwt.SigningMethodRS384.Sign(text, rsaKey()) },
		"RS512": func(text string) ([]byte, error) { return jwt.SigningMethodRS512.Sign(text, rsaKey()) },
		"PS256": func(text string) ([]byte, error) { return jwt.SigningMethodPS256.Sign(text, rsaKey()) },
	} {
		s := hs256(secret)
		if alg[0] != 'H' {
			s = rs256()
		}
		text := b64(`{"alg":"`+alg+`"}`) + "." + b64(goodClaims)
		sig, err := sign(text)
		if err != nil {
			t.Fatal(err)
		}
		refused(t, s.key(t), text+"."+b64(string(sig)), "", `algorithm "`+alg+`" is not allowed, the key is for `+s.alg)
	}
}

// Who takes the algorithm from the token lets everybody sign who has read the public key.
func TestPublicKeyIsNoSecret(t *testing.T) {
	for _, s := range []*signer{rs256(), es256()} {
		for _, text := range []string{s.spec, strings.TrimSpace(s.spec), s.spec + "\n"} {
			forger := hs256(text)
			refused(t, s.key(t), forger.token(goodClaims), "", `algorithm "HS256" is not allowed, the key is for `+s.alg)
			refused(t, s.key(t), forger.raw(`{"alg":"`+s.alg+`"}`, goodClaims), "", "signature does not match the key")
		}
	}
}

func TestBadForm(t *testing.T) {
	s := hs256(secret)
	k, good := s.key(t), s.token(goodClaims)
	part := strings.Split(good, ".")
	head := b64(`{"alg":"HS256"}`)
	for name, tt := range map[string]struct{ tok, text string }{
		"empty":                  {"", "it is empty"},
		"huge":                   {strings.Repeat("a", 4097), "it is 4097 bytes long, at most 4096 are allowed"},
		"one part":               {"abc", "it is not a signed token: parts joined by dots: 1 instead of 3"},
		"only dots":              {"..", "header is not base64url of a JSON object"},
		"two parts":              {part[0] + "." + part[1], "it is not a signed token: parts joined by dots: 2 instead of 3"},
		"a fourth part":          {good + ".", "it is not a signed token: parts joined by dots: 4 instead of 3"},
		"encrypted":              {good + ".e.e", "it has 5 parts: encrypted tokens are not read, a signed one has 3"},
		"padded":                 {good + "=", "it is padded with =, which RFC 7515 section 2 does not allow"},
		"leading space":          {" " + good, "byte 0 (0x20) is not of base64url"},
		"trailing newline":       {good + "\n", fmt.Sprintf("byte %d (0x0a) is not of base64url", len(good))},
		"line break inside":      {good[:9] + "\r\n" + good[9:], "byte 9 (0x0d) is not of base64url"},
		"standard alphabet":      {good + "/", fmt.Sprintf("byte %d (0x2f) is not of base64url", len(good))},
		"NUL":                    {"\x00", "byte 0 (0x00) is not of base64url"},
		"scheme kept":            {"Bearer " + good, "byte 6 (0x20) is not of base64url"},
		"no signature":           {part[0] + "." + part[1] + ".", "signature does not match the key"},
		"cut signature":          {good[:len(good)-2], "signature is not base64url"},
		"spare bits, signature":  {part[0] + "." + part[1] + "." + nextLetter(part[2]), "signature is not base64url"},
		"other signature":        {part[0] + "." + part[1] + "." + b64(strings.Repeat("s", 32)), "signature does not match the key"},
		"long signature":         {part[0] + "." + part[1] + "." + b64(strings.Repeat("s", 64)), "signature does not match the key"},
		"other payload":          {part[0] + "." + b64(goodClaims+" ") + "." + part[2], "signature does not match the key"},
		"other header":           {b64(`{"alg":"HS256"}`) + "." + part[1] + "." + part[2], "signature does not match the key"},
		"odd length of header":   {"a." + part[1] + "." + part[2], "header is not base64url of a JSON object"},
		"header is text":         {s.raw(`alg`, goodClaims), "header is not base64url of a JSON object"},
		"header is null":         {s.raw(`null`, goodClaims), "header is not base64url of a JSON object"},
		"header is an array":     {s.raw(`["HS256"]`, goodClaims), "header is not base64url of a JSON object"},
		"header goes on":         {s.raw(`{"alg":"HS256"}{}`, goodClaims), "header is not base64url of a JSON object"},
		"header nests":           {s.raw(`{"alg":`+strings.Repeat("[", 2800), `{}`), "header is not base64url of a JSON object"},
		"no alg":                 {s.raw(`{"typ":"JWT"}`, goodClaims), `header names no algorithm ("alg")`},
		"alg in upper case":      {s.raw(`{"ALG":"HS256"}`, goodClaims), `header names no algorithm ("alg")`},
		"alg is a number":        {s.raw(`{"alg":256}`, goodClaims), `header names no algorithm ("alg")`},
		"last alg counts":        {s.raw(`{"alg":"HS256","alg":"none"}`, goodClaims), `algorithm "none" is not allowed, the key is for HS256`},
		"alg with line break":    {s.raw(`{"alg":"a\r\nSet-Cookie: b"}`, goodClaims), `algorithm "a\r\nSet-Cookie: b" is not allowed, the key is for HS256`},
		"long alg":               {s.raw(`{"alg":"`+strings.Repeat("a", 900)+`"}`, goodClaims), `algorithm "` + strings.Repeat("a", 64) + `..." is not allowed, the key is for HS256`},
		"crit":                   {s.raw(`{"alg":"HS256","crit":["exp"],"exp":1}`, goodClaims), `header parameter "crit" is not supported`},
		"crit b64":               {s.raw(`{"alg":"HS256","b64":false,"crit":["b64"]}`, goodClaims), `header parameter "crit" is not supported`},
		"crit is null":           {s.raw(`{"alg":"HS256","crit":null}`, goodClaims), `header parameter "crit" is not supported`},
		"crit escaped":           {s.raw(`{"alg":"HS256","cr\u0069t":[]}`, goodClaims), `header parameter "crit" is not supported`},
		"crit, unsigned":         {b64(`{"alg":"HS256","crit":[]}`) + "." + part[1] + ".", `header parameter "crit" is not supported`},
		"no payload":             {s.token(""), "payload is not base64url of a JSON object"},
		"payload is text":        {s.token("channels"), "payload is not base64url of a JSON object"},
		"payload is null":        {s.token("null"), "payload is not base64url of a JSON object"},
		"payload is an array":    {s.token("[" + goodClaims + "]"), "payload is not base64url of a JSON object"},
		"payload is a string":    {s.token(`"exp"`), "payload is not base64url of a JSON object"},
		"payload goes on":        {s.token(goodClaims + "x"), "payload is not base64url of a JSON object"},
		"payload goes on, JSON":  {s.token(goodClaims + goodClaims), "payload is not base64url of a JSON object"},
		"payload ends early":     {s.token(goodClaims[:len(goodClaims)-1]), "payload is not base64url of a JSON object"},
		"spare bits, payload":    {head + "." + nextLetter(b64("{}")) + ".", "payload is not base64url of a JSON object"},
		"payload nests":          {s.token(strings.Repeat("[", 2900)), "payload is not base64url of a JSON object"},
		"payload nests, closed":  {s.token(strings.Repeat("[", 1400) + strings.Repeat("]", 1400)), "payload is not base64url of a JSON object"},
		"invalid UTF-8":          {s.token(`{"channels":"a` + "\xff" + `","exp":1800000900}`), "payload is not valid UTF-8"},
		"invalid UTF-8 in other": {s.token(`{"x":"` + "\xc0\x80" + `","channels":"a","exp":1800000900}`), "payload is not valid UTF-8"},
		"half a surrogate pair":  {s.token(`{"channels":"a\ud800","exp":1800000900}`), "payload has half of a surrogate pair, which no UTF-8 can express"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, k, tt.tok, "", tt.text) })
	}
}

// nextLetter replaces the last letter of base64url by one that differs in the lowest bit: in a part that does not end
// on three bytes, it decodes to nothing.
func nextLetter(s string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return s[:len(s)-1] + string(letters[strings.IndexByte(letters, s[len(s)-1])^1])
}

func TestEveryAlteredByteIsRefused(t *testing.T) {
	for _, s := range signers() {
		k, good := s.key(t), s.token(goodClaims)
		for i := range good {
			for _, c := range []byte{good[i] ^ 1, good[i] ^ 2, 'A', '.', '=', '\n', 0xff} {
				if c == good[i] {
					continue
				}
				if got, err := k.Verify(good[:i]+string([]byte{c})+good[i+1:], testTime, 0); err == nil {
					t.Errorf("%s: byte %d as %q: Verify = %+v", s.alg, i, c, got)
				}
			}
			if got, err := k.Verify(good[:i], testTime, 0); err == nil {
				t.Errorf("%s: first %d bytes: Verify = %+v", s.alg, i, got)
			}
		}
	}
}

// An ECDSA signature (r, s) is as good as (r, n-s), and RFC 7515 asks for neither. Both must sign the same.
func TestSecondFormOfECDSASignature(t *testing.T) {
	s := es256()
	text := b64(`{"alg":"ES256"}`) + "." + b64(goodClaims)
	sig := s.sign([]byte(text))
	half := new(big.Int).SetBytes(sig[32:])
	half.Sub(ecKey().Params().N, half).FillBytes(sig[32:])
	if c, err := s.key(t).Verify(text+"."+b64(string(sig)), testTime, 0); err != nil || c.User != "ada" {
		t.Errorf("Verify = %+v, %v", c, err)
	}
	for name, sig := range map[string]string{
		"zeros":  strings.Repeat("\x00", 64),
		"DER":    "\x30\x06\x02\x01\x01\x02\x01\x01",
		"r is n": string(ecKey().Params().N.Bytes()) + string(sig[32:]),
		"long":   string(sig) + "\x00",
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, s.key(t), text+"."+b64(sig), "", "signature does not match the key")
		})
	}
}

func TestRSASignatureOfAnotherHashIsRefused(t *testing.T) {
	s := rs256()
	text := b64(`{"alg":"RS256"}`) + "." + b64(goodClaims)
	sum := sha256.Sum256([]byte(text))
	for name, sig := range map[string]string{
		"the hash itself":          string(sum[:]),
		"zeros":                    strings.Repeat("\x00", 256),
		"one":                      strings.Repeat("\x00", 255) + "\x01",
		"leading zero":             "\x00" + string(s.sign([]byte(text))),
		"the modulus":              string(rsaKey().N.Bytes()),
		"signature and modulus":    string(new(big.Int).Add(rsaKey().N, new(big.Int).SetBytes(s.sign([]byte(text)))).Bytes()),
		"signature of other bytes": string(s.sign([]byte(text + " "))),
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, s.key(t), text+"."+b64(sig), "", "signature does not match the key")
		})
	}
}

func TestVerifyFromManyGoroutines(t *testing.T) {
	for _, s := range signers() {
		k, good := s.key(t), s.token(goodClaims)
		bad := s.raw(`{"alg":"none"}`, goodClaims)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 20 {
					if c, err := k.Verify(good, testTime, 0); err != nil || c.User != "ada" {
						t.Errorf("%s: Verify = %+v, %v", s.alg, c, err)
					}
					if _, err := k.Verify(bad, testTime, 0); err == nil {
						t.Errorf("%s: Verify accepts none", s.alg)
					}
				}
			})
		}
		wg.Wait()
	}
}
