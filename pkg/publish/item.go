// Package publish describes what is published: the item, with its channel, its ids and its contents for each kind of
// client, and the JSON form that publishers send (reference: the GRIP publish item).
//
// An Item is plain data. It knows no connection, no clock and no transport: hub hands it around, session encodes it for
// each client, wire and JSON carry it.
package publish

// Format says for which kind of client an item has content. An Item has a set of them.
type Format uint8

// The formats of an item, by the names they have in JSON.
const (
	HTTPResponse Format = 1 << iota // "http-response": answers a long poll
	HTTPStream                      // "http-stream": bytes for a held HTTP response
	WSMessage                       // "ws-message": one WebSocket message
	SSE                             // "sse": one Server-Sent Event; holdfast's own addition to GRIP
)

// Action is what a format asks for.
type Action uint8

// The actions of a format. Send is the zero value and the default.
const (
	Send    Action = iota // deliver the content
	Hint                  // tell the holder of the connection that something changed
	Close                 // end the connection
	Refresh               // make a WebSocket-over-HTTP connection ask its backend again
)

// MessageType is the kind of a WebSocket message (RFC 6455 section 5.2).
type MessageType uint8

// The types of a ws-message. Text is the zero value and the default.
const (
	Text MessageType = iota
	Binary
	Ping
	Pong
)

// Item is one published message. Its strings may alias the buffer in which it arrived, so an Item that is kept
// longer than its delivery is cloned first. After it was handed to the hub nobody changes it.
type Item struct {
	Channel string
	ID      string // "" when the publisher gave none
	PrevID  string
	Epoch   string // names the sequence that ID belongs to; "" when the publisher gave none

	Formats  Format // which of the four contents below are present
	Response Response
	Stream   Stream
	Message  Message
	Event    Event

	Meta  map[string]string
	NoSeq bool
	Size  int // size in bytes for block statistics; 0 means the content's own size

	// Alias is given by the hub's history, never by a publisher: another id of the item, which
	// stands for it alone where its ID would not lead a client back to it. That is where the ID
	// comes more than once, cannot be carried by a header field, or looks like a position. "" means
	// that the ID does.
	Alias string
}

// ResumeID returns what a client that has had the item names when it comes back: its Alias, else
// its ID. It is "" where the item has neither, and where its ID is no value of a header field.
func (it *Item) ResumeID() string {
	switch {
	case it.Alias != "":
		return it.Alias
	case FieldSafe(it.ID):
		return it.ID
	}
	return ""
}

// FieldSafe reports whether the id comes through a header field as it is: visible ASCII, with
// spaces inside only (RFC 9110 5.5). Other bytes are read in one way by some clients and in another
// way by others.
func FieldSafe(id string) bool {
	for i := range len(id) {
		if c := id[i]; c > '~' || c < ' ' || c == ' ' && (i == 0 || i == len(id)-1) {
			return false
		}
	}
	return true
}

// Has reports whether the item has content for f.
func (it *Item) Has(f Format) bool { return it.Formats&f != 0 }

// Header is one header field of an http-response.
type Header struct{ Name, Value string }

// Response is the http-response format: the whole answer to a long poll.
type Response struct {
	Action         Action
	Code           int    // 0 means 200
	Reason         string // "" means the standard reason of Code
	Headers        []Header
	Body           string
	BodyPatch      string // a JSON array of RFC 6902 operations instead of Body; "" when there is none
	ContentFilters []string
}

// Stream is the http-stream format: bytes appended to a held response.
type Stream struct {
	Action         Action
	Content        string
	ContentFilters []string
}

// Message is the ws-message format: one message, or with Action Close a close frame of Code and Reason.
type Message struct {
	Action         Action
	Type           MessageType
	Content        string
	Code           int // close code; 0 means 1000
	Reason         string
	ContentFilters []string
}

// Event is the sse format: the fields of one Server-Sent Event (WHATWG HTML 9.2.6).
type Event struct {
	Event string // "" leaves the event type out
	ID    string // "" means the item's ID
	Data  string
	Retry int // reconnection time in milliseconds; 0 leaves it out
}
