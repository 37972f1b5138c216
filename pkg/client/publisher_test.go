package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/pkg/publish"
	"holdfast/pkg/wire"
)

func TestPublishReturnsAcksInOrder(t *testing.T) {
	limited := ours
	limited.MaxFrame = 10_000
	path := serve(t, limited, func(s *session) { // answers backwards, item by item
		for {
			m, ok := s.next()
			if !ok {
				return
			}
			acks := s.acksFor(m)
			for i := range acks {
				s.Write(wire.AppendAcks(nil, acks[len(acks)-1-i:len(acks)-i])) //nolint:errcheck // as above
			}
		}
	})
	c := dialTest(t, path)
	var items []publish.Item
	for i := range 300 {
		items = append(items, *streamItem(strings.Repeat("c", i%200+1), strings.Repeat("x", i)))
	}
	items[7].Stream.Content = strings.Repeat("x", 10_000)
	acks, err := c.Publish(t.Context(), items)
	if err != nil || len(acks) != len(items) {
		t.Fatalf("Publish = %d acks, %v, want %d", len(acks), err, len(items))
	}
	for i, a := range acks {
		switch {
		case i == 7:
			if a.Accepted || !errors.Is(a.Err, &wire.Error{Code: wire.ItemTooLarge}) {
				t.Errorf("ack of an item beyond the frame = %+v, want item too large", a)
			}
		case !a.Accepted || a.Receivers != len(items[i].Channel):
			t.Errorf("ack %d = %+v, want %d receivers", i, a, len(items[i].Channel))
		}
	}
	if acks, err := c.Publish(t.Context(), nil); len(acks) != 0 || err != nil {
		t.Errorf("Publish of nothing = %v, %v", acks, err)
	}
}

// collector counts the acks of each number.
type collector struct {
	mu   sync.Mutex
	seen map[uint64]wire.Ack
}

func (k *collector) onAck(seq uint64, a wire.Ack) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, twice := k.seen[seq]; twice {
		panic(fmt.Sprintf("item %d is acknowledged twice", seq))
	}
	k.seen[seq] = a
}

func TestPublisherPipelines(t *testing.T) {
	c := dialTest(t, serve(t, ours, acknowledge))
	k := &collector{seen: map[uint64]wire.Ack{}}
	p := c.Publisher(PublisherOptions{OnAck: k.onAck, WindowBytes: 10_000, WindowItems: 50})
	const n = 20_000
	it := streamItem("", "")
	for i := 1; i <= n; i++ {
		it.Channel = strings.Repeat("c", i%100+1) // the item is the caller's again after Publish
		seq, err := p.Publish(t.Context(), it)
		if err != nil || seq != uint64(i) {
			t.Fatalf("Publish = %d, %v, want %d", seq, err, i)
		}
	}
	if err := p.Flush(t.Context()); err != nil || p.Pending() != 0 {
		t.Fatalf("Flush: %v, %d pending", err, p.Pending())
	}
	if len(k.seen) != n {
		t.Fatalf("%d acks, want %d", len(k.seen), n)
	}
	for seq, a := range k.seen {
		if want := int(seq%100 + 1); !a.Accepted || a.Receivers != want {
			t.Errorf("ack of %d = %+v, want %d receivers", seq, a, want)
		}
	}
	if err := p.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, err := p.Publish(t.Context(), it); err != ErrClosed {
		t.Errorf("Publish after Close = %v, want %v", err, ErrClosed)
	}
}

func TestPublishersShareAConn(t *testing.T) {
	c := dialTest(t, serve(t, ours, acknowledge))
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			k := &collector{seen: map[uint64]wire.Ack{}}
			p := c.Publisher(PublisherOptions{OnAck: k.onAck, AcceptedOnly: i%2 == 0, WindowItems: 100})
			for range 2000 {
				if _, err := p.Publish(t.Context(), streamItem(strings.Repeat("c", i+1), "x")); err != nil {
					t.Error(err)
					return
				}
			}
			if err := p.Flush(t.Context()); err != nil || len(k.seen) != 2000 {
				t.Errorf("publisher %d: Flush: %v, %d acks", i, err, len(k.seen))
			}
			for seq, a := range k.seen {
				if a.Receivers != i+1 {
					t.Errorf("publisher %d got the ack of another: %d %+v", i, seq, a)
				}
			}
		})
	}
	group.Wait()
}

