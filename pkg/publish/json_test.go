package publish

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
)

func TestParseItem(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want Item
	}{
		"pushpin-publish": {
			`{"channel":"ch","formats":{"http-response":{"body":"hello\n","code":200},"http-stream":{"content":"hello\n"},"ws-message":{"content":"hello"}}}`,
			Item{Channel: "ch", Formats: HTTPResponse | HTTPStream | WSMessage,
				Response: Response{Code: 200, Body: "hello\n"}, Stream: Stream{Content: "hello\n"}, Message: Message{Content: "hello"}}},
		"every field": {
			`{"channel":"c","id":"2","prev-id":"1","epoch":"e","meta":{"sender":"bob"},"no-seq":true,"size":120,"formats":{` +
				`"http-response":{"action":"send","code":202,"reason":"Yep","headers":[["X-A","1"],["X-A","2"]],"body":"b","content-filters":["build-id"]},` +
				`"http-stream":{"content":"s","content-filters":["a","b"]},"ws-message":{"type":"binary","content":"m","content-filters":["c"]},` +
				`"sse":{"event":"tick","id":"9","data":"d","retry":3000}}}`,
			Item{Channel: "c", ID: "2", PrevID: "1", Epoch: "e", Meta: map[string]string{"sender": "bob"}, NoSeq: true, Size: 120,
				Formats: HTTPResponse | HTTPStream | WSMessage | SSE,
				Response: Response{Code: 202, Reason: "Yep", Headers: []Header{{"X-A", "1"}, {"X-A", "2"}}, Body: "b",
					ContentFilters: []string{"build-id"}},
				Stream:  Stream{Content: "s", ContentFilters: []string{"a", "b"}},
				Message: Message{Type: Binary, Content: "m", ContentFilters: []string{"c"}},
				Event:   Event{Event: "tick", ID: "9", Data: "d", Retry: 3000}}},
		"formats at the top level": {`{"channel":"c","http-stream":{"content":"s"}}`,
			Item{Channel: "c", Formats: HTTPStream, Stream: Stream{Content: "s"}}},
		"formats win over the top level": {`{"channel":"c","http-stream":{"content":"s"},"formats":{"sse":{"data":""}}}`,
			Item{Channel: "c", Formats: SSE}},
		"null is absent": {
			`{"channel":"c","id":null,"prev-id":null,"meta":null,"no-seq":null,"size":null,"formats":null,"http-response":null,"http-stream":` +
				`{"action":null,"content-bin":null,"content":"s","content-filters":null}}`,
			Item{Channel: "c", Formats: HTTPStream, Stream: Stream{Content: "s"}}},
		"what is unknown is ignored": {`{"channel":"c","x":[{}],"formats":{"x":1,"http-stream":{"content":"s","x":{}}}}`,
			Item{Channel: "c", Formats: HTTPStream, Stream: Stream{Content: "s"}}},
		"names are exact": {`{"Channel":"d","channel":"c","formats":{"http-stream":{"content":"s","CONTENT":"t"}}}`,
			Item{Channel: "c", Formats: HTTPStream, Stream: Stream{Content: "s"}}},
		"numbers in strings, whole floats": {`{"channel":"c","size":12.0,"formats":{"http-response":{"code":"200","body":""}}}`,
			Item{Channel: "c", Size: 12, Formats: HTTPResponse, Response: Response{Code: 200}}},
		"headers as an object keep their order": {
			`{"channel":"c","formats":{"http-response":{"headers":{"X-B":"1","X-A":"2","X-C":"3"},"body":"b"}}}`,
			Item{Channel: "c", Formats: HTTPResponse,
				Response: Response{Headers: []Header{{"X-B", "1"}, {"X-A", "2"}, {"X-C", "3"}}, Body: "b"}}},
		"base64 wins": {
			`{"channel":"c","formats":{"http-response":{"body":"no","body-bin":"/wA=","body-patch":[]},"http-stream":{"content":"no","content-bin":"/w=="}}}`,
			Item{Channel: "c", Formats: HTTPResponse | HTTPStream, Response: Response{Body: "\xff\x00"}, Stream: Stream{Content: "\xff"}}},
		"content-bin makes a message binary": {`{"channel":"c","formats":{"ws-message":{"content-bin":"YQ=="}}}`,
			Item{Channel: "c", Formats: WSMessage, Message: Message{Type: Binary, Content: "a"}}},
		"but type has the last word": {`{"channel":"c","formats":{"ws-message":{"type":"text","content-bin":"YQ=="}}}`,
			Item{Channel: "c", Formats: WSMessage, Message: Message{Content: "a"}}},
		"a ping needs no content": {`{"channel":"c","formats":{"ws-message":{"type":"ping"}}}`,
			Item{Channel: "c", Formats: WSMessage, Message: Message{Type: Ping}}},
		"a body patch is kept compact": {`{"channel":"c","formats":{"http-response":{"body-patch":[ {"op": "remove", "path": "/a"} ]}}}`,
			Item{Channel: "c", Formats: HTTPResponse, Response: Response{BodyPatch: `[{"op":"remove","path":"/a"}]`}}},
		"other actions need nothing more": {
			`{"channel":"c","formats":{"http-response":{"action":"hint"},"http-stream":{"action":"close"},"ws-message":{"action":"refresh"}}}`,
			Item{Channel: "c", Formats: HTTPResponse | HTTPStream | WSMessage,
				Response: Response{Action: Hint}, Stream: Stream{Action: Close}, Message: Message{Action: Refresh}}},
		"close has code and reason": {`{"channel":"c","formats":{"ws-message":{"action":"close","code":4001,"reason":"bye"}}}`,
			Item{Channel: "c", Formats: WSMessage, Message: Message{Action: Close, Code: 4001, Reason: "bye"}}},
	} {
		got, err := ParseItem([]byte(tt.in))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: ParseItem = %+v, %v\nwant %+v", name, got, err, tt.want)
			continue
		}
		again, err := ParseItem(AppendJSON(nil, &got))
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%s: ParseItem(%s) = %+v, %v\nwant %+v", name, AppendJSON(nil, &got), again, err, got)
		}
	}
}

