package sse

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// decode reads stream in pieces of size bytes and returns its events as text, and the error if it is not ErrShort.
func decode(d *Decoder, stream []byte, size int) (events []string, err error) {
	for i := 0; i < len(stream); i += size {
		piece := stream[i:min(len(stream), i+size)]
		for {
			n, err := d.Next(piece[:len(piece):len(piece)])
			if piece = piece[n:]; err == ErrShort {
				break
			}
			if err != nil {
				return events, err
			}
			events = append(events, fmt.Sprintf("%s|%s|%s|%d", d.Type, d.LastID, d.Data, d.Retry))
		}
		if len(piece) > 0 {
			return events, fmt.Errorf("%d bytes not used", len(piece))
		}
	}
	return events, nil
}

// streams are checked whole and at every split. Several stand in WHATWG HTML 9.2.6.
var streams = []struct {
	rule, stream string
	want         []string // type|id|data|retry
}{
	{"the standard's stock example", "data: YHOO\ndata: +2\ndata: 10\n\n", []string{"||YHOO\n+2\n10|0"}},
	{"the standard's example of four blocks", ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
		[]string{"|1|first event|0", "||second event|0", "|| third event|0"}},
	{"the standard's example of empty data", "data\n\ndata\ndata\n\ndata:", []string{"|||0", "||\n|0"}},
	{"one leading space only is dropped", "data:test\n\ndata: test\n\n", []string{"||test|0", "||test|0"}},
	{"CR", "data: a\rdata: b\r\r", []string{"||a\nb|0"}},
	{"CR LF", "data: a\r\ndata: b\r\n\r\n", []string{"||a\nb|0"}},
	{"mixed line ends", "data: a\rdata: b\ndata: c\r\n\rdata: d\n\r\n", []string{"||a\nb\nc|0", "||d|0"}},
	{"byte order mark", "\xef\xbb\xbfdata: a\n\n", []string{"||a|0"}},
	{"only the first byte order mark is dropped", "\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", []string{"||b|0"}},
	{"half a byte order mark", "\xef\xbbdata: a\ndata: b\n\n", []string{"||b|0"}},
	{"a line end instead of a byte order mark's end", "\xef\xbb\ndata: b\n\n", []string{"||b|0"}},
	{"event type", "event: add\ndata: 1\n\nevent: x\n\ndata: 2\n\n", []string{"add||1|0", "||2|0"}},
	{"the last event field counts", "event: a\nevent: b\ndata: 1\n\n", []string{"b||1|0"}},
	{"the id stays", "id: 1\ndata: a\n\ndata: b\n\nid: 2\n\ndata: c\n\n", []string{"|1|a|0", "|1|b|0", "|2|c|0"}},
	{"an id with NUL is ignored", "id: 1\nid: 2\x003\ndata: a\n\n", []string{"|1|a|0"}},
	{"an empty id clears", "id: 1\ndata: a\n\nid:\ndata: b\n\n", []string{"|1|a|0", "||b|0"}},
	{"retry takes digits only", "retry: 12\ndata: a\n\nretry: 1x\nretry:\nretry: -1\nretry: 1.5\ndata: b\n\n", []string{"||a|12", "||b|12"}},
	{"a retry beyond all bounds", "retry: 99999999999999999999999\ndata: a\n\n", []string{"||a|9223372036854775807"}},
	{"comments, unknown fields, case", ":\n: data: x\nfoo: bar\nData: x\n data: x\ndata: a\n\n", []string{"||a|0"}},
	{"colons in values, tabs", "data: a:b: c\nevent:\tx\ndata:\t\n\n", []string{"\tx||a:b: c\n\t|0"}},
	{"an unfinished event is not dispatched", "data: a\n\ndata: b\n", []string{"||a|0"}},
	{"empty lines", "\n\r\n\r\n\ndata: a\n\n\n\n", []string{"||a|0"}},
	{"long lines with bytes below CR", "data: " + strings.Repeat("\t\x01", 50) + "\n\n", []string{"||" + strings.Repeat("\t\x01", 50) + "|0"}},
}

func TestDecodeAtEverySplit(t *testing.T) {
	for _, tt := range streams {
		for size := len(tt.stream); size > 0; size-- {
			got, err := decode(new(Decoder), []byte(tt.stream), size)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("%s: %q in pieces of %d = %q, %v, want %q", tt.rule, tt.stream, size, got, err, tt.want)
			}
		}
		for i := range tt.stream {
			var d Decoder
			got, err := decode(&d, []byte(tt.stream[:i]), i+1)
			more, err2 := decode(&d, []byte(tt.stream[i:]), len(tt.stream))
			if got = append(got, more...); err != nil || err2 != nil || !slices.Equal(got, tt.want) {
				t.Errorf("%s: %q split at %d = %q, %v, %v, want %q", tt.rule, tt.stream, i, got, err, err2, tt.want)
			}
		}
	}
}

func TestEventIsDispatchedAtItsLastCR(t *testing.T) {
	var d Decoder
	if n, err := d.Next([]byte("data: a\r\n\r")); err != nil || n != 10 || string(d.Data) != "a" {
		t.Errorf("Next up to the last CR = %d, %v with data %q, want 10 and a: the LF may come late", n, err, d.Data)
	}
	if n, err := d.Next([]byte("\n")); err != ErrShort || n != 1 {
		t.Errorf("Next(LF) = %d, %v, want 1, ErrShort", n, err)
	}
}

