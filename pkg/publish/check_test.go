package publish

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

// bare is an item with every format that passes Check.
func bare() Item {
	return Item{
		Channel:  "test",
		Formats:  HTTPResponse | HTTPStream | WSMessage | SSE,
		Response: Response{Body: "hello\n"},
		Stream:   Stream{Content: "hello\n"},
		Message:  Message{Content: "hello"},
		Event:    Event{Data: "hello"},
	}
}

func TestCheckAccepts(t *testing.T) {
	for name, change := range map[string]func(*Item){
		"bare":                   func(*Item) {},
		"longest channel":        func(it *Item) { it.Channel = strings.Repeat("c", MaxChannelBytes) },
		"channel beyond ASCII":   func(it *Item) { it.Channel = "grüße/\ufffd 世界" },
		"only a stream":          func(it *Item) { it.Formats = HTTPStream },
		"binary stream content":  func(it *Item) { it.Stream.Content = "\xff\x00" },
		"binary message":         func(it *Item) { it.Message = Message{Type: Binary, Content: "\xff\x00"} },
		"longest ping":           func(it *Item) { it.Message = Message{Type: Ping, Content: strings.Repeat("p", 125)} },
		"the lowest status":      func(it *Item) { it.Response.Code = 200 },
		"the greatest codes":     func(it *Item) { it.Response.Code, it.Message = 599, Message{Action: Close, Code: 4999} },
		"text that is no UTF-8":  func(it *Item) { it.Message.Content, it.Event.Data = "\xff", "\xff" },
		"tabs in a head":         func(it *Item) { it.Response.Reason, it.Response.Headers = "a\tb", []Header{{"X-A", "a\tb"}} },
		"ids beyond ASCII":       func(it *Item) { it.ID, it.PrevID, it.Event.ID = "é\u00a0", "世", "\u2028" },
		"close without a code":   func(it *Item) { it.Message = Message{Action: Close} },
		"a header and a reason":  func(it *Item) { it.Response.Reason, it.Response.Headers = "Fine", []Header{{"X-A", "a: b, c"}} },
		"an empty header":        func(it *Item) { it.Response.Headers = []Header{{"X-A", ""}} },
		"a body patch":           func(it *Item) { it.Response = Response{BodyPatch: ` [{"op":"test","path":"/a","value":1}]`} },
		"event data in lines":    func(it *Item) { it.Event.Data = "a\r\nb\x00" },
		"bad data without a bit": func(it *Item) { it.Formats, it.Event.Data = HTTPStream, "\xff" },
	} {
		it := bare()
		change(&it)
		if err := it.Check(); err != nil {
			t.Errorf("%s: Check() = %v, want nil", name, err)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	for _, tt := range []struct {
		change func(*Item)
		want   string
	}{
		{func(it *Item) { it.Channel = "" }, "channel name is empty"},
		{func(it *Item) { it.Channel = strings.Repeat("c", 256) },
			`channel name "` + strings.Repeat("c", 64) + `"... is 256 bytes long, at most 255 are allowed`},
		{func(it *Item) { it.Channel = "a\x01b" }, `channel name "a\x01b" has a control character at byte 1`},
		{func(it *Item) { it.Channel = "ab\u0085" }, `channel name "ab\u0085" has a control character at byte 2`},
		{func(it *Item) { it.Channel = "ab\xff" }, `channel name "ab\xff" is not valid UTF-8 at byte 2`},
		{func(it *Item) { it.Formats = 0 }, "no formats specified"},
		{func(it *Item) { it.ID = "7\n" }, `publish item object contains 'id' with invalid value: "7\n" contains LF`},
		{func(it *Item) { it.PrevID = "\r" }, `publish item object contains 'prev-id' with invalid value: "\r" contains CR`},
		{func(it *Item) { it.Epoch = "\x00" }, `publish item object contains 'epoch' with invalid value: "\x00" contains NUL`},
		{func(it *Item) { it.Size = -1 }, "publish item object contains 'size' with invalid value: -1"},
		{func(it *Item) { it.Meta = map[string]string{"k": "\xff"} },
			`publish item object contains 'meta' with invalid value: "k"="\xff" is not valid UTF-8`},
		{func(it *Item) { it.Response.Code = 1000 }, "'http-response' contains 'code' with invalid value: 1000"},
		{func(it *Item) { it.Response.Code = -1 }, "'http-response' contains 'code' with invalid value: -1"},
		{func(it *Item) { it.Response.Action = 9 }, "'http-response' contains 'action' with unknown value"},
		{func(it *Item) { it.Response.Reason = "a\r\nX: y" },
			`'http-response' contains 'reason' with invalid value: "a\r\nX: y" contains CR`},
		{func(it *Item) { it.Response.Headers = []Header{{"X A", "b"}} },
			`'http-response' contains 'headers' with invalid value: "X A" is no header name`},
		{func(it *Item) { it.Response.Headers = []Header{{"", "b"}} },
			`'http-response' contains 'headers' with invalid value: "" is no header name`},
		{func(it *Item) { it.Response.Headers = []Header{{"X-A", "b\nc"}} },
			`'http-response' contains 'headers' with invalid value: X-A: "b\nc" contains LF`},
		{func(it *Item) { it.Response = Response{BodyPatch: "{}"} },
			"'http-response' contains 'body-patch' with invalid value: it is no JSON array"},
		{func(it *Item) { it.Response = Response{BodyPatch: "[1"} },
			"'http-response' contains 'body-patch' with invalid value: it is no JSON array"},
		{func(it *Item) { it.Response.BodyPatch = "[]" }, "'http-response' contains both 'body' and 'body-patch'"},
		{func(it *Item) { it.Stream.Action = 4 }, "'http-stream' contains 'action' with unknown value"},
		{func(it *Item) { it.Stream.ContentFilters = []string{"\xff"} },
			`'http-stream' contains 'content-filters' with invalid value: "\xff" is not valid UTF-8`},
		{func(it *Item) { it.Message.Type = 4 }, "'ws-message' contains 'type' with unknown value"},
		{func(it *Item) { it.Message = Message{Type: Pong, Content: strings.Repeat("p", 126)} },
			"'ws-message' contains 'content' with invalid value: a ping or pong has at most 125 bytes"},
		{func(it *Item) { it.Message = Message{Action: Close, Code: 1005} }, "'ws-message' contains 'code' with invalid value: 1005"},
		{func(it *Item) { it.Message = Message{Action: Close, Code: 1016} }, "'ws-message' contains 'code' with invalid value: 1016"},
		{func(it *Item) { it.Message = Message{Action: Close, Code: 2999} }, "'ws-message' contains 'code' with invalid value: 2999"},
		{func(it *Item) { it.Message = Message{Action: Close, Code: 999} }, "'ws-message' contains 'code' with invalid value: 999"},
		{func(it *Item) { it.Message = Message{Action: Close, Code: 5000} }, "'ws-message' contains 'code' with invalid value: 5000"},
		{func(it *Item) { it.Message = Message{Action: Close, Reason: strings.Repeat("r", 124)} },
			"'ws-message' contains 'reason' with invalid value: at most 123 bytes of UTF-8 are allowed"},
		{func(it *Item) { it.Event.Event = "a\nb" }, `'sse' contains 'event' with invalid value: "a\nb" contains LF`},
		{func(it *Item) { it.Event.ID = "a\x00" }, `'sse' contains 'id' with invalid value: "a\x00" contains NUL`},
		{func(it *Item) { it.Event.Retry = -1 }, "'sse' contains 'retry' with invalid value: -1"},
	} {
		it := bare()
		tt.change(&it)
		if err := it.Check(); err == nil || err.Error() != tt.want {
			t.Errorf("Check() = %v, want %s", err, tt.want)
		}
	}
}

// Clients could not send such an id back, and some give up for good when they try.
func TestControlCharactersAreRefusedInHeads(t *testing.T) {
	var controls []rune
	for r := rune(0); r < 0xa0; r++ {
		if r < ' ' || r >= 0x7f {
			controls = append(controls, r)
		}
	}
	for _, tt := range []struct {
		object, field string
		tabs          bool
		set           func(*Item, string)
	}{
		{"publish item object", "id", false, func(it *Item, s string) { it.ID = s }},
		{"publish item object", "prev-id", false, func(it *Item, s string) { it.PrevID = s }},
		{"publish item object", "epoch", false, func(it *Item, s string) { it.Epoch = s }},
		{"'sse'", "id", false, func(it *Item, s string) { it.Event.ID = s }},
		{"'http-response'", "reason", true, func(it *Item, s string) { it.Response.Reason = s }},
		{"'http-response'", "headers", true, func(it *Item, s string) { it.Response.Headers = []Header{{"X-A", s}} }},
		{"'http-response'", "headers", false, func(it *Item, s string) { it.Response.Headers = []Header{{"X" + s, "a"}} }},
	} {
		for _, r := range controls {
			it := bare()
			tt.set(&it, "a"+string(r)+"b")
			err := it.Check()
			if tt.tabs && r == '\t' {
				if err != nil {
					t.Errorf("a tab in %s of %s: %v, want nil", tt.field, tt.object, err)
				}
				continue
			}
			want := tt.object + " contains '" + tt.field + "' with invalid value: "
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("U+%04X in %s of %s: %v, want %s...", r, tt.field, tt.object, err, want)
			}
		}
	}
}

func TestStatusMustBeFinal(t *testing.T) {
	for _, code := range []int{-1, 1, 99, 100, 101, 199, 600, 999, 1000, math.MaxInt, math.MinInt} {
		it := bare()
		it.Response.Code = code
		want := "'http-response' contains 'code' with invalid value: " + strconv.Itoa(code)
		if err := it.Check(); err == nil || err.Error() != want {
			t.Errorf("Check of code %d = %v, want %s", code, err, want)
		}
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	it := bare()
	it.ID, it.Meta = "7", map[string]string{"sender": "bob"}
	if n := testing.AllocsPerRun(100, func() {
		if it.Check() != nil {
			t.Fatal("the item is refused")
		}
	}); n != 0 {
		t.Errorf("Check allocates %v times, want 0", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	it := bare()
	b.ReportAllocs()
	for b.Loop() {
		if err := it.Check(); err != nil {
			b.Fatal(err)
		}
	}
}

// A browser sends the last id back in a header field, and ids are not counted as content.
func TestIDsAreBounded(t *testing.T) {
	long := strings.Repeat("x", MaxIDBytes+1)
	for name, set := range map[string]func(*Item){
		"id":      func(it *Item) { it.ID = long },
		"prev-id": func(it *Item) { it.PrevID = long },
		"epoch":   func(it *Item) { it.Epoch = long },
		"sse id":  func(it *Item) { it.Formats |= SSE; it.Event.ID = long },
	} {
		it := Item{Channel: "a", Formats: HTTPStream, Stream: Stream{Content: "x"}}
		set(&it)
		if err := it.Check(); err == nil || !strings.Contains(err.Error(), "'"+name+"'") {
			t.Errorf("%s of %d bytes: %v, want an error that names it", name, len(long), err)
		}
	}
}
