package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/publish"
)

// The model plays connections, publishers and loops against the hub in one goroutine, in random order, and knows from the
// rules what each connection must have had.

const (
	modelLoops    = 2
	modelChannels = 3
	modelMaxBytes = 1 << 20
)

// modelConn is a connection of the model.
type modelConn struct {
	id       uint32
	loop     int
	place    int // in the model's list
	subs     uint32
	encoder  uint8
	channels map[string]bool
	last     map[string]int // by channel: the item that came last
	missed   map[int]bool   // items left out because its queue was full
}

// modelItem is a published item and what the sinks did with it.
type modelItem struct {
	channel string
	kind    int                 // 0: for all, 1: not for encoder 1, 2: ends those of encoder 2
	before  map[*modelConn]bool // subscribed when it was published
	handed  int                 // as the sinks counted
	had     map[*modelConn]bool // had it
}

type model struct {
	t      *testing.T
	rnd    *rand.Rand
	dir    *Directory
	loops  []*queueLoop
	open   [modelLoops]map[uint32]*modelConn
	list   [modelLoops][]*modelConn // the same, to choose from: a seed always plays the same
	nextID uint32
	items  []*modelItem
	undone int // items whose batch is not done
}

// modelEncoder writes the item's number, framed for the encoder, so that the sink can read a block.
func modelEncoder(encoder int) Encoder {
	return func(dst []byte, it *publish.Item) ([]byte, Effect) {
		kind := int(it.ID[0] - '0')
		if kind == 1 && encoder == 1 {
			return dst, Nothing
		}
		dst = fmt.Appendf(dst, "%d:%s;", encoder, it.Stream.Content)
		if kind == 2 && encoder == 2 {
			return dst, End
		}
		return dst, Deliver
	}
}

// modelSink is the sink of one loop of the model.
type modelSink struct {
	*model
	loop int
}

func (s modelSink) Deliver(_ uint64, conns []uint32, b []byte, n int) (handed, behind int) {
	somebody(conns)
	var encoder string
	var items []int
	for part := range strings.SplitSeq(strings.TrimSuffix(string(b), ";"), ";") {
		e, number, _ := strings.Cut(part, ":")
		i, err := strconv.Atoi(number)
		if err != nil || len(items) > 0 && e != encoder {
			s.t.Fatalf("block %q is no list of items of one encoder", b)
		}
		encoder, items = e, append(items, i)
	}
	if n != len(items) {
		s.t.Fatalf("Deliver of %d items, told %d", len(items), n)
	}
	for _, id := range conns {
		if s.open[s.loop][id] == nil {
			s.t.Fatalf("Deliver to connection %d, which left before", id)
		}
	}
	for _, id := range conns {
		c := s.open[s.loop][id]
		switch {
		case c == nil: // closed a moment ago, by the call for another
			continue
		case s.rnd.IntN(20) == 0: // its queue is full: dropped
			for _, i := range items {
				c.missed[i] = true
			}
			continue
		case s.rnd.IntN(50) == 0: // its queue is full: closed
			s.leave(c)
			continue
		}
		if s.rnd.IntN(50) == 0 {
			s.leaveAny(s.loop)
		}
		handed++
		if s.rnd.IntN(3) > 0 {
			behind++
		}
		s.note(c, items, encoder)
	}
	for _, i := range items {
		s.items[i].handed += handed
	}
	return handed, behind
}

// note checks items against what the connection may have now.
func (s modelSink) note(c *modelConn, items []int, encoder string) {
	if strconv.Itoa(int(c.encoder)) != encoder {
		s.t.Fatalf("connection of encoder %d got a block of encoder %s", c.encoder, encoder)
	}
	for _, i := range items {
		it := s.items[i]
		if !c.channels[it.channel] {
			s.t.Fatalf("connection %d got item %d of channel %s, to which it is not subscribed", c.id, i, it.channel)
		}
		if it.had[c] {
			s.t.Fatalf("connection %d got item %d twice", c.id, i)
		}
		if last, ok := c.last[it.channel]; ok && last > i {
			s.t.Fatalf("connection %d got item %d after item %d of the same channel", c.id, i, last)
		}
		it.had[c], c.last[it.channel] = true, i
	}
}

func (s modelSink) DeliverEach([]uint32, []*Delivery, []int) int {
	panic("every kind has an encoder")
}

func (s modelSink) End(conns []uint32) {
	for _, id := range conns {
		if c := s.open[s.loop][id]; c != nil {
			if c.encoder != 2 {
				s.t.Fatalf("End of connection %d, whose encoder never asks for it", id)
			}
			s.leave(c)
		}
		if s.rnd.IntN(10) == 0 {
			s.leaveAny(s.loop)
		}
	}
}

