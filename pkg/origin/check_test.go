package origin

import (
	"strings"
	"testing"
)

func mustParse(t testing.TB, values ...string) *Rules {
	t.Helper()
	r, err := Parse(values)
	if err != nil {
		t.Fatalf("Parse(%q) = %v", values, err)
	}
	return r
}

func (k Kind) String() string { return [...]string{"Refused", "Any", "Same", "Listed", "NoPage"}[k] }

func TestSameHost(t *testing.T) {
	r := mustParse(t)
	for _, tt := range []struct {
		origin, host string
		want         Kind
	}{
		{"https://a.com", "a.com", Same},
		{"https://a.com", "a.com:443", Same},
		{"https://a.com:443", "a.com", Same},
		{"http://a.com", "a.com", Same},
		{"http://a.com", "a.com:80", Same},
		{"http://a.com:8080", "a.com:8080", Same},
		{"https://a.com:8080", "a.com:8080", Same},
		{"HTTPS://A.com", "a.COM", Same},
		{"http://192.0.2.1", "192.0.2.1", Same},
		{"http://[2001:db8::1]:81", "[2001:DB8::1]:81", Same},
		{"https://a.com.", "a.com.", Same},

		{"https://a.com", "a.com:80", Refused},
		{"http://a.com", "a.com:443", Refused},
		{"http://a.com:443", "a.com", Refused},
		{"http://a.com:8080", "a.com", Refused},
		{"http://a.com", "a.com:8080", Refused},
		{"http://a.com:8080", "a.com:80", Refused},
		{"https://a.com", "a.com:0443", Refused},
		{"https://a.com", "a.com:", Refused},
		{"https://a.com.", "a.com", Refused},
		{"https://a.com", "a.com.", Refused},
		{"https://b.a.com", "a.com", Refused},
		{"https://a.com", "b.a.com", Refused},
		{"https://a.com", "", Refused},
		{"https://a.com", "a.com@a.com", Refused},
		{"https://", "", Refused},
		{"https://:443", ":443", Refused},
		{"capacitor://a.com", "a.com", Refused},
		{"ws://a.com", "a.com", Refused},
		{"a.com", "a.com", Refused},
		{"//a.com", "a.com", Refused},
		{"null", "null", Refused},
		{"http://2130706433", "2130706433", Refused}, // browsers send neither of them so
		{"http://m\u00fcnchen.de", "m\u00fcnchen.de", Refused},
		{"http://[::1", "[::1", Refused},
	} {
		if got := r.Check([]byte(tt.origin), []byte(tt.host), false); got != (Verdict{Kind: tt.want}) {
			t.Errorf("Check(%q, %q) = %+v, want %v", tt.origin, tt.host, got, tt.want)
		}
	}
}

