package hub

import (
	"testing"
	"time"

	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

// Those whose turn has not come leave in the middle of a walk, in the order in which they came.
func TestTheRestLeavesDuringAWalk(t *testing.T) {
	dir := NewDirectory(1 << 20)
	l := &queueLoop{now: time.Now()}
	dir.SetLoops([]Loop{l})
	m := NewMembers(dir, 0, []Encoder{plain}, noSink{}, new(stats.Loop))
	l.members = m
	var subs []uint32
	for i := range uint32(2 * sliceWork) {
		id, ok := m.Join(i+1, []byte("a"), 0, 0)
		if !ok {
			t.Fatal("not joined")
		}
		subs = append(subs, id)
	}
	it := publish.Item{Channel: "a"}
	it.Formats = publish.HTTPStream
	it.Stream.Content = "x"
	b := &Batch{Deliveries: []Delivery{{Item: it}}, Done: func(*Batch) {}}
	if err := dir.Publish(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	l.take(1)
	l.step() // the newer half
	for _, s := range subs[:sliceWork] {
		m.Leave(s)
	}
	l.settle()
}