// A server that acknowledges nothing stops the publisher at its window, not later and not for ever.
func TestWindowBlocks(t *testing.T) {
	release := make(chan struct{})
	path := serve(t, ours, func(s *session) {
		var acks []wire.Ack
		for len(acks) < 10 {
			m, ok := s.next()
			if !ok {
				return
			}
			acks = append(acks, s.acksFor(m)...)
		}
		<-release
		s.Write(wire.AppendAcks(nil, acks)) //nolint:errcheck // seen by the test
		acknowledge(s)
	})
	for name, o := range map[string]PublisherOptions{
		"items": {WindowItems: 10},
		"bytes": {WindowBytes: 10 * 105}, // an item has 109 bytes; the window may be passed by the last
	} {
		release = make(chan struct{})
		c := dialTest(t, path)
		p := c.Publisher(o)
		it := streamItem("c", strings.Repeat("x", 100))
		for range 10 {
			if _, err := p.Publish(t.Context(), it); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if seq, err := p.Publish(ctx, it); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: Publish into a full window = %d, %v", name, seq, err)
		}
		if err := p.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: Flush of a full window = %v", name, err)
		}
		cancel()
		close(release)
		if seq, err := p.Publish(t.Context(), it); seq != 11 || err != nil {
			t.Errorf("%s: Publish after the acks = %d, %v, want 11", name, seq, err)
		}
		if err := p.Flush(t.Context()); err != nil {
			t.Errorf("%s: Flush: %v", name, err)
		}
		c.Close()
	}
}

// What waits while a write is under way goes out as one batch.
func TestWaitingItemsCoalesce(t *testing.T) {
	var frames, items atomic.Int64
	path := serve(t, ours, func(s *session) {
		time.Sleep(50 * time.Millisecond) // the socket fills
		for {
			m, ok := s.next()
			if !ok {
				return
			}
			acks := s.acksFor(m)
			frames.Add(1)
			items.Add(int64(len(acks)))
			s.Write(wire.AppendAcks(nil, acks)) //nolint:errcheck // as above
		}
	})
	c := dialTest(t, path)
	p := c.Publisher(PublisherOptions{})
	it := streamItem("c", strings.Repeat("x", 100))
	for range 9000 {
		if _, err := p.Publish(t.Context(), it); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if items.Load() != 9000 || frames.Load() > 3000 {
		t.Errorf("%d items in %d frames, want 9000 in far fewer", items.Load(), frames.Load())
	}
}

func TestConnectionErrors(t *testing.T) {
	for name, c := range map[string]struct {
		run  script
		want error
	}{
		"fatal error":  {func(s *session) { s.next(); s.fail(wire.ShuttingDown) }, &wire.Error{Code: wire.ShuttingDown}},
		"unasked ack":  {func(s *session) { s.Write(wire.AppendAcks(nil, []wire.Ack{{ID: 99, Accepted: true}})); s.next() }, nil}, //nolint:errcheck // as above
		"ack twice":    {ackTwice, nil},
		"bad frame":    {func(s *session) { s.Write([]byte{0, 0, 0, 1, 0xc1}); s.next() }, &wire.Error{Code: wire.BadFrame}},        //nolint:errcheck // as above
		"huge frame":   {func(s *session) { s.Write([]byte{255, 0, 0, 1, 0xc1}); s.next() }, &wire.Error{Code: wire.FrameTooLarge}}, //nolint:errcheck // as above
		"plain end":    {func(s *session) { s.next() }, nil},
		"never a read": {func(s *session) { s.fail(wire.Busy) }, &wire.Error{Code: wire.Busy}},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dialTest(t, serve(t, ours, c.run))
			p := conn.Publisher(PublisherOptions{})
			var err error
			for range 10 {
				if _, err = p.Publish(t.Context(), streamItem("c", "x")); err != nil {
					break
				}
			}
			if err == nil {
				err = p.Flush(t.Context())
			}
			if err == nil {
				t.Fatal("Publish and Flush succeed without acks")
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error = %v, want %v", err, c.want)
			}
			if conn.Err() == nil {
				t.Error("Err is nil after the end")
			}
			if _, err := conn.Stats(t.Context()); err == nil {
				t.Error("Stats succeeds after the end")
			}
		})
	}
}

