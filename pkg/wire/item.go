package wire

import (
	"holdfast/pkg/publish"
)

// An item is [channel, formats, id, prev-id, epoch, flags, size, meta]. A format is [kind, action, ...] with the fields
// of its kind. Elements at the end that have their default are left out, elements that are not known are passed over.

// The kinds of a format on the wire. They are not the bits of publish.Format, which may change.
const (
	kindResponse = 1 // [1, action, body, code, reason, headers, body-patch, filters]
	kindStream   = 2 // [2, action, content, filters]
	kindMessage  = 3 // [3, action, content, type, code, reason, filters]
	kindEvent    = 4 // [4, 0, data, event, id, retry]
)

// Flags of an item.
const itemNoSeq = 1

// Limits of an item's lists, in elements.
const (
	MaxMeta    = 256 // pairs of meta
	MaxHeaders = 256 // headers of an http-response
	MaxFilters = 64  // content filters of a format
)

// AppendItem appends the wire form of it to dst.
func AppendItem(dst []byte, it *publish.Item) []byte {
	n := itemFields(it)
	dst = append(dst, codeFixArray|byte(n))
	dst = appendText(dst, it.Channel)
	dst = appendFormats(dst, it)
	if n == 2 {
		return dst
	}
	dst = appendText(dst, it.ID)
	dst = appendText(dst, it.PrevID)
	dst = appendText(dst, it.Epoch)
	if n == 5 {
		return dst
	}
	flags := uint64(0)
	if it.NoSeq {
		flags |= itemNoSeq
	}
	dst = appendUint(dst, flags)
	dst = appendInt(dst, it.Size)
	if n == 7 {
		return dst
	}
	dst = appendMapLen(dst, len(it.Meta))
	for k, v := range it.Meta {
		dst = appendText(dst, k)
		dst = appendText(dst, v)
	}
	return dst
}

// itemFields is the number of elements of the item's array: 2, 5, 7 or 8.
func itemFields(it *publish.Item) int {
	switch {
	case len(it.Meta) > 0:
		return 8
	case it.NoSeq || it.Size != 0:
		return 7
	case it.ID != "" || it.PrevID != "" || it.Epoch != "":
		return 5
	}
	return 2
}

func appendFormats(dst []byte, it *publish.Item) []byte {
	at := len(dst)
	dst = append(dst, 0)
	n := byte(0)
	if it.Has(publish.HTTPResponse) {
		dst = appendResponse(dst, &it.Response)
		n++
	}
	if it.Has(publish.HTTPStream) {
		dst = appendStream(dst, &it.Stream)
		n++
	}
	if it.Has(publish.WSMessage) {
		dst = appendMessage(dst, &it.Message)
		n++
	}
	if it.Has(publish.SSE) {
		dst = appendEvent(dst, &it.Event)
		n++
	}
	dst[at] = codeFixArray | n
	return dst
}

func appendResponse(dst []byte, r *publish.Response) []byte {
	n := byte(3)
	switch {
	case len(r.ContentFilters) > 0:
		n = 8
	case r.BodyPatch != "":
		n = 7
	case len(r.Headers) > 0:
		n = 6
	case r.Code != 0 || r.Reason != "":
		n = 5
	}
	dst = appendUint(append(dst, codeFixArray|n, kindResponse), uint64(r.Action))
	dst = appendBytes(dst, r.Body)
	if n > 3 {
		dst = appendInt(dst, r.Code)
		dst = appendText(dst, r.Reason)
	}
	if n > 5 {
		dst = appendArrayLen(dst, 2*len(r.Headers))
		for _, h := range r.Headers {
			dst = appendText(dst, h.Name)
			dst = appendText(dst, h.Value)
		}
	}
	if n > 6 {
		dst = appendText(dst, r.BodyPatch)
	}
	if n > 7 {
		dst = appendTexts(dst, r.ContentFilters)
	}
	return dst
}

func appendStream(dst []byte, s *publish.Stream) []byte {
	n := byte(3)
	if len(s.ContentFilters) > 0 {
		n = 4
	}
	dst = appendUint(append(dst, codeFixArray|n, kindStream), uint64(s.Action))
	dst = appendBytes(dst, s.Content)
	if n > 3 {
		dst = appendTexts(dst, s.ContentFilters)
	}
	return dst
}

func appendMessage(dst []byte, m *publish.Message) []byte {
	n := byte(3)
	switch {
	case len(m.ContentFilters) > 0:
		n = 7
	case m.Code != 0 || m.Reason != "":
		n = 6
	case m.Type != publish.Text:
		n = 4
	}
	dst = appendUint(append(dst, codeFixArray|n, kindMessage), uint64(m.Action))
	dst = appendBytes(dst, m.Content)
	if n > 3 {
		dst = appendUint(dst, uint64(m.Type))
	}
	if n > 4 {
		dst = appendInt(dst, m.Code)
		dst = appendText(dst, m.Reason)
	}
	if n > 6 {
		dst = appendTexts(dst, m.ContentFilters)
	}
	return dst
}

func appendEvent(dst []byte, e *publish.Event) []byte {
	n := byte(3)
	switch {
	case e.Retry != 0:
		n = 6
	case e.Event != "" || e.ID != "":
		n = 5
	}
	dst = append(dst, codeFixArray|n, kindEvent, 0)
	dst = appendText(dst, e.Data)
	if n > 3 {
		dst = appendText(dst, e.Event)
		dst = appendText(dst, e.ID)
	}
	if n > 5 {
		dst = appendInt(dst, e.Retry)
	}
	return dst
}
