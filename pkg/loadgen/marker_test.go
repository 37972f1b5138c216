package loadgen

import (
	"bytes"
	"math"
	"testing"
	"time"

	"holdfast/pkg/publish"
)

func TestMarkerForm(t *testing.T) {
	got := string(appendMarker(nil, time.Unix(0, 1_234_567_890_123_456_789), 42))
	if want := "@TS=1234567890123456789;0000000042;"; got != want || len(got) != markerLen {
		t.Errorf("marker = %q of %d bytes, want %q of %d", got, len(got), want, markerLen)
	}
	m, state := parseMarker(appendMarker(nil, time.Unix(0, 1_234_567_890_123_456_789), math.MaxUint32))
	if state != whole || m != (marker{1_234_567_890_123_456_789, math.MaxUint32}) {
		t.Errorf("parseMarker = %+v, %v, want the largest number", m, state)
	}
}

// markers feeds b in pieces that end at the cuts, as a loop does: what is not used comes again in front of the next.
func markers(b []byte, cuts ...int) (found []marker) {
	from := 0
	for _, to := range append(cuts, len(b)) {
		for from < to {
			m, n, ok := nextMarker(b[from:to])
			from += n
			if !ok {
				break
			}
			found = append(found, m)
		}
	}
	return found
}

func TestMarkersAtEverySplit(t *testing.T) {
	at := time.Unix(0, 1_700_000_000_000_000_001)
	b := []byte("@@TS=17x@TS=")
	b = appendMarker(b, at, 7)
	b = append(b, "filler @TS=1;\r\n3f\r\ndata: @"...)
	b = appendMarker(b, at, 8)
	b = appendMarker(b, at, 9)
	b = append(b, "@TS=1700000000000000001;99"...)
	want := []marker{{at.UnixNano(), 7}, {at.UnixNano(), 8}, {at.UnixNano(), 9}}
	for i := range b {
		for j := i; j <= len(b); j += 7 {
			got := markers(b, i, j)
			if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
				t.Fatalf("split at %d and %d: markers = %v, want %v", i, j, got, want)
			}
		}
	}
}

func TestNumbersBeyondTheirRangeAreNoMarkers(t *testing.T) {
	for _, s := range []string{"@TS=1700000000000000001;4294967296;", "@TS=170000000000000000x;0000000001;", "@TS=1700000000000000001;0000000001:"} {
		if m, n, ok := nextMarker([]byte(s)); ok || n != len(s) {
			t.Errorf("nextMarker(%q) = %v, %d, %v, want all of it forgotten", s, m, n, ok)
		}
	}
}

func TestMessagesHaveTheirSize(t *testing.T) {
	for _, transport := range []Transport{Events, Stream} {
		o := NewOptions()
		o.Transport = transport
		for _, o.Size = range []int{o.minSize(), o.minSize() + 1, 100, 5000} {
			var it publish.Item
			o.fill(&it, nil, time.Now(), 3)
			content := it.Event.Data
			if transport == Stream {
				content = it.Stream.Content
			}
			if len(content) != o.Size {
				t.Errorf("%s of size %d: content has %d bytes", transport, o.Size, len(content))
			}
			if got := markers([]byte(content)); len(got) != 1 || got[0].number != 3 {
				t.Errorf("%s of size %d: markers = %v, want one of number 3", transport, o.Size, got)
			}
		}
	}
}

func FuzzNextMarker(f *testing.F) {
	f.Add(appendMarker([]byte("x@T"), time.Unix(1, 1), 5), uint16(9))
	f.Add([]byte("@TS=@TS=@TS=1111111111111111111;1111111111;"), uint16(20))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		at := int(cut) % (len(b) + 1)
		one, two := markers(b), markers(b, at)
		if len(one) != len(two) {
			t.Fatalf("%q: %d markers in one piece, %d when cut at %d", b, len(one), len(two), at)
		}
		if len(one) > bytes.Count(b, []byte(stampPrefix)) {
			t.Fatalf("%q: %d markers", b, len(one))
		}
	})
}

func BenchmarkNextMarker(b *testing.B) {
	text := appendText([]byte("64\r\ndata: "), 100, time.Now(), 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := nextMarker(text); !ok {
			b.Fatal("no marker")
		}
	}
}
