package hub

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/pkg/publish"
)

// A second model: clients that go away at any moment and come back with the id of the last item they have seen, to any loop.
// It knows what the history must give each of them, and that after a return without a gap nobody has lost anything.

const (
	replayTTL    = time.Minute
	replayCrowd  = 150 // connections that make walks last, by loop, channel and encoder
	replayAlways = "always"
	replayNever  = "never" // keeps nothing
)

var replayRules = map[string]HistoryRule{
	"few":        {Pattern: "few", Items: 3},
	"some":       {Pattern: "so*", Items: 15, TTL: replayTTL},
	replayAlways: {Pattern: "al*", Items: 10_000, TTL: 3 * replayTTL},
	replayNever:  {Pattern: replayNever},
}

// replayItem is a published item; its content is its index.
type replayItem struct {
	channel    string
	id         string
	at         time.Time
	seq, since int  // 0: its channel keeps nothing
	act        bool // a hint
	done       bool
}

// replayClient outlives its connections.
type replayClient struct {
	channels []string
	encoder  uint8
	seen     map[int]int // by index of the item: how often
	last     int         // index of the last item seen, -1: none
	base     int         // items from this index on are promised to it

	conn    uint32 // 0: it is away
	loop    int
	subs    uint32
	began   int   // how many items there were when it connected
	exact   bool  // of items before that it gets what it was given then
	given   int   // so many
	stream  []int // what it was sent, of which it has not seen all yet
	resumes int   // without a gap
}

type replay struct {
	t       *testing.T
	rnd     *rand.Rand
	large   bool // memory for all
	dir     *Directory
	loops   []*queueLoop
	items   []*replayItem
	seq     int
	clients []*replayClient
	online  map[uint32]*replayClient
	crowds  map[uint32]uint32 // connection to subscription
	crowdOf map[uint32]int
	conn    uint32
	gaps    int
}

// shows reports whether the encoder makes something of the item.
func (r *replay) shows(encoder uint8, i int) bool {
	return !r.items[i].act && (encoder == 0 || i%5 > 0)
}

func (r *replay) encoder(encoder uint8) Encoder {
	return func(dst []byte, it *publish.Item) ([]byte, Effect) {
		i, _ := strconv.Atoi(it.Stream.Content)
		if !r.shows(encoder, i) {
			return dst, Nothing
		}
		return fmt.Appendf(dst, "%d;", i), Deliver
	}
}

type replaySink struct{ *replay }

func (s replaySink) DeliverEach([]uint32, []*Delivery, []int) int {
	panic("every kind has an encoder")
}

func (s replaySink) End([]uint32) {}

func (s replaySink) Deliver(_ uint64, conns []uint32, b []byte, _ int) (handed, behind int) {
	somebody(conns)
	var items []int
	for part := range strings.SplitSeq(strings.TrimSuffix(string(b), ";"), ";") {
		i, _ := strconv.Atoi(part)
		items = append(items, i)
	}
	for _, id := range conns {
		c := s.online[id]
		if c == nil {
			continue
		}
		for _, i := range items {
			if c.exact && s.items[i].seq > 0 && i < c.began {
				s.t.Fatalf("a walk brings item %d of %s to a client that resumed when there were %d", i, s.items[i].channel, c.began)
			}
			c.stream = append(c.stream, i)
		}
		switch s.rnd.IntN(30) {
		case 0:
			s.disconnect(c)
		case 1: // as a poll that is answered and asks again at once
			loop := c.loop
			s.disconnect(c)
			s.connect(c, loop)
		}
	}
	return len(conns), s.rnd.IntN(len(conns) + 1)
}

func (r *replay) publish() {
	names := []string{"few", "some", replayAlways, replayNever}
	it := &replayItem{channel: names[r.rnd.IntN(len(names))], at: time.Now(), act: r.rnd.IntN(10) == 0}
	if it.channel != replayNever {
		r.seq++
		it.seq, it.since = r.seq, r.seq
		for _, old := range r.items { // the slow way
			if !old.done && old.seq > 0 {
				it.since = old.seq
				break
			}
		}
	}
	b := &Batch{Deliveries: make([]Delivery, 1), Done: func(*Batch) { it.done = true }}
	item := &b.Deliveries[0].Item
	*item = stream(it.channel, strconv.Itoa(len(r.items)))
	if it.act {
		item.Stream.Action = publish.Hint
	}
	if r.rnd.IntN(3) == 0 {
		item.ID = "given " + strconv.Itoa(len(r.items))
	}
	r.items = append(r.items, it)
	if err := r.dir.Publish(r.t.Context(), b); err != nil {
		r.t.Fatal(err)
	}
	it.id = item.ID
}

