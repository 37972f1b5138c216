// Package token reads the JSON Web Tokens (RFC 7519) that let a client of direct mode in: which channels it may
// subscribe to, who it is, and until when. Bearer and Cookie cut a token out of a header field.
//
// A Key has one algorithm, which follows from its type (HS256, RS256, ES256), and no token can choose another. What the
// token says is read only after its signature has been found good. Of its claims exp and channels are required; nbf, iat
// and sub are honoured; aud only when Key.Audience is set; iss, jti and all others are ignored. There is no memory of
// tokens: each is good until it expires, as often as it is shown.
//
// Each part of a token has one spelling only: base64url without padding, without line breaks, with unused bits zero. (An
// ECDSA signature has a second form that anyone can compute, RFC 7515 does not forbid it, and it signs the same claims.)
// A claim that stands twice is refused. A repeated header parameter counts as golang-jwt takes it, the last one, which
// RFC 7515 section 4 allows; nothing else reads the header.
package token
