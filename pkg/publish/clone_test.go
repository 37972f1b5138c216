package publish

import (
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

// full is an item that uses every field. Its strings alias the returned buffer.
func full() (Item, []byte) {
	var buf []byte
	s := func(text string) string {
		if buf == nil {
			buf = make([]byte, 0, 1024) // never grows, so that the strings stay within it
		}
		buf = append(buf, text...)
		b := buf[len(buf)-len(text):]
		return unsafe.String(&b[0], len(b))
	}
	it := Item{
		Channel: s("c"), ID: s("2"), PrevID: s("1"), Epoch: s("e"),
		Formats: HTTPResponse | HTTPStream | WSMessage | SSE,
		Response: Response{Code: 202, Reason: s("Yep"), Headers: []Header{{s("X-A"), s("1")}, {s("X-A"), s("2")}},
			Body: s("body"), ContentFilters: []string{s("build-id")}},
		Stream:  Stream{Content: s("stream"), ContentFilters: []string{s("var-subst")}},
		Message: Message{Type: Binary, Content: s("message"), ContentFilters: []string{s("var-subst")}},
		Event:   Event{Event: s("tick"), ID: s("9"), Data: s("data"), Retry: 3000},
		Meta:    map[string]string{s("sender"): s("bob")},
		NoSeq:   true,
		Size:    120,
	}
	return it, buf
}

func TestCloneSharesNothing(t *testing.T) {
	it, buf := full()
	want, _ := full()
	got := Clone(it)
	for i := range buf {
		buf[i] = '!'
	}
	it.Response.Headers[0].Name = "changed"
	it.Response.ContentFilters[0] = "changed"
	it.Stream.ContentFilters[0] = "changed"
	it.Message.ContentFilters[0] = "changed"
	it.Meta["sender"] = "changed"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Clone = %+v\nwant    %+v", got, want)
	}
}

func TestCloneOfBareItem(t *testing.T) {
	it := bare()
	got := Clone(it)
	if !reflect.DeepEqual(got, it) {
		t.Errorf("Clone = %+v\nwant    %+v", got, it)
	}
	if n := testing.AllocsPerRun(100, func() { got = Clone(it) }); n > 1 {
		t.Errorf("Clone of a bare item allocates %v times, want 1", n)
	}
}

func TestContentSizeIsThatOfTheLargestFormat(t *testing.T) {
	for _, tt := range []struct {
		it   Item
		want int
	}{
		{Item{}, 0},
		{Item{Stream: Stream{Content: "not counted"}}, 0},
		{bare(), len("hello\n")},
		{Item{Formats: HTTPResponse, Response: Response{Reason: "ab", Body: "c", Headers: []Header{{"de", "f"}}}}, 6},
		{Item{Formats: SSE | WSMessage, Event: Event{Event: "a", ID: "b", Data: "cd"}, Message: Message{Content: "abc"}}, 4},
		{Item{Formats: WSMessage, Message: Message{Content: strings.Repeat("x", 1000)}}, 1000},
	} {
		if got := tt.it.ContentSize(); got != tt.want {
			t.Errorf("ContentSize of %+v = %d, want %d", tt.it, got, tt.want)
		}
	}
}

func BenchmarkClone(b *testing.B) {
	it := bare()
	b.ReportAllocs()
	for b.Loop() {
		it = Clone(it)
	}
}
