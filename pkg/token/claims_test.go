package token

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestBadClaims(t *testing.T) {
	s := hs256(secret)
	k := s.key(t)
	const rest = `,"channels":"a"}`
	channels := func(n int) string { return strings.Repeat(`"c",`, n-1) + `"c"` }
	for _, tt := range []struct{ payload, claim, text string }{
		{`{}`, "exp", `claim "exp" is missing`},
		{`{"Exp":1800000900` + rest, "exp", `claim "exp" is missing`},
		{`{"exp":null` + rest, "exp", `claim "exp": it is not a number`},
		{`{"exp":"1800000900"` + rest, "exp", `claim "exp": it is not a number`},
		{`{"exp":true` + rest, "exp", `claim "exp": it is not a number`},
		{`{"exp":[1800000900]` + rest, "exp", `claim "exp": it is not a number`},
		{`{"exp":{}` + rest, "exp", `claim "exp": it is not a number`},
		{`{"exp":-1` + rest, "exp", `claim "exp": "-1" seconds are not in the years 1970 to 9999`},
		{`{"exp":1e300` + rest, "exp", `claim "exp": "1e300" seconds are not in the years 1970 to 9999`},
		{`{"exp":1e999` + rest, "exp", `claim "exp": "1e999" seconds are not in the years 1970 to 9999`},
		{`{"exp":253402300800` + rest, "exp", `claim "exp": "253402300800" seconds are not in the years 1970 to 9999`},
		{`{"exp":1800000900000` + rest, "exp", `claim "exp": "1800000900000" seconds are not in the years 1970 to 9999`}, // milliseconds
		{`{"exp":` + strings.Repeat("9", 1000) + rest, "exp", `claim "exp": "` + strings.Repeat("9", 64) + `..." seconds are not in the years 1970 to 9999`},
		{`{"exp":0` + rest, "exp", `claim "exp": expired 20833 d 8 h ago`},
		{`{"exp":-0.0` + rest, "exp", `claim "exp": expired 20833 d 8 h ago`},
		{`{"exp":1e-300` + rest, "exp", `claim "exp": expired 20833 d 8 h ago`},
		{`{"exp":1799999800` + rest, "exp", `claim "exp": expired 3 m 20 s ago`},
		{`{"exp":1800000000` + rest, "exp", `claim "exp": expired 0 s ago`},
		{`{"exp":1799999999.5` + rest, "exp", `claim "exp": expired 0 s ago`},
		{`{"exp":1800000900,"exp":1900000000` + rest, "exp", `claim "exp": it stands twice`},
		{`{"exp":1800000900,"\u0065xp":1900000000` + rest, "exp", `claim "exp": it stands twice`},

		{`{"exp":1800000900,"nbf":1800007500` + rest, "nbf", `claim "nbf": not valid for another 2 h 5 m`},
		{`{"exp":1800000900,"nbf":"0"` + rest, "nbf", `claim "nbf": it is not a number`},
		{`{"exp":1800000900,"nbf":-1` + rest, "nbf", `claim "nbf": "-1" seconds are not in the years 1970 to 9999`},
		{`{"exp":1800000900,"iat":1800000001` + rest, "iat", `claim "iat": issued 1 s in the future`},
		{`{"exp":1800000900,"iat":null` + rest, "iat", `claim "iat": it is not a number`},

		{`{"exp":1800000900,"sub":7` + rest, "sub", `claim "sub": it is not a string`},
		{`{"exp":1800000900,"sub":null` + rest, "sub", `claim "sub": it is not a string`},
		{`{"exp":1800000900,"sub":"a\r\nb"` + rest, "sub", `claim "sub": "a\r\nb" has a control character at byte 1`},
		{`{"exp":1800000900,"sub":"` + strings.Repeat("u", 256) + `"` + rest, "sub", `claim "sub": "` + strings.Repeat("u", 64) + `..." is 256 bytes long, at most 255 are allowed`},

		{`{"exp":1800000900}`, "channels", `claim "channels" is missing`},
		{`{"exp":1800000900,"Channels":"a"}`, "channels", `claim "channels" is missing`},
		{`{"exp":1800000900,"channels":null}`, "channels", `claim "channels": it is neither a string nor an array of strings`},
		{`{"exp":1800000900,"channels":{"a":true}}`, "channels", `claim "channels": it is neither a string nor an array of strings`},
		{`{"exp":1800000900,"channels":1}`, "channels", `claim "channels": it is neither a string nor an array of strings`},
		{`{"exp":1800000900,"channels":[]}`, "channels", `claim "channels": it names none`},
		{`{"exp":1800000900,"channels":["a",1]}`, "channels", `claim "channels": element 1 is not a string`},
		{`{"exp":1800000900,"channels":[null]}`, "channels", `claim "channels": element 0 is not a string`},
		{`{"exp":1800000900,"channels":[["*"]]}`, "channels", `claim "channels": element 0 is not a string`},
		{`{"exp":1800000900,"channels":""}`, "channels", `claim "channels": one of them is empty`},
		{`{"exp":1800000900,"channels":["a",""]}`, "channels", `claim "channels": one of them is empty`},
		{`{"exp":1800000900,"channels":["a\u0000"]}`, "channels", `claim "channels": "a\x00" has a control character at byte 1`},
		{`{"exp":1800000900,"channels":["a\u0085*"]}`, "channels", `claim "channels": "a\u0085*" has a control character at byte 1`},
		{`{"exp":1800000900,"channels":["` + strings.Repeat("c", 256) + `"]}`, "channels", `claim "channels": "` + strings.Repeat("c", 64) + `..." is 256 bytes long, at most 255 are allowed`},
		{`{"exp":1800000900,"channels":[` + channels(257) + `]}`, "channels", `claim "channels": it names 257, at most 256 are allowed`},
		{`{"exp":1800000900,"channels":"a","channels":"*"}`, "channels", `claim "channels": it stands twice`},
	} {
		refused(t, k, s.token(tt.payload), tt.claim, tt.text)
	}
}

