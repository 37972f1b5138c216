package hub

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The buffer in which an item arrived is used again when its batch is done.
func TestKeptItemOutlivesItsBuffer(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 10})
	buf := []byte("channelcontentid")
	it := stream(unsafeString(buf[:7]), unsafeString(buf[7:14]))
	it.ID = unsafeString(buf[14:])
	publishAll(t, k.dir, it)
	clear(buf)
	r, _ := k.loops[0].members.Resume(1, [][]byte{[]byte("channel")}, 0, 0, From{Latest: 1}, nil)
	items := r.Items
	if len(items) != 1 || items[0].Channel != "channel" || items[0].Stream.Content != "content" || items[0].ID != "id" {
		t.Errorf("kept %+v, want what was published", items)
	}
	if got, _ := k.resume(From{LastID: []byte("id")}, "channel"); got != "" {
		t.Errorf("after the item comes %q", got)
	}
}

func TestMarkOfTheLastDropped(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 2})
	ids := k.publish("a", "1", "2", "3", "4")
	k.want(ids[1], "3 4", false, "a") // just dropped: nothing is missing after it
	k.want(ids[0], "3 4", true, "a")
	k.publishID("n", "one", "1")
	k.publishID("n", "two", "2")
	k.publishID("n", "three", "3")
	k.want("one", "2 3", false, "n")
	k.want(fmt.Sprint(strings.Split(ids[0], "-")[0], "-5"), "2 3", true, "n") // its number, but not its id
	k.publishID("n", "four", "4")
	k.want("one", "3 4", true, "n")
	k.want("two", "3 4", false, "n")
}

func TestTTLIsExactWhenRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, plenty, HistoryRule{Pattern: "a*", Items: 10, TTL: time.Minute}, HistoryRule{Pattern: "*", Items: 10, TTL: time.Hour})
		old := k.publish("b", "x")[0] // older, and stays longer
		ids := k.publish("a", "1")
		time.Sleep(time.Second)
		ids = append(ids, k.publish("a", "2")...)
		time.Sleep(59*time.Second - 1)
		k.want(ids[0], "2", false, "a")
		if got, _ := k.resume(From{Latest: 9}, "a"); got != "1 2" {
			t.Errorf("just before its time: %q, want both", got)
		}
		time.Sleep(time.Nanosecond)
		if got, _ := k.resume(From{Latest: 9}, "a"); got != "2" {
			t.Errorf("at its time: %q, want the second", got)
		}
		k.want(ids[0], "2", false, "a") // the mark outlives it
		k.dir.Expire(time.Now().Add(time.Second))
		if c, i, _ := k.dir.History(); c != 1 || i != 1 {
			t.Errorf("%d channels and %d items after Expire, want those of the longer rule", c, i)
		}
		k.want(ids[1], "", false, "a")
		k.want(ids[0], "", true, "a")
		k.want(old, "", true, "b", "a") // both of a's came after it, and are gone
		k.want(old, "", false, "b")
		k.publish("a", "3")
		k.want(ids[1], "3", false, "a")
	})
}

// Expire frees a great many in several goes.
func TestExpireFreesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 10, TTL: time.Minute})
		for i := range 3 * expireAtOnce {
			k.publish("channel "+strconv.Itoa(i), "x", "y")
		}
		k.dir.Expire(time.Now().Add(time.Minute - 1))
		if c, i, _ := k.dir.History(); c != 3*expireAtOnce || i != 2*c {
			t.Errorf("before their time: %d channels, %d items", c, i)
		}
		k.dir.Expire(time.Now().Add(time.Minute))
		if c, i, _ := k.dir.History(); c != 0 || i != 0 {
			t.Errorf("at their time: %d channels, %d items, want none", c, i)
		}
		k.checkLog()
	})
}

func TestMemoryIsNeverExceeded(t *testing.T) {
	const memory = 20_000
	k := newKeeper(t, memory, HistoryRule{Pattern: "few*", Items: 3}, HistoryRule{Pattern: "*", Items: 1000})
	for i := range 3000 {
		name := []string{"few", "many"}[i%2]
		if i%3 == 0 {
			name += strconv.Itoa(i % 500)
		}
		it := stream(name, strings.Repeat("x", i*7919%900))
		if i%4 == 0 {
			it.ID = strings.Repeat("i", i%50) + strconv.Itoa(i)
		}
		if i%100 == 0 {
			it.Stream.Content = strings.Repeat("x", 2*memory)
		}
		publishAll(t, k.dir, it)
		k.checkLog()
		if _, items, bytes := k.dir.History(); bytes > memory || i > 100 && i%100 > 50 && items < 10 {
			t.Fatalf("after %d items: %d kept in %d bytes of %d", i, items, bytes, memory)
		}
	}
	if peak := k.dir.history.names.peak; peak > memory/channelBytes+compactMin {
		t.Errorf("the map of names was as large as %d", peak)
	}
	k = newKeeper(t, 100, HistoryRule{Pattern: "*", Items: 3}) // not enough for a channel
	ids := k.publish("a", "1", "2")
	k.want(ids[0], "", true, "a")
	if n := k.dir.history.channels.Len(); n != 0 {
		t.Errorf("%d channels are held, want none", n)
	}
}

// What is over the memory by itself does not push out everything else.
func TestItemOverTheMemory(t *testing.T) {
	k := newKeeper(t, 10_000, HistoryRule{Pattern: "*", Items: 10})
	other := k.publish("b", "x", "y")
	ids := k.publish("a", "1", "2", strings.Repeat("x", 20_000))
	k.want(ids[1], "", true, "a")
	k.want(ids[2], "", false, "a")
	k.want(other[0], "y", false, "b")
	after := k.publish("a", "3")
	k.want(ids[2], "3", false, "a")
	k.want(after[0], "", false, "a")
}

// The oldest goes first, whatever its channel, items as well as marks; what went with a mark is forgotten for good.
func TestForgotten(t *testing.T) {
	k := newKeeper(t, 8000, HistoryRule{Pattern: "*", Items: 100})
	h := k.dir.history
	fillUntil := func(done func() bool) {
		for !done() {
			k.publish("filler", "f")
		}
	}
	gone := func(name string) func() bool { return func() bool { _, ok := h.names.get(name); return !ok } }

	a := k.publish("a", "1", "2")
	sub := join(k.loops[1].members, 1, []byte("mid"), 0, 0)
	k.publish("mid", "m")
	k.publish("filler", make([]string, 20)...)
	b := k.publish("b", "x")[0] // while mid's item is under way
	k.loops[1].settle()
	k.loops[1].members.Leave(sub)
	c := k.publish("c", "y")[0]

	fillUntil(func() bool {
		ci, _ := h.names.get("a")
		return h.channels.At(ci).items == 0
	})
	k.want(a[1], "", false, "a") // by its mark
	k.want(a[0], "", true, "a")
	k.want(a[1], "m x", false, "a", "b", "mid")
	fillUntil(gone("a"))
	if gone("mid")() || h.forgotten != 2 {
		t.Fatalf("forgotten is %d when a is given up, want its second item, and mid to stay", h.forgotten)
	}
	k.want(a[1], "", true, "a")
	k.want(b, "m", false, "b", "mid", "a") // mid's was under way; a's were not
	fillUntil(gone("mid"))
	k.want(b, "", true, "b", "a") // a's may have been what is forgotten now
	k.want(c, "", false, "c", "a", "never used")
	// A channel that comes back does not pretend that it never had anything.
	k.publish("mid", "new")
	k.want(b, "new", true, "b", "mid")
	k.want(c, "new", false, "c", "mid")
}
