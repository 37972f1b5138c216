package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"holdfast/pkg/publish"
)

// message cuts the first frame off b and parses its front.
func message(t *testing.T, b []byte) Message {
	t.Helper()
	payload, rest, err := SplitFrame(b, len(b))
	if err != nil || len(rest) != 0 {
		t.Fatalf("SplitFrame(%x) leaves %d bytes, %v", b, len(rest), err)
	}
	m, err := ParseMessage(payload)
	if err != nil {
		t.Fatalf("ParseMessage(%x): %v", payload, err)
	}
	return m
}

func TestPublishRoundTrip(t *testing.T) {
	for _, id := range []uint64{0, 127, 128, 1 << 16, 1 << 40, 1<<64 - 1} {
		m := message(t, AppendPublish(nil, id, AcceptedOnly, fullItem()))
		items, err := m.Items()
		if m.Type != TypePublish || err != nil || items.Left() != 1 || items.Flags != AcceptedOnly {
			t.Fatalf("Items = %+v, %v", items, err)
		}
		var it publish.Item
		got, _, err := items.Next(&it)
		if got != id || err != nil || !reflect.DeepEqual(&it, fullItem()) {
			t.Errorf("Next = id %d, %v, %+v, want id %d and the item", got, err, it, id)
		}
		if err := items.End(); err != nil {
			t.Errorf("End: %v", err)
		}
	}
}

func TestPublishBatchRoundTrip(t *testing.T) {
	want := sampleItems()
	b := AppendBatchHead(nil, 40, 0)
	if len(b) != BatchHead {
		t.Fatalf("the batch head has %d bytes, want %d", len(b), BatchHead)
	}
	for _, it := range want {
		b = AppendItem(b, it)
	}
	FinishBatch(b, len(want))
	items, err := message(t, b).Items()
	if err != nil || items.Left() != len(want) || items.Flags != 0 {
		t.Fatalf("Items = %+v, %v, want %d items", items, err, len(want))
	}
	bytes := 0
	for i := range want {
		var it publish.Item
		id, size, err := items.Next(&it)
		if id != uint64(40+i) || err != nil || !reflect.DeepEqual(&it, want[i]) {
			t.Errorf("Next = id %d, %v, want id %d and item %d", id, err, 40+i, i)
		}
		bytes += size
	}
	if err := items.End(); err != nil || items.Left() != 0 || bytes != len(b)-BatchHead {
		t.Errorf("at the end: %v, %d left, %d bytes of %d", err, items.Left(), bytes, len(b)-BatchHead)
	}
}

func TestBadItemLeavesItsNeighbours(t *testing.T) {
	good := &publish.Item{Channel: "c", Formats: publish.HTTPStream, Stream: publish.Stream{Content: "s"}}
	b := AppendBatchHead(nil, 1, 0)
	b = AppendItem(b, good)
	b = append(b, join(array(2), text("c"), array(1), array(3), num(77), num(0), texts(3))...)
	b = AppendItem(b, good)
	FinishBatch(b, 3)
	items, err := message(t, b).Items()
	if err != nil {
		t.Fatal(err)
	}
	for i, wantErr := range []error{nil, &Error{Code: BadItem}, nil} {
		var it publish.Item
		id, _, err := items.Next(&it)
		if id != uint64(1+i) || !errors.Is(err, wantErr) {
			t.Errorf("item %d: Next = id %d, %v, want %v", i, id, err, wantErr)
		}
		if wantErr == nil && !reflect.DeepEqual(&it, good) {
			t.Errorf("item %d is %+v, want %+v", i, it, good)
		}
	}
	if err := items.End(); err != nil {
		t.Errorf("End: %v", err)
	}
}

