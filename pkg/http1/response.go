package http1

// Response is the head of a response, for clients. As with Request one value is used again and again, and its slices
// alias the parsed bytes.
type Response struct {
	Head
	Status int
	Reason []byte // may be empty
}

// Parse reads the head at the beginning of b as Request.Parse does; MaxTarget has no meaning here.
func (r *Response) Parse(b []byte, seen int, lim Limits) (n int, err error) {
	lim = lim.withDefaults()
	*r = Response{Head: r.Head}
	r.reset(lim)
	head := b[:min(len(b), lim.MaxHead)]
	seen = max(0, min(seen, len(head)))

	n, err = r.parse(head, seen, lim)
	if err == nil {
		return n, nil
	}
	if err == ErrShort && len(b) > lim.MaxHead {
		err = errHeadTooLarge
	}
	return 0, err
}

func (r *Response) parse(b []byte, seen int, lim Limits) (n int, err error) {
	const prefix = "HTTP/"
	if got := min(len(b), len(prefix)); string(b[:got]) != prefix[:got] {
		if b[0] == 0x15 || b[0] == 0x16 { // TLS record types alert and handshake
			return 0, ErrTLS
		}
		return 0, ErrNotHTTP
	}
	pos, from := resume(b, 0, seen)
	if pos == 0 {
		end, next, err := nextLine(b, from)
		if err != nil {
			return 0, err
		}
		if err := r.parseStatusLine(b[:end]); err != nil {
			return 0, err
		}
		pos, from = next, next
	}
	if n, err = r.parseFields(b, pos, from, lim.MaxFields); err != nil {
		return 0, err
	}
	_, err = r.frame()
	return n, err
}

// parseStatusLine splits the status line (RFC 9112 4). The space after the status may be missing when no reason
// follows, as many servers leave it out.
func (r *Response) parseStatusLine(line []byte) error {
	const version, status = len("HTTP/1.1"), len("HTTP/1.1 200")
	if len(line) < status || line[version] != ' ' || len(line) > status && line[status] != ' ' {
		return errStatusLine
	}
	minor, err := parseVersion(line[:version])
	if err != nil {
		if err == errNoVersion {
			return errStatusLine
		}
		return err
	}
	for _, c := range line[version+1 : status] {
		if c < '0' || c > '9' {
			return errStatusLine
		}
		r.Status = r.Status*10 + int(c-'0')
	}
	if r.Status < 100 {
		return errStatusLine
	}
	r.Minor = minor
	if len(line) > status {
		r.Reason = line[status+1:]
	}
	return nil
}

// NoBody reports whether the status rules out a body, whatever the fields say (RFC 9112 6.3). So does the method HEAD,
// which only the client knows.
func (r *Response) NoBody() bool {
	return r.Status < 200 || r.Status == 204 || r.Status == 304
}

// UntilClose reports whether the body ends with the connection (RFC 9112 6.3, rule 8).
func (r *Response) UntilClose() bool {
	return !r.NoBody() && !r.Chunked && r.ContentLength < 0
}
