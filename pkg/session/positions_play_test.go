package session

import (
	"holdfast/pkg/hub"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
)

func (p *positions) run(steps int) {
	p.rules = []hub.HistoryRule{
		{Pattern: "a", Items: 1 + p.rnd.IntN(4)},
		{Pattern: "b", Items: 1 + p.rnd.IntN(80), TTL: modelTTL},
	}
	if p.ample {
		p.rules = []hub.HistoryRule{{Pattern: "a", Items: 10_000}, {Pattern: "b", Items: 10_000}}
	}
	p.start()
	for i := range modelKinds {
		for _, channels := range [][]string{{"a"}, {"a", "b"}, {"b"}, {"b", "c", "a"}} {
			p.clients = append(
				p.clients,
				&modelClient{
					kind:     &modelKinds[i],
					channels: channels,
					seen:     map[int]bool{},
					owed:     map[int]bool{},
				},
			)
		}
	}
	for range steps {
		p.step()
	}
	p.settle()
	p.check()
	p.converge()
}

// positionSeeds is the number of histories that the model plays: HOLDFAST_POSITIONS, or enough for
// each run of the tests.
func positionSeeds(t *testing.T) int {
	text := os.Getenv("HOLDFAST_POSITIONS")
	if text == "" {
		return 2000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("HOLDFAST_POSITIONS is %q: a number is wanted", text)
	}
	return n
}

func TestPositions(t *testing.T) {
	const shards = 8
	seeds := positionSeeds(t)
	for shard := range shards {
		t.Run(strconv.Itoa(shard), func(t *testing.T) {
			t.Parallel()
			told := 0
			for seed := shard; seed < seeds; seed += shards {
				synctest.Test(t, func(t *testing.T) {
					p := &positions{
						t:      t,
						rnd:    rand.New(rand.NewPCG(uint64(seed), 9)),
						ample:  seed%2 > 0,
						unique: seed/2%2 > 0,
					}
					t.Cleanup(func() {
						if t.Failed() {
							t.Logf("seed %d, ample %v, unique %v", seed, p.ample, p.unique)
						}
					})
					p.run(250)
					told += p.told
				})
			}
			if told == 0 {
				t.Error("no gap in any history: the model tells nothing")
			}
		})
	}
}

// A connection is cut at each byte of what it was sent, at its beginning and after later items: the
// client then misses nothing.
func TestPositionsAtEveryByte(t *testing.T) {
	for _, kind := range modelKinds {
		for _, channels := range [][]string{{"a"}, {"a", "b"}} {
			for _, begin := range []string{
				"", "&last=2", "&last-id=k3", "&last-id=unknown", "&last-id=ü2",
			} {
				for cut := 0; ; cut++ {
					p := &positions{t: t, rnd: rand.New(rand.NewPCG(1, 2))}
					p.rules = []hub.HistoryRule{{Pattern: "*", Items: 5}}
					p.start()
					for i := range 8 {
						p.give("ab"[i%2:i%2+1], []string{"k", "", "ü", "same"}[i%4])
					}
					p.deliver(p.loops[0], 8)
					c := &modelClient{
						kind:     &kind,
						channels: channels,
						seen:     map[int]bool{},
						owed:     map[int]bool{},
					}
					p.clients = append(p.clients, c)
					p.open(c, begin)
					for i := range 3 {
						p.give("ab"[i%2:i%2+1], []string{"same", "k"}[i%2])
						p.settleLoops()
					}
					size := c.conn.out.Len()
					p.take(c, min(cut, size))
					p.loops[c.loop].clients.Gone(c.id)
					c.conn.over, c.conn = true, nil
					p.connect(c)
					p.converge()
					if cut >= size {
						break
					}
				}
			}
		}
	}
}

// Several channels' items that were published together come channel by channel. Cut at any byte of
// that, a client misses nothing of any channel, whatever their ids are.
func TestPositionsOfSeveralChannelsLive(t *testing.T) {
	for _, kind := range modelKinds {
		for _, id := range []string{"", "k", "ü", "same", " s"} {
			for cut := 0; ; cut++ {
				p := &positions{t: t, rnd: rand.New(rand.NewPCG(1, 2)), ample: true}
				p.rules = []hub.HistoryRule{{Pattern: "*", Items: 50}}
				p.start()
				c := &modelClient{
					kind: &kind, channels: []string{"a", "b"},
					seen: map[int]bool{}, owed: map[int]bool{},
				}
				p.clients = append(p.clients, c)
				p.open(c, "")
				for _, channel := range []string{"a", "b", "a", "b"} {
					p.give(channel, id)
				}
				p.settleLoops()
				size := c.conn.out.Len()
				p.take(c, min(cut, size))
				p.loops[c.loop].clients.Gone(c.id)
				c.conn.over, c.conn = true, nil
				p.connect(c)
				p.converge()
				if cut >= size {
					break
				}
			}
		}
	}
}
