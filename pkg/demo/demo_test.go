package demo

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The hashes were made by `printf TEXT | openssl dgst -sha256 -binary | base64`.
func TestPolicyNamesStyleAndScriptByHash(t *testing.T) {
	got := policy([]byte("<style>p{}</style>\n<script>\nf()\n</script>"))
	for _, want := range []string{
		"default-src 'none'",
		"style-src 'sha256-gG2yISYereRMiG2lMXrbiUgi0Ubw9p7QCeWcroOvy9Y='",
		"script-src 'sha256-GpfXNSGA7AfjRV6DlBPnw1DCHfleUrLBhn1GCDoot4A='",
		"connect-src 'self' ws: wss:",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
	} {
		if !slices.Contains(strings.Split(got, "; "), want) {
			t.Errorf("policy = %q, want it to contain %q", got, want)
		}
	}
}

func TestPolicyRefusesAPageItCannotDescribe(t *testing.T) {
	for _, page := range []string{
		"",
		"<style></style>",
		"<style></style><script>",
		"<style></style><script></script><script></script>",
		"<style></style><script></script><script src=x></script>",
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("policy(%q) does not panic", page)
				}
			}()
			policy([]byte(page))
		}()
	}
}

// A browser refuses all of these under Policy, but without a test only a person would see it.
func TestPageKeepsToItsPolicy(t *testing.T) {
	for what, pattern := range map[string]string{
		"a style attribute":           `<[^>]*\sstyle\s*=`,
		"an inline handler":           `<[^>]*\son[a-z]+\s*=`,
		"a reference to elsewhere":    `(?i)(https?:)?//[a-z0-9-]+\.[a-z]`,
		"something to load":           `(?i)<(link|img|iframe|object|embed|audio|video|base)\b|\ssrc\s*=|@import`,
		"a picture or a font":         `\burl\(`,
		"text that becomes markup":    `innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc`,
		"text that becomes a script":  `\beval\(|new Function|javascript:`,
		"a line end that is not LF":   "\r",
		"what JSON or a bundler left": "sourceMappingURL",
	} {
		if found := regexp.MustCompile(pattern).Find(page); found != nil {
			t.Errorf("the page has %s: %q", what, found)
		}
	}
	if !bytes.HasPrefix(page, []byte("<!doctype html>\n")) {
		t.Errorf("the page begins with %q", page[:20])
	}
}

// Every field has a label, and every id that the script asks for is there once.
func TestPageNamesWhatItUses(t *testing.T) {
	count := func(s string) int { return bytes.Count(page, []byte(s)) }
	for _, m := range regexp.MustCompile(`<input id="([^"]+)"`).FindAllSubmatch(page, -1) {
		if n := count(`<label for="` + string(m[1]) + `">`); n != 1 {
			t.Errorf("field %s has %d labels, want 1", m[1], n)
		}
	}
	used := regexp.MustCompile(`\$\('([^']+)'\)|aria-labelledby="([^"]+)"`).FindAllSubmatch(page, -1)
	if len(used) < 10 {
		t.Fatalf("found %d uses of ids", len(used))
	}
	for _, m := range used {
		id := string(m[1]) + string(m[2])
		if n := count(`id="` + id + `"`); n != 1 {
			t.Errorf("id %s is there %d times, want once", id, n)
		}
	}
}
