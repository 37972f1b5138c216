package origin

// Kind says why a page passes, or that it does not.
type Kind uint8

// The kinds, the more specific one above. When several rules let a page pass, the most specific one counts.
const (
	// Refused: no rule lets the page pass.
	Refused Kind = iota
	// Any: the page passes like every other. Access-Control-Allow-Origin is "*", never with
	// Access-Control-Allow-Credentials, and a cookie of the request is no proof that the user wants it.
	Any
	// Same: the page comes from the host that it asks, and needs no CORS fields.
	Same
	// Listed: the page's origin was given by --allow-origin. Access-Control-Allow-Origin repeats it, and
	// Access-Control-Allow-Credentials may be given.
	Listed
	// NoPage: the field was not written by a browser, and the listener has a loopback address. The
	// request passes as one without an Origin field.
	NoPage
)

// Verdict is the answer of Check.
type Verdict struct {
	Kind  Kind
	Index int // of a Listed origin among the values that Parse got
}

// Passes reports whether the request may be served.
func (v Verdict) Passes() bool { return v.Kind != Refused }

// Credentials reports whether what the browser sends by itself, cookies that is, may count for the request. For a
// WebSocket nothing else keeps a foreign page from using them.
func (v Verdict) Credentials() bool { return v.Kind >= Same }

// Check judges a request by the value of its Origin field, as received, and its host; loopback says
// that the listener has a loopback address. It allocates nothing and keeps nothing.
//
// "null" is any page that has no origin to name, or hides it; when it was given it passes as Any,
// because everybody can make such a page. With "*" everything passes that can stand in an Origin
// field.
//
// A bare host, such as 127.0.0.1 or example.com:80, is no serialized origin (RFC 6454 6.2). Load
// generators send it; no page can make a browser do so. On a loopback listener it is NoPage.
func (r *Rules) Check(value, host []byte, loopback bool) Verdict {
	if !plausible(value) {
		return Verdict{}
	}
	if loopback && bareHost(value) {
		return Verdict{Kind: NoPage}
	}
	if o, ok := parse(value); ok {
		for i := range r.listed {
			if o.equals(&r.listed[i]) {
				return Verdict{Listed, i}
			}
		}
		if web := o.web(); web && o.sameHost(host) {
			return Verdict{Kind: Same}
		} else if web && loopback && isLoopback(o.host) {
			return Verdict{Kind: Any}
		}
	}
	if r.any || r.null && string(value) == "null" {
		return Verdict{Kind: Any}
	}
	return Verdict{}
}

// plausible reports whether b can be one origin, of whatever form: bounded, visible ASCII, no list of several.
func plausible(b []byte) bool {
	if len(b) == 0 || len(b) > maxOriginBytes {
		return false
	}
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || c == ',' {
			return false
		}
	}
	return true
}

// bareHost reports whether b is a host, with or without a port, and no more. "null" is a page
// without an origin, in whatever case it is written.
func bareHost(b []byte) bool {
	host, _, ok := cutPort(b)
	return ok && validHost(host) && !equalFold(b, "null")
}

// received is the origin of a request. Its slices alias the field; letters may be in either case.
type received struct {
	scheme, host []byte
	port         []byte // nil for the scheme's default
}

func parse(value []byte) (o received, ok bool) {
	scheme, authority, found := cutScheme(value)
	if !found || !validScheme(scheme) || len(authority) == 0 {
		return o, false
	}
	host, port, ok := cutPort(authority)
	if !ok || !validHost(host) {
		return o, false
	}
	if isDefaultPort(scheme, port) {
		port = nil
	}
	return received{scheme, host, port}, true
}

func (o *received) equals(listed *origin) bool {
	return equalFold(o.host, listed.host) && string(o.port) == listed.port && equalFold(o.scheme, listed.scheme)
}

// web reports whether the scheme is one of pages that a Host field can stand for.
func (o *received) web() bool { return equalFold(o.scheme, "http") || equalFold(o.scheme, "https") }

// sameHost compares with a Host field, which has no scheme: its port may be that of the origin's.
func (o *received) sameHost(host []byte) bool {
	name, port, ok := cutPort(host)
	if !ok || len(name) == 0 {
		return false
	}
	if isDefaultPort(o.scheme, port) {
		port = nil
	}
	return string(o.port) == string(port) && sameFold(o.host, name)
}

// isLoopback reports whether host names this machine whatever a resolver says (RFC 6761 6.3, RFC 1122 3.2.1.3). Browsers
// write addresses in one form only; other spellings are not theirs.
func isLoopback(host []byte) bool {
	const suffix = ".localhost"
	if n := len(host) - len(suffix); n > 0 && equalFold(host[n:], suffix) {
		return true
	}
	return equalFold(host, "localhost") || string(host) == "[::1]" || len(host) > 4 && string(host[:4]) == "127." && isIPv4(host)
}