func TestBadPublishFrames(t *testing.T) {
	for name, payload := range map[string][]byte{
		"too few":      join(array(3), num(16), num(1), num(0)),
		"id a string":  join(array(4), num(17), text("1"), num(0), array(0)),
		"negative id":  join(array(4), num(17), []byte{0xff}, num(0), array(0)),
		"items a map":  join(array(4), num(17), num(1), num(0), []byte{codeFixMap}),
		"items cut":    join(array(4), num(17), num(1), num(0), []byte{codeArray16, 0, 5, 0}),
		"huge count":   join(array(4), num(17), num(1), num(0), []byte{codeArray32, 255, 255, 255, 255}),
		"flags absent": join(array(4), num(17), num(1)),
	} {
		m, err := ParseMessage(payload)
		if err == nil {
			_, err = m.Items()
		}
		if !errors.Is(err, &Error{Code: BadFrame}) {
			t.Errorf("%s: Items = %v, want bad frame", name, err)
		}
	}
	for name, payload := range map[string][]byte{
		"nothing":        {},
		"not an array":   num(5),
		"empty array":    array(0),
		"type a string":  join(array(1), text("publish")),
		"array cut":      {codeFixArray | 4, 16, 1},
		"array of 2^32":  {codeArray32, 255, 255, 255, 255, 16},
		"type too short": {codeFixArray | 1, codeUint16, 1},
	} {
		if _, err := ParseMessage(payload); !errors.Is(err, &Error{Code: BadFrame}) {
			t.Errorf("%s: ParseMessage = %v, want bad frame", name, err)
		}
	}
}

func TestEndWantsTheWholeMessageAndNothingMore(t *testing.T) {
	item := AppendItem(nil, bareItem())
	for name, c := range map[string]struct {
		payload []byte
		ok      bool
	}{
		"exact":           {join(array(4), num(16), num(1), num(0), item), true},
		"unknown element": {join(array(6), num(16), num(1), num(0), item, text("new"), array(0)), true},
		"bytes behind":    {join(array(4), num(16), num(1), num(0), item, num(0)), false},
		"element missing": {join(array(5), num(16), num(1), num(0), item), false},
	} {
		m, err := ParseMessage(c.payload)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		items, err := m.Items()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var it publish.Item
		if _, _, err := items.Next(&it); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := items.End(); (err == nil) != c.ok {
			t.Errorf("%s: End = %v, want ok %v", name, err, c.ok)
		}
	}
}

func sampleAcks() []Ack {
	return []Ack{
		{ID: 1, Accepted: true, Receivers: 15000},
		{ID: 2, Accepted: true},
		{ID: 1<<64 - 1, Err: &Error{BadItem, "channel name is empty"}},
		{ID: 4, Err: &Error{Code: ShuttingDown}},
	}
}

func TestAcksRoundTrip(t *testing.T) {
	want := sampleAcks()
	m := message(t, AppendAcks(nil, want))
	got, err := m.Acks(nil)
	if m.Type != TypeAckBatch || err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Acks = %+v, %v, want %+v", got, err, want)
	}
}

func TestAckDefaultsAndUnknownElements(t *testing.T) {
	b := join(array(3), num(18), array(3),
		join(array(2), num(1), []byte{codeTrue}),
		join(array(6), num(2), []byte{codeTrue}, num(3), []byte{codeNil, codeNil}, text("new")),
		join(array(2), num(3), []byte{codeFalse}), text("new"))
	m, err := ParseMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Acks(nil)
	if err != nil || len(got) != 3 || got[0] != (Ack{ID: 1, Accepted: true}) || got[1] != (Ack{ID: 2, Accepted: true, Receivers: 3}) {
		t.Fatalf("Acks = %+v, %v", got, err)
	}
	if got[2].Err == nil || got[2].Accepted {
		t.Errorf("a refusal without code is %+v, want one with an error", got[2])
	}
}

func TestAcksAtEverySplitIsBadFrame(t *testing.T) {
	whole := AppendAcks(nil, sampleAcks())[headLen:]
	for i := 2; i < len(whole); i++ {
		m, err := ParseMessage(whole[:i])
		if err == nil {
			_, err = m.Acks(nil)
		}
		if !errors.Is(err, &Error{Code: BadFrame}) {
			t.Errorf("Acks of the first %d bytes = %v, want bad frame", i, err)
		}
	}
}

func TestAcksShareNoMemoryWithTheFrame(t *testing.T) {
	b := AppendAcks(nil, sampleAcks())
	acks, err := message(t, b).Acks(nil)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !reflect.DeepEqual(acks, sampleAcks()) {
		t.Errorf("after the frame was overwritten the acks are %+v", acks)
	}
}

