package hub

import (
	"context"
	"testing"
	"time"

	"holdfast/pkg/publish"
)

// socketBuffer is what a socket takes of one who does not read.
const socketBuffer = 256 << 10

// burstSink is connections that take what is sent to them in bursts, as sockets do: the kernel
// tells of room when a good part of its buffers is empty again. As netloop does, it counts nobody
// as behind for longer than longPark.
type burstSink struct {
	recordSink
	now    *time.Time
	every  map[uint32]time.Duration // connection to the time between two bursts; others take all at once
	unread map[uint32]int
	since  map[uint32]time.Time // when something began to wait
	most   map[uint32]int       // of what has waited beside the socket
	got    map[uint32]int
}

func (s *burstSink) Deliver(_ uint64, conns []uint32, b []byte, _ int) (handed, behind int) {
	for _, c := range conns {
		s.got[c] += len(b)
		if s.every[c] == 0 {
			continue
		}
		waited := s.unread[c] > socketBuffer
		if s.unread[c] += len(b); s.unread[c] <= socketBuffer {
			continue
		}
		if !waited {
			s.since[c] = *s.now
		}
		s.most[c] = max(s.most[c], s.unread[c]-socketBuffer)
		if s.unread[c]-socketBuffer > 32<<10 && s.now.Sub(s.since[c]) < longPark {
			behind++
		}
	}
	return len(conns), behind
}

// read has a connection take all that it was sent, and reports whether it was behind.
func (s *burstSink) read(c uint32) (behind bool) {
	behind = s.unread[c] > socketBuffer
	s.unread[c] = 0
	return behind
}

// flood publishes without pause, with a window as the control socket has it, to n subscribers for a
// time.
func flood(t *testing.T, n int, every map[uint32]time.Duration, size int, d time.Duration) *burstSink {
	t.Helper()
	const window = 256 << 10
	s := &burstSink{
		every: every, unread: map[uint32]int{}, since: map[uint32]time.Time{},
		most: map[uint32]int{}, got: map[uint32]int{},
	}
	dir, loops := newQueueLoops(1, 64<<20, []Encoder{plain}, func(int) Sink { return s })
	l, subs := loops[0], map[uint32]uint32{}
	s.now = &l.now
	for c := uint32(1); c <= uint32(n); c++ {
		subs[c] = join(l.members, c, []byte("a"), 0, 0)
	}
	content, unacknowledged := string(make([]byte, size)), 0
	const tick = time.Millisecond
	for now := time.Duration(0); now < d; now += tick {
		for unacknowledged < window {
			unacknowledged += size
			b := &Batch{Deliveries: make([]Delivery, 1), Done: func(*Batch) { unacknowledged -= size }}
			b.Deliveries[0].Item = publish.Item{
				Channel: "a", Formats: publish.HTTPStream, Stream: publish.Stream{Content: content},
			}
			if err := dir.Publish(context.Background(), b); err != nil {
				t.Fatal(err)
			}
		}
		l.take(len(l.posted))
		l.step()
		for c, every := range every {
			if now%every < tick && s.read(c) {
				l.members.CaughtUp(subs[c])
			}
		}
		l.now = l.now.Add(tick)
	}
	return s
}

// A publisher without pause is slowed down to subscribers who read, be it in bursts: none has more
// waiting than its queue takes by default.
func TestFloodWaitsForThoseWhoRead(t *testing.T) {
	const ms, maxQueued = time.Millisecond, 256 << 10
	for name, tt := range map[string]struct {
		n     int
		every map[uint32]time.Duration
		size  int
	}{
		"one":                      {1, map[uint32]time.Duration{1: 300 * ms}, 1000},
		"one, rarely":              {1, map[uint32]time.Duration{1: 3900 * ms}, 1000},
		"one, large items":         {1, map[uint32]time.Duration{1: 300 * ms}, 60 << 10},
		"three":                    {3, map[uint32]time.Duration{1: 300 * ms, 2: 200 * ms, 3: 7 * ms}, 1000},
		"one of two":               {2, map[uint32]time.Duration{1: 50 * ms}, 1000},
		"one of three, rarely":     {3, map[uint32]time.Duration{1: 1500 * ms}, 1000},
		"all of many":              {20, times(20, 100*ms), 1000},
		"a few, with larger items": {4, times(4, 150*ms), 5000},
	} {
		t.Run(name, func(t *testing.T) {
			s := flood(t, tt.n, tt.every, tt.size, 9*time.Second)
			for c, most := range s.most {
				if most > maxQueued {
					t.Errorf("%d bytes wait for connection %d, want %d at most", most, c, maxQueued)
				}
			}
			for c := uint32(1); c <= uint32(tt.n); c++ {
				if s.got[c] < 64<<10 {
					t.Errorf("connection %d got %d bytes, want it to go on", c, s.got[c])
				}
			}
		})
	}
}

// One who does not read, among others who do, slows these down for about 4 s when they are few, and
// not at all when they are many.
func TestFloodDoesNotWaitForOneForLong(t *testing.T) {
	never := map[uint32]time.Duration{1: time.Hour}
	few := flood(t, 3, never, 1000, 6*time.Second).got[2]
	many := flood(t, 20, never, 1000, 6*time.Second).got[2]
	free := flood(t, 20, nil, 1000, 6*time.Second).got[2]
	if many != free {
		t.Errorf("beside one of 20 who does not read others get %d bytes in 6 s, want %d as without", many, free)
	}
	if few < free/4 {
		t.Errorf("beside one of 3 who does not read others get %d bytes in 6 s of %d, want about a third", few, free)
	}
}

func times(n uint32, d time.Duration) map[uint32]time.Duration {
	all := map[uint32]time.Duration{}
	for c := uint32(1); c <= n; c++ {
		all[c] = d
	}
	return all
}
