package hub

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"holdfast/pkg/publish"
)

// got returns what the connection was sent on the loop.
func (k *keeper) got(loop int, conn uint32) string {
	var s []string
	for _, part := range k.loops[loop].members.sink.(*recordSink).sent {
		if part.conn == conn {
			s = append(s, strings.Fields(part.bytes)...)
		}
	}
	return strings.Join(s, " ")
}

// crowd has n connections of the encoder join the channel on loop 0. Of two crowds a walk comes first to the later one.
func (k *keeper) crowd(n int, encoder uint8) {
	for i := range uint32(n) {
		join(k.loops[0].members, 10_000*uint32(encoder+1)+i, []byte("a"), encoder, 0)
	}
}

// Each place where the channel's items may be when a connection resumes. Five are published, "1 " to "5 ".
var inFlight = []struct {
	name  string
	build func(k *keeper) (ids []string)
}{
	{"nobody subscribes", func(k *keeper) []string { return k.publish("a", "1 ", "2 ", "3 ", "4 ", "5 ") }},
	{"all delivered", func(k *keeper) []string {
		k.crowd(1, 0)
		ids := k.publish("a", "1 ", "2 ", "3 ", "4 ", "5 ")
		k.loops[0].settle()
		return ids
	}},
	{"in the mailbox", func(k *keeper) []string {
		k.crowd(1, 0)
		return k.publish("a", "1 ", "2 ", "3 ", "4 ", "5 ")
	}},
	{"some in the mailbox, some wait", func(k *keeper) []string {
		k.crowd(1, 0)
		ids := k.publish("a", "1 ", "2 ", "3 ", "4 ", "5 ")
		k.loops[0].take(3)
		return ids
	}},
	{"in a walk of the same group", func(k *keeper) []string {
		k.crowd(1000, 0)
		return k.walking(k.publish("a", "1 ", "2 ", "3 ", "4 ", "5 "), 5)
	}},
	{"in a walk of the same group, more behind", func(k *keeper) []string {
		k.crowd(1000, 0)
		ids := k.walking(k.publish("a", "1 ", "2 ", "3 ", "4 ", "5 "), 2)
		k.loops[0].take(1)
		return ids
	}},
	{"in a walk that has yet to come to the group", func(k *keeper) []string {
		k.crowd(10, 0)
		k.crowd(1000, 1)
		ids := k.walking(k.publish("a", "1 ", "2 ", "3 ", "4 ", "5 "), 3)
		k.loops[0].take(1)
		return ids
	}},
	{"in a walk that has left the group", func(k *keeper) []string {
		k.crowd(1000, 1)
		k.crowd(10, 0)
		ids := k.walking(k.publish("a", "1 ", "2 ", "3 ", "4 ", "5 "), 3)
		k.loops[0].take(1)
		return ids
	}},
	{"in a walk without the group", func(k *keeper) []string {
		k.crowd(1000, 1)
		return k.walking(k.publish("a", "1 ", "2 ", "3 ", "4 ", "5 "), 4)
	}},
	{"behind a parked walk", func(k *keeper) []string {
		sink := k.loops[0].members.sink.(*recordSink)
		sink.behind = map[uint32]bool{10_000: true}
		k.crowd(1, 0)
		ids := k.publish("a", "1 ", "2 ")
		k.loops[0].take(2)
		k.loops[0].members.begin(k.loops[0].members.locals.At(1).walk)
		ids = append(ids, k.publish("a", "3 ", "4 ", "5 ")...)
		k.loops[0].take(2)
		if more, wait := k.loops[0].step(); more || wait == 0 {
			k.t.Fatal("the walk is not parked")
		}
		return ids
	}},
	{"in the mailbox of a loop that had left", func(k *keeper) []string {
		join(k.loops[1].members, 1, []byte("a"), 0, 0) // so that the channel lives
		subs := join(k.loops[0].members, 1, []byte("a"), 0, 0)
		ids := k.publish("a", "1 ", "2 ", "3 ")
		k.loops[0].members.Leave(subs)
		return append(ids, k.publish("a", "4 ", "5 ")...)
	}},
	{"in a walk of nobody", func(k *keeper) []string {
		subs := join(k.loops[0].members, 1, []byte("a"), 0, 0)
		ids := k.publish("a", "1 ", "2 ", "3 ")
		k.loops[0].take(2)
		k.loops[0].members.Leave(subs)
		return append(ids, k.publish("a", "4 ", "5 ")...)
	}},
}

