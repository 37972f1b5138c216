package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"holdfast/pkg/publish"
)

// bareItem is what a plain `pushpub CHANNEL CONTENT` publishes: 100 bytes for three kinds of client.
func bareItem() *publish.Item {
	content := strings.Repeat("x", 100)
	return &publish.Item{
		Channel:  "test",
		Formats:  publish.HTTPResponse | publish.HTTPStream | publish.WSMessage,
		Response: publish.Response{Body: content},
		Stream:   publish.Stream{Content: content},
		Message:  publish.Message{Content: content},
	}
}

// fullItem has a value in every field.
func fullItem() *publish.Item {
	return &publish.Item{
		Channel: "news",
		ID:      "8",
		PrevID:  "7",
		Epoch:   "e1",
		Formats: publish.HTTPResponse | publish.HTTPStream | publish.WSMessage | publish.SSE,
		Response: publish.Response{Action: publish.Hint, Code: 404, Reason: "Gone Fishing",
			Headers: []publish.Header{{Name: "X-A", Value: "1"}, {Name: "X-B", Value: ""}},
			Body:    "b\x00\xff", BodyPatch: "[]", ContentFilters: []string{"skip-self"}},
		Stream: publish.Stream{Action: publish.Close, Content: "s\n", ContentFilters: []string{"a", "b"}},
		Message: publish.Message{Action: publish.Refresh, Type: publish.Pong, Content: "m", Code: 4001, Reason: "bye",
			ContentFilters: []string{"c"}},
		Event: publish.Event{Event: "up", ID: "9", Data: "d1\nd2", Retry: 3000},
		Meta:  map[string]string{"sender": "bob", "k": ""},
		NoSeq: true,
		Size:  120,
	}
}

// sampleItems covers every length that the arrays of an item may have.
func sampleItems() []*publish.Item {
	items := []*publish.Item{bareItem(), fullItem(), {Channel: "none"},
		{Channel: "c", Formats: publish.HTTPStream, ID: "1"},
		{Channel: "c", Formats: publish.HTTPStream, NoSeq: true},
		{Channel: "c", Formats: publish.HTTPStream, Size: -70000},
		{Channel: "c", Formats: publish.HTTPStream, Meta: map[string]string{"a": "b"}},
		{Channel: strings.Repeat("c", 40), Formats: publish.SSE, Event: publish.Event{Data: strings.Repeat("d", 300)}},
		{Channel: "c", Formats: publish.SSE, Event: publish.Event{Event: "e"}},
		{Channel: "c", Formats: publish.SSE, Event: publish.Event{Retry: 1 << 40}},
		{Channel: "c", Formats: publish.WSMessage, Message: publish.Message{Type: publish.Binary}},
		{Channel: "c", Formats: publish.WSMessage, Message: publish.Message{Action: publish.Close, Code: 1001}},
		{Channel: "c", Formats: publish.WSMessage, Message: publish.Message{ContentFilters: []string{""}}},
		{Channel: "c", Formats: publish.HTTPResponse, Response: publish.Response{Code: 204}},
		{Channel: "c", Formats: publish.HTTPResponse, Response: publish.Response{BodyPatch: "[1]"}},
		{Channel: "c", Formats: publish.HTTPStream, Stream: publish.Stream{Content: strings.Repeat("y", 70000)}},
	}
	many := &publish.Item{Channel: "c", Formats: publish.HTTPResponse, Meta: map[string]string{}}
	for i := range 200 {
		name := strings.Repeat("n", i+1)
		many.Meta[name] = "v"
		many.Response.Headers = append(many.Response.Headers, publish.Header{Name: name, Value: "v"})
	}
	return append(items, many)
}

func TestItemRoundTrip(t *testing.T) {
	for _, want := range sampleItems() {
		b := AppendItem(nil, want)
		var got publish.Item
		n, err := ParseItem(append(b, "more"...), &got)
		if n != len(b) || err != nil {
			t.Errorf("ParseItem(%.80q) = %d, %v, want %d, nil", b, n, err, len(b))
		}
		if !reflect.DeepEqual(&got, want) {
			t.Errorf("ParseItem(AppendItem(it)):\ngot  %.400v\nwant %.400v", got, *want)
		}
	}
}

