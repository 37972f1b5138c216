package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/pkg/stats"
)

// liveLoop is a loop with a goroutine of its own. One connection stays for each channel; others come and go.
type liveLoop struct {
	mu     sync.Mutex
	posted []*Delivery
	wake   chan struct{}

	members *Members
	rnd     *rand.Rand
	stays   map[uint32]string   // channel of each connection that stays
	got     map[string][]string // by channel: what its staying connection got
	guests  map[uint32]uint32   // connection to first subscription
	nextID  uint32
}

func (l *liveLoop) Post(d *Delivery) {
	l.mu.Lock()
	l.posted = append(l.posted, d)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *liveLoop) Deliver(_ uint64, conns []uint32, b []byte, _ int) (handed, behind int) {
	somebody(conns)
	for _, c := range conns {
		if name, ok := l.stays[c]; ok {
			l.got[name] = append(l.got[name], strings.Fields(string(b))...)
		} else if l.rnd.IntN(4) == 0 {
			l.leave(c)
		}
	}
	return len(conns), 0
}

func (l *liveLoop) DeliverEach([]uint32, []*Delivery, []int) int {
	panic("every kind has an encoder")
}

func (l *liveLoop) End([]uint32) {}

func (l *liveLoop) leave(c uint32) {
	if subs, ok := l.guests[c]; ok {
		delete(l.guests, c)
		l.members.Leave(subs)
	}
}

// run serves the mailbox until stop is closed, with guests joining and leaving between the steps.
func (l *liveLoop) run(channels []string, stop <-chan struct{}) {
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
			for range l.rnd.IntN(3) {
				l.nextID++
				name := []byte(channels[l.rnd.IntN(len(channels))])
				l.guests[l.nextID] = join(l.members, l.nextID, name, uint8(l.rnd.IntN(2)), 0)
			}
			more, _ = l.members.Step(time.Time{})
		}
	}
}

// Several publishers and several loops: every loop sees the items of a channel in one and the same order.
func TestOneOrderOverAllLoops(t *testing.T) {
	const loops, publishers, batches = 3, 4, 300
	channels := []string{"a", "b", "c"}
	dir := NewDirectory(64 << 10) // small enough that publishers wait
	var all []*liveLoop
	var posts []Loop
	for i := range loops {
		l := &liveLoop{
			wake: make(chan struct{}, 1), rnd: rand.New(rand.NewPCG(uint64(i), 2)),
			stays: map[uint32]string{}, got: map[string][]string{}, guests: map[uint32]uint32{}, nextID: 1000,
		}
		l.members = NewMembers(dir, i, []Encoder{plain, plain}, l, new(stats.Loop))
		all, posts = append(all, l), append(posts, l)
	}
	dir.SetLoops(posts)
	for _, l := range all {
		for i, name := range channels {
			l.stays[uint32(i+1)] = name
			join(l.members, uint32(i+1), []byte(name), 0, 0)
		}
	}
	stop := make(chan struct{})
	var running, undone, publishing sync.WaitGroup
	for _, l := range all {
		running.Go(func() { l.run(channels, stop) })
	}
	for p := range publishers {
		publishing.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(p), 3))
			for i := range batches {
				b := &Batch{Deliveries: make([]Delivery, 1+rnd.IntN(4)), Done: func(*Batch) { undone.Done() }}
				for j := range b.Deliveries {
					b.Deliveries[j].Item = stream(channels[rnd.IntN(len(channels))], fmt.Sprintf("%d.%d.%d ", p, i, j))
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

	total := 0
	for _, name := range channels {
		total += len(all[0].got[name])
		for i, l := range all[1:] {
			if !slices.Equal(l.got[name], all[0].got[name]) {
				t.Errorf("loops 0 and %d saw the %d and %d items of channel %s in different order",
					i+1, len(all[0].got[name]), len(l.got[name]), name)
			}
		}
		checkPublisherOrder(t, all[0].got[name])
	}
	if uint64(total) != dir.Published() {
		t.Errorf("the connections that stay got %d items, want the %d published", total, dir.Published())
	}
	var members []*Members
	for _, l := range all {
		for c := range l.guests {
			l.leave(c)
		}
		for i := range channels {
			// The first subscriptions of an empty slab are numbered from 1, one for each that stays.
			l.members.Leave(uint32(i + 1))
		}
		members = append(members, l.members)
	}
	checkEmpty(t, dir, members...)
}

// checkPublisherOrder fails when the items of one publisher are not in the order in which it published them.
func checkPublisherOrder(t *testing.T, items []string) {
	t.Helper()
	last := map[string]int{}
	for _, it := range items {
		part := strings.Split(it, ".")
		batch, _ := strconv.Atoi(part[1])
		place, _ := strconv.Atoi(part[2])
		if n := batch*10 + place + 1; n <= last[part[0]] {
			t.Errorf("item %s comes after a later one of its publisher", it)
		} else {
			last[part[0]] = n
		}
	}
}
