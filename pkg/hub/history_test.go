package hub

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"holdfast/pkg/publish"
)

const plenty = 64 << 20

// keeper is a directory with a history, and the loops to resume in.
type keeper struct {
	t     testing.TB
	dir   *Directory
	loops []*queueLoop
	conn  uint32
}

func newKeeper(t testing.TB, memory int64, rules ...HistoryRule) *keeper {
	dir, loops := newQueueLoops(2, 1<<30, []Encoder{plain, plain}, func(int) Sink { return &recordSink{} })
	dir.KeepHistory(HistoryOptions{Rules: rules, Memory: memory})
	return &keeper{t: t, dir: dir, loops: loops}
}

// publish publishes an item for each content and returns their ids. The loops take nothing.
func (k *keeper) publish(channel string, contents ...string) []string {
	k.t.Helper()
	b := &Batch{Deliveries: make([]Delivery, len(contents)), Done: func(*Batch) {}}
	for i, c := range contents {
		b.Deliveries[i].Item = stream(channel, c)
	}
	if err := k.dir.Publish(k.t.Context(), b); err != nil {
		k.t.Fatalf("Publish: %v", err)
	}
	var ids []string
	for i := range b.Deliveries {
		ids = append(ids, b.Deliveries[i].Item.ID)
	}
	return ids
}

// publishID publishes an item that has an id.
func (k *keeper) publishID(channel, id, content string) {
	k.t.Helper()
	it := stream(channel, content)
	it.ID = id
	publishAll(k.t, k.dir, it)
}

// resume has a new connection of loop 0 resume, notes what it gets before any walk, and has it leave.
func (k *keeper) resume(from From, channels ...string) (contents string, gap bool) {
	k.t.Helper()
	m := k.loops[0].members
	subs, contents, gap := k.enter(0, 0, from, channels...)
	m.Leave(subs)
	return contents, gap
}

// enter has a new connection of the loop resume.
func (k *keeper) enter(loop int, encoder uint8, from From, channels ...string) (subs uint32, contents string, gap bool) {
	k.t.Helper()
	k.conn++
	var names [][]byte
	for _, c := range channels {
		names = append(names, []byte(c))
	}
	r, ok := k.loops[loop].members.Resume(k.conn, names, encoder, encoder, from, nil)
	if !ok {
		k.t.Fatalf("Resume of %v refused", channels)
	}
	return r.Subs, joinContents(r.Items), r.Gap
}

func joinContents(items []*publish.Item) string {
	var s []string
	for _, it := range items {
		s = append(s, it.Stream.Content)
	}
	return strings.Join(s, " ")
}

// want fails unless resuming after id gives the contents.
func (k *keeper) want(id, contents string, gap bool, channels ...string) {
	k.t.Helper()
	got, gotGap := k.resume(From{LastID: []byte(id)}, channels...)
	if got != contents || gotGap != gap {
		k.t.Errorf("resuming %v after %.40q gives %q, gap %v; want %q, gap %v", channels, id, got, gotGap, contents, gap)
	}
	k.checkLog()
}

// checkLog fails when the history's own count is not what it holds, or over its bound.
func (k *keeper) checkLog() {
	k.t.Helper()
	if err := k.dir.history.check(); err != nil {
		k.t.Fatal(err)
	}
}

// check counts anew what the history holds.
func (h *history) check() error {
	var total int64
	items, marked := 0, 0
	for ci := range h.channels.All() {
		c := h.channels.At(ci)
		total += c.bytes()
		if li, ok := h.names.get(c.name); !ok || li != ci {
			return fmt.Errorf("channel %q is %d, by its name %d", c.name, ci, li)
		}
		n, last := uint32(0), c.mark.seq
		for id := c.oldest; id != 0; id = h.entries.At(id).newer {
			e := h.entries.At(id)
			if e.seq <= last || e.seq > c.last {
				return fmt.Errorf("channel %q has item %d after %d, and its last is %d", c.name, e.seq, last, c.last)
			}
			last = e.seq
			total += e.bytes()
			n++
		}
		if n != c.items || n > c.keep.items {
			return fmt.Errorf("channel %q has %d items, counts %d of at most %d", c.name, n, c.items, c.keep.items)
		}
		items += int(n)
		if n == 0 {
			marked++
		}
	}
	for _, k := range h.keeps {
		last := uint64(0)
		for id := k.oldest; id != 0; id = h.entries.At(id).next {
			if e := h.entries.At(id); e.seq <= last {
				return fmt.Errorf("rule %q has item %d after %d", k.prefix, e.seq, last)
			} else {
				last = e.seq
			}
			items--
		}
		for ci := k.oldestMark; ci != 0; ci = h.channels.At(ci).next {
			marked--
		}
	}
	if items != 0 || marked != 0 {
		return fmt.Errorf("%d items and %d marks are in no rule's list, or twice", items, marked)
	}
	if total != h.bytes || h.bytes > h.memory {
		return fmt.Errorf("%d bytes are held, %d counted, of at most %d", total, h.bytes, h.memory)
	}
	return nil
}