func TestLoopbackOrigins(t *testing.T) {
	r := mustParse(t, "https://a.com")
	host := []byte("127.0.0.1:7999")
	for origin, want := range map[string]Kind{
		"http://localhost":                Any,
		"http://localhost:3000":           Any,
		"https://LocalHost:3000":          Any,
		"http://app.localhost:3000":       Any,
		"http://a.b.localhost":            Any,
		"http://127.0.0.1":                Any,
		"http://127.0.0.1:3000":           Any,
		"https://127.255.255.254":         Any,
		"http://[::1]":                    Any,
		"http://[::1]:3000":               Any,
		"http://127.0.0.1:7999":           Same,
		"http://127.0.0.1.evil.org":       Refused,
		"http://localhost.evil.org":       Refused,
		"http://evil-localhost":           Refused,
		"http://evillocalhost":            Refused,
		"http://.localhost":               Refused,
		"http://a..localhost":             Refused,
		"http://localhost.":               Refused,
		"http://localhost:03000":          Refused,
		"http://localhost:":               Refused,
		"http://localhost@evil.org":       Refused,
		"http://evil.org@localhost":       Refused,
		"http://localhost/":               Refused,
		"http://localhost#evil.org":       Refused,
		"http://evil.org#.localhost":      Refused,
		"http://evil.org\\.localhost":     Refused,
		"http://evil.org%00.localhost":    Refused,
		"http://evil.org\x00.localhost":   Refused,
		"http://127.1":                    Refused,
		"http://127.0.1":                  Refused,
		"http://2130706433":               Refused,
		"http://0x7f000001":               Refused,
		"http://0x7f.0.0.1":               Refused,
		"http://0177.0.0.1":               Refused,
		"http://127.0.0.01":               Refused,
		"http://127.0.0.256":              Refused,
		"http://127.0.0.1.":               Refused,
		"http://127.0.0.1.1":              Refused,
		"http://127..0.1":                 Refused,
		"http://127.":                     Refused,
		"http://127.a.b.c":                Refused,
		"http://128.0.0.1":                Refused,
		"http://0.0.0.0":                  Refused,
		"http://1270.0.0.1":               Refused,
		"http://[::]":                     Refused,
		"http://[::2]":                    Refused,
		"http://[0:0:0:0:0:0:0:1]":        Refused,
		"http://[::0001]":                 Refused,
		"http://[::ffff:127.0.0.1]":       Refused,
		"http://[::ffff:7f00:1]":          Refused,
		"http://[::1%25lo]":               Refused,
		"http://[::1]x80":                 Refused,
		"http://[::1]80":                  Refused,
		"http://[::1]x":                   Refused,
		"http://[::1].evil.org":           Refused,
		"http://[::1]@evil.org":           Refused,
		"http://::1":                      Refused,
		"http://xn--localhost-5qh.com":    Refused,
		"http://loc\u0430lhost":           Refused,
		"http://\u24db\u24de\u24d2alhost": Refused,
		"ftp://localhost":                 Refused,
		"capacitor://localhost":           Refused,
		"file://localhost":                Refused,
		"null":                            Refused,

		// What no page can make a browser send passes as no Origin at all (Tsung, RFC 6454 6.2).
		"127.0.0.1":      NoPage,
		"127.0.0.1:7999": NoPage,
		"localhost":      NoPage,
		"localhost:3000": NoPage,
		"example.com":    NoPage,
		"evil.org:80":    NoPage,
		"[::1]":          NoPage,
		"[::1]:7999":     NoPage,

		// What a browser or a web view could send, or be led to, does not.
		"NULL":                 Refused,
		"Null":                 Refused,
		"":                     Refused,
		"file://":              Refused,
		"file:":                Refused,
		"about:blank":          Refused,
		"data:":                Refused,
		"//localhost":          Refused,
		"localhost/":           Refused,
		"localhost:":           Refused,
		"localhost:x":          Refused,
		"user@localhost":       Refused,
		"localhost,localhost":  Refused,
		"localhost localhost":  Refused,
		"local%68ost":          Refused,
		"::1":                  Refused,
		"http:/localhost":      Refused,
		"http:localhost":       Refused,
		"localhost\x00":        Refused,
		"m\u00fcnchen.de":      Refused,
		"127.0.0.256":          Refused,
		"localhost://evil.org": Refused,
	} {
		if got := r.Check([]byte(origin), host, true); got != (Verdict{Kind: want}) {
			t.Errorf("loopback listener: Check(%q) = %+v, want %v", origin, got, want)
		}
		if want == Any || want == NoPage {
			want = Refused
		}
		if got := r.Check([]byte(origin), host, false); got != (Verdict{Kind: want}) {
			t.Errorf("public listener: Check(%q) = %+v, want %v", origin, got, want)
		}
	}
}

func TestTricksAgainstTheList(t *testing.T) {
	r := mustParse(t, "https://other.org", "https://example.com", "http://[2001:db8::1]", "https://xn--mnchen-3ya.de", "capacitor://localhost")
	for origin, want := range map[string]Verdict{
		"https://example.com":                                    {Listed, 1},
		"https://example.com:443":                                {Listed, 1},
		"HTTPS://EXAMPLE.COM":                                    {Listed, 1},
		"http://[2001:db8::1]":                                   {Listed, 2},
		"http://[2001:DB8::1]:80":                                {Listed, 2},
		"https://xn--mnchen-3ya.de":                              {Listed, 3},
		"capacitor://localhost":                                  {Listed, 4},
		"":                                                       {},
		"null":                                                   {},
		"*":                                                      {},
		"https://":                                               {},
		"http://example.com":                                     {},
		"http://example.com:443":                                 {},
		"wss://example.com":                                      {},
		"example.com":                                            {},
		"//example.com":                                          {},
		"https:/example.com":                                     {},
		"https:example.com":                                      {},
		"https:///example.com":                                   {},
		"https://example.com.evil.org":                           {},
		"https://evilexample.com":                                {},
		"https://evil.org.example.com":                           {},
		"https://www.example.com":                                {},
		"https://example.co":                                     {},
		"https://example.comm":                                   {},
		"https://example.com.":                                   {},
		"https://.example.com":                                   {},
		"https://example.com@evil.org":                           {},
		"https://evil.org@example.com":                           {},
		"https://example.com:443@evil.org":                       {},
		"https://example.com/":                                   {},
		"https://example.com/.evil.org":                          {},
		"https://evil.org/example.com":                           {},
		"https://evil.org#example.com":                           {},
		"https://evil.org?example.com":                           {},
		"https://evil.org\\example.com":                          {},
		"https://example.com:0443":                               {},
		"https://example.com:+443":                               {},
		"https://example.com:":                                   {},
		"https://example.com:8443":                               {},
		"https://example.com:4430":                               {},
		"https://example.com:443:443":                            {},
		"https://example.com:65979":                              {}, // 443 in sixteen bits
		"https://example.com https://evil.org":                   {},
		"https://evil.org https://example.com":                   {},
		"https://example.com,https://evil.org":                   {},
		"https://example.com, https://example.com":               {},
		" https://example.com":                                   {},
		"https://example.com ":                                   {},
		"https://example.com\t":                                  {},
		"https://example.com\r\nX: y":                            {},
		"https://example.com\x00":                                {},
		"https://exam\x00ple.com":                                {},
		"https://example.com\x7f":                                {},
		"https://example.com\xff":                                {},
		"https://ex\u0430mple.com":                               {}, // Cyrillic a
		"https://example\u3002com":                               {}, // ideographic full stop
		"https://\u017fexample.com":                              {}, // folds to s
		"https://xn--mnchen-3ya.de.":                             {},
		"https://m\u00fcnchen.de":                                {},
		"https://xn--80ak6aa92e.com":                             {},
		"https://example%2ecom":                                  {},
		"http://[2001:db8:0::1]":                                 {},
		"http://[2001:db8::0001]":                                {},
		"http://2001:db8::1":                                     {},
		"capacitor://localhost:443":                              {},
		"ionic://localhost":                                      {},
		"https://example.com" + strings.Repeat("m", 10<<10):      {},
		"https://" + strings.Repeat("example.com.", 900) + "com": {},
		strings.Repeat("a", 10<<10) + "://example.com":           {},
	} {
		if got := r.Check([]byte(origin), []byte("push.example.net"), false); got != want {
			t.Errorf("Check(%.99q) = %+v, want %+v", origin, got, want)
		}
	}
	long := strings.Repeat("a.", 5<<10) + "com"
	if got := r.Check([]byte("https://"+long), []byte(long), true); got.Passes() {
		t.Errorf("Check of 10 KB with the same host = %+v", got)
	}
}

