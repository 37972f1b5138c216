package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of an item's fields.
const (
	MaxChannelBytes = 255  // bytes of a channel name
	MaxIDBytes      = 1024 // bytes of an id: a browser sends it back in a header field

	minStatusCode   = 200  // one below announces another answer (RFC 9110 section 15.2)
	maxStatusCode   = 599  // RFC 9110 section 15
	maxCloseCode    = 4999 // RFC 6455 section 7.4.2
	maxControlBytes = 125  // payload of a WebSocket control frame, RFC 6455 section 5.5
	maxQuotedBytes  = 64   // bytes of a bad value that an error shows
)

var (
	errNoFormats      = errors.New("no formats specified")
	errUnknownFormats = errors.New("no known format specified")
)

// Check reports the first thing in the item that must not be published: a bad channel name, no
// format, a number out of range, or text that would break out of its place on the wire. The error
// names the field and is fit for the publisher. Every path into the hub checks: JSON in ParseItem,
// msgpack in control.
//
// Content may be any bytes. Where a client must get text, session replaces what is not UTF-8.
func (it *Item) Check() error {
	if it.Formats == 0 {
		if err := CheckChannel(it.Channel); err != nil {
			return err
		}
		return errNoFormats
	}
	if err := it.checkOuter(); err != nil {
		return err
	}
	return it.checkFormats()
}

// checkOuter checks everything but the formats.
func (it *Item) checkOuter() error {
	if err := CheckChannel(it.Channel); err != nil {
		return err
	}
	// Clients send ids back in header fields: Last-Event-ID, Grip-Last, Last-Id.
	if err := checkAll(badID, itemObject,
		field{"id", it.ID}, field{"prev-id", it.PrevID}, field{"epoch", it.Epoch}); err != nil {
		return err
	}
	for _, f := range []field{{"id", it.ID}, {"prev-id", it.PrevID}, {"epoch", it.Epoch}, {"sse id", it.Event.ID}} {
		if len(f.value) > MaxIDBytes {
			return fmt.Errorf("%s contains '%s' with invalid value: it is %d bytes long, at most %d are allowed", itemObject, f.name, len(f.value), MaxIDBytes)
		}
	}
	for k, v := range it.Meta {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fmt.Errorf("%s contains 'meta' with invalid value: %q=%q is not valid UTF-8", itemObject, cut(k), cut(v))
		}
	}
	if it.Size < 0 {
		return invalidNumber(itemObject, "size", it.Size)
	}
	return nil
}

// CheckChannel reports what is wrong with a channel name: it is empty, longer than MaxChannelBytes, not UTF-8, or
// contains a control character. A good name costs no allocation.
func CheckChannel[T string | []byte](name T) error {
	switch {
	case len(name) == 0:
		return errors.New("channel name is empty")
	case len(name) > MaxChannelBytes:
		return fmt.Errorf("channel name %q... is %d bytes long, at most %d are allowed", cut(string(name)), len(name), MaxChannelBytes)
	}
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRuneInString(string(name[i:min(i+utf8.UTFMax, len(name))]))
		if r == utf8.RuneError && size == 1 {
			return fmt.Errorf("channel name %q is not valid UTF-8 at byte %d", string(name), i)
		}
		if unicode.IsControl(r) {
			return fmt.Errorf("channel name %q has a control character at byte %d", string(name), i)
		}
		i += size
	}
	return nil
}

func (it *Item) checkFormats() error {
	if it.Has(HTTPResponse) {
		if err := it.Response.check(); err != nil {
			return err
		}
	}
	if it.Has(HTTPStream) {
		if err := checkAction(streamObject, it.Stream.Action, it.Stream.ContentFilters); err != nil {
			return err
		}
	}
	if it.Has(WSMessage) {
		if err := it.Message.check(); err != nil {
			return err
		}
	}
	if it.Has(SSE) {
		return it.Event.check()
	}
	return nil
}

func (r *Response) check() error {
	if err := checkAction(responseObject, r.Action, r.ContentFilters); err != nil {
		return err
	}
	if r.Code != 0 && (r.Code < minStatusCode || r.Code > maxStatusCode) {
		return invalidNumber(responseObject, "code", r.Code)
	}
	if err := checkAll(badValue, responseObject, field{"reason", r.Reason}); err != nil {
		return err
	}
	for _, h := range r.Headers {
		if !isToken(h.Name) {
			return fmt.Errorf("%s contains 'headers' with invalid value: %q is no header name", responseObject, cut(h.Name))
		}
		if why := badValue(h.Value); why != "" {
			return fmt.Errorf("%s contains 'headers' with invalid value: %s: %q %s", responseObject, h.Name, cut(h.Value), why)
		}
	}
	if r.BodyPatch == "" {
		return nil
	}
	if r.Body != "" {
		return fmt.Errorf("%s contains both 'body' and 'body-patch'", responseObject)
	}
	array := strings.HasPrefix(strings.TrimLeft(r.BodyPatch, " \t\r\n"), "[")
	if !array || !utf8.ValidString(r.BodyPatch) || !json.Valid([]byte(r.BodyPatch)) {
		return fmt.Errorf("%s contains 'body-patch' with invalid value: it is no JSON array", responseObject)
	}
	return nil
}