func threeFormats(channel string) publish.Item {
	content := strings.Repeat("x", 100)
	return publish.Item{
		Channel: channel, Formats: publish.HTTPStream | publish.WSMessage | publish.HTTPResponse,
		Stream:   publish.Stream{Content: content + "\n"},
		Message:  publish.Message{Content: content},
		Response: publish.Response{Body: content},
	}
}

func unsafeString(b []byte) string { return unsafe.String(&b[0], len(b)) }

func TestResumeIsExact(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 10})
	ids := k.publish("a", "1", "2", "3")
	k.publish("b", "x")
	ids = append(ids, k.publish("a", "4")...)
	for i, want := range []string{"2 3 4", "3 4", "4", ""} {
		k.want(ids[i], want, false, "a")
	}
	if slices.Compact(slices.Sorted(slices.Values(ids)))[0] == "" || len(slices.Compact(ids)) != 4 {
		t.Errorf("ids %q are not four different ones", ids)
	}
}

// What a resumed connection gets is the item as it was published, with its id.
func TestResumedItemIsWhole(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 10})
	first := k.publish("a", "1")
	it := threeFormats("a")
	it.Meta = map[string]string{"k": "v"}
	b := &Batch{Deliveries: []Delivery{{Item: it}}, Done: func(*Batch) {}}
	if err := k.dir.Publish(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	it.ID = b.Deliveries[0].Item.ID
	if it.ID == "" || it.ID == first[0] {
		t.Errorf("the delivery's id is %q after %q", it.ID, first[0])
	}
	old := publish.Item{}
	dst := []*publish.Item{&old}
	r, _ := k.loops[0].members.Resume(1, [][]byte{[]byte("a")}, 0, 0, From{LastID: []byte(first[0])}, dst)
	items := r.Items
	if len(items) != 2 || items[0] != &old {
		t.Fatalf("Resume gave %d items, want one behind that of dst", len(items))
	}
	if got := fmt.Sprintf("%+v", *items[1]); got != fmt.Sprintf("%+v", it) {
		t.Errorf("got  %s\nwant %+v", got, it)
	}
}

// A batch that has its numbers in several goes, with items among them that are not kept, keeps its order.
func TestLargeBatch(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "k*", Items: 1000})
	for _, name := range []string{"k1", "other"} {
		join(k.loops[0].members, 1, []byte(name), 0, 0)
	}
	var items []publish.Item
	var want []string
	for i := range 3*runItems + 5 {
		name := []string{"k1", "k2", "other"}[i*i%7%3]
		items = append(items, stream(name, strconv.Itoa(i)))
		if name != "other" {
			want = append(want, strconv.Itoa(i))
		}
	}
	done := publishAll(t, k.dir, items...)
	if got, _ := k.resume(From{Latest: 1000}, "k1", "k2", "other"); got != strings.Join(want, " ") {
		t.Errorf("kept %s, want %s", got, strings.Join(want, " "))
	}
	k.loops[0].settle()
	b := <-done
	ids := map[string]bool{}
	for i := range b.Deliveries {
		d := &b.Deliveries[i]
		if kept := d.Item.Channel != "other"; kept == (d.Item.ID == "") || kept && ids[d.Item.ID] {
			t.Errorf("item %d of %s has the id %q", i, d.Item.Channel, d.Item.ID)
		}
		ids[d.Item.ID] = true
		if n := d.Receivers(); n != min(1, strings.Count("k1 other", d.Item.Channel)) {
			t.Errorf("receivers of item %d of %s = %d", i, d.Item.Channel, n)
		}
	}
	k.checkLog()
}