func TestMostSpecificRuleCounts(t *testing.T) {
	listed := mustParse(t, "http://localhost:7999")
	everyone, null := mustParse(t, "*"), mustParse(t, "https://a.com", "null")
	for _, tt := range []struct {
		rules        *Rules
		origin, host string
		loopback     bool
		want         Verdict
	}{
		{listed, "http://localhost:7999", "localhost:7999", true, Verdict{Kind: Listed}},
		{listed, "http://localhost:3000", "localhost:3000", true, Verdict{Kind: Same}},
		{listed, "http://localhost:3000", "localhost:7999", true, Verdict{Kind: Any}},
		{listed, "http://localhost:3000", "localhost:7999", false, Verdict{}},
		{everyone, "https://a.com", "a.com", false, Verdict{Kind: Same}},
		{everyone, "https://a.com", "b.com", false, Verdict{Kind: Any}},
		{everyone, "null", "b.com", false, Verdict{Kind: Any}},
		{everyone, "file://", "b.com", false, Verdict{Kind: Any}}, // as some web views send it
		{everyone, "127.0.0.1", "b.com", false, Verdict{Kind: Any}},
		{everyone, "127.0.0.1", "b.com", true, Verdict{Kind: NoPage}},
		{null, "127.0.0.1", "b.com", true, Verdict{Kind: NoPage}},
		{null, "127.0.0.1", "b.com", false, Verdict{}},
		{everyone, "", "b.com", false, Verdict{}},
		{everyone, "a b", "b.com", false, Verdict{}},
		{everyone, "https://a.com,https://b.com", "b.com", false, Verdict{}},
		{everyone, "a\r\nb", "b.com", false, Verdict{}},
		{everyone, strings.Repeat("a", 513), "b.com", false, Verdict{}},
		{null, "null", "b.com", false, Verdict{Kind: Any}},
		{null, "NULL", "b.com", false, Verdict{}},
		{null, "https://a.com", "b.com", false, Verdict{Kind: Listed}},
		{null, "://", "b.com", false, Verdict{}},
		{null, "file://", "b.com", false, Verdict{}},
	} {
		if got := tt.rules.Check([]byte(tt.origin), []byte(tt.host), tt.loopback); got != tt.want {
			t.Errorf("Check(%q, %q, %v) = %+v, want %+v", tt.origin, tt.host, tt.loopback, got, tt.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	for kind, want := range map[Kind][2]bool{Refused: {false, false}, Any: {true, false}, Same: {true, true}, Listed: {true, true}, NoPage: {true, true}} {
		v := Verdict{Kind: kind}
		if got := [2]bool{v.Passes(), v.Credentials()}; got != want {
			t.Errorf("%v: Passes, Credentials = %v, want %v", kind, got, want)
		}
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	r := mustParse(t, "https://a.com", "http://[2001:db8::1]:81", "null")
	host := []byte("push.example.com:8080")
	for _, value := range []string{"https://a.com", "http://[2001:db8::1]:81", "null", "http://push.example.com:8080",
		"http://127.0.0.1:3000", "https://evil.org", "https://example.com@evil.org", strings.Repeat("a", 9999)} {
		origin := []byte(value)
		if n := testing.AllocsPerRun(100, func() { r.Check(origin, host, true) }); n != 0 {
			t.Errorf("Check(%.40q) allocates %v times, want 0", value, n)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	values := make([]string, MaxOrigins)
	for i := range values {
		values[i] = "https://" + strings.Repeat("x", i%26+1) + ".example.com"
	}
	r := mustParse(b, values...)
	origin, host := []byte("https://evil.example.org"), []byte("push.example.com")
	b.ReportAllocs()
	for b.Loop() {
		r.Check(origin, host, true)
	}
}
