package session

import (
	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/sse"
	"holdfast/pkg/stats"
	"math/rand/v2"
)

// eventStreams are Server-Sent Events (WHATWG HTML 9.2).
type eventStreams struct{ directStream }

func (eventStreams) counts() stats.Kind        { return stats.Events }
func (eventStreams) encoder(*form) hub.Encoder { return appendEvent }
func (eventStreams) showsIDs() bool            { return true }

// appendOpening appends a reconnection time of 2 to 5 s, another for each client: those of a daemon
// that ends do not come back in the same moment.
func (e eventStreams) appendOpening(dst []byte, f *form) []byte {
	e.event = sse.AppendRetry(append(e.event[:0], sse.KeepAlive...), 2000+rand.IntN(3000))
	return appendFramed(dst, e.event, f.chunked)
}

func (e eventStreams) appendNotice(dst []byte, f *form, n notice) []byte {
	e.event = sse.AppendEvent(e.event[:0], sse.Event{Event: n.Event, Data: n.text()})
	return appendFramed(dst, e.event, f.chunked)
}

// appendPosition appends an id without data, which is no event to the page (WHATWG HTML 9.2.6).
func (e eventStreams) appendPosition(dst []byte, f *form, position string) []byte {
	e.event = sse.AppendID(e.event[:0], position)
	return appendFramed(dst, e.event, f.chunked)
}

// appendEvent appends the item as Server-Sent Events see it: its sse format, else its http-stream
// content without one trailing newline as the data, which is text. The item's id is the event's id,
// unless the format names another.
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
	if it.Alias != "" { // the other one would lead elsewhere
		e.ID = it.Alias
	}
	return sse.AppendEvent(dst, e), max(hub.Deliver, streamEffect(it))
}
