package grip

import (
	"net/http"
	"slices"
	"strings"
)

// simpleFields need not be exposed to scripts: they are without (Fetch, 4.9: CORS-safelisted
// response-header name).
var simpleFields = map[string]bool{
	"Cache-Control":    true,
	"Content-Language": true,
	"Content-Length":   true,
	"Content-Type":     true,
	"Expires":          true,
	"Last-Modified":    true,
	"Pragma":           true,
}

const exposeHeaders = "Access-Control-Expose-Headers"

// Exposable lists the names that a script sees only when they are exposed.
func Exposable(fields []Field) string {
	var names []string
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		name := http.CanonicalHeaderKey(f.Name)
		if seen[name] || simpleFields[name] || isGrip(name) || strings.HasPrefix(name, "Access-Control-") {
			continue
		}
		seen[name] = true
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// ExposeAgain makes the list of exposed names anew, which an item has made incomplete, and keeps
// VaryOrigin's field, which it may have replaced. It changes fields.
func ExposeAgain(fields []Field) []Field {
	names := Exposable(fields)
	fields = slices.DeleteFunc(fields, func(f Field) bool { return strings.EqualFold(f.Name, exposeHeaders) })
	if names != "" {
		fields = append(fields, Field{exposeHeaders, names})
	}
	return VaryOrigin(fields)
}

// VaryOrigin tells caches that the response depends on the request's Origin (Fetch, 3.3.5: CORS
// protocol and HTTP caches), unless a field says so already.
func VaryOrigin(fields []Field) []Field {
	for _, f := range fields {
		if !strings.EqualFold(f.Name, "Vary") {
			continue
		}
		for name := range strings.SplitSeq(f.Value, ",") {
			if name = trim(name); name == "*" || strings.EqualFold(name, "Origin") {
				return fields
			}
		}
	}
	return append(fields, Field{"Vary", "Origin"})
}
