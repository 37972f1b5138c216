package grip

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// headerOf makes a header of "Name: value" lines that may have any bytes.
func headerOf(text string) http.Header {
	h := http.Header{}
	for line := range strings.SplitSeq(text, "\x1e") {
		name, value, _ := strings.Cut(line, ":")
		h.Add(name, strings.TrimSpace(value))
	}
	return h
}

func FuzzParseHeader(f *testing.F) {
	for _, seed := range []string{
		"Grip-Hold: stream\x1eGrip-Channel: a; prev-id=\"5\"; filter=skip-self, b\x1eGrip-Keep-Alive: :\\n\\n; format=cstring; timeout=55",
		"Grip-Hold: response\x1eGrip-Timeout: 30\x1eGrip-Status: 404 Gone\x1eGrip-Set-Meta: user=al, b=\"c,d\"\x1eX-A: 1",
		"Grip-Expose-Headers: x-a\x1eX-A: 1\x1eX-B: 2\x1eConnection: x-a\x1eContent-Encoding: gzip",
		"Grip-Keep-Alive: fg==; format=base64; mode=interval\x1eGrip-Link: </n>; rel=next; timeout=5, </g>; rel=gone",
		"Grip-Status: 200 a\r\nb\x1eGrip-Set-Meta: a=\x00",
	} {
		f.Add(200, "OK", seed)
	}
	f.Fuzz(func(t *testing.T, status int, reason, text string) {
		h := headerOf(text)
		in, err := ParseHeader(status, reason, h)
		checkInstruct(t, in, err)
		if err == nil {
			for _, field := range in.Response.Fields {
				if !slices.Contains(h[field.Name], field.Value) {
					t.Errorf("%q comes from nowhere", field)
				}
			}
		}
	})
}

func FuzzParseBody(f *testing.F) {
	for _, seed := range []string{
		`{"hold":{"mode":"stream","channels":[{"name":"a","prev-id":"1","filters":["skip-self"]}],"timeout":"30","keep-alive":{"content":"\n","timeout":20},"meta":{"user":"al"}}}`,
		`{"response":{"code":404,"reason":"No","headers":[["A","b"]],"body-bin":"AA=="}}`,
		`{"response":{"headers":{"A":"b","A":"c"},"body":"x"},"hold":null}`,
		`{"hold":{"channels":[null]}}`, `{"response":{"headers":{"a":[}}}}`, `[1]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		in, err := parseJSON(t, string(body))
		if err == nil && !json.Valid(body) {
			t.Errorf("%q is accepted", body)
		}
		checkInstruct(t, in, err)
	})
}

// checkInstruct checks that nothing came through that breaks a head, a bound or the log.
func checkInstruct(t *testing.T, in *Instruct, err error) {
	t.Helper()
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("error of type %T", err)
		}
		if !utf8.ValidString(e.Text) || strings.ContainsFunc(e.Text, unicode.IsControl) || len(e.Error()) > 1024 {
			t.Errorf("error %q", e)
		}
		return
	}
	head := []string{in.Response.Reason}
	for _, f := range in.Response.Fields {
		head = append(head, f.Name, f.Value)
		if isGrip(f.Name) || isOurs(f.Name) || f.Name == "" || strings.ContainsAny(f.Name, ": ") {
			t.Errorf("field %q", f)
		}
	}
	seen := map[string]bool{}
	for _, c := range in.Channels {
		if seen[c.Name] || c.Name == "" || len(c.Name) > MaxChannelBytes || len(c.PrevID) > MaxIDBytes {
			t.Errorf("channel %+v", c)
		}
		seen[c.Name] = true
		head = append(head, c.Name, c.PrevID, LastID{c.Name, c.PrevID}.String())
	}
	n := 0
	for name, value := range in.Meta {
		head = append(head, name, value)
		n += len(name) + len(value)
	}
	head = append(head, in.NotServed())
	if i := slices.IndexFunc(head, func(s string) bool { return strings.ContainsAny(s, "\r\n\x00") }); i >= 0 {
		t.Errorf("%q contains CR, LF or NUL", head[i])
	}
	if n > MaxMetaBytes || len(in.Response.Reason) > MaxReasonBytes || len(in.KeepAlive.Data) > MaxKeepAliveBytes ||
		in.Response.Status < 200 || in.Response.Status > 599 || in.Timeout < 5*time.Second || in.Timeout > MaxTimeout {
		t.Errorf("a bound is broken: %+v", in)
	}
	if len(in.KeepAlive.Data) > 0 && (in.KeepAlive.Interval < time.Second || in.KeepAlive.Interval > MaxTimeout) {
		t.Errorf("keep-alive %+v", in.KeepAlive)
	}
}

// FuzzParams checks that a list is taken apart without losing a byte other than white space, and that what quoteParam
// writes is read back.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{"a; b=c, d", `a="1,2\"", b`, `"\`, `a; x="y" z; w`, ",,", "a=;=b;"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		strip := func(s string) string {
			return strings.Map(func(r rune) rune {
				if strings.ContainsRune(white, r) {
					return -1
				}
				return r
			}, s)
		}
		list := splitList(s)
		if got, want := strip(strings.Join(list, ",")), strip(s); got != want && got+"," != want {
			t.Errorf("splitList(%q) = %q", s, list)
		}
		total := 0
		for _, element := range list {
			if value, params, ok := parseValue(element); ok {
				total += len(value)
				for _, p := range params {
					total += len(p.name) + len(p.value)
				}
			}
		}
		if total > len(s) {
			t.Errorf("%q: %d bytes become %d", s, len(s), total)
		}
		if !utf8.ValidString(s) {
			return
		}
		value, params, ok := parseValue("c; last-id=" + quoteParam(s))
		if got, _ := find(params, "last-id"); !ok || value != "c" || len(params) != 1 || got != s {
			t.Errorf("quoteParam(%q) = %s is read as %q", s, quoteParam(s), got)
		}
	})
}

