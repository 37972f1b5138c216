package origin

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

var fuzzOrigins = []string{
	"https://example.com", "http://example.com:8080", "https://xn--mnchen-3ya.de", "http://[2001:db8::1]", "http://192.0.2.1:81",
	"capacitor://localhost", "chrome-extension://abcdefgh",
}

// FuzzCheck compares what passes with what net/url makes of it.
func FuzzCheck(f *testing.F) {
	for _, value := range append([]string{
		"null", "http://localhost:3000", "http://a.localhost", "http://127.0.0.1", "http://[::1]:80", "https://example.com:443",
		"https://example.com@evil.org", "http://127.1", "127.0.0.1", "localhost:80", "http://localhost.evil.org", "https://example.com:0443",
	}, fuzzOrigins...) {
		f.Add([]byte(value), []byte("example.com"), true)
		f.Add([]byte(value), []byte("[::1]:80"), false)
	}
	r := mustParse(f, fuzzOrigins...)
	f.Fuzz(func(t *testing.T, value, host []byte, loopback bool) {
		v := r.Check(value, host, loopback)
		if !v.Passes() {
			return
		}
		if v.Kind == NoPage {
			u, err := url.Parse("//" + string(value))
			if err != nil || !loopback || u.Host != string(value) || u.Path != "" || u.User != nil {
				t.Fatalf("Check(%q, %v) = %+v, net/url finds %+v, %v", value, loopback, v, u, err)
			}
			return
		}
		u, err := url.Parse(string(value))
		if err != nil || u.User != nil || u.Path+u.RawQuery+u.Fragment+u.Opaque != "" {
			t.Fatalf("Check(%q) = %+v, net/url finds %+v, %v", value, v, u, err)
		}
		name, scheme := strings.ToLower(u.Hostname()), u.Scheme
		switch web := scheme == "http" || scheme == "https"; v.Kind {
		case Listed:
			if got := scheme + "://" + withoutDefault(u, u); got != fuzzOrigins[v.Index] {
				t.Errorf("Check(%q) = %+v, net/url finds %s", value, v, got)
			}
		case Same:
			h, err := url.Parse("//" + string(host))
			if err != nil || !web || h.Path != "" || withoutDefault(u, h) != withoutDefault(u, u) {
				t.Errorf("Check(%q, %q) = %+v, net/url finds %+v, %v", value, host, v, h, err)
			}
		case Any:
			addr, err := netip.ParseAddr(name)
			local := err == nil && addr.IsLoopback() || name == "localhost" || strings.HasSuffix(name, ".localhost")
			if !web || !loopback || !local {
				t.Errorf("Check(%q, %q, %v) = %+v", value, host, loopback, v)
			}
		}
	})
}

// withoutDefault returns host and port of u in lower case, without the default port of the scheme of o.
func withoutDefault(o, u *url.URL) string {
	def := map[string]string{"http": ":80", "https": ":443"}[o.Scheme]
	return strings.TrimSuffix(strings.ToLower(u.Host), def)
}

// FuzzParse checks that a value that is taken lets its own origin pass, and those of nobody else who asks.
func FuzzParse(f *testing.F) {
	for _, value := range append([]string{"*", "null", "HTTP://A:80", "https://a.com/", "http://[::0001]:443", "http://1.2.3"}, fuzzOrigins...) {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r, err := Parse([]string{value})
		if err != nil {
			if text := err.Error(); len(text) > 1024 || strings.ContainsAny(text, "\r\n\x00") {
				t.Errorf("Parse(%q) = %q", value, text)
			}
			return
		}
		if r.any || r.null {
			return
		}
		o := r.listed[0]
		sent := o.scheme + "://" + o.host
		if o.port != "" {
			sent += ":" + o.port
		}
		if got := r.Check([]byte(sent), nil, false); got != (Verdict{Kind: Listed}) {
			t.Errorf("Parse(%q).Check(%q) = %+v", value, sent, got)
		}
		if again, err := Parse([]string{sent}); err != nil || again.listed[0] != o {
			t.Errorf("Parse(%q) is %+v, and Parse(%q) %+v, %v", value, r, sent, again, err)
		}
		for _, other := range []string{sent + ".evil.org", "x" + sent, sent + "/", sent + ":1", strings.Replace(sent, "://", "://x.", 1)} {
			if got := r.Check([]byte(other), nil, false); got.Kind == Listed {
				t.Errorf("Parse(%q).Check(%q) = %+v", value, other, got)
			}
		}
	})
}
