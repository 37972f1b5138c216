package origin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestValuesAsBrowsersSendThem(t *testing.T) {
	for value, sent := range map[string]string{
		"https://example.com":           "https://example.com",
		"HTTPS://Example.COM":           "https://example.com",
		"https://example.com:443":       "https://example.com",
		"http://example.com:80":         "http://example.com",
		"http://example.com:443":        "http://example.com:443",
		"https://example.com:8443":      "https://example.com:8443",
		"https://example.com.":          "https://example.com.",
		"https://xn--mnchen-3ya.de":     "https://xn--mnchen-3ya.de",
		"http://192.0.2.1:8000":         "http://192.0.2.1:8000",
		"http://[2001:DB8::1]:8000":     "http://[2001:db8::1]:8000",
		"http://[2001:0db8:0:0:0::1]":   "http://[2001:db8::1]",
		"https://a.0xyz":                "https://a.0xyz",
		"capacitor://localhost":         "capacitor://localhost",
		"chrome-extension://abcdefghij": "chrome-extension://abcdefghij",
		"app+x.1://my_host-1:65535":     "app+x.1://my_host-1:65535",
	} {
		r, err := Parse([]string{"https://first.example", value})
		if err != nil {
			t.Errorf("Parse(%q) = %v", value, err)
			continue
		}
		if got, want := r.Check([]byte(sent), nil, false), (Verdict{Listed, 1}); got != want {
			t.Errorf("Parse(%q).Check(%q) = %+v, want %+v", value, sent, got, want)
		}
	}
}

func TestRefusedValues(t *testing.T) {
	const (
		name  = ": its host is neither a name nor an address as browsers write it"
		ipv6  = ": its host is no IPv6 address as browsers write it"
		port  = ": its port is not a number from 1 to 65535"
		path  = ": it has a path: an origin ends with its host or port"
		user  = ": it has user information: an origin is scheme://host or scheme://host:port"
		space = ": it has a space, a comma or a control character: repeat the flag for each origin"
		wild  = ": wildcards inside an origin are not served: name each origin, or let every page in with * alone"
		ascii = ": it is not ASCII: write an international name in its xn-- form"
	)
	for value, want := range map[string]string{
		"":                              ": it is empty",
		"https://example.com/":          ": it ends with a slash: write https://example.com",
		"https://example.com/app":       path,
		"https://example.com/app/":      path,
		"https://example.com//":         path,
		"https://example.com?x":         path,
		"https://example.com#x":         path,
		"https://example.com\\x":        path,
		"example.com":                   ": it has no scheme: write https://example.com or http://example.com",
		"//example.com":                 ": it has no scheme: write https://example.com or http://example.com",
		"localhost:3000":                ": it has no scheme: write https://localhost:3000 or http://localhost:3000",
		"NULL":                          ": it has no scheme: write https://NULL or http://NULL",
		"://example.com":                ": its scheme is invalid",
		"1http://example.com":           ": its scheme is invalid",
		"https://":                      ": it has no host",
		"file://":                       ": it has no host",
		"https://:443":                  ": it has no host",
		"https://user@example.com":      user,
		"https://user:pw@example.com":   user,
		"https://*.example.com":         wild,
		"https://*":                     wild,
		"*.example.com":                 wild,
		"https://a.com https://b.com":   space,
		"https://a.com,https://b.com":   space,
		"https://a.com\n":               space,
		"https://a.com\x7f":             space,
		" https://a.com":                space,
		"https://münchen.de":            ascii,
		"https://ex\u0430mple.com":      ascii,
		"https://a.com\xff":             ascii,
		"https://a.com:":                port,
		"https://a.com:0":               port,
		"https://a.com:0443":            port,
		"https://a.com:65536":           port,
		"https://a.com:99999999999999":  port,
		"https://a.com:x":               port,
		"https://a.com:-1":              port,
		"https://a.com:80:80":           port,
		"https://[::1]x":                port,
		"https://[::1":                  port,
		"https://a..com":                name,
		"https://.a.com":                name,
		"https://a.com..":               name,
		"https://a%2ecom":               name,
		"https://a.com;x":               name,
		"https://a]":                    name,
		"http://127.1":                  name,
		"http://2130706433":             name,
		"http://0x7f.0.0.1":             name,
		"http://0x7f000001":             name,
		"http://0x":                     name,
		"http://0177.0.0.1":             name,
		"http://256.0.0.1":              name,
		"http://1.2.3.4.5":              name,
		"http://1.2.3.4.":               name,
		"http://a.1":                    name,
		"https://" + label(64) + ".com": name,
		"https://" + longName(255):      name,
		"http://[]":                     ipv6,
		"http://[::1%25eth0]":           ipv6,
		"http://[::ffff:127.0.0.1]":     ipv6,
		"http://[127.0.0.1]":            ipv6,
		"http://[1:2:3]":                ipv6,
		"http://[v1.x]":                 ipv6,
		"https://" + longName(600):      ": it is 608 bytes long, at most 512 are allowed",
	} {
		_, err := Parse([]string{value})
		if want := fmt.Sprintf("origin %q", cut(value)) + want; err == nil || err.Error() != want {
			t.Errorf("Parse(%q) = %v, want %s", value, err, want)
		}
	}
}

func label(n int) string { return strings.Repeat("a", n) }

func longName(n int) string { return strings.Repeat("a.", n/2) + strings.Repeat("a", n%2) }

func TestListsOfValues(t *testing.T) {
	for _, tt := range []struct {
		values []string
		text   string
	}{
		{nil, ""},
		{[]string{"*"}, ""},
		{[]string{"null"}, ""},
		{[]string{"null", "https://a.com", "https://a.com"}, ""},
		{slices.Repeat([]string{"https://a.com"}, MaxOrigins), ""},
		{slices.Repeat([]string{"https://a.com"}, MaxOrigins+1), "33 origins, at most 32 are allowed"},
		{[]string{"*", "https://a.com"}, `origin "*" lets every page in: give it alone, or leave it out`},
		{[]string{"https://a.com", "*"}, `origin "*" lets every page in: give it alone, or leave it out`},
		{[]string{"null", "*"}, `origin "*" lets every page in: give it alone, or leave it out`},
		{[]string{"https://a.com", ""}, `origin "": it is empty`},
	} {
		r, err := Parse(tt.values)
		if text := fmt.Sprint(err); text != tt.text && (err != nil || tt.text != "") {
			t.Errorf("Parse(%q) = %v, want %q", tt.values, err, tt.text)
		}
		if (r == nil) != (tt.text != "") {
			t.Errorf("Parse(%q) = %v", tt.values, r)
		}
	}
}

func TestListShowsNormalisedOrigins(t *testing.T) {
	for _, tt := range []struct{ values, want []string }{
		{nil, []string{}},
		{[]string{"*"}, []string{"*"}},
		{[]string{"HTTPS://A.com:443", "null", "http://[0::1]:81"}, []string{"https://a.com", "null", "http://[::1]:81"}},
	} {
		if got := mustParse(t, tt.values...).List(); !slices.Equal(got, tt.want) {
			t.Errorf("Parse(%q).List() = %q, want %q", tt.values, got, tt.want)
		}
	}
	if got := (*Rules)(nil).List(); got != nil {
		t.Errorf("List of no Rules = %q", got)
	}
}