// walking has a walk of the first n of the posted items begin and do a slice of its work.
func (k *keeper) walking(ids []string, n int) []string {
	k.t.Helper()
	k.loops[0].take(n)
	if more, _ := k.loops[0].step(); !more {
		k.t.Fatal("the walk is over after one step")
	}
	return ids
}

// Wherever the items are, a connection that resumes gets each of those it has not had, once and in order: also when it has
// had, from a faster loop, what is still under way here.
func TestResumeWhileItemsAreUnderWay(t *testing.T) {
	for _, place := range inFlight {
		for seen := range 5 {
			for encoder := range uint8(2) {
				k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 100})
				ids := place.build(k)
				subs, first, gap := k.enter(0, encoder, From{LastID: []byte(ids[seen])}, "a")
				conn := k.conn
				k.publish("a", "6 ")
				k.loops[0].take(1)
				k.loops[0].step()
				second, late, _ := k.enter(0, encoder, From{LastID: []byte(ids[seen])}, "a") // where a late group may be already
				k.publish("a", "7 ")
				k.loops[0].settle()
				got := strings.Join(strings.Fields(first+" "+k.got(0, conn)), " ")
				want := strings.Join([]string{"1", "2", "3", "4", "5", "6", "7"}[seen+1:], " ")
				if got != want || gap {
					t.Errorf("%s, encoder %d, %d seen: got %q, gap %v; want %q", place.name, encoder, seen+1, got, gap, want)
				}
				if got := strings.Join(strings.Fields(late+" "+k.got(0, k.conn)), " "); got != want {
					t.Errorf("%s, encoder %d: who resumed after the sixth got %q, want %q", place.name, encoder, got, want)
				}
				if n := k.loops[0].members.late.len(); n > 0 && !strings.Contains(place.name, "nobody") && !strings.Contains(place.name, "left") {
					t.Errorf("%s: %d late groups are left when nothing is under way", place.name, n)
				}
				k.publish("a", "8 ") // at the latest then
				k.loops[0].settle()
				if n := k.loops[0].members.late.len(); n != 0 {
					t.Errorf("%s: %d late groups are left after another item", place.name, n)
				}
				k.loops[0].members.Leave(subs)
				k.loops[0].members.Leave(second)
			}
		}
	}
}

// Leaving while in a late group, last or not, leaves nothing behind.
func TestLeavingALateGroup(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 100})
	m := k.loops[0].members
	keep := join(m, 1, []byte("a"), 0, 0)
	ids := k.publish("a", "1 ", "2 ")
	var late []uint32
	for range 3 {
		subs, _, _ := k.enter(0, 0, From{LastID: []byte(ids[0])}, "a")
		late = append(late, subs)
	}
	if n := m.late.len(); n != 1 {
		t.Errorf("%d late groups for three connections that resume at the same time, want 1", n)
	}
	for _, subs := range late {
		m.Leave(subs)
	}
	if n := m.late.len(); n != 0 {
		t.Errorf("%d late groups are left", n)
	}
	m.Leave(keep)
	k.loops[0].settle()
	checkEmpty(t, k.dir, m)
}

// When nothing is under way, a connection that resumes goes with the others at once.
func TestResumeInAQuietChannelMakesNoGroup(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 100})
	m := k.loops[0].members
	join(m, 1, []byte("a"), 0, 0)
	ids := k.publish("a", "1 ", "2 ")
	k.loops[0].settle()
	join(m, 1, []byte("busy"), 0, 0)
	k.publish("busy", "x")
	k.enter(0, 0, From{LastID: []byte(ids[0])}, "a")
	if m.groups.Len() != 2 || m.late.len() != 0 {
		t.Errorf("%d groups, %d of them late, want one for each channel", m.groups.Len(), m.late.len())
	}
}

func TestResumeNamesAChannelOnce(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 100})
	k.publish("a", "1", "2")
	if got, _ := k.resume(From{Latest: 1}, "a", "a"); got != "2" {
		t.Errorf("the latest of a channel that is named twice are %q, want 2", got)
	}
	checkEmpty(t, k.dir, k.loops[0].members)
}

