package http1

import "bytes"

// parseTarget splits the target into Path and Query, and Host when it has an authority (RFC 9112 3.2). Bytes that
// RFC 3986 would have escaped are let through, because browsers and curl send them; only "#" is not.
func (r *Request) parseTarget() error {
	target := r.Target
	if bytes.IndexByte(target, '#') >= 0 {
		return errFragment
	}
	switch {
	case string(r.Method) == "CONNECT":
		return errConnect
	case target[0] == '/':
		r.splitQuery(target)
		return nil
	case len(target) == 1 && target[0] == '*':
		if string(r.Method) != "OPTIONS" {
			return errAsterisk
		}
		r.Path = target
		return nil
	}
	return r.parseAbsolute(target)
}

// parseAbsolute reads an absolute-form target. Its authority is the host, whatever the Host field says.
func (r *Request) parseAbsolute(target []byte) error {
	scheme := len("http://")
	if len(target) > scheme && lower(target[4]) == 's' {
		scheme = len("https://")
	}
	if len(target) < scheme || !equalFold(target[:scheme], "http://") && !equalFold(target[:scheme], "https://") {
		return errTargetForm
	}
	rest := target[scheme:]
	end := 0
	for end < len(rest) && rest[end] != '/' && rest[end] != '?' {
		end++
	}
	if end == 0 || !validHost(rest[:end]) {
		return errAuthority
	}
	r.Host = rest[:end:end]
	r.splitQuery(rest[end:])
	if len(r.Path) == 0 {
		r.Path = slash
	}
	return nil
}

func (r *Request) splitQuery(target []byte) {
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		r.Path, r.Query = target[:i:i], target[i+1:]
		return
	}
	r.Path = target
}

// AppendPlainPath appends path with those bytes decoded that need no percent-encoding: letters,
// digits and "-._~". So it compares equal to every other path that RFC 3986 6.2.2.2 takes for the
// same.
func AppendPlainPath(dst, path []byte) []byte {
	for len(path) > 0 {
		i := bytes.IndexByte(path, '%')
		if i < 0 || i+2 >= len(path) {
			break
		}
		dst = append(dst, path[:i]...)
		if classes[path[i+1]]&classes[path[i+2]]&hexByte != 0 {
			if c := hexValue(path[i+1])<<4 | hexValue(path[i+2]); classes[c]&unreservedByte != 0 {
				dst, path = append(dst, c), path[i+3:]
				continue
			}
		}
		dst, path = append(dst, '%'), path[i+1:]
	}
	return append(dst, path...)
}

// validHost reports whether b, which is not empty, is a uri-host with an optional port (RFC 9110 7.2). User information
// is refused, as RFC 9110 4.2.4 wants.
func validHost(b []byte) bool {
	name, port := b, []byte(nil)
	if b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 2 {
			return false
		}
		name, port = b[1:end], b[end+1:]
		if len(port) > 0 {
			if port[0] != ':' {
				return false
			}
			port = port[1:]
		}
	} else if i := bytes.IndexByte(b, ':'); i >= 0 {
		name, port = b[:i], b[i+1:]
	}
	for _, c := range port {
		if c < '0' || c > '9' {
			return false
		}
	}
	for _, c := range name {
		if classes[c]&hostByte == 0 {
			return false
		}
	}
	return len(name) > 0
}
