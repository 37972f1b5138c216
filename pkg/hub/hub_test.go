package hub

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

// queueLoop is a loop whose mailbox the test empties by hand.
type queueLoop struct {
	posted  []*Delivery
	members *Members
	now     time.Time
}

// step does one slice of work, at the loop's time.
func (l *queueLoop) step() (more bool, wait time.Duration) { return l.members.Step(l.now) }

func (l *queueLoop) Post(d *Delivery) { l.posted = append(l.posted, d) }

// take adds at most n of the posted items.
func (l *queueLoop) take(n int) {
	n = min(n, len(l.posted))
	for _, d := range l.posted[:n] {
		l.members.Add(d)
	}
	l.posted = slices.Delete(l.posted, 0, n)
}

// settle adds everything posted and walks until nothing waits.
func (l *queueLoop) settle() {
	l.take(len(l.posted))
	for more, wait := l.step(); more || wait > 0; more, wait = l.step() {
		if !more {
			l.now = l.now.Add(wait)
		}
	}
}

// sent is one connection's share of one call of Deliver.
type sent struct {
	conn  uint32
	bytes string
}

// recordSink keeps what it is told, in order.
type recordSink struct {
	sent  []sent
	ended []uint32
	keys  []uint64
	items []int
	each  []string

	behind map[uint32]bool // connections that have something waiting after every send
}

func (s *recordSink) Deliver(key uint64, conns []uint32, b []byte, items int) (handed, behind int) {
	somebody(conns)
	s.keys, s.items = append(s.keys, key), append(s.items, items)
	for _, c := range conns {
		s.sent = append(s.sent, sent{c, string(b)})
		if s.behind[c] {
			behind++
		}
	}
	return len(conns), behind
}

// DeliverEach gives every second connection every item.
func (s *recordSink) DeliverEach(conns []uint32, items []*Delivery, handed []int) (behind int) {
	for _, c := range conns {
		for i, it := range items {
			if it == nil || c%2 == 0 {
				continue
			}
			s.each = append(s.each, fmt.Sprintf("%d %s", c, it.Item.Stream.Content))
			handed[i]++
		}
	}
	return 0
}

func (s *recordSink) End(conns []uint32) { s.ended = append(s.ended, conns...) }

// somebody panics when there is nobody to deliver to: session wants at least one.
func somebody(conns []uint32) {
	if len(conns) == 0 {
		panic("items are delivered to nobody")
	}
}

// noSink takes everything and does nothing.
type noSink struct{}

func (noSink) Deliver(_ uint64, conns []uint32, _ []byte, _ int) (int, int) {
	somebody(conns)
	return len(conns), 0
}
func (noSink) DeliverEach([]uint32, []*Delivery, []int) int { return 0 }
func (noSink) End([]uint32)                                 {}

// plain appends the content of the http-stream format and obeys its close action; a hint is nothing.
func plain(dst []byte, it *publish.Item) ([]byte, Effect) {
	switch it.Stream.Action {
	case publish.Hint:
		return dst, Nothing
	case publish.Close:
		return append(dst, it.Stream.Content...), End
	}
	return append(dst, it.Stream.Content...), Deliver
}

// newQueueLoops returns a directory with n loops that share encoders; sink makes the sink of each.
func newQueueLoops(n int, maxBytes int64, encoders []Encoder, sink func(loop int) Sink) (*Directory, []*queueLoop) {
	dir := NewDirectory(maxBytes)
	var loops []*queueLoop
	var posts []Loop
	for i := range n {
		l := &queueLoop{}
		l.members = NewMembers(dir, i, encoders, sink(i), new(stats.Loop))
		loops, posts = append(loops, l), append(posts, l)
	}
	dir.SetLoops(posts)
	return dir, loops
}

// publishAll publishes the items as one batch and returns where the batch appears when it is done.
func publishAll(t testing.TB, dir *Directory, items ...publish.Item) <-chan *Batch {
	t.Helper()
	done := make(chan *Batch, 1)
	b := &Batch{Deliveries: make([]Delivery, len(items)), Done: func(b *Batch) { done <- b }}
	for i, it := range items {
		b.Deliveries[i].Item = it
	}
	if err := dir.Publish(context.Background(), b); err != nil {
		t.Fatalf("Publish: %v", err)
	}
	return done
}

func stream(channel, content string) publish.Item {
	return publish.Item{Channel: channel, Formats: publish.HTTPStream, Stream: publish.Stream{Content: content}}
}

func action(channel string, a publish.Action, content string) publish.Item {
	it := stream(channel, content)
	it.Stream.Action = a
	return it
}