func (m *Message) check() error {
	if err := checkAction(messageObject, m.Action, m.ContentFilters); err != nil {
		return err
	}
	if m.Action == Close {
		if !validCloseCode(m.Code) {
			return invalidNumber(messageObject, "code", m.Code)
		}
		if !utf8.ValidString(m.Reason) || len(m.Reason) > maxControlBytes-2 {
			return fmt.Errorf("%s contains 'reason' with invalid value: at most %d bytes of UTF-8 are allowed",
				messageObject, maxControlBytes-2)
		}
		return nil
	}
	switch m.Type {
	case Text, Binary:
	case Ping, Pong:
		if len(m.Content) > maxControlBytes {
			return fmt.Errorf("%s contains 'content' with invalid value: a ping or pong has at most %d bytes",
				messageObject, maxControlBytes)
		}
	default:
		return fmt.Errorf("%s contains 'type' with unknown value", messageObject)
	}
	return nil
}

func (e *Event) check() error {
	if err := checkAll(badLine, eventObject, field{"event", e.Event}); err != nil {
		return err
	}
	if err := checkAll(badID, eventObject, field{"id", e.ID}); err != nil {
		return err
	}
	if e.Retry < 0 {
		return invalidNumber(eventObject, "retry", e.Retry)
	}
	return nil
}

// validCloseCode says whether an endpoint may send code in a close frame (RFC 6455 section 7.4): it is registered and not
// reserved, or free for libraries (3000 on) and applications (4000 on). 0 stands for 1000.
func validCloseCode(code int) bool {
	switch code {
	case 0, 1000, 1001, 1002, 1003:
		return true
	}
	return 1007 <= code && code <= 1014 || 3000 <= code && code <= maxCloseCode
}

func checkAction(object string, a Action, filters []string) error {
	if a > Refresh {
		return fmt.Errorf("%s contains 'action' with unknown value", object)
	}
	for _, f := range filters {
		if !utf8.ValidString(f) {
			return fmt.Errorf("%s contains 'content-filters' with invalid value: %q is not valid UTF-8", object, cut(f))
		}
	}
	return nil
}

// field is a named text within an object, to be checked.
type field struct{ name, value string }

// checkAll refuses fields for which bad gives a reason.
func checkAll(bad func(string) string, object string, fields ...field) error {
	for _, f := range fields {
		if why := bad(f.value); why != "" {
			return fmt.Errorf("%s contains '%s' with invalid value: %q %s", object, f.name, cut(f.value), why)
		}
	}
	return nil
}

// badLine says what keeps s from being a single line of text, or "".
func badLine(s string) string {
	for i := range len(s) {
		switch s[i] {
		case '\r':
			return "contains CR"
		case '\n':
			return "contains LF"
		case 0:
			return "contains NUL"
		}
	}
	if !utf8.ValidString(s) {
		return "is not valid UTF-8"
	}
	return ""
}

// badID says what keeps s from being an id, or "". No control character can stand in one: clients
// send ids back in header fields, where their libraries refuse or cut such a value.
func badID(s string) string {
	if why := badLine(s); why != "" {
		return why
	}
	return badControl(s, false)
}

// badValue says what keeps s from being a header value or a reason phrase, or "". Of the control
// characters only a tab may stand there (RFC 9110 section 5.5, RFC 9112 section 4).
func badValue(s string) string {
	if why := badLine(s); why != "" {
		return why
	}
	return badControl(s, true)
}

// badControl names the first control character of s, which is UTF-8: U+0000 to U+001F, U+007F to
// U+009F.
func badControl(s string, tabs bool) string {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\t' && tabs:
		case c < ' ' || c == 0x7f:
			return fmt.Sprintf("contains the control character U+%04X", c)
		case c == 0xc2 && s[i+1] < 0xa0: // the first of the two bytes of U+0080 to U+00BF
			return fmt.Sprintf("contains the control character U+%04X", s[i+1])
		}
	}
	return ""
}

// isToken says whether s is a token of RFC 9110 section 5.6.2, as a header name must be.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

func invalidNumber(object, name string, n int) error {
	return fmt.Errorf("%s contains '%s' with invalid value: %d", object, name, n)
}

// cut shortens a bad value to what an error shows of it.
func cut(s string) string {
	if len(s) <= maxQuotedBytes {
		return s
	}
	n := maxQuotedBytes
	for n > maxQuotedBytes-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
