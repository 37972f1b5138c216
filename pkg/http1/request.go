package http1

import "bytes"

const (
	maxMethod     = 32 // bytes; the longest registered method has 17
	maxEmptyLines = 4  // before a request line
)

// Request is the head of a request. A loop uses one value for all its connections: Parse replaces its content, and its
// slices alias the parsed bytes, so it holds no longer than those.
type Request struct {
	Head
	Method []byte
	Target []byte // as it was sent
	Path   []byte // the target's path, not decoded; "*" in asterisk-form
	Query  []byte // what follows the first "?" of the target; nil without one
	Host   []byte // the target's authority in absolute-form, else the Host field; may be empty

	ExpectContinue bool // the client waits for a 100 response before it sends the body
	Upgrade        bool // there is an Upgrade field, and Connection names it (RFC 9110 7.8)
}

// Upgrades reports whether protocol is among those to which the client would switch.
func (r *Request) Upgrades(protocol string) bool {
	return r.Upgrade && r.HasToken("Upgrade", protocol)
}

// Parse reads the head at the beginning of b, which holds everything received since the end of the previous message.
// The bytes before seen were given to earlier calls, which returned ErrShort; so feeding a head byte by byte costs no
// more than a few passes over it.
//
// It returns the size of the head; ErrShort when the head is not complete; or an *Error, possibly long before the head
// is complete. Only a nil error leaves a meaningful Request.
func (r *Request) Parse(b []byte, seen int, lim Limits) (n int, err error) {
	lim = lim.withDefaults()
	*r = Request{Head: r.Head}
	r.reset(lim)
	head := b[:min(len(b), lim.MaxHead)]
	seen = max(0, min(seen, len(head)))

	n, err = r.parse(head, seen, lim)
	if err == nil {
		return n, nil
	}
	if err == ErrShort && len(b) > lim.MaxHead {
		err = tooLarge(head)
	}
	return 0, err
}

func (r *Request) parse(b []byte, seen int, lim Limits) (n int, err error) {
	start, err := skipEmptyLines(b)
	if err != nil {
		return 0, err
	}
	method, err := judgeMethod(b[start:])
	if err != nil {
		return 0, err
	}
	if err := judgeTargetLength(b[start+method:], seen-start-method, lim.MaxTarget); err != nil {
		return 0, err
	}
	pos, from := resume(b, start, seen)
	if pos == start {
		end, next, err := nextLine(b, from)
		if err != nil {
			return 0, err
		}
		if err := r.parseRequestLine(b[start:end], method); err != nil {
			return 0, err
		}
		pos, from = next, next
	}
	if n, err = r.parseFields(b, pos, from, lim.MaxFields); err != nil {
		return 0, err
	}
	return n, r.settle()
}

// AsksHead reports whether b, the beginning of a request whatever it is, has the method HEAD. The
// answer to it has no body, a refusal included.
func AsksHead(b []byte) bool {
	start, err := skipEmptyLines(b)
	return err == nil && bytes.HasPrefix(b[start:], []byte("HEAD "))
}

// skipEmptyLines returns where the request line begins (RFC 9112 2.2).
func skipEmptyLines(b []byte) (start int, err error) {
	for range maxEmptyLines + 1 {
		switch {
		case start == len(b), b[start] == '\r' && start+1 == len(b):
			return 0, ErrShort
		case b[start] == '\n':
			start++
		case b[start] != '\r':
			return start, nil
		case b[start+1] != '\n':
			return 0, errBareCR
		default:
			start += 2
		}
	}
	return 0, errEmptyLines
}

// judgeMethod returns the length of the method at the beginning of b, as far as it has arrived, or refuses what cannot
// become one. b is not empty.
func judgeMethod(b []byte) (n int, err error) {
	for n < len(b) && classes[b[n]]&tokenByte != 0 {
		if n++; n > maxMethod {
			return 0, errMethodTooLong
		}
	}
	switch {
	case n == len(b), n > 0 && (b[n] == ' ' || b[n] == '\r' || b[n] == '\n'):
		return n, nil
	case n == 0 && b[0] == 0x16: // TLS record type handshake, RFC 8446 5.1
		return 0, ErrTLS
	}
	return 0, ErrNotHTTP
}

// judgeTargetLength refuses a target over the bound even when its end has not arrived. b begins with the space before
// the target. The target is looked at only in the call in which the bound is passed.
func judgeTargetLength(b []byte, seen, maxTarget int) error {
	end := 1 + maxTarget
	if len(b) <= end || seen > end {
		return nil
	}
	for _, c := range b[1 : end+1] {
		if c <= ' ' || c == 0x7f {
			return nil
		}
	}
	return errTargetTooLong
}

// tooLarge says what is too large in a head that goes beyond the bound: a request line without an end is a target.
func tooLarge(b []byte) *Error {
	start, _ := skipEmptyLines(b)
	line := b[start:]
	if bytes.IndexByte(line, '\n') < 0 && bytes.Count(line, space) == 1 {
		return errTargetTooLong
	}
	return errHeadTooLarge
}

var (
	space = []byte{' '}
	slash = []byte{'/'}
)

// parseRequestLine splits the request line (RFC 9112 3), which holds no control byte but tabs, and whose first method
// bytes are a token.
func (r *Request) parseRequestLine(line []byte, method int) error {
	if bytes.IndexByte(line, '\t') >= 0 {
		return errTab
	}
	if method == len(line) {
		return errNoTarget
	}
	r.Method = line[:method:method]
	target, version, found := bytes.Cut(line[method+1:], space)
	switch {
	case len(target) == 0:
		return errNoTarget
	case !found || len(version) == 0:
		return errNoVersion
	}
	minor, err := parseVersion(version)
	if err != nil {
		if err == errNoVersion && bytes.IndexByte(version, ' ') >= 0 {
			return errSpace
		}
		return err
	}
	r.Minor, r.Target = minor, target
	return r.parseTarget()
}

// parseVersion reads an HTTP-version (RFC 9112 2.3).
func parseVersion(b []byte) (minor int, err error) {
	const form = "HTTP/1.1"
	if len(b) != len(form) || string(b[:5]) != form[:5] || b[6] != '.' ||
		b[5] < '0' || b[5] > '9' || b[7] < '0' || b[7] > '9' {
		return 0, errNoVersion
	}
	if b[5] != '1' {
		return 0, errVersion
	}
	return min(int(b[7]-'0'), 1), nil
}

// settle draws the conclusions from the fields once all of them are known.
func (r *Request) settle() error {
	f, err := r.frame()
	if err != nil {
		return err
	}
	switch {
	case f.hosts > 1:
		return errHosts
	case f.hosts == 0 && r.Minor >= 1: // RFC 9112 3.2
		return errNoHost
	case f.hosts == 1 && len(f.host) > 0 && !validHost(f.host):
		return errHost
	}
	if r.Host == nil {
		r.Host = f.host
	}
	if r.Minor == 0 { // both fields are ignored in HTTP/1.0 (RFC 9110 7.8, 10.1.1)
		return nil
	}
	if f.expects {
		if !equalFold(f.expect, "100-continue") {
			return errExpect
		}
		r.ExpectContinue = true
	}
	r.Upgrade = f.upgrades && f.upgrade
	return nil
}
