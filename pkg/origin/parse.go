package origin

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// MaxOrigins is the number of values that Parse takes.
const MaxOrigins = 32

const (
	maxOriginBytes = 512 // of a field's value; a host name has at most 253
	maxQuotedBytes = 64  // of a bad value that an error shows
)

// Rules says which origins pass. It does not change, and any goroutine may use it at any time.
type Rules struct {
	any    bool     // "*" was given
	null   bool     // "null" was given
	listed []origin // as given; the zero value, which nothing equals, stands for null
}

// origin is a serialized origin (RFC 6454 6.2) in its parts, in lower case, without the scheme's default port.
type origin struct {
	scheme, host, port string
}

// Parse reads the values of --allow-origin: either one "*", or origins like https://example.com:8443, written as browsers
// write them apart from case and default ports, and "null" for pages that have none. Without values the default rules
// apply. An error names the value and what to write instead.
func Parse(allow []string) (*Rules, error) {
	if len(allow) > MaxOrigins {
		return nil, fmt.Errorf("%d origins, at most %d are allowed", len(allow), MaxOrigins)
	}
	r := &Rules{listed: make([]origin, len(allow))}
	for i, value := range allow {
		switch value {
		case "*":
			if len(allow) > 1 {
				return nil, errors.New(`origin "*" lets every page in: give it alone, or leave it out`)
			}
			return &Rules{any: true}, nil
		case "null":
			r.null = true
		default:
			o, err := parseValue(value)
			if err != nil {
				return nil, fmt.Errorf("origin %q: %w", cut(value), err)
			}
			r.listed[i] = o
		}
	}
	return r, nil
}

func parseValue(value string) (origin, error) {
	if err := checkValue(value); err != nil {
		return origin{}, err
	}
	lower := []byte(strings.ToLower(value))
	scheme, authority, _ := cutScheme(lower)
	name, port, ok := cutPort(authority)
	if !ok {
		return origin{}, errors.New("its port is not a number from 1 to 65535")
	}
	if isDefaultPort(scheme, port) {
		port = nil
	}
	o := origin{string(scheme), string(name), string(port)}
	if name[0] != '[' {
		if !validName(name) {
			return origin{}, errors.New("its host is neither a name nor an address as browsers write it")
		}
		return o, nil
	}
	// One IPv6 address has many spellings, browsers send the one of RFC 5952.
	addr, err := netip.ParseAddr(strings.Trim(o.host, "[]"))
	if err != nil || !addr.Is6() || addr.Is4In6() || addr.Zone() != "" {
		return origin{}, errors.New("its host is no IPv6 address as browsers write it")
	}
	o.host = "[" + addr.String() + "]"
	return o, nil
}

// checkValue finds the mistakes that have an advice of their own.
func checkValue(value string) error {
	scheme, authority, found := cutScheme([]byte(value))
	switch {
	case value == "":
		return errors.New("it is empty")
	case len(value) > maxOriginBytes:
		return fmt.Errorf("it is %d bytes long, at most %d are allowed", len(value), maxOriginBytes)
	case strings.ContainsFunc(value, func(c rune) bool { return c > 0x7f }):
		return errors.New("it is not ASCII: write an international name in its xn-- form")
	case strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c == 0x7f || c == ',' }):
		return errors.New("it has a space, a comma or a control character: repeat the flag for each origin")
	case strings.Contains(value, "*"):
		return errors.New("wildcards inside an origin are not served: name each origin, or let every page in with * alone")
	case !found:
		host := cut(strings.TrimLeft(value, "/"))
		return fmt.Errorf("it has no scheme: write https://%s or http://%s", host, host)
	case !validScheme(scheme):
		return errors.New("its scheme is invalid")
	case len(authority) == 0:
		return errors.New("it has no host")
	case strings.HasSuffix(value, "/") && strings.Count(value, "/") == 3:
		return fmt.Errorf("it ends with a slash: write %s", cut(strings.TrimSuffix(value, "/")))
	case strings.ContainsAny(string(authority), "/?#\\"):
		return errors.New("it has a path: an origin ends with its host or port")
	case strings.Contains(string(authority), "@"):
		return errors.New("it has user information: an origin is scheme://host or scheme://host:port")
	case authority[0] == ':':
		return errors.New("it has no host")
	}
	return nil
}

func cut(s string) string {
	if len(s) > maxQuotedBytes {
		return s[:maxQuotedBytes] + "..."
	}
	return s
}
