package session

import (
	"holdfast/pkg/http1"
	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
)

// form is what a held connection gets: a kind of hold, how that is framed, and what its client
// asked for. What is in the record of a connection is its number.
type form struct {
	kind      kind
	each      each   // the kind, where it has no encoder
	direct    direct // the kind, where it is one
	chunked   bool
	opening   []byte // follows the head of a raw stream, where it is asked for
	keepAlive []byte
	last      []byte // ends the body
	fields    string // further field lines of a poll's answer
	closes    bool   // the connection ends with its answer
	gapped    formID // the same after a gap: a poll's answer says so
	closing   formID // the same, and the connection ends with its answer
}

// formID is the number of a form, and of its encoder in the hub.
type formID uint8

// maxForms is the number of forms that a formID can tell apart.
const maxForms = 1 << 8

// framed is the two forms of a stream.
type framed struct {
	chunked formID // for HTTP/1.1
	plain   formID // for HTTP/1.0: until the connection closes
}

func (f framed) of(chunked bool) formID {
	if chunked {
		return f.chunked
	}
	return f.plain
}

// pollForms are the forms of polls whose answers say the same about pages of other origins.
type pollForms struct {
	keep    formID // the connection stays
	keepOld formID // the same for a client of HTTP/1.0, which wants to be told
	closing formID // it does not
}

// forms are all forms of a loop's connections. The answers of polls say which pages may read them,
// and an answer is encoded for many at once: so there are forms for each value of cors.
type forms struct {
	all          []form
	events       framed
	stream       framed
	gripStream   framed
	gripFiltered framed // what each connection gets is decided for it alone
	gripResponse formID
	webSocket    formID
	polls        []pollForms // by cors
}

// at returns the form of that number.
func (fs *forms) at(id formID) *form { return &fs.all[id] }

// add adds a form and returns its number.
func (fs *forms) add(f form) formID {
	if len(fs.all) == maxForms {
		panic("session: more forms than a formID tells apart")
	}
	id := formID(len(fs.all))
	f.each, _ = f.kind.(each)
	f.direct, _ = f.kind.(direct)
	f.gapped, f.closing = id, id
	fs.all = append(fs.all, f)
	return id
}

// addStream adds the two forms of a stream. keepAlive and opening are what a client sees of them.
func (fs *forms) addStream(k kind, keepAlive, opening string) framed {
	chunked := form{kind: k, chunked: true, last: []byte(http1.FinalChunk)}
	plain := form{kind: k}
	if keepAlive != "" {
		plain.keepAlive = []byte(keepAlive)
		chunked.keepAlive = http1.AppendChunk(nil, plain.keepAlive)
	}
	if opening != "" {
		plain.opening = []byte(opening)
		chunked.opening = http1.AppendChunk(nil, plain.opening)
	}
	return framed{fs.add(chunked), fs.add(plain)}
}

// addPolls adds the forms of polls whose answers have the field lines of cors.
func (fs *forms) addPolls(k kind, cors string) pollForms {
	three := func(fields string) (p pollForms) {
		p.keep = fs.add(form{kind: k, fields: fields})
		p.keepOld = fs.add(form{kind: k, fields: keepAliveField + fields})
		p.closing = fs.add(form{kind: k, fields: closeField + fields, closes: true})
		fs.at(p.keep).closing, fs.at(p.keepOld).closing = p.closing, p.closing
		return p
	}
	p, missed := three(cors), three(gapField+cors)
	fs.at(p.keep).gapped = missed.keep
	fs.at(p.keepOld).gapped = missed.keepOld
	fs.at(p.closing).gapped = missed.closing
	return p
}

// form returns the form in which the connection is held.
func (c *Clients) form(cl *client) *form { return c.forms.at(cl.form) }

// encoders returns the encoder of each form. They share the scratch buffer of c.
func (c *Clients) encoders() []hub.Encoder {
	all := make([]hub.Encoder, len(c.forms.all))
	for i := range all {
		f := c.forms.at(formID(i))
		if all[i] = f.kind.encoder(f); all[i] != nil && f.chunked {
			all[i] = c.chunks(all[i])
		}
	}
	return all
}

// chunks returns an encoder that makes a chunk of what e encodes.
func (c *Clients) chunks(e hub.Encoder) hub.Encoder {
	return func(dst []byte, it *publish.Item) ([]byte, hub.Effect) {
		b, effect := e(c.event[:0], it)
		c.event = b
		return http1.AppendChunk(dst, b), effect
	}
}