// join is Join of a channel that may be joined.
func join(m *Members, conn uint32, name []byte, encoder uint8, subs uint32) uint32 {
	subs, ok := m.Join(conn, name, encoder, subs)
	if !ok {
		panic("a channel too many")
	}
	return subs
}

// receivers returns the receivers of a batch that must be done.
func receivers(t testing.TB, done <-chan *Batch) []int {
	t.Helper()
	select {
	case b := <-done:
		var n []int
		for i := range b.Deliveries {
			n = append(n, b.Deliveries[i].Receivers())
		}
		return n
	default:
		t.Fatal("the batch is not done")
		return nil
	}
}

// checkEmpty fails when anything is left of subscriptions, channels, walks or undelivered items.
func checkEmpty(t testing.TB, dir *Directory, members ...*Members) {
	t.Helper()
	for i, m := range members {
		if n := m.byChannel.len() + m.locals.Len() + m.groups.Len() + m.subs.Len() + m.walks.len() + m.late.len(); n != 0 {
			t.Errorf("loop %d keeps %d channels, %d locals, %d groups, %d subscriptions, %d walks, %d late groups; want none",
				i, m.byChannel.len(), m.locals.Len(), m.groups.Len(), m.subs.Len(), m.walks.len(), m.late.len())
		}
		if n := m.stats.Subscriptions.Load(); n != 0 {
			t.Errorf("loop %d counts %d subscriptions, want 0", i, n)
		}
	}
	for i := range dir.shards {
		if s := &dir.shards[i]; s.ids.len() != 0 || s.recs.Len() != 0 {
			t.Errorf("shard %d keeps %d names and %d records, want none", i, s.ids.len(), s.recs.Len())
		}
	}
	if n := dir.Channels(); n != 0 {
		t.Errorf("Channels = %d, want 0", n)
	}
	if n := dir.room.Used(); n != 0 {
		t.Errorf("%d bytes of the room to publish were never given back", n)
	}
}

func TestWaitingItemsAreOneSend(t *testing.T) {
	sink := &recordSink{}
	dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain}, func(int) Sink { return sink })
	m := loops[0].members
	subs := join(m, 7, []byte("a"), 0, 0)
	done := publishAll(t, dir, stream("a", "1"), stream("a", "2"), stream("nobody", "x"), stream("a", "3"))
	loops[0].settle()
	if want := []sent{{7, "123"}}; !slices.Equal(sink.sent, want) || !slices.Equal(sink.items, []int{3}) {
		t.Errorf("sent %v with %v items, want %v with 3", sink.sent, sink.items, want)
	}
	if got, want := receivers(t, done), []int{1, 1, 0, 1}; !slices.Equal(got, want) {
		t.Errorf("receivers = %v, want %v", got, want)
	}
	m.Leave(subs)
	checkEmpty(t, dir, m)
}

func TestEffects(t *testing.T) {
	tests := []struct {
		name      string
		items     []publish.Item
		sent      string // to the one subscriber, "" for no call of Deliver
		inBlock   int
		ended     bool
		receivers []int
	}{
		{"content", []publish.Item{stream("a", "x")}, "x", 1, false, []int{1}},
		{"empty content is received, and nothing is sent", []publish.Item{stream("a", "")}, "", 0, false, []int{1}},
		{"empty content between others", []publish.Item{stream("a", "x"), stream("a", ""), stream("a", "y")}, "xy", 3, false, []int{1, 1, 1}},
		{"nothing", []publish.Item{action("a", publish.Hint, "")}, "", 0, false, []int{0}},
		{"nothing between others", []publish.Item{stream("a", "x"), action("a", publish.Hint, ""), stream("a", "y")}, "xy", 2, false, []int{1, 0, 1}},
		{"end", []publish.Item{action("a", publish.Close, "")}, "", 0, true, []int{1}},
		{"end with content", []publish.Item{action("a", publish.Close, "bye")}, "bye", 1, true, []int{1}},
		{"end truncates", []publish.Item{stream("a", "x"), action("a", publish.Close, "!"), stream("a", "y")}, "x!", 2, true, []int{1, 1, 0}},
		{"the first end counts", []publish.Item{action("a", publish.Close, "1"), action("a", publish.Close, "2")}, "1", 1, true, []int{1, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sink := &recordSink{}
			dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain}, func(int) Sink { return sink })
			join(loops[0].members, 7, []byte("a"), 0, 0)
			done := publishAll(t, dir, tt.items...)
			loops[0].settle()
			var want []sent
			var items []int
			if tt.sent != "" {
				want, items = []sent{{7, tt.sent}}, []int{tt.inBlock}
			}
			if !slices.Equal(sink.sent, want) || !slices.Equal(sink.items, items) {
				t.Errorf("sent %v with items %v, want %v with %v", sink.sent, sink.items, want, items)
			}
			if got := slices.Equal(sink.ended, []uint32{7}); got != tt.ended {
				t.Errorf("ended = %v, want %v", sink.ended, tt.ended)
			}
			if got := receivers(t, done); !slices.Equal(got, tt.receivers) {
				t.Errorf("receivers = %v, want %v", got, tt.receivers)
			}
		})
	}
}

