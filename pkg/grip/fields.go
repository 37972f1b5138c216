package grip

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Field is a header field.
type Field struct{ Name, Value string }

// hopByHop are the fields that concern one connection only: those of RFC 9110 7.6.1, and Trailer, because trailers are not
// passed on.
var hopByHop = map[string]bool{
	"Connection":        true,
	"Keep-Alive":        true,
	"Proxy-Connection":  true,
	"Te":                true,
	"Trailer":           true,
	"Transfer-Encoding": true,
	"Upgrade":           true,
}

// isOurs reports whether the field belongs to whoever writes the message: it is hop-by-hop or frames the body.
func isOurs(name string) bool {
	name = http.CanonicalHeaderKey(name)
	return hopByHop[name] || name == "Content-Length"
}

// isGrip reports whether the name begins with "Grip-", in upper or lower case.
func isGrip(name string) bool {
	return len(name) >= len("Grip-") && strings.EqualFold(name[:len("Grip-")], "Grip-")
}

// connectionOptions returns the canonical names that Connection lists.
func connectionOptions(h http.Header) map[string]bool {
	options := make(map[string]bool)
	for _, option := range elements(h, "Connection") {
		options[http.CanonicalHeaderKey(option)] = true
	}
	return options
}

// RemoveHopByHop deletes the fields that concern only the connection on which h came (RFC 9110 7.6.1), among them those
// that Connection names.
func RemoveHopByHop(h http.Header) {
	options := connectionOptions(h)
	maps.DeleteFunc(h, func(name string, _ []string) bool { return hopByHop[name] || options[name] })
}

// ClientFields returns the fields of a backend's response that go to the client, sorted by name: all but those that are
// hop-by-hop and Content-Length, which is for whoever writes the body. h stays as it is.
func ClientFields(h http.Header) []Field {
	options := connectionOptions(h)
	var fields []Field
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if isOurs(name) || options[name] {
			continue
		}
		for _, value := range h[name] {
			fields = append(fields, Field{name, value})
		}
	}
	return fields
}

// Merge returns the fields of the response that an item makes of a response hold: those of the hold, and in place of those
// with the same name the item's. Of the item's, what is GRIP, hop-by-hop or framing is left out, and when expose is not nil
// what it does not name. hold and item stay as they are.
func Merge(hold, item []Field, expose []string) []Field {
	added := slices.DeleteFunc(slices.Clone(item), func(f Field) bool { return isOurs(f.Name) || isGrip(f.Name) })
	added = exposed(added, expose)
	replaced := make(map[string]bool, len(added))
	for _, f := range added {
		replaced[http.CanonicalHeaderKey(f.Name)] = true
	}
	kept := slices.DeleteFunc(slices.Clone(hold), func(f Field) bool { return replaced[http.CanonicalHeaderKey(f.Name)] })
	return append(kept, added...)
}

func withoutGrip(fields []Field) []Field {
	return slices.DeleteFunc(fields, func(f Field) bool { return isGrip(f.Name) })
}

// exposed returns the fields that the sorted names of expose name, or all when it is nil. It changes fields.
func exposed(fields []Field, expose []string) []Field {
	if expose == nil {
		return fields
	}
	return slices.DeleteFunc(fields, func(f Field) bool {
		_, found := slices.BinarySearch(expose, http.CanonicalHeaderKey(f.Name))
		return !found
	})
}