// kept returns the indexes of the channel's kept items, and of the one before them, -1 when there is none.
func (r *replay) kept(channel string) (kept []int, mark int) {
	rule := replayRules[channel]
	for i, it := range r.items {
		if it.channel == channel && !it.act {
			kept = append(kept, i)
		}
	}
	mark = -1
	for len(kept) > rule.Items || len(kept) > 0 && rule.TTL > 0 && time.Since(r.items[kept[0]].at) >= rule.TTL {
		mark, kept = kept[0], kept[1:]
	}
	return kept, mark
}

// expect is what a client gets that resumes, when there is memory for all.
func (r *replay) expect(c *replayClient, latest int) (items []int, gap bool) {
	var seen *replayItem
	for _, name := range c.channels {
		kept, mark := r.kept(name)
		if c.last >= 0 && r.items[c.last].channel == name && (mark == c.last || slices.Contains(kept, c.last)) {
			seen = r.items[c.last]
		}
	}
	for _, name := range c.channels {
		kept, mark := r.kept(name)
		from := 0
		switch {
		case c.last < 0:
			kept = kept[len(kept)-min(latest, len(kept)):]
		case seen == nil || name == replayNever:
			gap = true
			if seen != nil {
				from = seen.since
			}
		case seen.channel == name:
			from = seen.seq + 1
		default:
			from = seen.since
			gap = gap || mark >= 0 && r.items[mark].seq >= from
		}
		for _, i := range kept {
			if r.items[i].seq >= from {
				items = append(items, i)
			}
		}
	}
	slices.Sort(items)
	return items, gap
}

// connect has the client come back to the loop.
func (r *replay) connect(c *replayClient, loop int) {
	r.conn++
	c.conn, c.loop, c.began, c.stream = r.conn, loop, len(r.items), nil
	latest := r.rnd.IntN(4)
	from := From{Latest: latest}
	if c.last >= 0 {
		from.LastID = []byte(r.items[c.last].id)
	}
	c.exact = c.last >= 0 || latest > 0
	var names [][]byte
	for _, name := range c.channels {
		names = append(names, []byte(name))
	}
	want, wantGap := r.expect(c, latest)
	back, ok := r.loops[loop].members.Resume(c.conn, names, c.encoder, c.encoder, from, nil)
	if !ok {
		r.t.Fatal("Resume refused")
	}
	items, gap := back.Items, back.Gap
	c.subs, r.online[c.conn] = back.Subs, c
	var got []int
	for _, it := range items {
		i, _ := strconv.Atoi(it.Stream.Content)
		if got = append(got, i); it.ID != r.items[i].id || it.Channel != r.items[i].channel {
			r.t.Fatalf("item %d of %s comes back as %q of %s", i, r.items[i].channel, it.ID, it.Channel)
		}
		if r.shows(c.encoder, i) {
			c.stream = append(c.stream, i)
		}
	}
	c.given = len(c.stream)
	if r.large && (!slices.Equal(got, want) || gap != wantGap) {
		r.t.Fatalf("client of %v resumes after item %d (latest %d) with %v, gap %v; want %v, gap %v", c.channels, c.last, latest, got, gap, want, wantGap)
	}
	if gap {
		r.gaps++
	}
	if gap || c.last < 0 {
		c.base, c.seen = len(r.items), map[int]int{}
	} else {
		c.resumes++
	}
}

// disconnect has the client go away. It has seen what it was sent, but perhaps not the last of it.
func (r *replay) disconnect(c *replayClient) {
	r.loops[c.loop].members.Leave(c.subs)
	delete(r.online, c.conn)
	c.conn = 0
	r.see(c, r.rnd.IntN(4)*r.rnd.IntN(4))
}

// see has the client see what it was sent, but for the last so many.
func (r *replay) see(c *replayClient, but int) {
	n := max(0, len(c.stream)-but)
	for _, i := range c.stream[:n] {
		c.seen[i]++
		if r.items[i].id != "" { // as an EventSource: what has no id leaves the last one as it is
			c.last = i
		}
		if c.seen[i] > 1 && len(c.channels) == 1 && i >= c.base {
			r.t.Fatalf("the client of %v has seen item %d twice", c.channels, i)
		}
	}
	c.stream = c.stream[n:]
}