func TestParseItemAtEverySplitIsBadFrame(t *testing.T) {
	whole := AppendItem(nil, fullItem())
	for i := range whole {
		var it publish.Item
		if n, err := ParseItem(whole[:i], &it); n != 0 || !errors.Is(err, &Error{Code: BadFrame}) {
			t.Fatalf("ParseItem of the first %d bytes = %d, %v, want 0, bad frame", i, n, err)
		}
	}
}

func TestItemElementsThatAreNotKnownArePassedOver(t *testing.T) {
	b := join(array(10), text("c"),
		join(array(2),
			join(array(6), num(2), num(0), text("s"), array(0), text("new"), array(2), num(1), num(2)),
			join(array(7), num(4), num(0), text("d"), text("e"), text("i"), num(5), array(0))),
		text("1"), text("2"), text("3"), num(0xff), num(9), []byte{codeNil}, array(1), num(1), text("new"))
	var it publish.Item
	n, err := ParseItem(b, &it)
	want := publish.Item{Channel: "c", ID: "1", PrevID: "2", Epoch: "3", NoSeq: true, Size: 9,
		Formats: publish.HTTPStream | publish.SSE,
		Stream:  publish.Stream{Content: "s"},
		Event:   publish.Event{Data: "d", Event: "e", ID: "i", Retry: 5}}
	if n != len(b) || err != nil || !reflect.DeepEqual(it, want) {
		t.Errorf("ParseItem = %d, %v, %+v, want %d, nil, %+v", n, err, it, len(b), want)
	}
}

func TestNilIsTheDefault(t *testing.T) {
	null := []byte{codeNil}
	b := join(array(8), text("c"),
		join(array(1), join(array(8), num(1), null, null, null, null, null, null, null)),
		null, null, null, num(0), null, null)
	var it publish.Item
	n, err := ParseItem(b, &it)
	if want := (publish.Item{Channel: "c", Formats: publish.HTTPResponse}); n != len(b) || err != nil || !reflect.DeepEqual(it, want) {
		t.Errorf("ParseItem = %d, %v, %+v, want %d, nil, %+v", n, err, it, len(b), want)
	}
}

func TestBadItems(t *testing.T) {
	stream := join(array(3), num(2), num(0), text("s"))
	item := func(formats ...[]byte) []byte {
		return join(array(2), text("c"), array(len(formats)), join(formats...))
	}
	for name, b := range map[string][]byte{
		"nil":                      {codeNil},
		"a number":                 num(7),
		"a map":                    {codeFixMap},
		"an empty array":           array(0),
		"a channel only":           join(array(1), text("c")),
		"channel a number":         join(array(2), num(1), join(array(1), stream)),
		"formats a string":         join(array(2), text("c"), text("f")),
		"format a number":          item(num(2)),
		"format too short":         item(join(array(1), num(2))),
		"format unknown":           item(join(array(3), num(9), num(0), text("x"))),
		"format kind a string":     item(join(array(3), text("x"), num(0), text("x"))),
		"format negative":          item(join(array(2), []byte{0xff}, num(0))),
		"format twice":             item(stream, stream),
		"action unknown":           item(join(array(2), num(2), num(4))),
		"action negative":          item(join(array(2), num(2), []byte{0xff})),
		"action of sse":            item(join(array(3), num(4), num(1), text("d"))),
		"content a number":         item(join(array(3), num(2), num(0), num(5))),
		"content a float":          item(join(array(3), num(2), num(0), []byte{codeFloat32, 0, 0, 0, 0})),
		"type unknown":             item(join(array(4), num(3), num(0), text("m"), num(4))),
		"code a string":            item(join(array(4), num(1), num(0), text("b"), text("200"))),
		"code too large":           item(join(array(4), num(1), num(0), text("b"), appendUint(nil, 1<<63))),
		"header without value":     item(join(array(6), num(1), num(0), text("b"), num(0), text(""), array(1), text("A"))),
		"headers a map":            item(join(array(6), num(1), num(0), text("b"), num(0), text(""), []byte{codeFixMap})),
		"too many headers":         item(join(array(6), num(1), num(0), text("b"), num(0), text(""), texts(2*MaxHeaders+2))),
		"too many filters":         item(join(array(4), num(2), num(0), text("s"), texts(MaxFilters+1))),
		"id a number":              join(array(3), text("c"), join(array(1), stream), num(1)),
		"flags negative":           join(array(6), text("c"), join(array(1), stream), text(""), text(""), text(""), []byte{0xff}),
		"size a string":            join(array(7), text("c"), join(array(1), stream), text(""), text(""), text(""), num(0), text("1")),
		"meta an array":            join(array(8), text("c"), join(array(1), stream), text(""), text(""), text(""), num(0), num(0), array(0)),
		"meta value a number":      join(array(8), text("c"), join(array(1), stream), text(""), text(""), text(""), num(0), num(0), []byte{codeFixMap | 1}, text("k"), num(1)),
		"meta longer than allowed": join(array(8), text("c"), join(array(1), stream), text(""), text(""), text(""), num(0), num(0), []byte{codeMap16, 1, 1}, texts(2 * (MaxMeta + 1))[3:]),
	} {
		var it publish.Item
		n, err := ParseItem(append(b, 1, 2, 3), &it)
		if n != len(b) || !errors.Is(err, &Error{Code: BadItem}) {
			t.Errorf("%s: ParseItem = %d, %v, want %d, bad item", name, n, err, len(b))
		}
	}
}