func TestGoodClaims(t *testing.T) {
	s := hs256(secret)
	k := s.key(t)
	exp, long := time.Unix(1800000900, 0), strings.Repeat("c", 255)
	for _, tt := range []struct {
		payload string
		want    Claims
	}{
		{`{"exp":1800000900,"channels":"a"}`, Claims{"", []string{"a"}, exp}},
		{` { "exp" : 1.8000009e9 , "channels" : [ "a" , "b*" ] } `, Claims{"", []string{"a", "b*"}, exp}},
		{`{"exp":1800000900.25,"channels":"*"}`, Claims{"", []string{"*"}, exp.Add(250 * time.Millisecond)}},
		{`{"exp":253402300799,"channels":"a"}`, Claims{"", []string{"a"}, time.Unix(253402300799, 0)}},
		{`{"exp":1800000900,"nbf":1800000000,"iat":1800000000,"channels":"a","sub":""}`, Claims{"", []string{"a"}, exp}},
		{`{"exp":1800000900,"channels":"` + long + `","sub":"` + long + `"}`, Claims{long, []string{long}, exp}},
		{`{"exp":1800000900,"ch\u0061nnels":"gr\u00fc\u00dfe \ud83d\ude00 \\ud800","sub":"😀"}`, Claims{"😀", []string{`grüße 😀 \ud800`}, exp}},
		{`{"exp":1800000900,"channels":"\ufffd"}`, Claims{"", []string{"\ufffd"}, exp}},
		{`{"exp":1800000900,"channels":"a","iss":"x","aud":7,"jti":[],"EXP":"no","x":1,"x":{"exp":2}}`, Claims{"", []string{"a"}, exp}},
	} {
		got, err := k.Verify(s.token(tt.payload), testTime, 0)
		if err == nil {
			got.Expires = got.Expires.UTC()
		}
		tt.want.Expires = tt.want.Expires.UTC()
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Verify(%s) = %+v, %v, want %+v", tt.payload, got, err, tt.want)
		}
	}
}