func TestParseItemRefuses(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{``, "not valid JSON: unexpected end of JSON input"},
		{"\"\xff\"", "not valid JSON: not valid UTF-8"},
		{`{"channel":"c"} x`, "not valid JSON: invalid character 'x' after top-level value"},
		{`[]`, "publish item object is not an object"},
		{`null`, "publish item object is not an object"},
		{`{}`, "publish item object does not contain 'channel'"},
		{`{"channel":null}`, "publish item object does not contain 'channel'"},
		{`{"channel":7}`, "publish item object contains 'channel' with wrong type"},
		{`{"channel":"","formats":{"http-stream":{"content":""}}}`, "channel name is empty"},
		{`{"channel":"c"}`, "no formats specified"},
		{`{"channel":"c","formats":{}}`, "no formats specified"},
		{`{"channel":"c","formats":{},"http-stream":{"content":""}}`, "no formats specified"},
		{`{"channel":"c","formats":[]}`, "publish item object contains 'formats' with wrong type"},
		{`{"channel":"c","formats":{"http-stream":"x"}}`, "'formats' contains 'http-stream' with wrong type"},
		{`{"channel":"c","id":7}`, "publish item object contains 'id' with wrong type"},
		{`{"channel":"c","no-seq":"true"}`, "publish item object contains 'no-seq' with wrong type"},
		{`{"channel":"c","size":true}`, "publish item object contains 'size' with wrong type"},
		{`{"channel":"c","size":1.5}`, "publish item object contains 'size' with invalid value"},
		{`{"channel":"c","size":1e99}`, "publish item object contains 'size' with invalid value"},
		{`{"channel":"c","size":1e999}`, "publish item object contains 'size' with invalid value"},
		{`{"channel":"c","size":-1,"http-stream":{"content":""}}`, "publish item object contains 'size' with invalid value: -1"},
		{`{"channel":"c","meta":[]}`, "publish item object contains 'meta' with wrong type"},
		{`{"channel":"c","meta":{"a":1}}`, "'meta' contains 'a' with wrong type"},
		{`{"channel":"c","meta":{"a":null}}`, "'meta' contains 'a' with wrong type"},
		{`{"channel":"c","formats":{"http-stream":{}}}`, "'http-stream' does not contain 'content' or 'content-bin'"},
		{`{"channel":"c","formats":{"http-stream":{"content":1}}}`, "'http-stream' contains 'content' with wrong type"},
		{`{"channel":"c","formats":{"http-stream":{"content-bin":"!"}}}`, "'http-stream' contains 'content-bin' with invalid value"},
		{`{"channel":"c","formats":{"http-stream":{"action":"","content":"x"}}}`, "'http-stream' contains 'action' with unknown value"},
		{`{"channel":"c","formats":{"http-stream":{"action":"stop"}}}`, "'http-stream' contains 'action' with unknown value"},
		{`{"channel":"c","formats":{"http-stream":{"content":"","content-filters":"x"}}}`,
			"'http-stream' contains 'content-filters' with wrong type"},
		{`{"channel":"c","formats":{"http-stream":{"content":"","content-filters":[null]}}}`,
			"'http-stream' contains 'content-filters' with wrong type"},
		{`{"channel":"c","formats":{"http-response":{}}}`, "'http-response' does not contain 'body', 'body-bin', or 'body-patch'"},
		{`{"channel":"c","formats":{"http-response":{"body-patch":{}}}}`, "'http-response' contains 'body-patch' with wrong type"},
		{`{"channel":"c","formats":{"http-response":{"code":1000,"body":""}}}`, "'http-response' contains 'code' with invalid value: 1000"},
		{`{"channel":"c","formats":{"http-response":{"code":"x","body":""}}}`, "'http-response' contains 'code' with wrong type"},
		{`{"channel":"c","formats":{"http-response":{"headers":"x","body":""}}}`, "'http-response' contains 'headers' with wrong type"},
		{`{"channel":"c","formats":{"http-response":{"headers":[["a"]],"body":""}}}`, "'http-response' contains 'headers' with wrong type"},
		{`{"channel":"c","formats":{"http-response":{"headers":[["a",null]],"body":""}}}`, "'http-response' contains 'headers' with wrong type"},
		{`{"channel":"c","formats":{"http-response":{"headers":{"a":[]},"body":""}}}`, "'http-response' contains 'headers' with wrong type"},
		{`{"channel":"c","formats":{"http-response":{"headers":{"a":"b\r\nc"},"body":""}}}`,
			`'http-response' contains 'headers' with invalid value: a: "b\r\nc" contains CR`},
		{`{"channel":"c","formats":{"ws-message":{"content":"","type":"frame"}}}`, "'ws-message' contains 'type' with unknown value"},
		{`{"channel":"c","formats":{"ws-message":{}}}`, "'ws-message' does not contain 'content' or 'content-bin'"},
		{`{"channel":"c","formats":{"http-response":{"code":0,"body":""}}}`, "'http-response' contains 'code' with invalid value: 0"},
		{`{"channel":"c","formats":{"http-response":{"code":"0","body":""}}}`, "'http-response' contains 'code' with invalid value: 0"},
		{`{"channel":"c","formats":{"http-response":{"code":101,"body":""}}}`, "'http-response' contains 'code' with invalid value: 101"},
		{`{"channel":"c","formats":{"ws-message":{"action":"close","code":0}}}`, "'ws-message' contains 'code' with invalid value: 0"},
		{`{"channel":"c","formats":{"x":{}}}`, "no known format specified"},
		{`{"channel":"c","formats":{"x":null}}`, "no formats specified"},
		{`{"channel":"\n","formats":{"x":{}}}`, `channel name "\n" has a control character at byte 0`},
		{`{"channel":"c","formats":{"ws-message":{"action":"close","code":1006}}}`, "'ws-message' contains 'code' with invalid value: 1006"},
		{`{"channel":"c","formats":{"sse":{"event":"x"}}}`, "'sse' does not contain 'data'"},
		{`{"channel":"c","formats":{"sse":{"data":{}}}}`, "'sse' contains 'data' with wrong type"},
		{`{"channel":"c","x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, "nested deeper than 64 levels"},
	} {
		if got, err := ParseItem([]byte(tt.in)); err == nil || err.Error() != tt.want {
			t.Errorf("ParseItem(%s) = %+v, %v\nwant error %s", tt.in, got, err, tt.want)
		}
	}
}

// A lone surrogate is no character. Read as U+FFFD, two names would become one.
func TestLoneSurrogatesAreRefused(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{"channel":"a\ud800","http-stream":{"content":""}}`,
			`publish item object contains 'channel' with invalid value: \ud800 is half of a surrogate pair`},
		{`{"channel":"a\uDFFFb","http-stream":{"content":""}}`,
			`publish item object contains 'channel' with invalid value: \uDFFF is half of a surrogate pair`},
		{`{"channel":"a","id":"\ud83d\ud83d\ude00","http-stream":{"content":""}}`,
			`publish item object contains 'id' with invalid value: \ud83d is half of a surrogate pair`},
		{`{"channel":"a","formats":{"http-stream":{"content":"\ud800\n"}}}`,
			`'http-stream' contains 'content' with invalid value: \ud800 is half of a surrogate pair`},
		{`{"channel":"a","formats":{"http-response":{"body":"","headers":[["a","\udc00\ud800"]]}}}`,
			`'http-response' contains 'headers' with invalid value: \udc00 is half of a surrogate pair`},
		{`{"channel":"a","meta":{"\ud800":"b"},"http-stream":{"content":""}}`,
			`'meta' contains a field with an invalid name: \ud800 is half of a surrogate pair`},
	} {
		if got, err := ParseItem([]byte(tt.in)); err == nil || err.Error() != tt.want {
			t.Errorf("ParseItem(%s) = %+v, %v\nwant error %s", tt.in, got, err, tt.want)
		}
		var bad *ItemError
		_, err := ParseItems([]byte(`{"items":[` + tt.in + `]}`))
		if !errors.As(err, &bad) || bad.Index != 0 || bad.Reason != tt.want {
			t.Errorf("ParseItems with %s = %v, want error %s of item 0", tt.in, err, tt.want)
		}
	}
	for in, want := range map[string]string{
		`\ud83d\ude00`:     "\U0001f600",
		`\\ud800`:          `\ud800`,
		`\ufffd`:           "\ufffd",
		`\"\ud83d\uDE00\"`: "\"\U0001f600\"",
	} {
		it, err := ParseItem([]byte(`{"channel":"a","http-stream":{"content":"` + in + `"}}`))
		if err != nil || it.Stream.Content != want {
			t.Errorf("ParseItem of a content %s = %q, %v, want %q", in, it.Stream.Content, err, want)
		}
	}
}