func TestPatterns(t *testing.T) {
	k := newKeeper(t, plenty,
		HistoryRule{Pattern: "a*", Items: 9}, // a later rule of that pattern counts
		HistoryRule{Pattern: "ab*", Items: 2},
		HistoryRule{Pattern: "a*", Items: 1},
		HistoryRule{Pattern: "abc", Items: 3},
		HistoryRule{Pattern: "abd", Items: 0},
		HistoryRule{Pattern: "x*", Items: 0},
		HistoryRule{Pattern: "xy*", Items: 1},
		HistoryRule{Pattern: "*z", Items: 1}, // no pattern: a name
	)
	for channel, want := range map[string]int{
		"a": 1, "abc": 3, "ab": 2, "abcd": 2, "abd": 0, "abde": 2, "b": 0, "x": 0, "xa": 0, "xy": 1, "xyz": 1, "*z": 1, "z": 0, "": 0,
	} {
		k.publish(channel, "1", "2", "3", "4")
		got, _ := k.resume(From{Latest: 10}, channel)
		if n := len(strings.Fields(got)); n != want {
			t.Errorf("channel %q keeps %d items, want %d", channel, n, want)
		}
	}
	k.checkLog()
}

func TestNoHistory(t *testing.T) {
	for _, o := range []HistoryOptions{
		{},
		{Rules: []HistoryRule{{Pattern: "*", Items: 5}}},
		{Rules: []HistoryRule{{Pattern: "*", Items: 0}}, Memory: plenty},
		{Rules: []HistoryRule{{Pattern: "*", Items: -1}}, Memory: plenty},
	} {
		dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain}, func(int) Sink { return noSink{} })
		dir.KeepHistory(o)
		k := &keeper{t: t, dir: dir, loops: loops}
		if ids := k.publish("a", "1"); ids[0] != "" {
			t.Errorf("%+v: an item got the id %q, want none", o, ids[0])
		}
		if got, gap := k.resume(From{LastID: []byte("x")}, "a"); got != "" || !gap {
			t.Errorf("%+v: resuming gives %q, gap %v, want a gap", o, got, gap)
		}
		if got, gap := k.resume(From{Latest: 3}, "a"); got != "" || gap {
			t.Errorf("%+v: the latest are %q, gap %v, want nothing", o, got, gap)
		}
		if c, i, b := dir.History(); c != 0 || i != 0 || b != 0 {
			t.Errorf("%+v: History = %d, %d, %d", o, c, i, b)
		}
		dir.Expire(time.Now())
		checkEmpty(t, dir, loops[0].members)
	}
}

func TestLatest(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 3})
	k.publish("a", "1", "2")
	k.publish("b", "x", "y", "z")
	k.publish("a", "3", "4")
	for n, want := range []string{"", "z 4", "y z 3 4", "2 x y z 3 4", "2 x y z 3 4"} {
		if got, gap := k.resume(From{Latest: n}, "a", "b", "nothing"); got != want || gap {
			t.Errorf("the latest %d are %q, gap %v, want %q", n, got, gap, want)
		}
	}
}

// Foreign, old and future ids: all that is kept, and a gap.
func TestUnknownIDs(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 2})
	ids := k.publish("a", "1", "2", "3", "4")
	elsewhere := k.publish("b", "x")[0]
	epoch, _, _ := strings.Cut(ids[0], "-")
	for _, id := range []string{
		ids[0], elsewhere, "0-3", "x" + ids[3], ids[3] + "0", ids[3] + " ", epoch, epoch + "-", epoch + "-0", epoch + "-03", epoch + "-+3",
		epoch + "-1000", epoch + "-18446744073709551615", epoch + "-18446744073709551619", "\x00", strings.Repeat(ids[2], 500),
		strings.Repeat("x", 10<<10), epoch + "-" + strings.Repeat("0", 10<<10) + "3",
	} {
		k.want(id, "3 4", true, "a")
	}
}

func TestGivenIDs(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 10})
	own := k.publish("b", "x")[0]
	k.publishID("a", "1", "one")
	k.want(fmt.Sprint(strings.Split(own, "-")[0], "-2"), "one", true, "a") // its number, but not its id
	k.publishID("a", "2", "two")
	k.publishID("a", "1", "again")
	k.publishID("a", own, "bridged") // as a bridge between two channels does
	k.publish("a", "last")
	k.want("1", "two again bridged last", false, "a") // the oldest of that id: the client may have had that one only
	k.want("2", "again bridged last", false, "a")
	k.want(own, "last", false, "a")
	k.want(own, "", false, "b")
	event := stream("a", "event")
	event.Formats, event.Event = publish.SSE, publish.Event{ID: "e", Data: "x"}
	publishAll(t, k.dir, event)
	k.publish("a", "end")
	k.want("e", "end", false, "a") // the id that a Server-Sent Event shows
}

