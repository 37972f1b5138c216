package proxy

import (
	"net/textproto"
	"strings"

	"holdfast/pkg/exchange"
	"holdfast/pkg/grip"
)

const allowedMethods = "OPTIONS, HEAD, GET, POST, PUT, DELETE"

// addCORS adds the fields of CORS that a response lacks, as Pushpin's auto_cross_origin does. It
// tells caches as well that they depend on the request's Origin.
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
	add("Access-Control-Expose-Headers", grip.Exposable(answered))
	add("Access-Control-Allow-Credentials", "true")
	add("Access-Control-Allow-Origin", or(first(request, "Origin"), "*"))
	add("Access-Control-Max-Age", "3600")
	if !has["Access-Control-Allow-Origin"] {
		fields = grip.VaryOrigin(fields)
	}
	return fields
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