func TestLeewayMovesEachBorder(t *testing.T) {
	const leeway = 10 * time.Second
	s := hs256(secret)
	k := s.key(t)
	for _, tt := range []struct {
		claim  string
		offset int
		ok     bool
	}{
		{"nbf", 10, true}, {"nbf", 11, false}, {"iat", 10, true}, {"iat", 11, false},
	} {
		tok := s.token(fmt.Sprintf(`{"exp":1800000900,%q:%d,"channels":"a"}`, tt.claim, 1800000000+tt.offset))
		if _, err := k.Verify(tok, testTime, leeway); (err == nil) != tt.ok {
			t.Errorf("%s %+d s: Verify = %v, want ok %v", tt.claim, tt.offset, err, tt.ok)
		}
	}
	for offset, ok := range map[int]bool{-9: true, -10: false, -11: false} {
		tok := s.token(fmt.Sprintf(`{"exp":%d,"channels":"a"}`, 1800000000+offset))
		c, err := k.Verify(tok, testTime, leeway)
		if (err == nil) != ok {
			t.Errorf("exp %+d s: Verify = %v, want ok %v", offset, err, ok)
		}
		if want := testTime.Add(time.Duration(offset) * time.Second); ok && !c.Expires.Equal(want) {
			t.Errorf("exp %+d s: Expires = %v, want %v", offset, c.Expires, want)
		}
	}
}

func TestAudience(t *testing.T) {
	s := hs256(secret)
	for _, tt := range []struct{ audience, member, text string }{
		{"", `"aud":"other"`, ""},
		{"", `"aud":[]`, ""},
		{"pushd", `"aud":"pushd"`, ""},
		{"pushd", `"aud":["other","pushd"]`, ""},
		{"pushd", `"x":1`, `claim "aud" is missing`},
		{"pushd", `"aud":[]`, `claim "aud": it does not name "pushd"`},
		{"pushd", `"aud":"Pushd"`, `claim "aud": it does not name "pushd"`},
		{"pushd", `"aud":"pushd2"`, `claim "aud": it does not name "pushd"`},
		{"pushd", `"aud":{"pushd":1}`, `claim "aud": it is neither a string nor an array of strings`},
		{"pushd", `"aud":null`, `claim "aud": it is neither a string nor an array of strings`},
		{"pushd", `"aud":["pushd",1]`, `claim "aud": element 1 is not a string`},
	} {
		k := s.key(t)
		k.Audience = tt.audience
		tok := s.token(`{"exp":1800000900,"channels":"a",` + tt.member + `}`)
		if tt.text != "" {
			refused(t, k, tok, "aud", tt.text)
		} else if _, err := k.Verify(tok, testTime, 0); err != nil {
			t.Errorf("audience %q, %s: Verify = %v", tt.audience, tt.member, err)
		}
	}
}

func TestAllows(t *testing.T) {
	for _, tt := range []struct {
		pattern  string
		yes, nos []string
	}{
		{"news", []string{"news"}, []string{"", "new", "news2", "News", "news*"}},
		{"room-*", []string{"room-", "room-1", "room-*"}, []string{"room", "Room-1", "xroom-1"}},
		{"*", []string{"", "a", "*"}, nil},
		{"**", []string{"*", "*a"}, []string{"a", ""}},
		{"a*b", []string{"a*b"}, []string{"axb", "ab"}},
		{"a*b*", []string{"a*b", "a*bc"}, []string{"axb", "a"}},
		{"grüß*", []string{"grüße"}, []string{"gr", "grus"}},
	} {
		c := Claims{Channels: []string{"never", tt.pattern}}
		for _, channel := range tt.yes {
			if !c.Allows([]byte(channel)) {
				t.Errorf("pattern %q: Allows(%q) = false", tt.pattern, channel)
			}
		}
		for _, channel := range tt.nos {
			if c.Allows([]byte(channel)) {
				t.Errorf("pattern %q: Allows(%q) = true", tt.pattern, channel)
			}
		}
	}
	if (Claims{}).Allows([]byte("a")) {
		t.Error("Claims without channels allow one")
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 59999 * time.Millisecond: "59 s", time.Minute: "1 m 0 s", 200 * time.Second: "3 m 20 s",
		time.Hour - 1: "59 m 59 s", 90 * time.Minute: "1 h 30 m", 49 * time.Hour: "2 d 1 h",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
}
