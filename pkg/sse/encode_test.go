package sse

import (
	"testing"
)

func TestAppendEvent(t *testing.T) {
	tests := []struct {
		rule string
		e    Event
		want string
	}{
		{"data only", Event{Data: "hello"}, "data: hello\n\n"},
		{"all fields", Event{Event: "add", ID: "7", Data: "x", Retry: 3000}, "event: add\nid: 7\nretry: 3000\ndata: x\n\n"},
		{"LF in data", Event{Data: "a\nb"}, "data: a\ndata: b\n\n"},
		{"CR in data", Event{Data: "a\rb"}, "data: a\ndata: b\n\n"},
		{"CR LF in data", Event{Data: "a\r\nb"}, "data: a\ndata: b\n\n"},
		{"mixed line ends", Event{Data: "a\r\r\n\n\rb"}, "data: a\ndata: \ndata: \ndata: \ndata: b\n\n"},
		{"line end at the end", Event{Data: "a\n"}, "data: a\ndata: \n\n"},
		{"CR at the end", Event{Data: "a\r"}, "data: a\ndata: \n\n"},
		{"empty data is dispatched", Event{}, "data: \n\n"},
		{"leading space in data is kept", Event{Data: " a"}, "data:  a\n\n"},
		{"fields inside data stay data", Event{Data: "\n\nevent: x\n\n"}, "data: \ndata: \ndata: event: x\ndata: \ndata: \n\n"},
		{"event that would inject", Event{Event: "a\ndata: b", Data: "c"}, "data: c\n\n"},
		{"id that would inject", Event{ID: "1\r\rdata: b", Data: "c"}, "data: c\n\n"},
		{"id that clients ignore", Event{ID: "1\x00", Data: "c"}, "data: c\n\n"},
		{"negative retry", Event{Data: "c", Retry: -1}, "data: c\n\n"},
	}
	for _, tt := range tests {
		if got := string(AppendEvent([]byte("before"), tt.e)); got != "before"+tt.want {
			t.Errorf("%s: AppendEvent(%+v) = %q, want %q", tt.rule, tt.e, got, "before"+tt.want)
		}
	}
}

func TestCheckNamesTheField(t *testing.T) {
	tests := []struct {
		e    Event
		want error
	}{
		{Event{}, nil},
		{Event{Event: "a:b c", ID: " 1", Data: "a\nb\r\x00", Retry: 1}, nil},
		{Event{Event: "a\nb"}, ErrEvent},
		{Event{Event: "a\r"}, ErrEvent},
		{Event{Event: "\x00"}, ErrEvent},
		{Event{ID: "\n"}, ErrID},
		{Event{ID: "a\rb"}, ErrID},
		{Event{ID: "a\x00"}, ErrID},
		{Event{Retry: -1}, ErrRetry},
	}
	for _, tt := range tests {
		if got := tt.e.Check(); got != tt.want {
			t.Errorf("%+v.Check() = %v, want %v", tt.e, got, tt.want)
		}
	}
}

func TestAppendCommentAndRetry(t *testing.T) {
	tests := []struct{ call, got, want string }{
		{`AppendComment("")`, string(AppendComment(nil, "")), ":\n\n"},
		{`AppendComment("hi")`, string(AppendComment(nil, "hi")), ": hi\n\n"},
		{`AppendComment("a\r\n\ndata: b")`, string(AppendComment(nil, "a\r\n\ndata: b")), ": a\n: \n: data: b\n\n"},
		{`AppendRetry(1500)`, string(AppendRetry(nil, 1500)), "retry: 1500\n\n"},
		{`AppendRetry(0)`, string(AppendRetry(nil, 0)), "retry: 0\n\n"},
		{`AppendID(a.1)`, string(AppendID(nil, "a.1")), "id: a.1\n\n"},
		{`AppendID(LF)`, string(AppendID(nil, "a\ndata: x")), ""},
		{`AppendRetry(-1)`, string(AppendRetry(nil, -1)), "retry: 0\n\n"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s = %q, want %q", tt.call, tt.got, tt.want)
		}
	}
}

func TestNothingAllocates(t *testing.T) {
	buf := make([]byte, 0, 512)
	e := Event{Event: "update", ID: "12345", Data: "first line\nsecond line\r\nthird", Retry: 1000}
	checks := map[string]func(){
		"AppendEvent":   func() { AppendEvent(buf, e) },
		"AppendComment": func() { AppendComment(buf, "a\nb") },
		"AppendRetry":   func() { AppendRetry(buf, 1000) },
		"AppendID":      func() { AppendID(buf, "a.1") },
		"Check":         func() { _ = e.Check() },
	}
	stream := AppendEvent(nil, e)
	var d Decoder
	checks["Decoder.Next"] = func() {
		for _, piece := range [][]byte{stream[:30], stream[30:]} {
			_, _ = d.Next(piece)
		}
	}
	for name, f := range checks {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times, want 0", name, n)
		}
	}
}
