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

// While none of a channel's subscribers keeps up the walk waits for the first who catches up.
func TestWalkWaitsWhileNobodyKeepsUp(t *testing.T) {
	all := make([]uint32, few+1)
	for i := range all {
		all[i] = uint32(i + 1)
	}
	for _, n := range []int{1, few + 1} {
		dir, l, sink, subs := parkLoop(t, n, all[:n]...)
		second, more, wait := publishDuringWalk(t, dir, l)
		if more || wait != longPark {
			t.Fatalf("%d subscribers: more %v, wait %v, want to wait %v", n, more, wait, longPark)
		}
		if len(sink.sent) != n {
			t.Fatalf("%d subscribers: sent %v, want the first item only", n, sink.sent)
		}
		l.members.CaughtUp(subs[1])
		l.step()
		if got := receivers(t, second); got[0] != n {
			t.Errorf("%d subscribers: receivers %v, want %d", n, got, n)
		}
	}
}

// Where many keep up the walk waits for the majority, until the first of them has caught up.
func TestWalkWaitsForTheMajority(t *testing.T) {
	behind := []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	dir, l, sink, subs := parkLoop(t, 20, behind...)
	second, more, wait := publishDuringWalk(t, dir, l)
	if more || wait != maxPark || len(sink.sent) != 20 {
		t.Fatalf("more %v, wait %v, sent %d, want to wait %v after 20", more, wait, len(sink.sent), maxPark)
	}
	l.members.CaughtUp(subs[2])
	l.step()
	if got := receivers(t, second); got[0] != 20 {
		t.Errorf("receivers %v, want 20", got)
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
	if _, wait := l.step(); wait != longPark {
		t.Errorf("at its time: wait %v, want %v for the next", wait, longPark)
	}
	if got := receivers(t, second); got[0] != 1 {
		t.Errorf("receivers %v, want 1: nobody who is behind is left out", got)
	}
}

// Half of many subscribers who are behind do not hold up the others.
func TestHalfBehindParksNothing(t *testing.T) {
	dir, l, _, _ := parkLoop(t, 10, 1, 2, 3, 4, 5)
	second, more, wait := publishDuringWalk(t, dir, l)
	for ; more; more, wait = l.step() {
	}
	if wait != 0 {
		t.Errorf("wait %v, want none", wait)
	}
	if got := receivers(t, second); got[0] != 10 {
		t.Errorf("receivers %v, want 10", got)
	}
}

// Few subscribers wait for each other.
func TestFewWaitForEachOther(t *testing.T) {
	dir, l, sink, subs := parkLoop(t, 3, 1, 2)
	second, more, wait := publishDuringWalk(t, dir, l)
	if more || wait != maxPark {
		t.Fatalf("more %v, wait %v, want to wait %v", more, wait, maxPark)
	}
	l.members.CaughtUp(subs[1])
	if more, _ := l.step(); more || len(sink.sent) != 3 {
		t.Fatal("the walk does not wait for the other one")
	}
	l.members.CaughtUp(subs[2])
	l.step()
	if got := receivers(t, second); got[0] != 3 {
		t.Errorf("receivers %v, want 3", got)
	}
}

// A walk that had nothing left to hand out has not forgotten that its subscriber is behind.
func TestNextItemWaitsAsWell(t *testing.T) {
	dir, l, sink, subs := parkLoop(t, 1, 1)
	publishAll(t, dir, stream("a", "1"))
	l.take(1)
	l.step()
	second := publishAll(t, dir, stream("a", "2"))
	l.take(1)
	if more, wait := l.step(); more || wait != longPark || len(sink.sent) != 1 {
		t.Fatalf("more %v, wait %v, sent %v, want the second to wait", more, wait, sink.sent)
	}
	l.members.CaughtUp(subs[1])
	l.step()
	if got := receivers(t, second); got[0] != 1 {
		t.Errorf("receivers %v, want 1", got)
	}
	l.members.CaughtUp(subs[1])
	l.members.Leave(subs[1])
	checkEmpty(t, dir, l.members)
}

// One who subscribes to a channel that waits is waited for no longer than beside others who keep
// up.
func TestNewcomerDoesNotWaitLong(t *testing.T) {
	dir, l, _, _ := parkLoop(t, 1, 1)
	second, _, _ := publishDuringWalk(t, dir, l)
	join(l.members, 2, []byte("a"), 0, 0)
	_, wait := l.step()
	if wait > maxPark {
		t.Errorf("wait %v, want %v at most", wait, maxPark)
	}
	l.now = l.now.Add(wait)
	l.step()
	if got := receivers(t, second); got[0] != 2 {
		t.Errorf("receivers %v, want 2", got)
	}
}

func TestLastSubscriberLeavesAParkedWalk(t *testing.T) {
	dir, l, _, subs := parkLoop(t, 1, 1)
	second, _, _ := publishDuringWalk(t, dir, l)
	l.members.Leave(subs[1])
	l.step()
	if got := receivers(t, second); got[0] != 0 {
		t.Errorf("receivers %v, want 0 at once: nobody is left", got)
	}
	subs[2] = join(l.members, 2, []byte("a"), 0, 0) // the same channel again has a walk of its own
	third := publishAll(t, dir, stream("a", "3"))
	l.settle()
	if got := receivers(t, third); got[0] != 1 {
		t.Errorf("receivers of the new subscriber's item %v, want 1", got)
	}
	l.now = l.now.Add(longPark)
	l.settle()
	l.members.Leave(subs[2])
	checkEmpty(t, dir, l.members)
	if m := l.members; len(m.parkedShort.list)+len(m.parkedLong.list)+m.parkedShort.live+m.parkedLong.live != 0 {
		t.Errorf("parked %v and %v, want none", m.parkedShort, m.parkedLong)
	}
}

// Unparking costs the same whatever the number of parked walks and the order in which they catch up.
func TestUnparkInAnyOrder(t *testing.T) {
	m := NewMembers(nil, 0, nil, nil, nil)
	now := time.Time{}.Add(time.Hour)
	var walks []*walk
	for range 1000 {
		w := &walk{waiting: []*Delivery{nil}}
		m.park(w, now, maxPark)
		walks = append(walks, w)
	}
	for i := len(walks) - 1; i >= 500; i-- {
		m.unpark(walks[i])
	}
	m.park(walks[999], now.Add(time.Millisecond), maxPark) // while its old entry is still in the list
	if n := m.walks.len(); n != 500 {
		t.Fatalf("%d walks have turns, want the 500 that caught up", n)
	}
	m.unparkDue(now.Add(maxPark))
	if n := m.walks.len(); n != 1000 {
		t.Errorf("%d walks have turns after maxPark, want 1000: each once, and not the one that was parked again", n)
	}
	if n, d := len(m.parkedShort.list), m.parkedFor(now.Add(maxPark)); n != 1 || d != time.Millisecond || m.parkedShort.live != 1 {
		t.Errorf("%d entries are left, the first for %v, want one for 1 ms", n, d)
	}
	for range 100_000 { // one that falls behind again and again
		m.unpark(walks[999])
		m.park(walks[999], now, longPark)
	}
	if n := len(m.parkedLong.list); n > 1000 {
		t.Errorf("%d entries for one parked walk", n)
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