func TestEachEncodingIsMadeOnceForItsGroup(t *testing.T) {
	var calls [2]int
	encoders := []Encoder{
		func(dst []byte, it *publish.Item) ([]byte, Effect) {
			calls[0]++
			return append(dst, "a:"+it.Stream.Content...), Deliver
		},
		func(dst []byte, it *publish.Item) ([]byte, Effect) {
			calls[1]++
			return append(dst, "b:"+it.Stream.Content...), Deliver
		},
	}
	sink := &recordSink{}
	dir, loops := newQueueLoops(1, 1<<20, encoders, func(int) Sink { return sink })
	const conns = 1000 // several slices of a walk
	for i := range uint32(conns) {
		join(loops[0].members, i+1, []byte("c"), uint8(i%2), 0)
	}
	done := publishAll(t, dir, stream("c", "x"), stream("c", "y"))
	loops[0].settle()
	if calls != [2]int{2, 2} {
		t.Errorf("encoders were called %v times for 2 items, want 2 each", calls)
	}
	got := map[uint32]string{}
	for _, s := range sink.sent {
		got[s.conn] += s.bytes
	}
	for i := range uint32(conns) {
		want := []string{"a:xa:y", "b:xb:y"}[i%2]
		if got[i+1] != want {
			t.Errorf("connection %d got %q, want %q", i+1, got[i+1], want)
		}
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(sink.keys)))
	if len(distinct) != 2 || distinct[0] == 0 {
		t.Errorf("keys = %v, want two that are not 0", distinct)
	}
	if got := receivers(t, done); !slices.Equal(got, []int{conns, conns}) {
		t.Errorf("receivers = %v, want %d each", got, conns)
	}
}

// A walk takes a bounded amount, and what is over goes with the next, in order.
func TestLongQueueOfItemsIsCutIntoWalks(t *testing.T) {
	sink := &recordSink{}
	dir, loops := newQueueLoops(1, 64<<20, []Encoder{plain}, func(int) Sink { return sink })
	join(loops[0].members, 1, []byte("a"), 0, 0)
	var items []publish.Item
	var want string
	for i := range 3*walkItems + 5 {
		content := strconv.Itoa(i) + ","
		items, want = append(items, stream("a", content)), want+content
	}
	big := string(make([]byte, walkBytes+1))
	items, want = append(items, stream("a", big), stream("a", "end")), want+big+"end"
	done := publishAll(t, dir, items...)
	loops[0].settle()
	var got string
	for i, s := range sink.sent {
		got += s.bytes
		if sink.items[i] > walkItems {
			t.Errorf("send %d holds %d items, want at most %d", i, sink.items[i], walkItems)
		}
	}
	if got != want {
		t.Errorf("got %d bytes in %d sends, want the %d published, in order", len(got), len(sink.sent), len(want))
	}
	if n := len(sink.sent); n != 6 {
		t.Errorf("%d sends, want 4 for the small items and 2 for the big one and the last", n)
	}
	for i, n := range receivers(t, done) {
		if n != 1 {
			t.Fatalf("receivers of item %d = %d, want 1", i, n)
		}
	}
}

// Two channels with work of many steps take turns.
func TestWalksTakeTurns(t *testing.T) {
	sink := &recordSink{}
	dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain}, func(int) Sink { return sink })
	m := loops[0].members
	for i := range uint32(10_000) {
		join(m, i+1, []byte("large"), 0, 0)
	}
	join(m, 20_000, []byte("small"), 0, 0)
	publishAll(t, dir, stream("large", "x"))
	small := publishAll(t, dir, stream("small", "x"))
	loops[0].take(2)
	for step := 1; step <= 3; step++ {
		before := len(sink.sent)
		loops[0].step()
		if n := len(sink.sent) - before; n > sliceWork+sliceConns {
			t.Errorf("step %d sent %d times, want at most %d", step, n, sliceWork+sliceConns)
		}
	}
	if !slices.Contains(sink.sent, sent{20_000, "x"}) {
		t.Error("the small channel's subscriber waits longer than three steps for the large channel")
	}
	if got := receivers(t, small); got[0] != 1 {
		t.Errorf("receivers of the small channel = %d after three steps, want 1", got[0])
	}
}