// The same id in two channels: which one the connection has seen is not known, so it goes on after the older.
func TestSameIDInTwoChannels(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 10})
	k.publishID("a", "1", "a1")
	k.publishID("a", "2", "a2")
	k.publishID("b", "1", "b1")
	k.publishID("b", "2", "b2")
	k.want("1", "a2 b1 b2", false, "a", "b")
	k.want("1", "a2 b1 b2", false, "b", "a")
	k.want("2", "b1 b2", false, "b", "a")
}

// What only ends connections or hints is not kept, gets no id, and makes no hole.
func TestActsAreNotKept(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 10})
	first := k.publish("a", "1")[0]
	acts := []publish.Item{
		action("a", publish.Close, ""), action("a", publish.Hint, ""), action("fresh", publish.Close, ""),
		{Channel: "a", Formats: publish.WSMessage, Message: publish.Message{Action: publish.Close}},
		{Channel: "a", Formats: publish.HTTPResponse, Response: publish.Response{Action: publish.Hint}},
		{Channel: "a"},
	}
	b := <-publishAll(t, k.dir, acts...)
	for i := range b.Deliveries {
		if id := b.Deliveries[i].Item.ID; id != "" {
			t.Errorf("act %d got the id %q, want none", i, id)
		}
	}
	both := action("a", publish.Close, "")
	both.Formats |= publish.WSMessage
	both.Message.Content = "for those of WebSocket"
	publishAll(t, k.dir, both)
	if _, items, _ := k.dir.History(); items != 2 {
		t.Errorf("%d items are kept, want the first and the one that has a message", items)
	}
	k.want(first, "", false, "a", "fresh")
	if got, _ := k.resume(From{Latest: 9}, "a"); got != "1 " {
		t.Errorf("the latest are %q, want the first and one without a stream's content", got)
	}
}

// An item's since is the lowest number under way when it was published: what another channel may have missed.
func TestOtherChannelsGoOnFromSince(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 100})
	sub := join(k.loops[1].members, 1, []byte("b"), 0, 0) // b's items are under way until loop 1 walks
	k.publish("b", "b1")
	k.loops[1].settle()
	k.publish("b", "b2", "b3")
	id := k.publish("a", "a1")[0]
	k.publish("b", "b4")
	k.want(id, "b2 b3 b4", false, "a", "b")
	k.loops[1].settle()
	k.want(id, "b2 b3 b4", false, "a", "b") // it is when a1 was published that counts
	id = k.publish("a", "a2")[0]
	k.publish("b", "b5")
	k.want(id, "b5", false, "a", "b")
	k.loops[1].members.Leave(sub)
}

func TestUnkeptChannelIsAGap(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "a", Items: 100})
	ids := k.publish("a", "1", "2")
	if id := k.publish("b", "x")[0]; id != "" {
		t.Errorf("an item of a channel that keeps none got the id %q", id)
	}
	k.want(ids[0], "2", true, "a", "b")
	k.want(ids[0], "2", false, "a")
}

func TestEpochsDiffer(t *testing.T) {
	a := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 1})
	b := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 1})
	if a.dir.history.epoch == b.dir.history.epoch {
		t.Errorf("two histories have the epoch %q", a.dir.history.epoch)
	}
	id := a.dir.history.writeID(new(strings.Builder), ^uint64(0))
	if len(id) > maxIDBytes || strings.Count(id, "-") != 1 {
		t.Errorf("id %q is longer than %d bytes", id, maxIDBytes)
	}
}

func TestPublishingWithHistoryAllocates(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 10})
	k.loops[0].members.sink = noSink{}
	join(k.loops[0].members, 1, []byte("a"), 0, 0)
	b := &Batch{Deliveries: make([]Delivery, 8), Done: func(*Batch) {}}
	it := threeFormats("a")
	publish8 := func() {
		for i := range b.Deliveries {
			b.Deliveries[i].Item = it
		}
		if err := k.dir.Publish(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		k.loops[0].settle()
	}
	for range 10 {
		publish8()
	}
	if n := testing.AllocsPerRun(100, publish8); n > 9 {
		t.Errorf("publishing 8 items that are kept allocates %v times, want one each and one for their ids", n)
	}
}
