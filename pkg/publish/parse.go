package publish

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxNesting is the depth of objects and arrays that a publisher may send: an item needs 5, the rest is for body patches.
const maxNesting = 64

// The names of the objects in error texts, which are those of Pushpin.
const (
	itemObject     = "publish item object"
	formatsObject  = "'formats'"
	responseObject = "'http-response'"
	streamObject   = "'http-stream'"
	messageObject  = "'ws-message'"
	eventObject    = "'sse'"
)

var (
	actionNames = [...]string{Send: "send", Hint: "hint", Close: "close", Refresh: "refresh"}
	typeNames   = [...]string{Text: "text", Binary: "binary", Ping: "ping", Pong: "pong"}
)

// Errors of ParseItems about the body as a whole. Their texts, like those of ItemError, are what Pushpin answers.
var (
	ErrNotJSON   = errors.New("Body is not valid JSON.") //lint:ignore ST1005 the text is part of the protocol
	ErrNotObject = errors.New("Invalid format.")         //lint:ignore ST1005 the text is part of the protocol
)

// ItemError says what is wrong with the body of a publish request below its outer object.
type ItemError struct {
	Index  int // of the bad item, from 0; -1 when no single item is to blame
	Reason string
}

// Error gives the text for the publisher, as Pushpin words it. The index is not part of it.
func (e *ItemError) Error() string { return "Invalid format: " + e.Reason }

// byteOrderMark may stand before JSON. A parser may ignore it (RFC 8259 section 8.1), and this one
// does.
const byteOrderMark = "\ufeff"

// TrimMark returns b without a byte order mark at its beginning.
func TrimMark(b []byte) []byte { return bytes.TrimPrefix(b, []byte(byteOrderMark)) }

// ParseItems reads the body of a publish request, {"items": [ITEM, ...]}. The items are checked,
// and the first bad one refuses the whole body. The error is ErrNotJSON, ErrNotObject or an
// *ItemError. The items share no memory with body.
//
// An item whose formats all have names that are not known has no Formats. It is good, but there is
// nothing to publish: newer publishers may send formats to older servers.
func ParseItems(body []byte) ([]Item, error) {
	body = TrimMark(body)
	if !json.Valid(body) || !utf8.Valid(body) {
		return nil, ErrNotJSON
	}
	if err := checkNesting(body); err != nil {
		return nil, &ItemError{-1, err.Error()}
	}
	o, ok := asObject("object", body)
	if !ok {
		return nil, ErrNotObject
	}
	raw, err := o.list("items")
	if err != nil {
		return nil, &ItemError{-1, err.Error()}
	}
	if raw == nil {
		return nil, &ItemError{-1, "object does not contain 'items'"}
	}
	items := make([]Item, len(raw))
	for i := range raw {
		if items[i], err = parseItem(raw[i]); err != nil && !errors.Is(err, errUnknownFormats) {
			return nil, &ItemError{i, err.Error()}
		}
	}
	return items, nil
}

// ParseItem reads one item in its JSON form and checks it. Fields that it does not know are
// ignored, null counts as absent, and of a repeated field the last one counts. An item without any
// known format is refused. The item shares no memory with b.
func ParseItem(b []byte) (Item, error) {
	b = TrimMark(b)
	if !utf8.Valid(b) {
		return Item{}, errors.New("not valid JSON: not valid UTF-8")
	}
	var raw json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return Item{}, fmt.Errorf("not valid JSON: %w", err)
	}
	if err := checkNesting(b); err != nil {
		return Item{}, err
	}
	return parseItem(raw)
}

// checkNesting refuses valid JSON that is nested deeper than maxNesting.
func checkNesting(b []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++ // whatever is escaped does not end the string
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxNesting {
				return fmt.Errorf("nested deeper than %d levels", maxNesting)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

func parseItem(b []byte) (Item, error) {
	var it Item
	o, ok := asObject(itemObject, b)
	if !ok {
		return it, fmt.Errorf("%s is not an object", itemObject)
	}
	if loneSurrogate(b) >= 0 {
		return it, surrogateError(o, b)
	}
	if !o.has("channel") {
		return it, o.missing("channel")
	}
	r := reader{object: o}
	it.Channel = r.text("channel")
	it.ID = r.text("id")
	it.PrevID = r.text("prev-id")
	it.Epoch = r.text("epoch")
	it.NoSeq = r.boolean("no-seq")
	it.Size = r.integer("size")
	it.Meta = r.texts("meta")
	if r.err != nil {
		return it, r.err
	}
	formats := o // the older form has the formats at the top level
	if o.has("formats") {
		if formats, ok = asObject(formatsObject, o.fields["formats"]); !ok {
			return it, o.wrongType("formats")
		}
	}
	if err := it.parseFormats(formats); err != nil {
		return it, err
	}
	if it.Formats == 0 && o.has("formats") && !formats.empty() {
		if err := it.checkOuter(); err != nil {
			return it, err
		}
		return it, errUnknownFormats
	}
	return it, it.Check()
}

func (it *Item) parseFormats(formats object) error {
	for _, f := range [...]struct {
		format Format
		key    string
		name   string
		parse  func(reader) error
	}{
		{HTTPResponse, "http-response", responseObject, it.Response.parse},
		{HTTPStream, "http-stream", streamObject, it.Stream.parse},
		{WSMessage, "ws-message", messageObject, it.Message.parse},
		{SSE, "sse", eventObject, it.Event.parse},
	} {
		if !formats.has(f.key) {
			continue
		}
		o, ok := asObject(f.name, formats.fields[f.key])
		if !ok {
			return formats.wrongType(f.key)
		}
		if err := f.parse(reader{object: o}); err != nil {
			return err
		}
		it.Formats |= f.format
	}
	return nil
}

func (v *Response) parse(r reader) error {
	if v.Action = r.action(); v.Action != Send || r.err != nil {
		return r.err
	}
	v.Code = r.code()
	v.Reason = r.text("reason")
	v.Headers = r.headers()
	v.ContentFilters = r.filters()
	switch {
	case r.has("body-bin"), r.has("body"):
		v.Body = r.content("body")
	case r.has("body-patch"):
		v.BodyPatch = r.patch("body-patch")
	default:
		r.fail(fmt.Errorf("%s does not contain 'body', 'body-bin', or 'body-patch'", r.name))
	}
	return r.err
}

func (v *Stream) parse(r reader) error {
	if v.Action = r.action(); v.Action != Send || r.err != nil {
		return r.err
	}
	v.ContentFilters = r.filters()
	v.Content = r.content("content")
	return r.err
}

func (v *Message) parse(r reader) error {
	v.Action = r.action()
	if v.Action == Close {
		v.Code = r.code()
		v.Reason = r.text("reason")
	}
	if v.Action != Send || r.err != nil {
		return r.err
	}
	v.ContentFilters = r.filters()
	if r.has("content-bin") {
		v.Type = Binary
	}
	if r.has("type") {
		v.Type = r.messageType()
	}
	if control := v.Type == Ping || v.Type == Pong; control && !r.has("content") && !r.has("content-bin") {
		return r.err
	}
	v.Content = r.content("content")
	return r.err
}

func (v *Event) parse(r reader) error {
	if !r.has("data") {
		return r.missing("data")
	}
	v.Event = r.text("event")
	v.ID = r.text("id")
	v.Data = r.text("data")
	v.Retry = r.integer("retry")
	return r.err
}
