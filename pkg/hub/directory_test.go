package hub

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"holdfast/pkg/publish"
	"holdfast/pkg/share"
)

func TestPublishToNobodyIsDoneAtOnce(t *testing.T) {
	dir, _ := newQueueLoops(1, 1<<20, nil, func(int) Sink { return noSink{} })
	if got := receivers(t, publishAll(t, dir, stream("a", "x"), stream("b", "y"))); !slices.Equal(got, []int{0, 0}) {
		t.Errorf("receivers = %v, want [0 0]", got)
	}
	if got := receivers(t, publishAll(t, dir)); len(got) != 0 {
		t.Errorf("receivers of an empty batch = %v, want none", got)
	}
	checkEmpty(t, dir)
}

// An item is posted to the loops that have subscribers of its channel, and to no other.
func TestItemIsPostedWhereItsSubscribersAre(t *testing.T) {
	dir, loops := newQueueLoops(3, 1<<20, []Encoder{plain}, func(int) Sink { return noSink{} })
	s0 := join(loops[0].members, 1, []byte("a"), 0, 0)
	join(loops[2].members, 1, []byte("a"), 0, 0)
	done := publishAll(t, dir, stream("a", "x"))
	if a, b, c := len(loops[0].posted), len(loops[1].posted), len(loops[2].posted); a != 1 || b != 0 || c != 1 {
		t.Errorf("posted %d, %d, %d, want 1, 0, 1", a, b, c)
	}
	loops[0].settle()
	select {
	case <-done:
		t.Error("done before the last loop ended its walk")
	default:
	}
	loops[2].settle()
	if got := receivers(t, done); got[0] != 2 {
		t.Errorf("receivers = %d, want 2", got[0])
	}
	loops[0].members.Leave(s0)
	publishAll(t, dir, stream("a", "x"))
	if n := len(loops[0].posted); n != 0 {
		t.Errorf("posted %d items to a loop that has no subscribers any more, want 0", n)
	}
}

// The number of a channel that is gone is given to the next one; what was on its way to the first must not reach it.
func TestItemForADeadChannelNeverReachesTheNextOfItsNumber(t *testing.T) {
	sink := &recordSink{}
	dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain}, func(int) Sink { return sink })
	m := loops[0].members
	subs := join(m, 1, []byte("old"), 0, 0)
	old := m.locals.At(m.groups.At(m.subs.At(subs).group).local).channel
	done := publishAll(t, dir, stream("old", "secret"))
	m.Leave(subs)

	// Any name of the same shard gets the number.
	for i := 0; ; i++ {
		subs = join(m, 2, []byte("new"+strconv.Itoa(i)), 0, 0)
		if m.locals.At(m.groups.At(m.subs.At(subs).group).local).channel.number == old.number {
			break
		}
		m.Leave(subs)
		if i > 100*numShards {
			t.Fatal("no channel got the number of the dead one")
		}
	}
	loops[0].settle()
	if len(sink.sent) != 0 {
		t.Errorf("the new channel's subscriber got %v of the old channel", sink.sent)
	}
	if got := receivers(t, done); got[0] != 0 {
		t.Errorf("receivers = %d, want 0", got[0])
	}
	m.Leave(subs)
	checkEmpty(t, dir, m)
}

// The same when the item had been taken from the mailbox already, and when a walk of it was under way.
func TestWalkOfADeadChannelEndsAlone(t *testing.T) {
	sink := &recordSink{}
	dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain}, func(int) Sink { return sink })
	m := loops[0].members
	for _, steps := range []int{0, 1} {
		var all []uint32
		for i := range uint32(3 * sliceWork) {
			all = append(all, join(m, i+1, []byte("a"), 0, 0))
		}
		first := publishAll(t, dir, stream("a", "1"))
		loops[0].take(1)
		for range steps {
			loops[0].step()
		}
		second := publishAll(t, dir, stream("a", "2"))
		loops[0].take(1)
		for _, subs := range all {
			m.Leave(subs)
		}
		sent := len(sink.sent)
		subs := join(m, 1, []byte("a"), 0, 0)
		third := publishAll(t, dir, stream("a", "3"))
		loops[0].settle()
		if got := sink.sent[sent:]; len(got) != 1 || got[0].bytes != "3" {
			t.Errorf("after %d steps the newcomer got %v, want 3 alone", steps, got)
		}
		if n := receivers(t, first)[0]; n != sent {
			t.Errorf("receivers of the first item = %d, want %d", n, sent)
		}
		if n := receivers(t, second)[0]; n != 0 {
			t.Errorf("receivers of the second item = %d, want 0", n)
		}
		if n := receivers(t, third)[0]; n != 1 {
			t.Errorf("receivers of the third item = %d, want 1", n)
		}
		m.Leave(subs)
		checkEmpty(t, dir, m)
		sink.sent = nil
	}
}

