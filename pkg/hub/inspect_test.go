package hub

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"holdfast/pkg/publish"
)

// recordWatcher notes who joins and leaves what.
type recordWatcher struct{ told []string }

func (w *recordWatcher) Joined(conn uint32, name []byte, encoder uint8) {
	w.told = append(w.told, fmt.Sprintf("%d +%s/%d", conn, name, encoder))
}

func (w *recordWatcher) Left(conn uint32, name string, encoder uint8) {
	w.told = append(w.told, fmt.Sprintf("%d -%s/%d", conn, name, encoder))
}

func TestWatcherIsToldOfEachSubscription(t *testing.T) {
	_, loops := newQueueLoops(1, 1<<20, []Encoder{plain, plain}, func(int) Sink { return noSink{} })
	m, w := loops[0].members, &recordWatcher{}
	early, _ := m.Join(1, []byte("a"), 0, 0)
	m.SetWatcher(w)
	subs, _ := m.Join(2, []byte("a"), 1, 0)
	subs, _ = m.Join(2, []byte("a"), 1, subs) // it has that one
	subs, _ = m.Join(2, []byte("b"), 1, subs)
	m.Leave(early)
	m.Leave(subs)
	m.SetWatcher(nil)
	m.Join(3, []byte("a"), 0, 0)
	if want := []string{"2 +a/1", "2 +b/1", "1 -a/0", "2 -b/1", "2 -a/1"}; !slices.Equal(w.told, want) {
		t.Errorf("told %q, want %q", w.told, want)
	}
}

// The list has every channel that is there all the time once, whatever comes and goes meanwhile.
func TestListOfChannelsWhileTheyChange(t *testing.T) {
	dir, loops := newQueueLoops(2, 1<<20, []Encoder{plain}, func(int) Sink { return noSink{} })
	subs := map[string]uint32{}
	for i := range 5000 {
		name := fmt.Sprintf("%d", i)
		subs[name], _ = loops[i%2].members.Join(uint32(i+1), []byte(name), 0, 0)
		if i%3 == 0 {
			loops[1-i%2].members.Join(uint32(i+1), []byte(name), 0, 0)
		}
	}
	seen := map[string]int{}
	counted := 0
	var c Cursor
	var piece []Listed
	for i, more := 0, true; more; i++ {
		piece, more = dir.List(piece[:0], &c, 700, "")
		if len(piece) > 700 {
			t.Fatalf("%d channels in a piece of 700", len(piece))
		}
		counts := make([]int, len(piece))
		for _, l := range loops {
			l.members.Count(piece, counts)
		}
		for j, l := range piece {
			seen[l.Name]++
			counted += counts[j]
		}
		name := fmt.Sprintf("%d", 4999-2*i) // in one loop only, when it is no multiple of 3
		loops[(4999-2*i)%2].members.Leave(subs[name])
		loops[0].members.Join(9999, fmt.Appendf(nil, "new%d", i), 0, 0)
	}
	for i := range 4000 {
		if n := seen[fmt.Sprint(i)]; n != 1 {
			t.Fatalf("channel %d is listed %d times", i, n)
		}
	}
	if counted < 4000*4/3 {
		t.Errorf("%d subscribers counted, want 5333 at least", counted)
	}
	gone := []Listed{{Name: "4999", channel: channel{1 << 30, 1}}}
	counts := []int{0}
	loops[0].members.Count(gone, counts)
	if counts[0] != 0 {
		t.Errorf("a channel that is gone has %d subscribers", counts[0])
	}
}

func TestNamesAndSubscribedOfAConnection(t *testing.T) {
	_, loops := newQueueLoops(1, 1<<20, []Encoder{plain}, func(int) Sink { return noSink{} })
	m := loops[0].members
	subs := uint32(0)
	for _, name := range []string{"a", "b", "c"} {
		subs, _ = m.Join(1, []byte(name), 0, subs)
	}
	m.Join(2, []byte("d"), 0, 0)
	if got := m.Names(nil, subs, 2); !slices.Equal(got, []string{"c", "b"}) || m.Subscriptions(subs) != 3 {
		t.Errorf("names %q, %d subscriptions", got, m.Subscriptions(subs))
	}
	for name, want := range map[string]bool{"a": true, "c": true, "d": false} {
		if local := m.Local(name); local == 0 || m.Subscribed(subs, local) != want {
			t.Errorf("subscribed to %s: want %v", name, want)
		}
	}
	if m.Local("e") != 0 {
		t.Error("a channel that nobody has is found")
	}
}

// Every delivery is timed once, from the call of Publish to the write, and a walk as a whole.
func TestDeliveriesAreTimed(t *testing.T) {
	sink := &recordSink{}
	dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain, nil}, func(int) Sink { return sink })
	l := loops[0]
	for conn := range uint32(200) {
		l.members.Join(conn+1, []byte("a"), uint8(conn%2), 0) // those without encoder take every second
	}
	before := publishAll(t, dir, stream("a", "x"), stream("a", "y"))
	time.Sleep(20 * time.Millisecond) // the time that is measured
	after := publishAll(t, dir, stream("a", "z"), publish.Item{Channel: "nobody"})
	l.settle()
	b := <-before
	<-after
	d := l.members.stats.Latency.Durations()
	perItem := uint64(b.Deliveries[0].Receivers())
	if d.Count != 3*perItem || perItem == 0 {
		t.Errorf("%d deliveries are timed, want three times %d", d.Count, perItem)
	}
	slow := uint64(0)
	for _, bucket := range d.Buckets {
		if bucket[0] > 18_000 {
			slow += bucket[1]
		}
	}
	if slow != 2*perItem {
		t.Errorf("%d deliveries took 20 ms, want those of two items, %d", slow, 2*perItem)
	}
	if w := l.members.stats.Walk.Durations(); w.Count != 1 {
		t.Errorf("%d walks are timed, want 1", w.Count)
	}
}

func TestMetersCountSideBySide(t *testing.T) {
	dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain}, func(int) Sink { return noSink{} })
	l := loops[0]
	for conn := range uint32(3) {
		l.members.Join(conn+1, []byte("a"), 0, 0)
	}
	publishTo := func() { publishAll(t, dir, stream("a", "x")); l.settle() }
	first := l.members.StartMeter()
	publishTo()
	second := l.members.StartMeter()
	publishTo()
	l.members.StopMeter(first)
	publishTo()
	l.members.StopMeter(second)
	publishTo()
	list := first.Busy(nil, dir, "a")
	if len(list) != 1 {
		t.Fatalf("channels with deliveries: %v", list)
	}
	for _, m := range []*Meter{first, second} {
		if got := m.Of(&list[0]); got != (Tally{Items: 2, Deliveries: 6}) {
			t.Errorf("%+v, want 2 items and 6 deliveries", got)
		}
	}
	if busy := first.Busy(nil, dir, "b"); len(busy) != 0 {
		t.Errorf("with another prefix: %v", busy)
	}
	first.Merge(second)
	if got := first.Of(&list[0]); got != (Tally{Items: 2, Deliveries: 12}) {
		t.Errorf("merged: %+v, want the items once", got)
	}
}