func (s *session) fail(code wire.Code) {
	s.Write(wire.AppendCold(nil, wire.TypeError, &wire.Failure{Code: code, Text: "told", Fatal: true})) //nolint:errcheck // the client may be gone
}

// listenOnly is a script that never answers.
func listenOnly(s *session) {
	for ok := true; ok; {
		_, ok = s.next()
	}
}

func ackTwice(s *session) {
	m, ok := s.next()
	if !ok {
		return
	}
	acks := s.acksFor(m)[:1]
	s.Write(wire.AppendAcks(nil, append(acks, acks...))) //nolint:errcheck // as above
	s.next()
}

func TestCloseEndsEverything(t *testing.T) {
	c := dialTest(t, serve(t, ours, listenOnly))
	p := c.Publisher(PublisherOptions{WindowItems: 1})
	if _, err := p.Publish(t.Context(), streamItem("c", "x")); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 3)
	go func() { _, err := p.Publish(t.Context(), streamItem("c", "x")); ended <- err }()
	go func() { ended <- p.Flush(t.Context()) }()
	go func() { _, err := c.Stats(t.Context()); ended <- err }()
	time.Sleep(5 * time.Millisecond) // most of them wait by now; the others must see the end as well
	c.Close()
	for range 3 {
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("a call ends with %v, want %v", err, ErrClosed)
		}
	}
}

// flight must agree with a map, in whatever order acks come.
func TestFlightAgainstAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	f := flight{first: 1, next: 1}
	p := &Publisher{}
	waiting := map[uint64]uint64{}
	for i := range uint64(20_000) {
		if rng.IntN(5) < 3 {
			waiting[f.next] = i
			f.add(slot{pub: p, seq: i})
		}
		if rng.IntN(2) == 0 {
			id := f.first + rng.Uint64N(f.next-f.first+3) // sometimes one that does not wait
			s, ok := f.take(id)
			seq, want := waiting[id]
			if ok != want || ok && s.seq != seq {
				t.Fatalf("take(%d) = %d, %v, want %d, %v", id, s.seq, ok, seq, want)
			}
			delete(waiting, id)
		}
	}
	for id, seq := range waiting {
		if s, ok := f.take(id); !ok || s.seq != seq {
			t.Errorf("take(%d) = %d, %v, want %d", id, s.seq, ok, seq)
		}
	}
	if f.span() != 0 {
		t.Errorf("the empty flight spans %d", f.span())
	}
}

func TestPublishDoesNotAllocate(t *testing.T) {
	c := newConn(nil, wire.NewReader(nil, 0), ours) // no goroutines: the outbox keeps all
	p := c.Publisher(PublisherOptions{WindowBytes: 1 << 30, WindowItems: 1 << 30})
	it := bareItem()
	c.out.buf = make([]byte, 0, 1<<20)
	c.flight.slots = make([]slot, 1<<12)
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := p.Publish(context.Background(), it); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Publish allocates %v times, want 0", n)
	}
}

// bareItem has 100 bytes of content for three kinds of client.
func bareItem() *publish.Item {
	content := strings.Repeat("x", 100)
	return &publish.Item{
		Channel:  "test",
		Formats:  publish.HTTPResponse | publish.HTTPStream | publish.WSMessage,
		Response: publish.Response{Body: content},
		Stream:   publish.Stream{Content: content},
		Message:  publish.Message{Content: content},
	}
}

// sink acknowledges the items of every frame without looking at them.
func sink(s *session) {
	var buf []byte
	var acks []wire.Ack
	w := bufio.NewWriterSize(s, 256<<10)
	for {
		if !s.frames.Ready() && w.Flush() != nil {
			return
		}
		m, ok := s.next()
		if !ok {
			return
		}
		first, err := m.RequestID()
		items, err2 := m.Items()
		if err != nil || err2 != nil {
			return
		}
		acks = acks[:0]
		for i := range items.Left() {
			acks = append(acks, wire.Ack{ID: first + uint64(i), Accepted: true})
		}
		buf = wire.AppendAcks(buf[:0], acks)
		w.Write(buf) //nolint:errcheck // seen by Flush
	}
}

func BenchmarkPublisher(b *testing.B) {
	c := dialTest(b, serve(b, ours, sink))
	p := c.Publisher(PublisherOptions{})
	it := bareItem()
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Publish(ctx, it); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "items/s")
}
