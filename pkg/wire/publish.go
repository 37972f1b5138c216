package wire

import (
	"encoding/binary"

	"holdfast/pkg/publish"
)

// Flags ask for a special treatment of a publish or publish-batch. Bits that are not known are ignored.
type Flags uint64

// AcceptedOnly asks for the ack as soon as the server has taken the items, without their receivers.
const AcceptedOnly Flags = 1

// Ack is what became of one published item.
type Ack struct {
	ID        uint64 // the request id under which it was published
	Accepted  bool
	Receivers int    // subscriptions that it was handed to; 0 when only the acceptance was asked for
	Err       *Error // why it was refused; nil when Accepted
}

// BatchHead is the size in bytes of what AppendBatchHead appends.
const BatchHead = headLen + 1 + 1 + 9 + 1 + 5

// AppendBatchHead begins a publish-batch frame whose items have the ids first, first+1 and so on. Items are appended
// behind it with AppendItem; FinishBatch completes the frame. Flags are below 128.
func AppendBatchHead(dst []byte, first uint64, flags Flags) []byte {
	dst = beginFrame(dst)
	dst = append(dst, codeFixArray|4, byte(TypePublishBatch), codeUint64)
	dst = binary.BigEndian.AppendUint64(dst, first)
	return append(dst, byte(flags&0x7f), codeArray32, 0, 0, 0, 0)
}

// FinishBatch writes length and number of items into frame, which goes from the batch head to the end of its last item.
func FinishBatch(frame []byte, items int) {
	binary.BigEndian.PutUint32(frame[BatchHead-4:], uint32(items))
	endFrame(frame, 0)
}

// AppendPublish appends a frame that publishes one item.
func AppendPublish(dst []byte, id uint64, flags Flags, it *publish.Item) []byte {
	start := len(dst)
	dst = append(beginFrame(dst), codeFixArray|4, byte(TypePublish))
	dst = appendUint(dst, id)
	dst = appendUint(dst, uint64(flags))
	dst = AppendItem(dst, it)
	endFrame(dst, start)
	return dst
}

// Items is the reader of the items of one publish or publish-batch message.
type Items struct {
	Flags Flags

	next     uint64 // id of the next item
	left     int    // items not yet read
	trailing int    // elements of the message behind the items
	rest     []byte
}

// Items reads the head of a publish or publish-batch message. The error is an *Error of code BadFrame.
func (m Message) Items() (Items, error) {
	c := cursor{b: m.body}
	if m.fields < 3 {
		c.fail("a publish has fewer elements than type, id, flags and item")
	}
	items := Items{
		next:     c.unsigned("the request id is not an unsigned integer"),
		Flags:    Flags(c.unsigned("the flags are not an unsigned integer")),
		left:     1,
		trailing: m.fields - 3,
	}
	if m.Type == TypePublishBatch {
		items.left = c.array("the items are not an array")
	}
	if c.problem != "" {
		return Items{}, &Error{BadFrame, c.problem}
	}
	items.rest = m.body[c.i:]
	return items, nil
}

// Left is the number of items not yet read. It is bounded by the length of the frame.
func (s *Items) Left() int { return s.left }

// Next reads the next item, as ParseItem does, and returns its id and its size in bytes on the wire. Next may go on after
// an error of code BadItem, which is about that item alone. It must not be called when nothing is left.
func (s *Items) Next(it *publish.Item) (id uint64, size int, err error) {
	size, err = ParseItem(s.rest, it)
	s.rest = s.rest[size:]
	s.left--
	id = s.next
	s.next++
	return id, size, err
}

// End checks what follows the last item: elements that are not known, and nothing behind the message.
func (s *Items) End() error {
	c := cursor{b: s.rest}
	c.skip(s.trailing)
	if c.problem != "" || c.i != len(s.rest) {
		return &Error{BadFrame, "the message does not end with its last element"}
	}
	return nil
}

// AppendAcks appends one ack-batch frame.
func AppendAcks(dst []byte, acks []Ack) []byte {
	start := len(dst)
	dst = append(beginFrame(dst), codeFixArray|2, byte(TypeAckBatch))
	dst = appendArrayLen(dst, len(acks))
	for i := range acks {
		dst = appendAck(dst, &acks[i])
	}
	endFrame(dst, start)
	return dst
}

func appendAck(dst []byte, a *Ack) []byte {
	n := byte(3)
	if a.Err != nil {
		n = 5
	}
	dst = appendUint(append(dst, codeFixArray|n), a.ID)
	dst = appendBool(dst, a.Accepted)
	dst = appendInt(dst, a.Receivers)
	if n == 5 {
		dst = appendInt(dst, int(a.Err.Code))
		dst = appendText(dst, a.Err.Text)
	}
	return dst
}

// Acks appends the acks of an ack-batch message to dst. They share no memory with the frame.
func (m Message) Acks(dst []Ack) ([]Ack, error) {
	c := cursor{b: m.body}
	if m.fields < 1 {
		c.fail("an ack-batch without acks")
	}
	n := c.array("the acks are not an array")
	for ; n > 0 && c.problem == ""; n-- {
		dst = append(dst, c.ack())
	}
	c.skip(m.fields - 1)
	if c.problem == "" && c.i != len(m.body) {
		c.fail("the message does not end with its last element")
	}
	if c.problem != "" {
		return dst, &Error{BadFrame, c.problem}
	}
	return dst, nil
}

func (c *cursor) ack() Ack {
	n := c.array("an ack is not an array")
	if n < 2 {
		c.fail("an ack has fewer elements than id and accepted")
	}
	a := Ack{
		ID:       c.unsigned("the id of an ack is not an unsigned integer"),
		Accepted: c.boolean("accepted is not a boolean"),
	}
	if n > 2 {
		a.Receivers = c.integer("receivers are not an integer")
	}
	if n > 3 {
		code := Code(c.integer("an error code is not an integer"))
		if code != 0 {
			a.Err = &Error{Code: code}
		}
	}
	if n > 4 {
		text := c.text("an error text is not a string")
		if a.Err != nil {
			a.Err.Text = string([]byte(text)) // the frame may be reused
		}
	}
	if a.Err == nil && !a.Accepted && c.problem == "" {
		a.Err = &Error{Code: Internal, Text: "refused without a reason"}
	}
	c.skip(n - 5)
	return a
}
