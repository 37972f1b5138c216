package token

import "testing"

// BenchmarkVerify is the whole check of a token. The RSA key has 2048 bits.
func BenchmarkVerify(b *testing.B) {
	for _, s := range signers() {
		b.Run(s.alg, func(b *testing.B) {
			k, tok := s.key(b), s.token(goodClaims)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Verify(tok, testTime, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRefuse is what a token costs that anybody can make: as large as possible, with a signature that is wrong.
func BenchmarkRefuse(b *testing.B) {
	for _, s := range signers() {
		b.Run(s.alg, func(b *testing.B) {
			k := s.key(b)
			head, payload := b64(`{"alg":"`+s.alg+`"}`), `{"x":"`
			for len(payload) < 2600 {
				payload += "x"
			}
			tok := head + "." + b64(payload+`"}`) + "." + b64(string(s.sign([]byte("another text"))))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Verify(tok, testTime, 0); err != errSignature {
					b.Fatal(err)
				}
			}
		})
	}
}
