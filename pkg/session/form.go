package session

import (
	"holdfast/pkg/http1"
	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/sse"
	"holdfast/pkg/stats"
	"holdfast/pkg/ws"
)

// form is what a held connection gets: what it is for its client, and how it is framed. It is the number of the encoder
// in the hub. Behind those named here come the polls of pages of other origins: their answers say that they are allowed, and
// an answer is encoded for many at once.
type form uint8

const (
	eventsChunked form = iota // Server-Sent Events, HTTP/1.1
	eventsPlain               // the same, HTTP/1.0: until close
	streamChunked             // the raw stream
	streamPlain
	webSocket
	gripChunked     // a stream that a backend holds, HTTP/1.1
	gripPlain       // the same, HTTP/1.0
	gripEachChunked // one with filters: what it gets is decided for each
	gripEachPlain
	gripResponse // a response that a backend holds
	pollKeep     // one answer, after which the connection stays
	pollKeepOld  // the same for a client of HTTP/1.0, which wants to be told
	pollClose    // one answer, after which it does not

	numPolls = 6 // these three, and the same for those who have missed something
)

// hold is what the hold of a form consists of, besides the items.
type hold struct {
	kind      stats.Kind
	chunked   bool
	opening   []byte // follows the head of a raw stream, where it is asked for
	keepAlive []byte
	last      []byte // ends the body
	fields    string // of a poll's answer
	closes    bool   // after a poll's answer
}

// newForms returns the forms, given the fields for pages of other origins.
func newForms(corsFields []string) []hold {
	forms := []hold{
		eventsChunked: {kind: stats.Events, chunked: true, keepAlive: http1.AppendChunk(nil, []byte(sse.KeepAlive)), last: []byte(http1.FinalChunk)},
		eventsPlain:   {kind: stats.Events, keepAlive: []byte(sse.KeepAlive)},
		streamChunked: {kind: stats.Stream, chunked: true, opening: http1.AppendChunk(nil, []byte(streamOpen)),
			keepAlive: http1.AppendChunk(nil, []byte(sse.KeepAlive)), last: []byte(http1.FinalChunk)},
		streamPlain: {kind: stats.Stream, opening: []byte(streamOpen), keepAlive: []byte(sse.KeepAlive)},
		webSocket:   {kind: stats.WS, keepAlive: ws.AppendFrame(nil, ws.Ping, ""), last: ws.AppendClose(nil, ws.CodeGoingAway, "")},
	}
	forms = append(forms,
		hold{kind: stats.Stream, chunked: true, last: []byte(http1.FinalChunk)},
		hold{kind: stats.Stream},
		hold{kind: stats.Stream, chunked: true, last: []byte(http1.FinalChunk)},
		hold{kind: stats.Stream},
		hold{kind: stats.Poll})
	for _, cors := range corsFields {
		for _, fields := range []string{cors, gapField + cors} {
			forms = append(forms,
				hold{kind: stats.Poll, fields: fields},
				hold{kind: stats.Poll, fields: keepAliveField + fields},
				hold{kind: stats.Poll, fields: closeField + fields, closes: true})
		}
	}
	return forms
}

// pollForm is the form of a poll that the request in hand begins.
func (c *Clients) pollForm() form {
	f := pollKeep
	switch {
	case !c.keeps():
		f = pollClose
	case c.req.Minor == 0:
		f = pollKeepOld
	}
	return f + numPolls*form(c.cors)
}

// gapForm is the form in which a connection of the form f is held that has missed something: the one answer of a poll says so,
// others are told before.
func gapForm(f form) form {
	if f < pollKeep {
		return f
	}
	return f + numPolls/2
}

// streamOpen is what begins a raw stream that asks for an opening: the event that the backend of
// the published Pushpin set-up for a million connections sends. Load clients wait for it.
const streamOpen = "event: message\ndata: stream open\n\n"

// encoders returns the encoder of each form. They share the scratch buffer of c.
func (c *Clients) encoders() []hub.Encoder {
	all := []hub.Encoder{
		eventsChunked: c.chunks(appendEvent),
		eventsPlain:   appendEvent,
		streamChunked: c.chunks(appendStream),
		streamPlain:   appendStream,
		webSocket:     appendMessage,
		gripChunked:   c.chunks(appendStream),
		gripPlain:     appendStream,
		gripResponse:  nil, // as those with filters: see DeliverEach
	}
	for f := range c.forms[len(all):] {
		all = append(all, c.pollEncoder(pollKeep+form(f)))
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

// appendEvent appends the item as Server-Sent Events see it: its sse format, else its http-stream content without one
// trailing newline as the data, which is text. The item's id is the event's id, unless the format names another.
func appendEvent(dst []byte, it *publish.Item) ([]byte, hub.Effect) {
	e := sse.Event{ID: it.ID}
	switch {
	case it.Has(publish.SSE):
		e.Event, e.Data, e.Retry = it.Event.Event, publish.ToText(it.Event.Data), it.Event.Retry
		if it.Event.ID != "" {
			e.ID = it.Event.ID
		}
	case streamEffect(it) == hub.Deliver:
		e.Data = publish.ToText(it.Stream.Content)
		if n := len(e.Data); n > 0 && e.Data[n-1] == '\n' {
			e.Data = e.Data[:n-1]
		}
	default:
		return dst, streamEffect(it)
	}
	dst = sse.AppendEvent(dst, e)
	if it.Position != "" { // its id would lead elsewhere
		dst = sse.AppendID(dst, it.Position)
	}
	return dst, max(hub.Deliver, streamEffect(it))
}

// appendStream appends the item as a raw stream sees it: its http-stream content, byte for byte.
func appendStream(dst []byte, it *publish.Item) ([]byte, hub.Effect) {
	effect := streamEffect(it)
	if effect == hub.Deliver {
		dst = append(dst, it.Stream.Content...)
	}
	return dst, effect
}

// streamEffect is what the http-stream format of an item asks for. A hint is for connections with a backend behind them.
func streamEffect(it *publish.Item) hub.Effect {
	switch it.For(publish.HTTPStream, false) {
	case publish.Content:
		return hub.Deliver
	case publish.Closing:
		return hub.End
	}
	return hub.Nothing
}