func FuzzUnescape(f *testing.F) {
	for _, seed := range []string{`:\n\n`, `\x3b`, `\x`, `\xg0`, `\`, `\\\r\q`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if b, ok := unescape(s); len(b) > len(s) || !ok && b != nil || ok && !strings.Contains(s, `\`) && string(b) != s {
			t.Errorf("unescape(%q) = %q, %v", s, b, ok)
		}
		const digits = "0123456789abcdef"
		var coded strings.Builder
		for i := range len(s) {
			coded.WriteString(`\x` + digits[s[i]>>4:][:1] + digits[s[i]&15:][:1])
		}
		if b, ok := unescape(coded.String()); !ok || string(b) != s {
			t.Errorf("unescape(%q) = %q, %v, want %q", coded.String(), b, ok, s)
		}
	})
}

// FuzzRewrite checks that a client speaks in nobody else's name, whatever it sends.
func FuzzRewrite(f *testing.F) {
	for _, seed := range []string{
		"Grip-Sig: x\x1egrip_last: y\x1eConnection: Grip-Feature, X-Route", "X_Route: 1\x1eX-Forwarded-For: a,b\x1ex_forwarded-for: c",
		"CDN-Loop: \",\x1eExpect: 100-continue",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h := headerOf(text)
		r := Rewrite{GRIP: true, Sig: "jwt", Route: []Field{{"X-Route", "r"}}, For: ForwardedFor{truncate: true, add: true},
			Peer: netip.MustParseAddr("10.0.0.9"), Proto: ForwardedProto{Accept: true}, CDNLoop: "me"}
		r.Apply(h)
		for name, values := range h {
			want := ""
			switch strings.ToLower(strings.ReplaceAll(name, "_", "-")) {
			case "grip-sig":
				want = "jwt"
			case "grip-feature":
				want = Feature
			case "x-route":
				want = "r"
			case "x-forwarded-for":
				want = "10.0.0.9"
			case "connection", "upgrade", "te", "transfer-encoding", "expect", "accept-encoding", "grip-last", "x-forwarded-proto":
				want = "nothing"
			default:
				continue
			}
			if len(values) != 1 || values[0] != want || strings.Contains(name, "_") {
				t.Errorf("%q becomes %q: %q", text, name, values)
			}
		}
	})
}

func FuzzForwardedFor(f *testing.F) {
	f.Add("truncate:1,append", "a, b")
	f.Add("append", "")
	f.Fuzz(func(t *testing.T, rule, value string) {
		r, err := ParseForwardedFor(rule)
		if err != nil {
			if !utf8.ValidString(err.Error()) || len(err.Error()) > 512 {
				t.Errorf("error %q", err)
			}
			return
		}
		h := http.Header{"X-Forwarded-For": {value}}
		r.apply(h, netip.MustParseAddr("10.0.0.9"))
		got := h.Get("X-Forwarded-For")
		if r.add && !strings.HasSuffix(got, "10.0.0.9") || !r.add && !r.truncate && got != value {
			t.Errorf("rule %q makes %q of %q", rule, got, value)
		}
		if n := len(splitList(got)); r.truncate && n > r.keep+1 {
			t.Errorf("rule %q leaves %d addresses of %q", rule, n, value)
		}
	})
}

// FuzzVerify alters tokens: none is good but those that were signed, byte for byte.
func FuzzVerify(f *testing.F) {
	k := must(ParseUpstreamKey(secret, nil))
	good := must(must(ParseSigKey(secret, nil)).Sign("pushpin", testTime.Add(time.Hour)))
	f.Add(good, uint16(0))
	f.Add("\n", uint16(40))
	f.Add("=", uint16(200))
	f.Add(hs256(`{"alg":"HS256"}`, `{"exp":1}`), uint16(0))
	f.Fuzz(func(t *testing.T, text string, at uint16) {
		n := int(at) % (len(good) + 1)
		for _, tok := range []string{text, good[:n] + text + good[n:], good[:n] + text} {
			if err := k.Verify(tok, testTime); (err == nil) != (tok == good) {
				t.Errorf("Verify(%q) = %v", tok, err)
			}
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{"changeme", "base64:YQ==", "file:x", "file:", publicPEM(&ecKey().PublicKey), privatePEM(ecKey())} {
		f.Add(seed, "6162")
	}
	f.Fuzz(func(t *testing.T, spec, content string) {
		read := func(string) ([]byte, error) { return []byte(content), nil }
		if k, err := ParseSigKey(spec, read); err == nil {
			if tok, err := k.Sign("i", testTime); err != nil || strings.Count(tok, ".") != 2 {
				t.Errorf("key %q: Sign = %s, %v", spec, tok, err)
			}
		}
		if k, err := ParseUpstreamKey(spec, read); err == nil && k.Verify("a.b.c", testTime) == nil {
			t.Errorf("key %q: anything is good", spec)
		}
	})
}
