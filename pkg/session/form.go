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
// in the hub.
type form uint8

const (
	eventsChunked form = iota // Server-Sent Events, HTTP/1.1
	eventsPlain               // the same, HTTP/1.0: until close
	streamChunked             // the raw stream
	streamPlain
	pollKeep    // one answer, after which the connection stays
	pollKeepOld // the same for a client of HTTP/1.0, which wants to be told
	pollClose   // one answer, after which it does not
	webSocket
	numForms
)

// forms says what the hold of each form consists of, besides the items.
var forms = [numForms]struct {
	kind      stats.Kind
	chunked   bool
	opening   []byte // follows the head
	keepAlive []byte
	last      []byte // ends the body
}{
	eventsChunked: {stats.Events, true, nil, http1.AppendChunk(nil, []byte(sse.KeepAlive)), []byte(http1.FinalChunk)},
	eventsPlain:   {stats.Events, false, nil, []byte(sse.KeepAlive), nil},
	streamChunked: {stats.Stream, true, http1.AppendChunk(nil, []byte(streamOpen)), http1.AppendChunk(nil, []byte(sse.KeepAlive)), []byte(http1.FinalChunk)},
	streamPlain:   {stats.Stream, false, []byte(streamOpen), []byte(sse.KeepAlive), nil},
	pollKeep:      {kind: stats.Poll},
	pollKeepOld:   {kind: stats.Poll},
	pollClose:     {kind: stats.Poll},
	webSocket:     {stats.WS, false, nil, ws.AppendFrame(nil, ws.Ping, ""), ws.AppendClose(nil, ws.CodeGoingAway, "")},
}

// streamOpen is the first event of a raw stream, as in the published Pushpin set-up for a million connections.
const streamOpen = "event: message\ndata: stream open\n\n"

// encoders returns the encoder of each form. They share the scratch buffer of c.
func (c *Clients) encoders() []hub.Encoder {
	return []hub.Encoder{
		eventsChunked: func(dst []byte, it *publish.Item) ([]byte, hub.Effect) {
			b, effect := appendEvent(c.event[:0], it)
			c.event = b
			return http1.AppendChunk(dst, b), effect
		},
		eventsPlain: appendEvent,
		streamChunked: func(dst []byte, it *publish.Item) ([]byte, hub.Effect) {
			b, effect := appendStream(c.event[:0], it)
			c.event = b
			return http1.AppendChunk(dst, b), effect
		},
		streamPlain: appendStream,
		pollKeep:    c.pollEncoder(pollKeep),
		pollKeepOld: c.pollEncoder(pollKeepOld),
		pollClose:   c.pollEncoder(pollClose),
		webSocket:   appendMessage,
	}
}

// appendEvent appends the item as Server-Sent Events see it: its sse format, else its http-stream content without one
// trailing newline as the data. The item's id is the event's id, unless the format names another.
func appendEvent(dst []byte, it *publish.Item) ([]byte, hub.Effect) {
	e := sse.Event{ID: it.ID}
	switch {
	case it.Has(publish.SSE):
		e.Event, e.Data, e.Retry = it.Event.Event, it.Event.Data, it.Event.Retry
		if it.Event.ID != "" {
			e.ID = it.Event.ID
		}
	case it.Has(publish.HTTPStream) && it.Stream.Action == publish.Send:
		e.Data = it.Stream.Content
		if n := len(e.Data); n > 0 && e.Data[n-1] == '\n' {
			e.Data = e.Data[:n-1]
		}
	default:
		return dst, streamEffect(it)
	}
	return sse.AppendEvent(dst, e), max(hub.Deliver, streamEffect(it))
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
	switch {
	case !it.Has(publish.HTTPStream):
		return hub.Nothing
	case it.Stream.Action == publish.Send:
		return hub.Deliver
	case it.Stream.Action == publish.Close:
		return hub.End
	}
	return hub.Nothing
}
