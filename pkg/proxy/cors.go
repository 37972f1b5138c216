package proxy

import (
	"net/textproto"
	"strings"

	"holdfast/pkg/exchange"
)

// simpleFields need not be exposed to scripts, because they are without (Fetch 4.9 CORS-safelisted response-header name).
var simpleFields = map[string]bool{
	"Cache-Control":    true,
	"Content-Language": true,
	"Content-Length":   true,
	"Content-Type":     true,
	"Expires":          true,
	"Last-Modified":    true,
	"Pragma":           true,
}

const allowedMethods = "OPTIONS, HEAD, GET, POST, PUT, DELETE"

// addCORS adds the fields of CORS that a response lacks, as Pushpin's auto_cross_origin does.
func addCORS(fields []exchange.Field, request *exchange.Request) []exchange.Field {
	has := make(map[string]bool, len(fields))
	for _, f := range fields {
		has[textproto.CanonicalMIMEHeaderKey(f.Name)] = true
	}
	answered := fields
	add := func(name, value string) {
		if !has[name] && value != "" {
			fields = append(fields, exchange.Field{Name: name, Value: value})
		}
	}
	add("Access-Control-Allow-Methods", or(first(request, "Access-Control-Request-Method"), allowedMethods))
	add("Access-Control-Allow-Headers", strings.Join(all(request, "Access-Control-Request-Headers"), ", "))
	add("Access-Control-Expose-Headers", exposable(answered))
	add("Access-Control-Allow-Credentials", "true")
	add("Access-Control-Allow-Origin", or(first(request, "Origin"), "*"))
	add("Access-Control-Max-Age", "3600")
	return fields
}

// exposable lists the names that a script sees only when they are exposed.
func exposable(fields []exchange.Field) string {
	var names []string
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		name := textproto.CanonicalMIMEHeaderKey(f.Name)
		if seen[name] || simpleFields[name] || strings.HasPrefix(name, "Grip-") || strings.HasPrefix(name, "Access-Control-") {
			continue
		}
		seen[name] = true
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// all returns the values of the request's fields with the name.
func all(r *exchange.Request, name string) (values []string) {
	for _, f := range r.Fields {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// first returns the first of them, or "".
func first(r *exchange.Request, name string) string {
	for _, f := range r.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}
