package http1

import "bytes"

// Limits bounds a head. A zero field means its default.
type Limits struct {
	MaxHead   int // bytes of the head with its line ends; default 8 KiB
	MaxTarget int // bytes of the request target; default and at most MaxHead
	MaxFields int // header fields; default 1,000, so that MaxHead is what bounds an ordinary head
}

// The fields of one Head, of which a loop has one, take 48 bytes each: 48 KB at most by default.
const (
	defaultFields = 1000
	firstFields   = 64 // room for them that every Head begins with
)

func (l Limits) withDefaults() Limits {
	if l.MaxHead <= 0 {
		l.MaxHead = 8 << 10
	}
	if l.MaxTarget <= 0 || l.MaxTarget > l.MaxHead {
		l.MaxTarget = l.MaxHead
	}
	if l.MaxFields <= 0 {
		l.MaxFields = defaultFields
	}
	return l
}

// Field is one header field. Both parts alias the parsed bytes; the value comes without the whitespace around it.
type Field struct{ Name, Value []byte }

// Head is what the heads of requests and responses have in common.
type Head struct {
	Minor         int     // the version is HTTP/1.Minor: 0 or 1; later minor versions count as 1 (RFC 9110 2.5)
	Fields        []Field // in the order of arrival; the array is used again by the next Parse
	ContentLength int64   // -1 when there is none
	Chunked       bool    // the body has the chunked transfer coding
	KeepAlive     bool    // the sender lets the connection persist after this exchange (RFC 9112 9.3)
}

// Field returns the value of the first field called name, which is compared without regard to case.
func (h *Head) Field(name string) (value []byte, ok bool) {
	for i := range h.Fields {
		if equalFold(h.Fields[i].Name, name) {
			return h.Fields[i].Value, true
		}
	}
	return nil, false
}

// HasToken reports whether token is a member of the list that the fields called name make up together.
func (h *Head) HasToken(name, token string) bool {
	for i := range h.Fields {
		if equalFold(h.Fields[i].Name, name) && ContainsToken(h.Fields[i].Value, token) {
			return true
		}
	}
	return false
}

// ContainsToken reports whether token is a member of the comma-separated list, without regard to case.
func ContainsToken(list []byte, token string) bool {
	for len(list) > 0 {
		var member []byte
		if member, list = nextMember(list); equalFold(member, token) {
			return true
		}
	}
	return false
}

// nextMember cuts the first member off a comma-separated list (RFC 9110 5.6.1). Members may be empty.
func nextMember(list []byte) (member, rest []byte) {
	member, rest, _ = bytes.Cut(list, comma)
	return trimSpace(member), rest
}

var comma = []byte{','}

func (h *Head) reset(lim Limits) {
	if h.Fields == nil {
		h.Fields = make([]Field, 0, min(lim.MaxFields, firstFields))
	}
	*h = Head{Fields: h.Fields[:0], ContentLength: -1}
}

// endsAfter reports whether the head in b, whose first line begins before seen, has its empty line at or after seen.
// It looks at the new bytes only.
func endsAfter(b []byte, seen int) bool {
	for i := seen; ; i++ {
		lf := bytes.IndexByte(b[i:], '\n')
		if lf < 0 {
			return false
		}
		i += lf
		if i >= 1 && b[i-1] == '\n' || i >= 2 && b[i-1] == '\r' && b[i-2] == '\n' {
			return true
		}
	}
}

// resume tells where to go on in the head that begins at start when the bytes before seen were judged before: the line
// that begins at pos is the first that is not known to be good, and its bytes before from are.
//
// A head that ends in the new bytes is parsed once more from its start, because nothing is kept between two calls. Any
// other is only judged from the line on that the new bytes end. So no byte is looked at more than a few times, however
// small the pieces are.
func resume(b []byte, start, seen int) (pos, from int) {
	if seen <= start || endsAfter(b, seen) {
		return start, start
	}
	if from = seen; b[from-1] == '\r' {
		from-- // a CR that came last could not be judged
	}
	if bytes.IndexByte(b[seen:], '\n') < 0 {
		return from, from // no line ends here, so its beginning does not matter
	}
	pos = max(start, bytes.LastIndexByte(b[:seen], '\n')+1)
	return pos, max(pos, from)
}

// parseFields reads field lines from pos up to the empty line and returns the position after it. The first line's
// bytes before from were judged before. It counts fields beyond the bound without keeping them.
func (h *Head) parseFields(b []byte, pos, from int, maxFields int) (n int, err error) {
	count := 0
	for {
		end, next, err := nextLine(b, from)
		if err != nil {
			return 0, err
		}
		if end == pos {
			if count > maxFields {
				return 0, errTooManyFields
			}
			return next, nil
		}
		f, err := parseField(b[pos:end])
		if err != nil {
			return 0, err
		}
		if count++; count <= maxFields {
			h.Fields = append(h.Fields, f)
		}
		pos, from = next, next
	}
}

// parseField splits a field line (RFC 9112 5), which holds no control byte but tabs and is not empty.
func parseField(line []byte) (f Field, err error) {
	i := 0
	for i < len(line) && classes[line[i]]&tokenByte != 0 {
		i++
	}
	if i > 0 && i < len(line) && line[i] == ':' {
		return Field{Name: line[:i:i], Value: trimSpace(line[i+1:])}, nil
	}
	switch colon := bytes.IndexByte(line, ':'); {
	case line[0] == ' ' || line[0] == '\t':
		return f, errFold
	case colon < 0:
		return f, errNoColon
	case colon == 0:
		return f, errEmptyName
	case len(trimSpace(line[i:colon])) == 0:
		return f, errNameSpace
	}
	return f, errName
}
