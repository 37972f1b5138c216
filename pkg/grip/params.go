package grip

import "strings"

// The syntax of GRIP headers is Pushpin's, which is laxer than RFC 9110 5.6: the part before the first semicolon is taken as
// it stands, quotes included, and what follows a closing quote up to the next semicolon is passed over.

// white is what surrounds a value without belonging to it.
const white = " \t\r\n\v\f"

func trim(s string) string { return strings.Trim(s, white) }

// splitList splits the value of a header at the commas outside double quotes, in which a backslash escapes. After a quote
// that does not end there are no more commas. An empty value has no elements, and nothing after its last comma is none.
func splitList(value string) []string {
	var list []string
	for start := 0; start < len(value); {
		end := nextComma(value, start)
		list = append(list, trim(value[start:end]))
		start = end + 1
	}
	return list
}

// nextComma returns the place of the first comma from start on that is outside quotes, or the length of s.
func nextComma(s string, start int) int {
	quoted := false
	for i := start; i < len(s); i++ {
		switch s[i] {
		case '"':
			quoted = !quoted
		case '\\':
			if quoted {
				i++
			}
		case ',':
			if !quoted {
				return i
			}
		}
	}
	return len(s)
}

type param struct{ name, value string }

// parseValue reads "value; name=value; name". It reports false when a quote does not end.
func parseValue(s string) (value string, params []param, ok bool) {
	value, rest, _ := strings.Cut(s, ";")
	params, ok = parseParams(rest)
	return trim(value), params, ok
}

// parseParams reads "name=value; name". It reports false when a quote does not end.
func parseParams(s string) (params []param, ok bool) {
	for s != "" {
		var p param
		i := strings.IndexAny(s, "=;")
		switch {
		case i < 0:
			p.name, s = trim(s), ""
		case s[i] == ';':
			p.name, s = trim(s[:i]), s[i+1:]
		default:
			p.name = trim(s[:i])
			if p.value, s, ok = paramValue(s[i+1:]); !ok {
				return nil, false
			}
		}
		params = append(params, p)
	}
	return params, true
}

// paramValue reads what stands behind "=" and returns what follows the next semicolon.
func paramValue(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		value, rest, _ = strings.Cut(s, ";")
		return trim(value), rest, true
	}
	value, s, ok = unquote(s[1:])
	_, rest, _ = strings.Cut(s, ";")
	return value, rest, ok
}

// unquote reads up to the closing quote and returns what follows it.
func unquote(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] != '\\':
			b.WriteByte(s[i])
		case i+1 < len(s):
			i++
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

// find returns the value of the first parameter called name, in upper or lower case.
func find(params []param, name string) (value string, ok bool) {
	for _, p := range params {
		if strings.EqualFold(p.name, name) {
			return p.value, true
		}
	}
	return "", false
}
