package grip

import (
	"net/http"
	"reflect"
	"slices"
	"testing"
)

func TestRemoveHopByHop(t *testing.T) {
	h := header("Connection: close, x-mine , keep-alive", "Connection: X-Other", "Keep-Alive: timeout=5", "Proxy-Connection: x", "TE: trailers",
		"Trailer: X-T", "Transfer-Encoding: chunked", "Upgrade: h2c", "X-Mine: 1", "X-Mine: 2", "X-Other: 1", "X-Kept: 1", "Content-Length: 3",
		"Proxy-Authorization: x", "Content-Encoding: gzip")
	RemoveHopByHop(h)
	want := header("X-Kept: 1", "Content-Length: 3", "Proxy-Authorization: x", "Content-Encoding: gzip")
	if !reflect.DeepEqual(h, want) {
		t.Errorf("RemoveHopByHop leaves %v, want %v", h, want)
	}
}

func TestClientFields(t *testing.T) {
	h := header("Date: d", "X-B: 2", "X-B: 1", "Connection: x-hop", "X-Hop: 1", "Content-Length: 3", "Content-Encoding: gzip", "Grip-Sig: s", "Upgrade: x")
	before := h.Clone()
	want := []Field{{"Content-Encoding", "gzip"}, {"Date", "d"}, {"Grip-Sig", "s"}, {"X-B", "2"}, {"X-B", "1"}}
	if got := ClientFields(h); !slices.Equal(got, want) {
		t.Errorf("ClientFields = %q, want %q", got, want)
	}
	if !reflect.DeepEqual(h, before) {
		t.Errorf("ClientFields changed the header to %v", h)
	}
	if got := ClientFields(http.Header{}); len(got) != 0 {
		t.Errorf("ClientFields of nothing = %q", got)
	}
}

func TestMerge(t *testing.T) {
	hold := []Field{{"Content-Type", "text/plain"}, {"X-A", "1"}, {"X-A", "1b"}, {"X-B", "1"}}
	for _, tt := range []struct {
		name   string
		item   []Field
		expose []string
		want   []Field
	}{
		{"nothing new", nil, nil, hold},
		{"the example of the reference", []Field{{"Content-Type", "text/x"}, {"X-A", "2"}, {"X-C", "3"}}, nil,
			[]Field{{"X-B", "1"}, {"Content-Type", "text/x"}, {"X-A", "2"}, {"X-C", "3"}}},
		{"case of names", []Field{{"x-a", "2"}, {"x-a", "3"}}, nil,
			[]Field{{"Content-Type", "text/plain"}, {"X-B", "1"}, {"x-a", "2"}, {"x-a", "3"}}},
		{"not for items", []Field{{"grip-hold", "stream"}, {"content-length", "9"}, {"Connection", "X-B"}, {"transfer-encoding", "chunked"}, {"X-C", "1"}}, nil,
			append(slices.Clone(hold), Field{"X-C", "1"})},
		{"exposed", []Field{{"X-B", "2"}, {"X-C", "3"}, {"x-d", "4"}}, []string{"X-B", "X-D"},
			[]Field{{"Content-Type", "text/plain"}, {"X-A", "1"}, {"X-A", "1b"}, {"X-B", "2"}, {"x-d", "4"}}},
	} {
		holdBefore, itemBefore := slices.Clone(hold), slices.Clone(tt.item)
		if got := Merge(hold, tt.item, tt.expose); !slices.Equal(got, tt.want) {
			t.Errorf("%s: Merge = %q, want %q", tt.name, got, tt.want)
		}
		if !slices.Equal(hold, holdBefore) || !slices.Equal(tt.item, itemBefore) {
			t.Errorf("%s: Merge changed what it was given", tt.name)
		}
	}
}
