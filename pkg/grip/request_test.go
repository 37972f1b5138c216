package grip

import (
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func TestRewrite(t *testing.T) {
	peer := netip.MustParseAddr("::ffff:10.0.0.9")
	rule := func(s string) ForwardedFor {
		r, err := ParseForwardedFor(s)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	const feature = "|Grip-Feature: " + Feature
	for _, tt := range []struct {
		name     string
		r        Rewrite
		in, want string
	}{
		{"the example of the reference", Rewrite{GRIP: true, Sig: "jwt"},
			"X-Foo: bar|User-Agent: u|X-Forwarded-For: 9.9.9.9|Grip-Foo: 1",
			"X-Foo: bar|User-Agent: u|X-Forwarded-For: 9.9.9.9|Grip-Sig: jwt" + feature},
		{"no GRIP on the route", Rewrite{Sig: "jwt", Last: []LastID{{"a", "1"}}},
			"Grip-Sig: forged|Accept-Encoding: gzip", "Accept-Encoding: gzip|User-Agent:"},
		{"no key", Rewrite{GRIP: true},
			"Grip-Sig: forged|Grip-Last: x|grip_last: y|Accept-Encoding: gzip|Content-Encoding: br", "Content-Encoding: br|User-Agent:" + feature},
		{"trusted", Rewrite{GRIP: true, Trusted: true, Sig: "jwt"},
			"Grip-Sig: theirs|Grip-Feature: x|Accept-Encoding: gzip", "Grip-Sig: theirs|Grip-Feature: x|Accept-Encoding: gzip|User-Agent:"},
		{"sent again", Rewrite{GRIP: true, Last: []LastID{{"t3", "5"}, {"b", `a;"\b`}, {"c", " x"}, {"d", ""}}},
			"Grip-Last: x", `Grip-Last: t3; last-id=5|Grip-Last: b; last-id="a;\"\\b"|Grip-Last: c; last-id=" x"|Grip-Last: d; last-id=""|User-Agent:` + feature},
		{"connection", Rewrite{},
			"Connection: X-A|X-A: 1|Keep-Alive: 5|TE: x|Trailer: x|Transfer-Encoding: chunked|Upgrade: x|Expect: 100-continue|X-B: 1", "X-B: 1|User-Agent:"},
		{"a client cannot take away what is added", Rewrite{GRIP: true, Sig: "jwt", Route: []Field{{"X-Env", "a, b"}}, For: rule("append"), Peer: peer},
			"Connection: X-Env, Grip-Sig, Grip-Feature, X-Forwarded-For|X-Forwarded-For: 1.1.1.1",
			"X-Env: a, b|X-Forwarded-For: 10.0.0.9|Grip-Sig: jwt|User-Agent:" + feature},
		{"route headers", Rewrite{Route: []Field{{"x-env", "1"}, {"X-Gone", ""}, {"x-env", "2"}, {"Connection", "x"}}},
			"X-Env: 0|x_env: 9|X-Gone: 1|X-Gone: 2|X_Gone: 3|X_Other: 4", "X-Env: 2|X_Other: 4|User-Agent:"},
		{"Pushpin-Route stays", Rewrite{}, "Pushpin-Route: r", "Pushpin-Route: r|User-Agent:"},
		{"Pushpin-Route goes", Rewrite{DropRoute: true}, "Pushpin-Route: r", "User-Agent:"},
		{"CDN-Loop", Rewrite{CDNLoop: "me"}, `CDN-Loop: a; v="1,2" ,b|CDN-Loop: c`, `CDN-Loop: a; v="1,2", b, c, me|User-Agent:`},
		{"CDN-Loop with empty elements", Rewrite{CDNLoop: "me"}, "CDN-Loop: ,a, ,", "CDN-Loop: a, me|User-Agent:"},
		{"no CDN-Loop", Rewrite{}, "CDN-Loop: a ,b", "CDN-Loop: a ,b|User-Agent:"},

		{"proto untouched", Rewrite{Secure: true}, "X-Forwarded-Proto: x|X-Forwarded-Protocol: y|X_Forwarded_Proto: z",
			"X-Forwarded-Proto: x|X-Forwarded-Protocol: y|X_Forwarded_Proto: z|User-Agent:"},
		{"proto accepted", Rewrite{Proto: ParseForwardedProto("", true), Secure: true}, "X-Forwarded-Proto: x|X-Forwarded-Protocol: y|X_Forwarded_Proto: z", "User-Agent:"},
		{"proto-only", Rewrite{Proto: ParseForwardedProto("proto-only", false), Secure: true}, "X-Forwarded-Protocol: y", "X-Forwarded-Proto: https|User-Agent:"},
		{"proto true", Rewrite{Proto: ParseForwardedProto("true", true), Secure: true}, "", "X-Forwarded-Proto: https|X-Forwarded-Protocol: https|User-Agent:"},
		{"proto of plain HTTP", Rewrite{Proto: ParseForwardedProto("true", false)}, "X-Forwarded-Proto: https", "User-Agent:"},
		{"proto off", Rewrite{Proto: ParseForwardedProto("false", false), Secure: true}, "X-Forwarded-Proto: x", "X-Forwarded-Proto: x|User-Agent:"},

		{"for: no rule", Rewrite{Peer: peer}, "X-Forwarded-For: a ,b|X-Forwarded-For: c", "X-Forwarded-For: a ,b|X-Forwarded-For: c|User-Agent:"},
		{"for: append", Rewrite{For: rule("append"), Peer: peer}, "X-Forwarded-For: a ,b|X-Forwarded-For: c|X_Forwarded_For: d", "X-Forwarded-For: a, b, c, 10.0.0.9|User-Agent:"},
		{"for: append to nothing", Rewrite{For: rule("append"), Peer: netip.MustParseAddr("fe80::1%eth0")}, "", "X-Forwarded-For: fe80::1|User-Agent:"},
		{"for: truncate", Rewrite{For: rule("truncate:2"), Peer: peer}, "X-Forwarded-For: a ,b|X-Forwarded-For: c", "X-Forwarded-For: b, c|User-Agent:"},
		{"for: truncate to more than there is", Rewrite{For: rule("truncate:9"), Peer: peer}, "X-Forwarded-For: a", "X-Forwarded-For: a|User-Agent:"},
		{"for: replace", Rewrite{For: rule("truncate:0,append"), Peer: peer}, "X-Forwarded-For: a|X-Forwarded-For: c", "X-Forwarded-For: 10.0.0.9|User-Agent:"},
		{"for: drop", Rewrite{For: rule("truncate:0"), Peer: peer}, "X-Forwarded-For: a|X-Forwarded-For: c", "User-Agent:"},
		{"for: nobody known", Rewrite{For: rule("append")}, "X-Forwarded-For: a", "X-Forwarded-For: a|User-Agent:"},
	} {
		h := header(lines(tt.in)...)
		tt.r.Apply(h)
		if want := header(lines(tt.want)...); !reflect.DeepEqual(h, want) {
			t.Errorf("%s: Apply makes of %s\n got %q\nwant %q", tt.name, tt.in, h, want)
		}
	}
}

// Whoever sends the header must not find the client of net/http in it.
func TestNoUserAgentIsAdded(t *testing.T) {
	h := http.Header{}
	new(Rewrite).Apply(h)
	r := &http.Request{Method: "GET", Host: "a", URL: &url.URL{Scheme: "http", Host: "a", Path: "/"}, Header: h}
	var b strings.Builder
	if err := r.Write(&b); err != nil || b.String() != "GET / HTTP/1.1\r\nHost: a\r\n\r\n" {
		t.Errorf("net/http writes %q, %v", b.String(), err)
	}
}

func TestParseForwardedFor(t *testing.T) {
	for rule, want := range map[string]ForwardedFor{
		"":                     {},
		" append ":             {add: true},
		"truncate:0":           {truncate: true},
		"append, truncate:12,": {truncate: true, keep: 12, add: true},
	} {
		if got, err := ParseForwardedFor(rule); got != want || err != nil {
			t.Errorf("ParseForwardedFor(%q) = %+v, %v, want %+v", rule, got, err, want)
		}
	}
	for rule, text := range map[string]string{
		"prepend":             `rule for X-Forwarded-For: "prepend" is neither append nor truncate:N`,
		"truncate":            `rule for X-Forwarded-For: "truncate" is neither append nor truncate:N`,
		"append,truncate:-1":  `rule for X-Forwarded-For: "-1" is not the number of addresses that truncate keeps`,
		"truncate:":           `rule for X-Forwarded-For: "" is not the number of addresses that truncate keeps`,
		"truncate:9999999999": `rule for X-Forwarded-For: "9999999999" is not the number of addresses that truncate keeps`,
	} {
		if got, err := ParseForwardedFor(rule); err == nil || err.Error() != text || got != (ForwardedFor{}) {
			t.Errorf("ParseForwardedFor(%q) = %+v, %v, want %s", rule, got, err, text)
		}
	}
}

func TestForwardedSecure(t *testing.T) {
	for in, want := range map[string]bool{
		"": false, "X-Forwarded-Proto: https": true, "X-Forwarded-Proto: wss": true, "X-Forwarded-Proto: http": false,
		"X-Forwarded-Protocol: https": true, "X-Forwarded-Proto: http|X-Forwarded-Protocol: https": false,
	} {
		if got := ForwardedSecure(header(lines(in)...)); got != want {
			t.Errorf("ForwardedSecure(%s) = %v, want %v", in, got, want)
		}
	}
}

// BenchmarkFirstContact is what this package costs a proxied stream hold, with a signature already made in this second.
func BenchmarkFirstContact(b *testing.B) {
	request := header("X-Foo: bar", "User-Agent: u", "Accept: text/event-stream", "Accept-Encoding: gzip", "Cookie: a=b", "Connection: keep-alive")
	response := header("Content-Type: text/event-stream", "Grip-Hold: stream", "Grip-Channel: news", `Grip-Keep-Alive: :\n\n; format=cstring; timeout=55`, "Date: x")
	r := Rewrite{GRIP: true, Sig: "jwt", For: ForwardedFor{add: true}, Peer: netip.MustParseAddr("10.0.0.9")}
	b.ReportAllocs()
	for b.Loop() {
		r.Apply(request.Clone())
		if in, err := ParseHeader(200, "OK", response); err != nil || !IsInstruct(response) || in.NotServed() != "" {
			b.Fatal(err)
		}
	}
}
