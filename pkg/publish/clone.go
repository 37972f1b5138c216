package publish

import (
	"slices"
	"strings"
)

// Clone returns a copy of it that shares no memory with it, so that the buffer which its strings alias can be used
// again. All the strings of the copy lie in one allocation.
func Clone(it Item) Item {
	it.Response.Headers = slices.Clone(it.Response.Headers)
	it.Response.ContentFilters = slices.Clone(it.Response.ContentFilters)
	it.Stream.ContentFilters = slices.Clone(it.Stream.ContentFilters)
	it.Message.ContentFilters = slices.Clone(it.Message.ContentFilters)

	size := 0
	it.mapStrings(func(s string) string {
		size += len(s)
		return s
	})
	for k, v := range it.Meta {
		size += len(k) + len(v)
	}
	var text strings.Builder
	text.Grow(size)
	move := func(s string) string {
		start := text.Len()
		text.WriteString(s)
		return text.String()[start:]
	}
	it.mapStrings(move)
	if it.Meta == nil {
		return it
	}
	meta := make(map[string]string, len(it.Meta))
	for k, v := range it.Meta {
		meta[move(k)] = move(v)
	}
	it.Meta = meta
	return it
}

// mapStrings replaces every string of the item outside Meta by what f returns for it. (f takes values, for pointers
// would move every item to the heap.)
func (it *Item) mapStrings(f func(string) string) {
	it.Channel, it.ID, it.PrevID, it.Epoch = f(it.Channel), f(it.ID), f(it.PrevID), f(it.Epoch)
	it.Alias = f(it.Alias)
	r := &it.Response
	r.Reason, r.Body, r.BodyPatch = f(r.Reason), f(r.Body), f(r.BodyPatch)
	it.Stream.Content = f(it.Stream.Content)
	it.Message.Content, it.Message.Reason = f(it.Message.Content), f(it.Message.Reason)
	it.Event.Event, it.Event.ID, it.Event.Data = f(it.Event.Event), f(it.Event.ID), f(it.Event.Data)
	for i, h := range r.Headers {
		r.Headers[i] = Header{f(h.Name), f(h.Value)}
	}
	for _, filters := range [...][]string{r.ContentFilters, it.Stream.ContentFilters, it.Message.ContentFilters} {
		for i, s := range filters {
			filters[i] = f(s)
		}
	}
}

// ContentSize is the number of bytes that the largest of the item's formats asks to be sent to one client: its content,
// with the headers of an http-response and the fields of an event. It is what a limit on the size of a message counts;
// the framing that a transport adds is left out.
func (it *Item) ContentSize() int {
	size := 0
	if it.Has(HTTPResponse) {
		r := &it.Response
		n := len(r.Body) + len(r.BodyPatch) + len(r.Reason)
		for i := range r.Headers {
			n += len(r.Headers[i].Name) + len(r.Headers[i].Value)
		}
		size = max(size, n)
	}
	if it.Has(HTTPStream) {
		size = max(size, len(it.Stream.Content))
	}
	if it.Has(WSMessage) {
		size = max(size, len(it.Message.Content)+len(it.Message.Reason))
	}
	if it.Has(SSE) {
		size = max(size, len(it.Event.Event)+len(it.Event.ID)+len(it.Event.Data))
	}
	return size
}