func (m *model) join() {
	m.nextID++
	c := &modelConn{
		id: m.nextID, loop: m.rnd.IntN(modelLoops), encoder: uint8(m.rnd.IntN(3)),
		channels: map[string]bool{}, last: map[string]int{}, missed: map[int]bool{},
	}
	for range 1 + m.rnd.IntN(4) {
		name := m.channel()
		before := c.subs
		c.subs = join(m.loops[c.loop].members, c.id, []byte(name), c.encoder, c.subs)
		if c.channels[name] && c.subs != before {
			m.t.Fatalf("joining %s a second time changed the first subscription from %d to %d", name, before, c.subs)
		}
		c.channels[name] = true
	}
	m.open[c.loop][c.id] = c
	c.place = len(m.list[c.loop])
	m.list[c.loop] = append(m.list[c.loop], c)
}

func (m *model) channel() string { return "channel " + strconv.Itoa(m.rnd.IntN(modelChannels)) }

func (m *model) leave(c *modelConn) {
	delete(m.open[c.loop], c.id)
	list := m.list[c.loop]
	last := list[len(list)-1]
	list[c.place], last.place = last, c.place
	m.list[c.loop] = list[:len(list)-1]
	m.loops[c.loop].members.Leave(c.subs)
}

// leaveAny closes a connection of the loop.
func (m *model) leaveAny(loop int) {
	if n := len(m.list[loop]); n > 0 {
		m.leave(m.list[loop][m.rnd.IntN(n)])
	}
}

func (m *model) publish() {
	n := 1 + m.rnd.IntN(5)
	first := len(m.items)
	b := &Batch{Deliveries: make([]Delivery, n)}
	for i := range n {
		it := &modelItem{channel: m.channel(), kind: max(0, m.rnd.IntN(8)-5), before: map[*modelConn]bool{}, had: map[*modelConn]bool{}}
		for _, conns := range m.open {
			for _, c := range conns {
				if c.channels[it.channel] {
					it.before[c] = true
				}
			}
		}
		item := stream(it.channel, strconv.Itoa(len(m.items)))
		item.ID = strconv.Itoa(it.kind)
		b.Deliveries[i].Item = item
		m.items = append(m.items, it)
	}
	m.undone += n
	b.Done = func(b *Batch) {
		m.undone -= n
		for i := range n {
			m.check(first+i, b.Deliveries[i].Receivers())
		}
	}
	if err := m.dir.Publish(context.Background(), b); err != nil {
		m.t.Fatalf("Publish: %v", err)
	}
}

// check compares an item that is done with the rules.
func (m *model) check(i, receivers int) {
	it := m.items[i]
	if receivers != it.handed {
		m.t.Fatalf("receivers of item %d = %d, the sinks were handed %d", i, receivers, it.handed)
	}
	for c := range it.before {
		stayed := m.open[c.loop][c.id] == c
		wants := it.kind != 1 || c.encoder != 1
		if stayed && wants && !it.had[c] && !c.missed[i] {
			m.t.Fatalf("connection %d stayed subscribed to %s and never got item %d", c.id, it.channel, i)
		}
	}
}

func (m *model) step() {
	l := m.loops[m.rnd.IntN(modelLoops)]
	switch n := m.rnd.IntN(100); {
	case n < 10:
		for range 1 + m.rnd.IntN(8*sliceConns)*m.rnd.IntN(2) { // now and then enough for several slices
			m.join()
		}
	case n < 30:
		for range 1 + m.rnd.IntN(2*sliceConns)*m.rnd.IntN(2) {
			m.leaveAny(m.rnd.IntN(modelLoops))
		}
	case n < 31:
		m.leaveAll()
	case n < 55:
		m.publish()
	case n < 75:
		l.take(1 + m.rnd.IntN(6))
	case n < 80:
		if open := m.list[m.rnd.IntN(modelLoops)]; len(open) > 0 {
			c := open[m.rnd.IntN(len(open))]
			m.loops[c.loop].members.CaughtUp(c.subs)
		}
	default:
		l.now = l.now.Add(time.Duration(m.rnd.IntN(5)) * time.Millisecond)
		l.step()
	}
}

func (m *model) leaveAll() {
	for loop := range m.open {
		for len(m.open[loop]) > 0 {
			m.leaveAny(loop)
		}
	}
}

func TestRandomModel(t *testing.T) {
	seeds := 10
	if testing.Short() {
		seeds = 5
	}
	for seed := range uint64(seeds) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			m := &model{t: t, rnd: rand.New(rand.NewPCG(seed, 1))}
			encoders := []Encoder{modelEncoder(0), modelEncoder(1), modelEncoder(2)}
			m.dir, m.loops = newQueueLoops(modelLoops, modelMaxBytes, encoders, func(i int) Sink {
				m.open[i] = map[uint32]*modelConn{}
				return modelSink{m, i}
			})
			for range 1000 {
				m.step()
			}
			for _, l := range m.loops {
				l.settle()
			}
			if m.undone != 0 {
				t.Errorf("%d items are not done when nothing waits any more", m.undone)
			}
			m.leaveAll()
			checkEmpty(t, m.dir, m.loops[0].members, m.loops[1].members)
			if n := m.dir.Published(); n != uint64(len(m.items)) {
				t.Errorf("Published = %d, want %d", n, len(m.items))
			}
		})
	}
}
