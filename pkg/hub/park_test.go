package hub

import (
	"testing"
	"time"
)

// parkLoop returns a loop with subscribers 1 to n of channel a, of which those named are behind after every send.
func parkLoop(t *testing.T, n int, behind ...uint32) (*Directory, *queueLoop, *recordSink, map[uint32]uint32) {
	t.Helper()
	sink := &recordSink{behind: map[uint32]bool{}}
	for _, c := range behind {
		sink.behind[c] = true
	}
	dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain}, func(int) Sink { return sink })
	subs := map[uint32]uint32{}
	for c := uint32(1); c <= uint32(n); c++ {
		subs[c] = join(loops[0].members, c, []byte("a"), 0, 0)
	}
	return dir, loops[0], sink, subs
}

// publishDuringWalk has one item walked and another wait behind it, and returns what the step after that says.
func publishDuringWalk(t *testing.T, dir *Directory, l *queueLoop) (second <-chan *Batch, more bool, wait time.Duration) {
	t.Helper()
	l.take(len(l.posted))
	publishAll(t, dir, stream("a", "1"))
	l.take(1)
	w := l.members.locals.At(l.members.groups.At(1).local).walk
	l.members.begin(w) // the second item comes after the walk has begun
	second = publishAll(t, dir, stream("a", "2"))
	l.take(1)
	more, wait = l.step()
	return second, more, wait
}

func TestNextWalkWaitsForMostOfItsSubscribers(t *testing.T) {
	dir, l, sink, subs := parkLoop(t, 3, 1, 2)
	second, more, wait := publishDuringWalk(t, dir, l)
	if more || wait != maxPark {
		t.Fatalf("after a walk that left most behind: more %v, wait %v, want to wait %v", more, wait, maxPark)
	}
	if len(sink.sent) != 3 {
		t.Fatalf("sent %v, want the first item only", sink.sent)
	}
	// Not all need to catch up: the first that does is a reason to go on.
	l.members.CaughtUp(subs[2])
	if more, wait := l.step(); more || wait != 0 {
		t.Errorf("after one has caught up: more %v, wait %v, want the second walk over", more, wait)
	}
	if got := receivers(t, second); got[0] != 3 {
		t.Errorf("receivers %v, want 3", got)
	}
}

func TestParkEndsByItself(t *testing.T) {
	dir, l, sink, _ := parkLoop(t, 1, 1)
	second, _, wait := publishDuringWalk(t, dir, l)
	l.now = l.now.Add(wait - 1)
	if _, wait := l.step(); wait == 0 || len(sink.sent) != 1 {
		t.Errorf("just before its time: wait %v, sent %v, want to wait", wait, sink.sent)
	}
	l.now = l.now.Add(1)
	if _, wait := l.step(); wait != 0 {
		t.Errorf("at its time: wait %v, want none", wait)
	}
	if got := receivers(t, second); got[0] != 1 {
		t.Errorf("receivers %v, want 1: nobody who is behind is left out", got)
	}
}

// Two who are behind do not hold up two who are not.
func TestHalfBehindParksNothing(t *testing.T) {
	dir, l, _, _ := parkLoop(t, 4, 1, 2)
	second, more, wait := publishDuringWalk(t, dir, l)
	for ; more; more, wait = l.step() {
	}
	if wait != 0 {
		t.Errorf("wait %v, want none", wait)
	}
	if got := receivers(t, second); got[0] != 4 {
		t.Errorf("receivers %v, want 4", got)
	}
}

func TestLastSubscriberLeavesAParkedWalk(t *testing.T) {
	dir, l, _, subs := parkLoop(t, 1, 1)
	second, _, wait := publishDuringWalk(t, dir, l)
	l.members.Leave(subs[1])
	join(l.members, 2, []byte("a"), 0, 0) // the same channel again has a walk of its own
	third := publishAll(t, dir, stream("a", "3"))
	l.settle()
	if got := receivers(t, third); got[0] != 1 {
		t.Errorf("receivers of the new subscriber's item %v, want 1", got)
	}
	l.now = l.now.Add(wait)
	l.settle()
	if got := receivers(t, second); got[0] != 0 {
		t.Errorf("receivers %v, want 0: nobody was left", got)
	}
	if len(l.members.parked) != 0 || l.members.walks.len() != 0 {
		t.Errorf("%d walks are parked and %d have turns, want none", len(l.members.parked), l.members.walks.len())
	}
}

// Unparking costs the same whatever the number of parked walks and the order in which they catch up.
func TestUnparkInAnyOrder(t *testing.T) {
	m := NewMembers(nil, 0, nil, nil, nil)
	now := time.Time{}.Add(time.Hour)
	var walks []*walk
	for range 1000 {
		w := &walk{}
		m.park(w, now)
		walks = append(walks, w)
	}
	for i := len(walks) - 1; i >= 500; i-- {
		m.unpark(walks[i])
	}
	m.park(walks[999], now.Add(time.Millisecond)) // again, while its old entry is still in the list
	if n := m.walks.len(); n != 500 {
		t.Fatalf("%d walks have turns, want the 500 that caught up", n)
	}
	m.unparkDue(now.Add(maxPark))
	if n := m.walks.len(); n != 1000 {
		t.Errorf("%d walks have turns after maxPark, want 1000: each once, and not the one that was parked again", n)
	}
	if len(m.parked) != 1 || m.parkedFor(now.Add(maxPark)) != time.Millisecond {
		t.Errorf("%d entries are left, the first for %v, want one for 1 ms", len(m.parked), m.parkedFor(now.Add(maxPark)))
	}
}

// A walk that served a slow channel serves the next one as if it were new.
func TestReusedWalkForgetsTheOtherChannel(t *testing.T) {
	dir, l, sink, _ := parkLoop(t, 1, 1)
	publishAll(t, dir, stream("a", "x"))
	l.settle()
	sink.behind = nil
	join(l.members, 9, []byte("b"), 0, 0)
	content := string(make([]byte, slowWalkBytes/2))
	publishAll(t, dir, stream("b", content), stream("b", content), stream("b", content))
	l.take(len(l.posted))
	before := len(sink.sent)
	l.step()
	if sent := sink.sent[before:]; len(sent) != 1 || len(sent[0].bytes) != 3*len(content) {
		t.Errorf("the first walk of channel b sent %d times, want all three items at once", len(sent))
	}
}
