package wire

import (
	"holdfast/pkg/publish"
)

// Problems of an item that are not a field of the wrong type.
const (
	unknownFormat = "a format of unknown kind"
	doubleFormat  = "a format comes twice"
	unknownAction = "an action of unknown number"
	unknownType   = "a ws-message type of unknown number"
	tooManyMeta   = "more meta than one item may have"
	tooManyLists  = "more headers or filters than one format may have"
	tooFewFields  = "fewer elements than a channel and formats"
)

// ParseItem reads the item at the beginning of b into it, and returns the number of bytes that it has there.
//
// The strings of the item alias b, which must never be written again while the item lives. Nothing is allocated but
// the meta map and the lists of headers and filters of an item that has them.
//
// An *Error of code BadItem says that the value at the beginning of b is well-formed msgpack but no item: n bytes hold
// it, what follows may be read on. Code BadFrame says that it is not even msgpack. ParseItem checks types and numbers
// of the protocol; what may be published is decided by the item's Check.
func ParseItem(b []byte, it *publish.Item) (n int, err error) {
	*it = publish.Item{}
	c := cursor{b: b}
	c.item(it)
	if c.problem == "" {
		return c.i, nil
	}
	n, ok := skipValue(b, 0, maxDepth)
	if !ok {
		return 0, &Error{BadFrame, "an item is cut off or nested too deep"}
	}
	return n, &Error{BadItem, c.problem}
}

func (c *cursor) item(it *publish.Item) {
	n := c.array("the item is not an array")
	if n < 2 {
		c.fail(tooFewFields)
		return
	}
	it.Channel = c.text("channel is not a string")
	c.formats(it)
	if n > 2 {
		it.ID = c.text("id is not a string")
	}
	if n > 3 {
		it.PrevID = c.text("prev-id is not a string")
	}
	if n > 4 {
		it.Epoch = c.text("epoch is not a string")
	}
	if n > 5 {
		it.NoSeq = c.unsigned("flags are not an unsigned integer")&itemNoSeq != 0
	}
	if n > 6 {
		it.Size = c.integer("size is not an integer")
	}
	if n > 7 {
		it.Meta = c.meta()
	}
	c.skip(n - 8)
}

func (c *cursor) meta() map[string]string {
	n := c.optionalMap("meta is not a map")
	if n > MaxMeta {
		c.fail(tooManyMeta)
	}
	if n == 0 || c.problem != "" {
		return nil
	}
	meta := make(map[string]string, n)
	for range n {
		k := c.text("a meta name is not a string")
		meta[k] = c.text("a meta value is not a string")
	}
	return meta
}

func (c *cursor) formats(it *publish.Item) {
	n := c.array("formats are not an array")
	for ; n > 0 && c.problem == ""; n-- {
		fields := c.array("a format is not an array")
		if fields < 2 {
			c.fail("a format has fewer elements than a kind and an action")
			return
		}
		kind := c.integer("the kind of a format is not an integer")
		action := c.integer("an action is not an integer")
		if action < 0 || action > int(publish.Refresh) {
			c.fail(unknownAction)
		}
		var f publish.Format
		switch kind {
		case kindResponse:
			f = publish.HTTPResponse
			c.response(&it.Response, fields)
			it.Response.Action = publish.Action(action)
		case kindStream:
			f = publish.HTTPStream
			c.stream(&it.Stream, fields)
			it.Stream.Action = publish.Action(action)
		case kindMessage:
			f = publish.WSMessage
			c.message(&it.Message, fields)
			it.Message.Action = publish.Action(action)
		case kindEvent:
			f = publish.SSE
			if action != 0 {
				c.fail("an sse format has no action but 0")
			}
			c.event(&it.Event, fields)
		default:
			c.fail(unknownFormat)
		}
		if it.Formats&f != 0 {
			c.fail(doubleFormat)
		}
		it.Formats |= f
	}
}

func (c *cursor) response(r *publish.Response, fields int) {
	if fields > 2 {
		r.Body = c.text("body is not a string")
	}
	if fields > 3 {
		r.Code = c.integer("code is not an integer")
	}
	if fields > 4 {
		r.Reason = c.text("reason is not a string")
	}
	if fields > 5 {
		r.Headers = c.headers()
	}
	if fields > 6 {
		r.BodyPatch = c.text("body-patch is not a string")
	}
	if fields > 7 {
		r.ContentFilters = c.filters()
	}
	c.skip(fields - 8)
}

// headers reads [name, value, name, value, ...].
func (c *cursor) headers() []publish.Header {
	n := c.optionalArray("headers are not an array")
	if n%2 != 0 {
		c.fail("a header has no value")
	}
	n /= 2
	if n > MaxHeaders {
		c.fail(tooManyLists)
	}
	if n == 0 || c.problem != "" {
		return nil
	}
	headers := make([]publish.Header, n)
	for i := range headers {
		headers[i].Name = c.text("a header name is not a string")
		headers[i].Value = c.text("a header value is not a string")
	}
	return headers
}

func (c *cursor) filters() []string {
	n := c.optionalArray("content-filters are not an array")
	if n > MaxFilters {
		c.fail(tooManyLists)
	}
	if n == 0 || c.problem != "" {
		return nil
	}
	filters := make([]string, n)
	for i := range filters {
		filters[i] = c.text("a content filter is not a string")
	}
	return filters
}

func (c *cursor) stream(s *publish.Stream, fields int) {
	if fields > 2 {
		s.Content = c.text("content is not a string")
	}
	if fields > 3 {
		s.ContentFilters = c.filters()
	}
	c.skip(fields - 4)
}

func (c *cursor) message(m *publish.Message, fields int) {
	if fields > 2 {
		m.Content = c.text("content is not a string")
	}
	if fields > 3 {
		t := c.integer("type is not an integer")
		if t < 0 || t > int(publish.Pong) {
			c.fail(unknownType)
		}
		m.Type = publish.MessageType(t)
	}
	if fields > 4 {
		m.Code = c.integer("code is not an integer")
	}
	if fields > 5 {
		m.Reason = c.text("reason is not a string")
	}
	if fields > 6 {
		m.ContentFilters = c.filters()
	}
	c.skip(fields - 7)
}

func (c *cursor) event(e *publish.Event, fields int) {
	if fields > 2 {
		e.Data = c.text("data is not a string")
	}
	if fields > 3 {
		e.Event = c.text("event is not a string")
	}
	if fields > 4 {
		e.ID = c.text("the event's id is not a string")
	}
	if fields > 5 {
		e.Retry = c.integer("retry is not an integer")
	}
	c.skip(fields - 6)
}