func TestPublishWaitsAtTheBound(t *testing.T) {
	const room = 8 * itemOverhead // one channel has half of it
	dir, loops := newQueueLoops(1, room, []Encoder{plain}, func(int) Sink { return noSink{} })
	subs := join(loops[0].members, 1, []byte("a"), 0, 0)
	for range 4 {
		publishAll(t, dir, stream("a", ""))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	refused := &Batch{Deliveries: make([]Delivery, 1), Done: func(*Batch) { t.Error("Done of a batch that was not taken") }}
	refused.Deliveries[0].Item = stream("a", "")
	if err := dir.Publish(ctx, refused); !errors.Is(err, context.Canceled) {
		t.Errorf("Publish over the bound with an ended context = %v, want %v", err, context.Canceled)
	}
	if n := dir.Published(); n != 4 {
		t.Errorf("Published = %d, want 4", n)
	}

	waits := make(chan error)
	done := make(chan *Batch, 1)
	go func() {
		b := &Batch{Deliveries: make([]Delivery, 1), Done: func(b *Batch) { done <- b }}
		b.Deliveries[0].Item = stream("a", "")
		waits <- dir.Publish(context.Background(), b)
	}()
	select {
	case err := <-waits:
		t.Fatalf("Publish over the bound returned %v before there was room", err)
	default:
	}
	loops[0].settle()
	if err := <-waits; err != nil {
		t.Errorf("Publish = %v after room was made, want nil", err)
	}
	loops[0].settle()
	if got := receivers(t, done); got[0] != 1 {
		t.Errorf("receivers = %d, want 1", got[0])
	}
	loops[0].members.Leave(subs)
	checkEmpty(t, dir, loops[0].members)
}

// What is held back is the publishers of the channel whose items are not delivered.
func TestFullChannelDoesNotHoldBackOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const flood, room = 100, 1 << 20
		dir, loops := newQueueLoops(1, room, []Encoder{plain}, func(int) Sink { return noSink{} })
		a := join(loops[0].members, 1, []byte("a"), 0, 0)
		other := "b"
		for share.Same(uint32(maphash.String(dir.seed, "a")), uint32(maphash.String(dir.seed, other))) {
			other += "b"
		}
		b := join(loops[0].members, 2, []byte(other), 0, 0)
		var published [2]atomic.Int32
		publish := func(i int, channel string) {
			batch := &Batch{Deliveries: make([]Delivery, 1), Done: func(*Batch) {}}
			batch.Deliveries[0].Item = stream(channel, string(make([]byte, 64<<10)))
			if err := dir.Publish(t.Context(), batch); err != nil {
				t.Errorf("Publish to %s = %v, want nil", channel, err)
			}
			published[i].Add(1)
		}
		for range flood {
			go publish(0, "a")
		}
		synctest.Wait()
		if n := published[0].Load(); n < 4 || n > 8 {
			t.Errorf("%d of 64 KiB each were taken for one channel, want half of 1 MiB", n)
		}
		go publish(1, other)
		synctest.Wait()
		if published[1].Load() != 1 {
			t.Error("a publisher of another channel waits behind those of a full one")
		}
		for range flood { // what is delivered makes room for the others
			loops[0].settle()
			synctest.Wait()
		}
		if n := published[0].Load(); n != flood {
			t.Errorf("%d items were published to the full channel in the end, want %d", n, flood)
		}
		loops[0].members.Leave(a)
		loops[0].members.Leave(b)
		checkEmpty(t, dir, loops[0].members)
	})
}

// A batch larger than the bound takes all the room instead of waiting for ever.
func TestBatchLargerThanTheBoundPasses(t *testing.T) {
	dir, loops := newQueueLoops(1, 1000, []Encoder{plain}, func(int) Sink { return noSink{} })
	subs := join(loops[0].members, 1, []byte("a"), 0, 0)
	done := publishAll(t, dir, stream("a", string(make([]byte, 5000))), stream("a", ""))
	if dir.room.TryAcquire(share.One{Amount: 1}) {
		t.Error("there is room beside a batch over the bound")
	}
	loops[0].settle()
	if got := receivers(t, done); !slices.Equal(got, []int{1, 1}) {
		t.Errorf("receivers = %v, want [1 1]", got)
	}
	loops[0].members.Leave(subs)
	checkEmpty(t, dir, loops[0].members)
}

// A map that was large gives its memory back, and forgets nothing of what stays.
func TestCompactMap(t *testing.T) {
	var c compactMap[int, int]
	const n = 20 * compactMin
	for i := range n {
		c.set(i, -i)
	}
	for i := range n {
		if i%100 != 0 {
			c.delete(i)
		}
	}
	if c.peak > 4*compactMin {
		t.Errorf("peak = %d with %d left, want the map to be built anew", c.peak, c.len())
	}
	for i := range n {
		if v, ok := c.get(i); ok != (i%100 == 0) || ok && v != -i {
			t.Fatalf("get(%d) = %d, %v", i, v, ok)
		}
	}
}

func TestJoinAndLeaveDoNotAllocate(t *testing.T) {
	dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain, plain}, func(int) Sink { return noSink{} })
	m := loops[0].members
	a, b := []byte("a"), []byte("b")
	join(m, 1, a, 0, join(m, 1, b, 0, 0))
	if n := testing.AllocsPerRun(1000, func() {
		subs := join(m, 2, b, 1, join(m, 2, a, 0, 0))
		subs = join(m, 2, a, 0, subs) // a second time
		m.Leave(subs)
	}); n != 0 {
		t.Errorf("Join and Leave of channels that exist allocate %v times, want 0", n)
	}
	if n := dir.Channels(); n != 2 {
		t.Errorf("Channels = %d, want 2", n)
	}
}

func TestWalkDoesNotAllocate(t *testing.T) {
	dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain, plain}, func(int) Sink { return noSink{} })
	l := loops[0]
	for i := range uint32(1000) {
		join(l.members, i+1, []byte("a"), uint8(i%2), 0)
	}
	b := &Batch{Deliveries: make([]Delivery, 8), Done: func(*Batch) {}}
	for i := range b.Deliveries {
		b.Deliveries[i].Item = publish.Item{Channel: "a", Formats: publish.HTTPStream, Stream: publish.Stream{Content: "hello"}}
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := dir.Publish(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		l.settle()
	}); n != 0 {
		t.Errorf("publishing and walking 8 items over 1,000 subscribers allocates %v times, want 0", n)
	}
}
