package token

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzVerify alters tokens: none is accepted but those that were signed, byte for byte. (Of ES256 the second form of a
// signature would be as well; no fuzzer finds it.) A refusal is one bounded line of clean text.
func FuzzVerify(f *testing.F) {
	type issued struct {
		key    *Key
		tokens []string
	}
	var all []issued
	for _, s := range signers() {
		i := issued{key: s.key(f)}
		for _, payload := range []string{goodClaims, `{"exp":1900000000,"channels":"*"}`, `{"exp":1800000900,"nbf":1,"channels":["a"],"sub":""}`} {
			i.tokens = append(i.tokens, s.token(payload))
		}
		all = append(all, i)
	}
	for which := range uint8(9) {
		f.Add("", which, uint16(0), byte(0))
		f.Add(".e30.", which, uint16(40+which), byte(1))
	}
	f.Add(b64(`{"alg":"none"}`)+"."+b64(goodClaims)+".", uint8(0), uint16(60000), byte('.'))
	f.Fuzz(func(t *testing.T, insert string, which uint8, at uint16, replace byte) {
		i := all[int(which)%len(all)]
		altered := i.tokens[int(which)/len(all)%len(i.tokens)]
		if n := int(at) % (len(altered) + 1); insert != "" {
			altered = altered[:n] + insert + altered[n:]
		} else if n < len(altered) && replace != 0 {
			altered = altered[:n] + string([]byte{replace}) + altered[n+1:]
		}
		for _, tok := range []string{altered, insert} {
			_, err := i.key.Verify(tok, testTime, 0)
			if accepted := err == nil; accepted != slices.Contains(i.tokens, tok) {
				t.Errorf("%s: Verify(%q) = %v", i.key, tok, err)
			}
			checkRefusal(t, err)
		}
	})
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	var refusal *Error
	if err == nil {
		return
	}
	if !errors.As(err, &refusal) {
		t.Fatalf("refused with %T", err)
	}
	if text := err.Error(); len(text) > 512 || !utf8.ValidString(text) || strings.IndexFunc(text, unicode.IsControl) >= 0 {
		t.Errorf("refused with %q", text)
	}
}

// FuzzClaims signs any payload: what is accepted must be what encoding/json finds in it.
func FuzzClaims(f *testing.F) {
	s := hs256(secret)
	k := s.key(f)
	for _, payload := range []string{
		goodClaims, `{"exp":1800000900.5,"channels":"*","nbf":0,"iat":1e9}`, `{"exp":1e10,"channels":["a\ud83d\ude00","\\ud800"]}`,
		`{"exp":1800000900,"channels":"\ud800\ud800"}`, `{"exp":-1,"channels":[null]}`, "null", " [1]", `{"exp":1e10,"exp":1,"channels":"a"}`,
	} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := k.Verify(s.token(string(payload)), testTime, 0)
		checkRefusal(t, err)
		if err != nil {
			return
		}
		var judge map[string]any
		if err := json.Unmarshal(payload, &judge); err != nil {
			t.Fatalf("Verify accepts the payload %q: %v", payload, err)
		}
		if exp, ok := judge["exp"].(float64); !ok || exp <= float64(testTime.Unix()) || c.Expires.Unix() != int64(exp) {
			t.Errorf("%q: exp %v, Expires %v", payload, judge["exp"], c.Expires)
		}
		if user, _ := judge["sub"].(string); user != c.User {
			t.Errorf("%q: User %q", payload, c.User)
		}
		list, _ := judge["channels"].([]any)
		if one, ok := judge["channels"].(string); ok {
			list = []any{one}
		}
		got := make([]any, len(c.Channels))
		for i, p := range c.Channels {
			got[i] = p
			if p == "" || len(p) > MaxChannelBytes || strings.IndexFunc(p, unicode.IsControl) >= 0 {
				t.Errorf("%q: channel %q", payload, p)
			}
		}
		if len(list) == 0 || !reflect.DeepEqual(got, list) {
			t.Errorf("%q: Channels %q, want %q", payload, got, list)
		}
	})
}

// FuzzCut compares Cookie with net/http where that takes the value, and Bearer with strings.
func FuzzCut(f *testing.F) {
	for _, value := range []string{"Bearer a.b.c", "bearer", "t=a.b.c", `x=1; t="a b"; t=c`, "t;=;t=", " \tt = a"} {
		f.Add([]byte(value))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		tok, ok := Bearer(value)
		name, rest, spaced := strings.Cut(strings.Trim(string(value), " \t"), " ")
		if want := len(name) == 6 && strings.EqualFold(name, "bearer"); ok != want {
			t.Errorf("Bearer(%q) = %q, %v", value, tok, ok)
		} else if ok && spaced && string(tok) != strings.Trim(rest, " \t") {
			t.Errorf("Bearer(%q) = %q", value, tok)
		}
		if strings.ContainsAny(string(value), "\r\n") {
			return // no field has them, and net/http takes them for white space
		}
		// It also passes over cookies with bytes that it does not like, keeps white space around a value, and reads a pair
		// without "=" as a name, while for browsers it is a value.
		r := http.Request{Header: http.Header{"Cookie": {string(value)}}}
		judge, err := r.Cookie("t")
		if err != nil || judge.Value == "" {
			return
		}
		got, found := Cookie(value, "t")
		if !found {
			t.Errorf("Cookie(%q) finds none, net/http %q", value, judge.Value)
		}
		if strings.Count(string(value), "t") == 1 && string(trim(got)) != strings.Trim(judge.Value, " \t") {
			t.Errorf("Cookie(%q) = %q, net/http %q", value, got, judge.Value)
		}
	})
}