// Counts and lengths that the bytes cannot hold, and nesting without end, must neither be believed nor be followed.
func TestHugeItemsAreBadFrames(t *testing.T) {
	deep := join(array(3), text("c"), array(0), []byte(strings.Repeat("\x91", 1<<16)), num(1))
	for name, b := range map[string][]byte{
		"array":  {codeArray32, 0xff, 0xff, 0xff, 0xff},
		"string": join(array(2), []byte{codeStr32, 0xff, 0xff, 0xff, 0xff}, array(0)),
		"bin":    join(array(2), []byte{codeBin32, 0x7f, 0xff, 0xff, 0xff}, array(0)),
		"map":    join(array(8), text("c"), array(0), text(""), text(""), text(""), num(0), num(0), []byte{codeMap32, 0xff, 0xff, 0xff, 0xff}),
		"ext":    join(array(2), []byte{codeExt32, 0xff, 0xff, 0xff, 0xff, 1}),
		"nested": deep,
		"never":  join(array(2), []byte{codeNever}, array(0)),
	} {
		var it publish.Item
		allocs := testing.AllocsPerRun(10, func() {
			if n, err := ParseItem(b, &it); n != 0 || !errors.Is(err, &Error{Code: BadFrame}) {
				t.Fatalf("%s: ParseItem = %d, %v, want 0, bad frame", name, n, err)
			}
		})
		if allocs > 4 { // the errors
			t.Errorf("%s: ParseItem allocates %v times", name, allocs)
		}
	}
}

func TestBareItemDoesNotAllocate(t *testing.T) {
	it := bareItem()
	buf := make([]byte, 0, 1<<10)
	if n := testing.AllocsPerRun(100, func() { buf = AppendItem(buf[:0], it) }); n != 0 {
		t.Errorf("AppendItem allocates %v times, want 0", n)
	}
	var got publish.Item
	if n := testing.AllocsPerRun(100, func() { ParseItem(buf, &got) }); n != 0 {
		t.Errorf("ParseItem allocates %v times, want 0", n)
	}
}

func FuzzParseItem(f *testing.F) {
	for _, it := range sampleItems() {
		f.Add(AppendItem(nil, it))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var it publish.Item
		n, err := ParseItem(b, &it)
		if n > len(b) {
			t.Fatalf("ParseItem of %d bytes returns %d", len(b), n)
		}
		if err != nil {
			return
		}
		again := AppendItem(nil, &it)
		var got publish.Item
		if n, err := ParseItem(again, &got); n != len(again) || err != nil || !reflect.DeepEqual(got, it) {
			t.Fatalf("ParseItem(AppendItem(it)) = %d, %v, %+v, want %d, nil, %+v", n, err, got, len(again), it)
		}
	})
}

func BenchmarkAppendItem(b *testing.B) {
	it := bareItem()
	buf := make([]byte, 0, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendItem(buf[:0], it)
	}
}

func BenchmarkParseItem(b *testing.B) {
	buf := AppendItem(nil, bareItem())
	var it publish.Item
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseItem(buf, &it); err != nil {
			b.Fatal(err)
		}
	}
}

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func array(n int) []byte     { return appendArrayLen(nil, n) }
func text(s string) []byte   { return appendText(nil, s) }
func num(n int) []byte       { return appendInt(nil, n) }
func texts(n int) (b []byte) { return appendTexts(nil, distinct(n)) }

// distinct returns n different strings.
func distinct(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune(0x100+i))
	}
	return list
}
