package publish

// Effect is what an item is to a held connection that takes one of its formats.
type Effect uint8

// The effects.
const (
	Ignored Effect = iota // the item has nothing for it
	Content               // it gets the format's content
	Closing               // it is ended
	Hinted                // its backend is to be asked again
)

// For returns what the item is to a held connection that takes f. hasBody says that the connection
// has a body to which a patch can be applied: a response that a backend holds has one, a poll has
// none.
//
// This is the one rule for all kinds of connections, live and from the history. Content with
// filters is for connections that apply those filters (reference: the GRIP publish item,
// content-filters). pushd has none, so such content is for nobody.
func (it *Item) For(f Format, hasBody bool) Effect {
	if !it.Has(f) {
		return Ignored
	}
	action, filters := Send, []string(nil)
	switch f {
	case HTTPResponse:
		action, filters = it.Response.Action, it.Response.ContentFilters
		if it.Response.BodyPatch != "" && !hasBody && action == Send {
			return Ignored
		}
	case HTTPStream:
		action, filters = it.Stream.Action, it.Stream.ContentFilters
	case WSMessage:
		action, filters = it.Message.Action, it.Message.ContentFilters
	}
	switch {
	case action == Hint:
		return Hinted
	case len(filters) > 0:
		return Ignored
	case action == Send:
		return Content
	case action == Close:
		return Closing
	}
	return Ignored
}
