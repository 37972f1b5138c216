package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

// roamer is a client of one channel that goes from loop to loop.
type roamer struct {
	conn, subs uint32
	got        []string // "id=content" of each item
}

// roamLoop is a loop with a goroutine of its own, one connection that stays, and roamers that come and go.
type roamLoop struct {
	liveLoop
	stay  []string
	here  map[uint32]*roamer
	roads chan *roamer // those that are nowhere
	gaps  int
}

func identified(dst []byte, it *publish.Item) ([]byte, Effect) {
	return fmt.Appendf(dst, "%s=%s ", it.ID, it.Stream.Content), Deliver
}

func (l *roamLoop) Deliver(_ uint64, conns []uint32, b []byte, _ int) (handed, behind int) {
	somebody(conns)
	for _, c := range conns {
		items := strings.Fields(string(b))
		if r := l.here[c]; r != nil {
			r.got = append(r.got, items...)
		} else {
			l.stay = append(l.stay, items...)
		}
	}
	return len(conns), 0
}

// arrive has a roamer go on where it was.
func (l *roamLoop) arrive(r *roamer) {
	l.nextID++
	r.conn = l.nextID
	l.here[r.conn] = r
	var from From
	if n := len(r.got); n > 0 {
		id, _, _ := strings.Cut(r.got[n-1], "=")
		from.LastID = []byte(id)
	}
	encoder := uint8(l.rnd.IntN(2))
	back, _ := l.members.Resume(r.conn, [][]byte{[]byte("a")}, encoder, encoder, from, nil)
	r.subs = back.Subs
	for _, it := range back.Items {
		b, _ := identified(nil, it)
		r.got = append(r.got, strings.TrimSpace(string(b)))
	}
	if back.Gap {
		l.gaps++
	}
}

func (l *roamLoop) depart(r *roamer) {
	delete(l.here, r.conn)
	l.members.Leave(r.subs)
}

func (l *roamLoop) run(stop <-chan struct{}) {
	for {
		select {
		case <-l.wake:
		case <-stop:
			return
		}
		for more := true; more; {
			l.mu.Lock()
			posted := l.posted
			l.posted = nil
			l.mu.Unlock()
			for _, d := range posted {
				l.members.Add(d)
			}
			for _, r := range l.here {
				if len(r.got) > 0 && l.rnd.IntN(4) == 0 {
					l.depart(r)
					l.roads <- r
				}
			}
			select {
			case r := <-l.roads:
				l.arrive(r)
			default:
			}
			more, _ = l.members.Step(time.Time{})
		}
	}
}

// Several publishers, loops and roamers at once: each roamer ends with exactly what those have who stayed.
func TestRoamersMissNothing(t *testing.T) {
	const loops, publishers, batches, roamers = 3, 3, 400, 8
	dir := NewDirectory(64 << 10)
	dir.KeepHistory(HistoryOptions{Rules: []HistoryRule{{Pattern: "*", Items: 100_000, TTL: time.Hour}}, Memory: plenty})
	roads := make(chan *roamer, roamers)
	var all []*roamLoop
	var posts []Loop
	for i := range loops {
		l := &roamLoop{here: map[uint32]*roamer{}, roads: roads}
		l.wake, l.rnd, l.nextID = make(chan struct{}, 1), rand.New(rand.NewPCG(uint64(i), 7)), 1
		l.members = NewMembers(dir, i, []Encoder{identified, identified}, l, new(stats.Loop))
		all, posts = append(all, l), append(posts, l)
	}
	dir.SetLoops(posts)
	stays := make([]uint32, loops)
	var everybody []*roamer
	for i, l := range all {
		stays[i] = join(l.members, 1, []byte("a"), 0, 0)
	}
	for i := range roamers {
		everybody = append(everybody, &roamer{})
		all[i%loops].arrive(everybody[i])
	}
	stop := make(chan struct{})
	var running, undone, publishing sync.WaitGroup
	for _, l := range all {
		running.Go(func() { l.run(stop) })
	}
	running.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				dir.Expire(time.Now())
				dir.History()
			}
		}
	})
	for p := range publishers {
		publishing.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(p), 8))
			for i := range batches {
				b := &Batch{Deliveries: make([]Delivery, 1+rnd.IntN(4)), Done: func(*Batch) { undone.Done() }}
				for j := range b.Deliveries {
					name := "a"
					if rnd.IntN(4) == 0 {
						name = "nobody's"
					}
					b.Deliveries[j].Item = stream(name, fmt.Sprintf("%d.%d.%d", p, i, j))
				}
				undone.Add(1)
				if err := dir.Publish(context.Background(), b); err != nil {
					t.Errorf("Publish: %v", err)
				}
			}
		})
	}
	publishing.Wait()
	undone.Wait()
	close(stop)
	running.Wait()

	for i, l := range all {
		for _, r := range l.here {
			l.depart(r)
		}
		l.members.Leave(stays[i])
		if l.gaps > 0 {
			t.Errorf("%d returns to loop %d with a gap, want none: all is kept", l.gaps, i)
		}
	}
	members := []*Members{all[0].members, all[1].members, all[2].members}
	for i, r := range everybody {
		all[0].arrive(r) // for the last of it
		all[0].depart(r)
		if !slices.Equal(r.got, all[0].stay) {
			t.Errorf("roamer %d has %d items, want the %d of those who stayed, in their order", i, len(r.got), len(all[0].stay))
		}
	}
	if err := dir.history.check(); err != nil {
		t.Error(err)
	}
	checkEmpty(t, dir, members...)
}
