package hub

import (
	"slices"
	"testing"
)

// A kind of subscriber without an encoder gets its items one by one, and each item counts those who got it.
func TestKindWithoutEncoder(t *testing.T) {
	sink := &recordSink{}
	dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain, nil}, func(int) Sink { return sink })
	m := loops[0].members
	for conn := range uint32(4) {
		m.Join(conn+1, []byte("a"), 1, 0)
	}
	m.Join(9, []byte("a"), 0, 0)
	done := publishAll(t, dir, stream("a", "x"), stream("a", "y"))
	loops[0].settle()
	b := <-done
	if got := []int{b.Deliveries[0].Receivers(), b.Deliveries[1].Receivers()}; !slices.Equal(got, []int{3, 3}) {
		t.Errorf("receivers %v, want 2 of the four and the one with an encoder", got)
	}
	slices.Sort(sink.each)
	if want := []string{"1 x", "1 y", "3 x", "3 y"}; !slices.Equal(sink.each, want) {
		t.Errorf("one by one: %q, want %q", sink.each, want)
	}
	if len(sink.sent) != 1 || sink.sent[0] != (sent{9, "xy"}) {
		t.Errorf("with an encoder: %v", sink.sent)
	}
}