// Of a channel of which the history knows nothing any more, or of which it has never kept anything, nothing is brought that
// was published before the connection resumed.
func TestResumeInAnUnknownChannel(t *testing.T) {
	k := newKeeper(t, 2000, HistoryRule{Pattern: "*", Items: 100})
	for _, name := range []string{"given up", "act"} {
		subs := join(k.loops[0].members, 900, []byte(name), 0, 0)
		if name == "act" {
			publishAll(t, k.dir, action(name, publish.Close, ""))
		} else {
			k.publish(name, "old ")
			for _, ok := k.dir.history.names.get(name); ok; _, ok = k.dir.history.names.get(name) {
				k.publish("filler", "x")
			}
		}
		late, contents, gap := k.enter(0, 0, From{Latest: 1}, name)
		if contents != "" || gap {
			t.Errorf("%s: the latest are %q, gap %v", name, contents, gap)
		}
		k.publish(name, "new ")
		k.loops[0].settle()
		if got := k.got(0, k.conn); got != "new" {
			t.Errorf("%s: got %q, want what came after", name, got)
		}
		if ended := k.loops[0].members.sink.(*recordSink).ended; slices.Contains(ended, k.conn) {
			t.Errorf("%s: the connection was ended by what came before it", name)
		}
		k.loops[0].members.Leave(subs)
		k.loops[0].members.Leave(late)
	}
	k.loops[0].settle()
	checkEmpty(t, k.dir, k.loops[0].members)
}

// An act is nothing that a channel forgets, and is not brought to who resumes after it.
func TestResumeAfterAnAct(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 100})
	join(k.loops[0].members, 900, []byte("a"), 0, 0)
	id := k.publish("a", "1 ")[0]
	k.loops[0].settle()
	publishAll(t, k.dir, action("a", publish.Close, ""))
	k.enter(0, 0, From{LastID: []byte(id)}, "a")
	k.loops[0].settle()
	if ended := k.loops[0].members.sink.(*recordSink).ended; !slices.Equal(ended, []uint32{900}) {
		t.Errorf("%v were ended, want the one that was there", ended)
	}
}

func TestMaxChannels(t *testing.T) {
	for _, history := range []bool{false, true} {
		k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 100})
		if !history {
			k.dir.history = nil
		}
		k.dir.SetMaxChannels(2)
		m := k.loops[0].members
		subs := join(m, 1, []byte("a"), 0, 0)
		names := func(s ...string) (b [][]byte) {
			for _, name := range s {
				b = append(b, []byte(name))
			}
			return b
		}
		for _, from := range []From{{}, {Latest: 1}, {LastID: []byte("x")}} {
			if r, ok := m.Resume(2, names("a", "b", "c"), 0, 0, from, nil); ok || r.Subs != 0 || len(r.Items) > 0 || r.Gap {
				t.Errorf("Resume of a third channel = %+v, %v", r, ok)
			}
			if n, c := m.subs.Len(), k.dir.Channels(); n != 1 || c != 1 {
				t.Errorf("%d subscriptions to %d channels after a refusal, want what was before", n, c)
			}
		}
		subs = join(k.loops[0].members, 1, []byte("b"), 0, subs)
		if got, ok := m.Join(1, []byte("c"), 0, subs); ok || got != subs {
			t.Errorf("Join of a third channel = %d, %v, want %d, false", got, ok, subs)
		}
		other, ok := k.loops[1].members.Join(1, []byte("b"), 0, 0) // one that is there
		if !ok || k.dir.Channels() != 2 {
			t.Errorf("Join of a channel that has subscribers refused, %d channels", k.dir.Channels())
		}
		m.Leave(subs)
		if _, ok := k.loops[1].members.Join(1, []byte("c"), 0, other); !ok {
			t.Error("Join refused when a channel has gone")
		}
	}
}

// The history's time under the order lock does not grow with the contents, and its scratch holds none of them.
func TestResumeKeepsNothing(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 5000})
	for i := range 3 * maxScratch {
		k.publish("a", fmt.Sprint(i))
	}
	m := k.loops[0].members
	for _, n := range []int{10, 2 * maxScratch} {
		r, _ := m.Resume(1, [][]byte{[]byte("a")}, 0, 0, From{Latest: n}, nil)
		items := r.Items
		if len(items) != n || !slices.IsSortedFunc(items, func(a, b *publish.Item) int { return len(a.ID) - len(b.ID) }) {
			t.Errorf("the latest %d are %d", n, len(items))
		}
		if cap(m.kept) > maxScratch {
			t.Errorf("room for %d entries is kept, want at most %d", cap(m.kept), maxScratch)
		}
		for _, e := range m.kept[:cap(m.kept)] {
			if e.packed != "" {
				t.Fatal("the scratch holds a content")
			}
		}
	}
}
