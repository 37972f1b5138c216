package http1

import (
	"net/url"
	"strings"
	"testing"
)

func TestPlainPath(t *testing.T) {
	for path, want := range map[string]string{
		"":                "",
		"/events":         "/events",
		"/%65vents":       "/events",
		"/%65%76ents%2D~": "/events-~",
		"/%7e%2e%2E%5f":   "/~.._",
		"/a%2fb%2F":       "/a%2fb%2F", // a slash in a segment is no slash between two
		"/%25%36%35":      "/%2565",    // once only
		"/%00%20%ff":      "/%00%20%ff",
		"/%":              "/%",
		"/%6":             "/%6",
		"/%6x%65":         "/%6xe",
		"/%%65":           "/%e",
		"/\xff%41":        "/\xffA",
	} {
		got := string(AppendPlainPath([]byte("before"), []byte(path)))
		if got != "before"+want {
			t.Errorf("AppendPlainPath(before, %q) = %q, want before%s", path, got, want)
		}
	}
}

// FuzzPlainPath checks that a path keeps its meaning.
func FuzzPlainPath(f *testing.F) {
	for _, path := range []string{"/%65vents", "/a%2f%25", "/%", "/%6", "/%%41"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		plain := string(AppendPlainPath(nil, []byte(path)))
		if len(plain) > len(path) || strings.Count(plain, "/") != strings.Count(path, "/") {
			t.Errorf("%q becomes %q", path, plain)
		}
		want, err := url.PathUnescape(path)
		got, err2 := url.PathUnescape(plain)
		if err == nil && (err2 != nil || got != want) {
			t.Errorf("%q becomes %q, which means %q, %v, not %q", path, plain, got, err2, want)
		}
	})
}

func TestAsksHead(t *testing.T) {
	for b, want := range map[string]bool{
		"HEAD / HTTP/1.1\r\n": true, "\r\n\nHEAD ": true, "HEAD": false, "HEADS ": false,
		"head / ": false, "GET / HTTP/1.1": false, "": false, "\r": false, "\x16HEAD ": false,
	} {
		if got := AsksHead([]byte(b)); got != want {
			t.Errorf("AsksHead(%q) = %v", b, got)
		}
	}
}
