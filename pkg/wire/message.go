package wire

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"holdfast/pkg/stats"

	"github.com/vmihailenco/msgpack/v5"
)

// Type is the first element of every message.
type Type uint64

// The messages of protocol version 1.
const (
	TypeHello          Type = 1  // both sides, once, behind the magic
	TypeError          Type = 2  // from the server
	TypePing           Type = 3  // from the client
	TypePong           Type = 4  // the server's answer to a ping
	TypePublish        Type = 16 // from the client: one item
	TypePublishBatch   Type = 17 // from the client: items with consecutive ids
	TypeAckBatch       Type = 18 // from the server: what became of published items
	TypeStatsRequest   Type = 32 // from the client: one snapshot
	TypeStatsSubscribe Type = 33 // from the client: a snapshot at every interval
	TypeStatsSnapshot  Type = 34 // from the server
)

// Message is one message: its type, and its other elements still as msgpack. It aliases the frame's payload.
type Message struct {
	Type Type

	fields int // elements behind the type
	body   []byte
}

// ParseMessage reads the front of a frame's payload. The error is an *Error of code BadFrame.
func ParseMessage(payload []byte) (Message, error) {
	c := cursor{b: payload}
	n := c.array("the payload is not an array")
	if n == 0 {
		c.fail("the payload is an empty array")
	}
	t := c.unsigned("the type of the message is not an unsigned integer")
	if c.problem != "" {
		return Message{}, &Error{BadFrame, c.problem}
	}
	return Message{Type: Type(t), fields: n - 1, body: payload[c.i:]}, nil
}

// RequestID is the id that a message of whatever type carries: its second element, or the key id of its map. It is 0 when
// there is none. The error is an *Error of code BadFrame when the message is not well-formed msgpack.
func (m Message) RequestID() (uint64, error) {
	if err := m.check(); err != nil {
		return 0, err
	}
	c := cursor{b: m.body}
	if id := c.unsigned("id"); c.problem == "" {
		return id, nil
	}
	var r Request
	if err := ParseCold(m, &r); err != nil {
		return 0, nil //nolint:nilerr // it has no id of the form that is known here
	}
	return r.ID, nil
}

// check walks the whole message, so that what reads it afterwards meets no wrong length and no deep nesting.
func (m Message) check() error {
	c := cursor{b: m.body}
	c.skip(m.fields)
	if c.problem != "" || c.i != len(m.body) {
		return &Error{BadFrame, "the message is cut off, nested too deep or followed by more"}
	}
	return nil
}

// Role is what a client came for. It is shown, not enforced.
type Role string

// The roles of a client.
const (
	RolePublish Role = "publish"
	RoleStats   Role = "stats"
	RoleControl Role = "control" // several things, or nothing in particular
)

// Hello opens a connection, from either side.
type Hello struct {
	Version int    `msgpack:"version"` // of the protocol: the highest the client speaks; the one the server chose
	Program string `msgpack:"program"` // name and version of the sender's program, as "pushd 1.2.3"
	Role    Role   `msgpack:"role,omitempty"`

	// The server's side.
	PID        int      `msgpack:"pid,omitempty"`
	MaxFrame   int      `msgpack:"max_frame,omitempty"`   // bytes of a frame's payload
	MaxMessage int      `msgpack:"max_message,omitempty"` // bytes of an item's content
	Features   []string `msgpack:"features,omitempty"`
}

// Failure is the body of an error frame.
type Failure struct {
	Code  Code   `msgpack:"code"`
	Text  string `msgpack:"text"`
	ID    uint64 `msgpack:"id,omitempty"`    // the request it answers; 0 when there is none
	Fatal bool   `msgpack:"fatal,omitempty"` // the sender closes the connection behind this frame
}

// Err returns the failure as an error.
func (f Failure) Err() *Error { return &Error{f.Code, f.Text} }

// Request is the body of ping, pong and stats-request. The answer carries the same id.
type Request struct {
	ID uint64 `msgpack:"id"`
}

// Subscribe is the body of stats-subscribe. A later one replaces it.
type Subscribe struct {
	ID         uint64 `msgpack:"id"`          // every snapshot carries it
	IntervalMS int64  `msgpack:"interval_ms"` // between snapshots; 0 ends subscription ID, any with ID 0
}

// Snapshot is the body of stats-snapshot.
type Snapshot struct {
	ID       uint64         `msgpack:"id"`
	Snapshot stats.Snapshot `msgpack:"snapshot"`
}

// Body is one of the messages that are a map.
type Body interface {
	Hello | Failure | Request | Subscribe | Snapshot |
		ConnectionsRequest | Connections | ChannelsRequest | Channels | Routes | CloseRequest | Closed | EventsSubscribe | Events
}

// AppendCold appends a frame of type t whose only other element is the map of body.
func AppendCold[B Body](dst []byte, t Type, body *B) []byte {
	var buf bytes.Buffer
	enc := msgpack.NewEncoder(&buf)
	enc.UseCompactInts(true)
	if err := enc.Encode(body); err != nil {
		panic(fmt.Sprintf("wire: encode %T: %v", body, err)) // plain structs into memory
	}
	start := len(dst)
	dst = append(beginFrame(dst), codeFixArray|2, byte(t))
	dst = append(dst, buf.Bytes()...)
	endFrame(dst, start)
	return dst
}

// ParseCold reads the map of a message into body, which shares no memory with the frame. Keys that
// are not known are ignored. The error is an *Error of code BadFrame, or BadRequest for a number
// that its field cannot hold.
func ParseCold[B Body](m Message, body *B) error {
	if err := m.check(); err != nil {
		return err
	}
	c := cursor{b: m.body}
	if m.fields < 1 || c.isNil() {
		c.fail("map")
	}
	if c.optionalMap("map"); c.problem != "" {
		return &Error{BadFrame, "the body of the message is not a map"}
	}
	if err := checkNumbers(m.body, reflect.TypeFor[B]()); err != nil {
		return err
	}
	if err := msgpack.Unmarshal(m.body, body); err != nil {
		return Errorf(BadFrame, "the body of the message: %v", err)
	}
	return nil
}

// AppendHello appends magic and hello frame.
func AppendHello(dst []byte, h *Hello) []byte {
	return AppendCold(append(dst, Magic...), TypeHello, h)
}

// ReadHello reads magic and hello frame of the other side, MaxHello bytes at most, and leaves r at its former maximum.
// The error is what the other side sent in place of a hello, as an *Error; or why it is none, as an *Error of code
// BadHello; or that of the source.
func ReadHello(r *Reader) (Hello, error) {
	var h Hello
	if err := r.Magic(); err != nil {
		return h, err
	}
	max := r.max
	r.SetMax(min(max, MaxHello-len(Magic)-headLen))
	payload, err := r.Next()
	r.SetMax(max)
	if err != nil {
		return h, err
	}
	m, err := ParseMessage(payload)
	if err != nil {
		return h, err
	}
	switch m.Type {
	case TypeHello:
		if err = ParseCold(m, &h); errors.Is(err, &Error{Code: BadRequest}) {
			err = &Error{BadHello, err.(*Error).Text}
		}
	case TypeError:
		var f Failure
		if err = ParseCold(m, &f); err == nil {
			err = f.Err()
		}
	default:
		err = Errorf(BadHello, "the first message is of type %d", m.Type)
	}
	return h, err
}