func TestDecoderIsBounded(t *testing.T) {
	tests := []struct {
		rule, stream string
		want         error
	}{
		{"an event within the bound", "event: a\nid: b\ndata: 12345678\n\n", nil},
		{"many events within the bound", strings.Repeat("data: 123\n\n", 100), nil},
		{"many comments within the bound", strings.Repeat(": 123\n", 100), nil},
		{"an endless line", "data: " + strings.Repeat("x", 20), ErrTooLarge},
		{"an endless comment", ":" + strings.Repeat("x", 20), ErrTooLarge},
		{"endless data lines", strings.Repeat("data: x\n", 20), ErrTooLarge},
		{"endless empty data lines", strings.Repeat("data\n", 30), ErrTooLarge},
		{"fields together", "event: 123456\nid: 123456\ndata: 123456\n\n", ErrTooLarge},
	}
	for _, tt := range tests {
		for _, size := range []int{1, 7, len(tt.stream)} {
			if _, err := decode(&Decoder{MaxEvent: 20}, []byte(tt.stream), size); err != tt.want {
				t.Errorf("%s: %.40q in pieces of %d: %v, want %v", tt.rule, tt.stream, size, err, tt.want)
			}
		}
	}
	if _, err := decode(new(Decoder), []byte("data:"+strings.Repeat("x", DefaultMaxEvent)), 4096); err != ErrTooLarge {
		t.Errorf("an event beyond DefaultMaxEvent: %v, want ErrTooLarge", err)
	}
}

// normalize replaces every line end by LF, as a client sees it.
func normalize(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

func FuzzAppendedEventIsDecoded(f *testing.F) {
	f.Add("add", "7", "a\r\nb", 3000, uint8(3))
	f.Add("", "", "", 0, uint8(1))
	f.Add("a\ndata: x", "1\x00", "\n\ndata: x\n\n", -1, uint8(9))
	f.Fuzz(func(t *testing.T, event, id, data string, retry int, size uint8) {
		e := Event{Event: event, ID: id, Data: data, Retry: retry}
		stream := AppendEvent(AppendComment(AppendRetry(nil, 1), data), e)
		want := e
		if !oneLine(event) {
			want.Event = ""
		}
		if !oneLine(id) {
			want.ID = ""
		}
		if want.Retry = retry; retry <= 0 {
			want.Retry = 1
		}
		text := fmt.Sprintf("%s|%s|%s|%d", want.Event, want.ID, normalize(data), want.Retry)
		if got, err := decode(new(Decoder), stream, int(size)+1); err != nil || len(got) != 1 || got[0] != text {
			t.Errorf("%+v written as %q is read as %q, %v, want %q", e, stream, got, err, text)
		}
		if broken := e.Check() != nil; broken != (want.Event != event || want.ID != id || retry < 0) {
			t.Errorf("%+v.Check() = %v, but it is written as %q", e, e.Check(), stream)
		}
	})
}

func FuzzDecodeSplits(f *testing.F) {
	for _, tt := range streams {
		f.Add([]byte(tt.stream), uint8(3), uint8(0))
	}
	f.Fuzz(func(t *testing.T, stream []byte, size, bound uint8) {
		want, wantErr := decode(&Decoder{MaxEvent: int(bound)}, stream, len(stream)+1)
		for _, size := range []int{1, int(size) + 1} {
			got, err := decode(&Decoder{MaxEvent: int(bound)}, stream, size)
			if !slices.Equal(got, want) || err != wantErr {
				t.Errorf("%q in pieces of %d = %q, %v, whole %q, %v", stream, size, got, err, want, wantErr)
			}
		}
		if bound == 0 {
			if model := decodeModel(string(stream)); !slices.Equal(want, model) {
				t.Errorf("%q = %q, the standard says %q", stream, want, model)
			}
		}
	})
}

// decodeModel is the standard's algorithm (WHATWG HTML 9.2.6) on a whole stream, written for likeness, not for speed.
func decodeModel(stream string) (events []string) {
	stream = normalize(strings.TrimPrefix(stream, bomBytes))
	lines := strings.Split(stream, "\n")
	var data, kind, idBuffer, lastID string
	retry := 0
	for _, line := range lines[:len(lines)-1] { // the last one has no end
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if lastID = idBuffer; data != "" {
				events = append(events, fmt.Sprintf("%s|%s|%s|%d", kind, lastID, strings.TrimSuffix(data, "\n"), retry))
			}
			data, kind = "", ""
		case name == "event":
			kind = value
		case name == "data":
			data += value + "\n"
		case name == "id" && !strings.Contains(value, "\x00"):
			idBuffer = value
		case name == "retry" && value != "" && strings.Trim(value, "0123456789") == "":
			if _, err := fmt.Sscan(strings.TrimLeft(value, "0")+" ", &retry); err != nil {
				retry = 1<<63 - 1
				if strings.Trim(value, "0") == "" {
					retry = 0
				}
			}
		}
	}
	return events
}

func BenchmarkAppendEvent(b *testing.B) {
	for _, bb := range []struct {
		name string
		e    Event
	}{
		{"100", Event{ID: "123456", Data: strings.Repeat("x", 100)}},
		{"4096", Event{ID: "123456", Data: strings.Repeat("x", 4096)}},
		{"lines", Event{Data: strings.Repeat("twenty bytes a line\n", 50)}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			buf := make([]byte, 0, 8192)
			b.SetBytes(int64(len(bb.e.Data)))
			b.ReportAllocs()
			for b.Loop() {
				AppendEvent(buf, bb.e)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{100, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			stream := AppendEvent(nil, Event{ID: "123456", Data: strings.Repeat("x", size)})
			var d Decoder
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Next(stream); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