func TestByteOrderMarkIsSkipped(t *testing.T) {
	const item = `{"channel":"a","http-stream":{"content":"\ufeff"}}`
	if it, err := ParseItem([]byte("\ufeff" + item)); err != nil || it.Stream.Content != "\ufeff" {
		t.Errorf("ParseItem with a byte order mark = %+v, %v, want the item", it, err)
	}
	if items, err := ParseItems([]byte("\ufeff{\"items\":[" + item + "]}")); err != nil || len(items) != 1 {
		t.Errorf("ParseItems with a byte order mark = %+v, %v, want one item", items, err)
	}
	if it, err := ParseItem([]byte("\ufeff\ufeff" + item)); err == nil {
		t.Errorf("ParseItem with two byte order marks = %+v, want an error", it)
	}
}

// Of a field that comes twice the last one counts, as in JavaScript, Python, Go and Pushpin.
func TestLastOfRepeatedFieldsCounts(t *testing.T) {
	const in = `{"channel":"a","channel":"b","formats":{},"formats":{"http-stream":{"content":"1","content":"2"}},` +
		`"meta":{"k":"1","k":"2"}}`
	want := Item{Channel: "b", Formats: HTTPStream, Stream: Stream{Content: "2"}, Meta: map[string]string{"k": "2"}}
	if got, err := ParseItem([]byte(in)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseItem(%s) = %+v, %v\nwant %+v", in, got, err, want)
	}
}