func TestHotMessagesDoNotAllocate(t *testing.T) {
	it := bareItem()
	acks := make([]Ack, 100)
	for i := range acks {
		acks[i] = Ack{ID: uint64(1000 + i), Accepted: true, Receivers: i}
	}
	buf := make([]byte, 0, 64<<10)
	if n := testing.AllocsPerRun(100, func() {
		buf = AppendBatchHead(buf[:0], 1, 0)
		for range 50 {
			buf = AppendItem(buf, it)
		}
		FinishBatch(buf, 50)
	}); n != 0 {
		t.Errorf("encoding a batch allocates %v times, want 0", n)
	}
	var got publish.Item
	if n := testing.AllocsPerRun(100, func() {
		m, _ := ParseMessage(buf[headLen:])
		items, _ := m.Items()
		for items.Left() > 0 {
			items.Next(&got)
		}
	}); n != 0 {
		t.Errorf("decoding a batch allocates %v times, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() { buf = AppendAcks(buf[:0], acks) }); n != 0 {
		t.Errorf("AppendAcks allocates %v times, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		m, _ := ParseMessage(buf[headLen:])
		acks, _ = m.Acks(acks[:0])
	}); n != 0 {
		t.Errorf("Acks allocates %v times, want 0", n)
	}
}

func FuzzItems(f *testing.F) {
	b := AppendBatchHead(nil, 7, 1)
	for _, it := range sampleItems()[:6] {
		b = AppendItem(b, it)
	}
	FinishBatch(b, 6)
	f.Add(b[headLen:])
	f.Add(AppendPublish(nil, 1, 0, bareItem())[headLen:])
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := ParseMessage(payload)
		if err != nil {
			return
		}
		items, err := m.Items()
		if err != nil {
			return
		}
		if items.Left() > len(payload) {
			t.Fatalf("%d bytes announce %d items", len(payload), items.Left())
		}
		for items.Left() > 0 {
			var it publish.Item
			if _, _, err := items.Next(&it); errors.Is(err, &Error{Code: BadFrame}) {
				return
			}
		}
		items.End() //nolint:errcheck // it must not panic
	})
}

func FuzzAcks(f *testing.F) {
	f.Add(AppendAcks(nil, sampleAcks())[headLen:])
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := ParseMessage(payload)
		if err != nil {
			return
		}
		acks, err := m.Acks(nil)
		if err != nil {
			return
		}
		again, err := message(t, AppendAcks(nil, acks)).Acks(nil)
		if err != nil || len(again) != len(acks) || len(acks) > 0 && !reflect.DeepEqual(again, acks) {
			t.Fatalf("Acks(AppendAcks(acks)) = %+v, %v, want %+v", again, err, acks)
		}
	})
}

func BenchmarkAppendAcks(b *testing.B) {
	acks := make([]Ack, 100)
	for i := range acks {
		acks[i] = Ack{ID: uint64(100000 + i), Accepted: true, Receivers: 15}
	}
	buf := make([]byte, 0, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendAcks(buf[:0], acks)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/ack")
}

func BenchmarkAcks(b *testing.B) {
	acks := make([]Ack, 100)
	for i := range acks {
		acks[i] = Ack{ID: uint64(100000 + i), Accepted: true, Receivers: 15}
	}
	payload := AppendAcks(nil, acks)[headLen:]
	b.ReportAllocs()
	for b.Loop() {
		m, _ := ParseMessage(payload)
		acks, _ = m.Acks(acks[:0])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/ack")
}

func TestErrorTexts(t *testing.T) {
	for code := BadFrame; code <= BadRequest; code++ {
		if s := code.String(); strings.HasPrefix(s, "error ") {
			t.Errorf("code %d has no name", int(code))
		}
	}
	if got := Code(99).String(); got != "error 99" {
		t.Errorf("Code(99) = %q", got)
	}
	if got, want := Errorf(Busy, "%d clients", 3).Error(), "busy: 3 clients"; got != want {
		t.Errorf("Error = %q, want %q", got, want)
	}
}