// settle has everything delivered, and checks that each client that is there has had everything.
func (r *replay) settle() {
	for _, l := range r.loops {
		l.settle()
	}
	for _, c := range r.online {
		all := slices.Clone(c.stream)
		if sorted := slices.Compact(slices.Sorted(slices.Values(all))); len(sorted) != len(all) {
			r.t.Fatalf("the client of %v was sent something twice over one connection: %v", c.channels, all)
		}
		last := map[string]int{}
		for _, i := range all {
			if name := r.items[i].channel; last[name] > i {
				r.t.Fatalf("the client of %v was sent item %d of %s after item %d", c.channels, i, name, last[name])
			} else {
				last[name] = i
			}
		}
		for i := c.base; i < len(r.items); i++ {
			if slices.Contains(c.channels, r.items[i].channel) && r.shows(c.encoder, i) && c.seen[i] == 0 && !slices.Contains(all, i) {
				r.t.Fatalf("the client of %v, which has lost nothing since item %d by what it knows, never got item %d of %s",
					c.channels, c.base, i, r.items[i].channel)
			}
		}
	}
}

func (r *replay) crowd() {
	if len(r.crowds) == 0 || r.rnd.IntN(3) > 0 && len(r.crowds) < 12*replayCrowd {
		loop, encoder := r.rnd.IntN(len(r.loops)), uint8(r.rnd.IntN(2))
		name := []byte([]string{"few", "some", replayAlways}[r.rnd.IntN(3)])
		for range r.rnd.IntN(replayCrowd) {
			r.conn++
			r.crowds[r.conn] = join(r.loops[loop].members, r.conn, name, encoder, 0)
			r.crowdOf[r.conn] = loop
		}
		return
	}
	r.disperse(r.rnd.IntN(3 * replayCrowd))
}

// disperse has so many of the crowds leave.
func (r *replay) disperse(n int) {
	for id := uint32(1); id <= r.conn && n > 0; id++ {
		if subs, ok := r.crowds[id]; ok {
			r.loops[r.crowdOf[id]].members.Leave(subs)
			delete(r.crowds, id)
			n--
		}
	}
}

func (r *replay) step() {
	l := r.loops[r.rnd.IntN(len(r.loops))]
	switch n := r.rnd.IntN(100); {
	case n < 20:
		c := r.clients[r.rnd.IntN(len(r.clients))]
		if c.conn != 0 {
			r.disconnect(c)
		} else {
			r.connect(c, r.rnd.IntN(len(r.loops)))
		}
	case n < 23:
		r.crowd()
	case n < 50:
		r.publish()
	case n < 65:
		l.take(1 + r.rnd.IntN(4))
	case n < 92:
		l.now = l.now.Add(time.Duration(r.rnd.IntN(5)) * time.Millisecond)
		l.step()
	case n < 97:
		time.Sleep(time.Duration(r.rnd.Int64N(int64(replayTTL / 5))))
	case n < 98:
		r.dir.Expire(time.Now())
	default:
		r.settle()
	}
}

// run plays n steps.
func (r *replay) run(n int) {
	o := HistoryOptions{Memory: plenty}
	if !r.large {
		o.Memory = 6000
	}
	for _, rule := range replayRules {
		o.Rules = append(o.Rules, rule)
	}
	r.dir, r.loops = newQueueLoops(3, 1<<30, []Encoder{r.encoder(0), r.encoder(1)}, func(int) Sink { return replaySink{r} })
	r.dir.KeepHistory(o)
	for i, channels := range [][]string{
		{"few"}, {"some"}, {replayAlways}, {replayAlways}, {"few", "some"}, {replayAlways, "few", "some"}, {replayAlways, "some"}, {replayAlways, replayNever},
	} {
		for range 3 {
			r.clients = append(r.clients, &replayClient{channels: channels, encoder: uint8(i % 2), last: -1, seen: map[int]int{}})
		}
	}
	for range n {
		r.step()
		if err := r.dir.history.check(); err != nil {
			r.t.Fatal(err)
		}
	}
	r.settle()
	resumes := 0
	for _, c := range r.clients {
		resumes += c.resumes
		if c.conn != 0 {
			r.disconnect(c)
		}
	}
	r.disperse(len(r.crowds))
	if resumes < n/100 || r.gaps < n/100 {
		r.t.Errorf("%d clients came back without a gap and %d with one in %d steps: too few to tell anything", resumes, r.gaps, n)
	}
	for _, l := range r.loops {
		l.settle()
	}
	checkEmpty(r.t, r.dir, r.loops[0].members, r.loops[1].members, r.loops[2].members)
}

func TestResumeModel(t *testing.T) {
	seeds := 12
	if testing.Short() {
		seeds = 4
	}
	for seed := range uint64(seeds) {
		large := seed%3 > 0
		t.Run(fmt.Sprintf("%d/large=%v", seed, large), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &replay{
					t: t, rnd: rand.New(rand.NewPCG(seed, 6)), large: large, online: map[uint32]*replayClient{},
					crowds: map[uint32]uint32{}, crowdOf: map[uint32]int{},
				}
				r.run(3000)
			})
		})
	}
}