// Pushpin takes such an item and has nothing to do for it; the others are published.
func TestItemsWithUnknownFormatsAreEmpty(t *testing.T) {
	const in = `{"items":[{"channel":"a","formats":{"x":{},"y":7}},{"channel":"b","formats":{"x":{},"sse":{"data":"2"}}}]}`
	want := []Item{{Channel: "a"}, {Channel: "b", Formats: SSE, Event: Event{Data: "2"}}}
	if got, err := ParseItems([]byte(in)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseItems(%s) = %+v, %v\nwant %+v", in, got, err, want)
	}
}

func TestParseItemsErrors(t *testing.T) {
	const good = `{"channel":"c","formats":{"http-stream":{"content":""}}}`
	for _, tt := range []struct {
		in, want string
		index    int
	}{
		{`{`, "Body is not valid JSON.", -1},
		{"{\"items\":[\"\xff\"]}", "Body is not valid JSON.", -1},
		{`{} {}`, "Body is not valid JSON.", -1},
		{`[]`, "Invalid format.", -1},
		{`null`, "Invalid format.", -1},
		{`{}`, "Invalid format: object does not contain 'items'", -1},
		{`{"items":null}`, "Invalid format: object does not contain 'items'", -1},
		{`{"items":{}}`, "Invalid format: object contains 'items' with wrong type", -1},
		{`{"items":[` + good + `,7]}`, "Invalid format: publish item object is not an object", 1},
		{`{"items":[` + good + `,` + good + `,{"channel":"c"}]}`, "Invalid format: no formats specified", 2},
		{`{"x":"]\"[` + `","y":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `}`, "Invalid format: nested deeper than 64 levels", -1},
	} {
		items, err := ParseItems([]byte(tt.in))
		if err == nil || err.Error() != tt.want || items != nil {
			t.Errorf("ParseItems(%s) = %v, %v, want error %s", tt.in, items, err, tt.want)
		}
		var bad *ItemError
		if errors.As(err, &bad) && bad.Index != tt.index {
			t.Errorf("ParseItems(%s) blames item %d, want %d", tt.in, bad.Index, tt.index)
		}
	}
}

func TestParseItems(t *testing.T) {
	for in, want := range map[string][]Item{
		`{"items":[]}`: {},
		`{"items":[{"channel":"a","http-stream":{"content":"1"}},{"channel":"b","sse":{"data":"2"}}],"x":"[["}`: {
			{Channel: "a", Formats: HTTPStream, Stream: Stream{Content: "1"}},
			{Channel: "b", Formats: SSE, Event: Event{Data: "2"}},
		},
	} {
		if got, err := ParseItems([]byte(in)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseItems(%s) = %+v, %v, want %+v", in, got, err, want)
		}
	}
}

func TestAppendJSON(t *testing.T) {
	for _, tt := range []struct {
		it   Item
		want string
	}{
		{bare(), `{"channel":"test","formats":{"http-response":{"body":"hello\n"},"http-stream":{"content":"hello\n"},` +
			`"ws-message":{"content":"hello"},"sse":{"data":"hello"}}}`},
		{Item{Channel: "<c>", Formats: HTTPStream | WSMessage, Stream: Stream{Content: "\xff"}, Message: Message{Content: "\xff"}},
			`{"channel":"<c>","formats":{"http-stream":{"content-bin":"/w=="},"ws-message":{"type":"text","content-bin":"/w=="}}}`},
		{Item{Channel: "c", Formats: HTTPResponse, Response: Response{Body: "\xff", Headers: []Header{{"a", "b"}}}},
			`{"channel":"c","formats":{"http-response":{"headers":[["a","b"]],"body-bin":"/w=="}}}`},
		{Item{Channel: "c", Formats: WSMessage, Message: Message{Action: Close, Code: 4001, Reason: "bye"}},
			`{"channel":"c","formats":{"ws-message":{"action":"close","code":4001,"reason":"bye"}}}`},
		{Item{Channel: "c", Formats: HTTPResponse, Response: Response{BodyPatch: "[ 1,\n2]"}},
			`{"channel":"c","formats":{"http-response":{"body-patch":[1,2]}}}`},
	} {
		if got := string(AppendJSON([]byte("before "), &tt.it)); got != "before "+tt.want {
			t.Errorf("AppendJSON = %s\nwant before %s", got, tt.want)
		}
	}
}

// FuzzParseItem feeds foreign bytes: nothing panics, and what is accepted survives its way through JSON and Clone.
func FuzzParseItem(f *testing.F) {
	it, _ := full()
	f.Add(AppendJSON(nil, &it))
	f.Add([]byte(`{"channel":"c","http-response":{"headers":{"a":"b"},"body-patch":[{"op":"test"}]},"ws-message":{"action":"close"}}`))
	f.Add([]byte(`{"channel":"c","formats":{"http-stream":{"content-bin":"/w=="},"sse":{"data":"\ud800","retry":"7"}},"meta":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		it, err := ParseItem(b)
		if err != nil {
			return
		}
		for _, id := range []string{it.ID, it.PrevID, it.Epoch, it.Event.ID} {
			if strings.ContainsFunc(id, unicode.IsControl) {
				t.Errorf("an id %q is accepted", id)
			}
		}
		if code := it.Response.Code; code != 0 && (code < 200 || code > 599) {
			t.Errorf("code %d is accepted", code)
		}
		line := AppendJSON(nil, &it)
		again, err := ParseItem(line)
		if err != nil || !reflect.DeepEqual(again, it) {
			t.Fatalf("ParseItem(%s) = %+v, %v\nwant %+v", line, again, err, it)
		}
		if clone := Clone(it); !reflect.DeepEqual(clone, it) {
			t.Fatalf("Clone = %+v\nwant %+v", clone, it)
		}
	})
}

// FuzzParseItems feeds foreign bodies: nothing panics, and the items accepted are those that ParseItem accepts.
func FuzzParseItems(f *testing.F) {
	f.Add([]byte(`{"items":[{"channel":"c","formats":{"http-stream":{"content":"x\n"}}}]}`))
	f.Add([]byte(`{"items":[]}`))
	f.Add([]byte("\ufeff" + `{"items":[{"channel":"\ud83d\ude00","formats":{"x":{}}},{"channel":"\ud83d"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		items, err := ParseItems(b)
		if err != nil {
			return
		}
		items = slices.DeleteFunc(items, func(it Item) bool { return it.Formats == 0 })
		body := []byte(`{"items":[`)
		for i := range items {
			if i > 0 {
				body = append(body, ',')
			}
			body = AppendJSON(body, &items[i])
		}
		body = append(body, "]}"...)
		if again, err := ParseItems(body); err != nil || !reflect.DeepEqual(again, items) {
			t.Fatalf("ParseItems(%s) = %+v, %v\nwant %+v", body, again, err, items)
		}
	})
}
