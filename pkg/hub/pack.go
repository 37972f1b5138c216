package hub

import (
	"encoding/binary"
	"strings"

	"holdfast/pkg/publish"
)

// A kept item is packed into one string without its channel: an allocation that the collector does not look into, and a
// third of what the struct takes. Contents of which one begins with the other, as those of the formats often do, share
// bytes. What is unpacked aliases the string.
//
// The form: length and bytes of the item's ID, then of its event's; packedBytes; then what the mask says, in the order of its
// bits.

// Bits of the mask.
const (
	packTexts    = 0  // six texts that are not empty
	packContents = 6  // four contents that are not empty
	packNumbers  = 10 // four numbers that are not 0
	packNoSeq    = 14
	packLists    = 15 // headers, filters and meta follow
	packShared   = 16 // four contents with which the longest begins
	packLongest  = 20 // two bits: which content is the longest, and comes first
)

const (
	packedBytes = 5 + 4 // formats, three actions, type; mask
)

// texts returns the strings of an item that are seldom set. IDs and contents stand apart.
func texts(it *publish.Item) [6]*string {
	return [6]*string{&it.PrevID, &it.Epoch, &it.Response.Reason, &it.Response.BodyPatch, &it.Message.Reason, &it.Event.Event}
}

func contents(it *publish.Item) [4]*string {
	return [4]*string{&it.Stream.Content, &it.Response.Body, &it.Message.Content, &it.Event.Data}
}

func numbers(it *publish.Item) [4]*int {
	return [4]*int{&it.Response.Code, &it.Message.Code, &it.Event.Retry, &it.Size}
}

func filterLists(it *publish.Item) [3]*[]string {
	return [3]*[]string{&it.Response.ContentFilters, &it.Stream.ContentFilters, &it.Message.ContentFilters}
}

func hasLists(it *publish.Item) bool {
	return len(it.Response.Headers)+len(it.Response.ContentFilters)+len(it.Stream.ContentFilters)+
		len(it.Message.ContentFilters)+len(it.Meta) > 0
}

// appendPacked appends the packed item to b, which shares no memory with it.
func appendPacked(b []byte, it *publish.Item) []byte {
	b = appendText(appendText(b, it.ID), it.Event.ID)
	b = append(b, byte(it.Formats), byte(it.Response.Action), byte(it.Stream.Action), byte(it.Message.Action), byte(it.Message.Type))
	at, mask := len(b), uint32(0)
	b = append(b, 0, 0, 0, 0)
	for i, s := range texts(it) {
		if *s != "" {
			mask |= 1 << (packTexts + i)
			b = appendText(b, *s)
		}
	}
	b, contents := appendContents(b, it)
	mask |= contents
	for i, n := range numbers(it) {
		if *n != 0 {
			mask |= 1 << (packNumbers + i)
			b = binary.AppendVarint(b, int64(*n))
		}
	}
	if it.NoSeq {
		mask |= 1 << packNoSeq
	}
	if hasLists(it) {
		mask |= 1 << packLists
		b = appendLists(b, it)
	}
	binary.LittleEndian.PutUint32(b[at:], mask)
	return b
}

// appendContents appends the contents, the longest first, and returns their bits of the mask.
func appendContents(b []byte, it *publish.Item) ([]byte, uint32) {
	all := contents(it)
	longest := 0
	for i, s := range all {
		if len(*s) > len(*all[longest]) {
			longest = i
		}
	}
	whole := *all[longest]
	if whole == "" {
		return b, 0
	}
	mask := uint32(longest<<packLongest | 1<<(packContents+longest))
	b = appendText(b, whole)
	for i, s := range all {
		switch {
		case *s == "" || i == longest:
			continue
		case strings.HasPrefix(whole, *s):
			mask |= 1 << (packShared + i)
			b = binary.AppendUvarint(b, uint64(len(*s)))
		default:
			b = appendText(b, *s)
		}
		mask |= 1 << (packContents + i)
	}
	return b, mask
}

func appendLists(b []byte, it *publish.Item) []byte {
	b = binary.AppendUvarint(b, uint64(len(it.Response.Headers)))
	for _, h := range it.Response.Headers {
		b = appendText(appendText(b, h.Name), h.Value)
	}
	for _, filters := range filterLists(it) {
		b = binary.AppendUvarint(b, uint64(len(*filters)))
		for _, s := range *filters {
			b = appendText(b, s)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(it.Meta)))
	for k, v := range it.Meta {
		b = appendText(appendText(b, k), v)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// unpack fills in what is packed of the item: all but its channel.
func unpack(packed string, it *publish.Item) {
	p := unpacker(packed)
	it.ID, it.Event.ID = p.text(), p.text()
	it.Formats = publish.Format(p[0])
	it.Response.Action, it.Stream.Action, it.Message.Action = publish.Action(p[1]), publish.Action(p[2]), publish.Action(p[3])
	it.Message.Type = publish.MessageType(p[4])
	mask := uint32(p[5]) | uint32(p[6])<<8 | uint32(p[7])<<16 | uint32(p[8])<<24
	p = p[packedBytes:]
	for i, s := range texts(it) {
		if mask>>(packTexts+i)&1 != 0 {
			*s = p.text()
		}
	}
	all := contents(it)
	longest := int(mask >> packLongest)
	if mask>>(packContents+longest)&1 != 0 {
		*all[longest] = p.text()
	}
	for i, s := range all {
		switch {
		case i == longest || mask>>(packContents+i)&1 == 0:
		case mask>>(packShared+i)&1 != 0:
			*s = (*all[longest])[:p.length()]
		default:
			*s = p.text()
		}
	}
	for i, n := range numbers(it) {
		if mask>>(packNumbers+i)&1 != 0 {
			*n = p.number()
		}
	}
	it.NoSeq = mask>>packNoSeq&1 != 0
	if mask>>packLists&1 != 0 {
		p.lists(it)
	}
}

// hasID reports whether a packed item goes by that id: its own, or its event's.
func hasID(packed string, id []byte) bool {
	p := unpacker(packed)
	own := p.text()
	return len(id) > 0 && (own == string(id) || p.text() == string(id))
}

// packedIDs returns the part of a packed item that hasID looks at.
func packedIDs(packed string) string {
	p := unpacker(packed)
	p.text()
	p.text()
	return packed[:len(packed)-len(p)]
}

// unpacker is what is left to read of a packed item.
type unpacker string

func (p *unpacker) length() int {
	n, shift := 0, 0
	for i := 0; ; i++ {
		c := (*p)[i]
		n |= int(c&0x7f) << shift
		if c < 0x80 {
			*p = (*p)[i+1:]
			return n
		}
		shift += 7
	}
}

func (p *unpacker) number() int {
	n := uint64(p.length())
	return int(int64(n>>1) ^ -int64(n&1))
}

func (p *unpacker) text() string {
	n := p.length()
	s := string(*p)[:n]
	*p = (*p)[n:]
	return s
}

func (p *unpacker) lists(it *publish.Item) {
	if n := p.length(); n > 0 {
		it.Response.Headers = make([]publish.Header, n)
		for i := range n {
			it.Response.Headers[i] = publish.Header{Name: p.text(), Value: p.text()}
		}
	}
	for _, filters := range filterLists(it) {
		if n := p.length(); n > 0 {
			*filters = make([]string, n)
			for i := range n {
				(*filters)[i] = p.text()
			}
		}
	}
	if n := p.length(); n > 0 {
		it.Meta = make(map[string]string, n)
		for range n {
			k := p.text()
			it.Meta[k] = p.text()
		}
	}
}
