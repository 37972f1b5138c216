package share

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// loads is a Load of several parts.
type loads []One

func (l loads) Parts() int { return len(l) }

func (l loads) Part(i int) (key uint32, amount int64) { return l[i].Key, l[i].Amount }

// A user may hold as much as is free: alone half of all, and never all.
func TestUserHoldsAsMuchAsIsFree(t *testing.T) {
	for users, want := range map[uint32]int64{1: 50, 2: 33, 4: 20, 9: 10} {
		p := New(100)
		for more := true; more; {
			more = false
			for u := range users {
				more = p.TryAcquire(One{u, 1}) || more
			}
		}
		for u := range users {
			if got := p.held[u]; got != want && got != want+1 {
				t.Errorf("of %d users that take what they get, number %d holds %d of 100, want %d", users, u, got, want)
			}
		}
		if !p.TryAcquire(One{users, 1}) {
			t.Errorf("beside %d users that take what they get, there is nothing for another", users)
		}
	}
}

func TestLoadOfAllIsTakenWhenNothingElseIs(t *testing.T) {
	p := New(100)
	for _, n := range []int64{100, 1000} {
		if !p.TryAcquire(One{1, n}) {
			t.Fatalf("%d of 100 are not taken when all is free", n)
		}
		if p.TryAcquire(One{2, 1}) {
			t.Errorf("there is something beside %d of 100", n)
		}
		p.Release(One{1, n})
		if got := p.Used(); got != 0 {
			t.Errorf("Used = %d after all was given back, want 0", got)
		}
	}
}

// acquire has a goroutine acquire l, and returns what is set when it has.
func acquire(t *testing.T, p *Pool, l Load) *atomic.Bool {
	done := new(atomic.Bool)
	go func() {
		if err := p.Acquire(t.Context(), l); err == nil {
			done.Store(true)
		}
	}()
	synctest.Wait()
	return done
}

func TestLoadsOfOneUserKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(100)
		p.TryAcquire(One{1, 40})
		large := acquire(t, p, One{1, 45})
		small := acquire(t, p, One{1, 1})
		if p.TryAcquire(One{1, 1}) || small.Load() {
			t.Error("a small load of a user overtakes its large one")
		}
		if !p.TryAcquire(loads{{2, 10}, {3, 10}}) {
			t.Error("loads of other users wait for it")
		}
		p.Release(loads{{2, 10}, {3, 10}})
		p.Release(One{1, 40})
		synctest.Wait()
		if !large.Load() || !small.Load() {
			t.Errorf("with all free: large %v, small %v, want both taken", large.Load(), small.Load())
		}
	})
}

// A load that needs more than the others leave gets it in the end: they do not take what comes
// back.
func TestLargeLoadOfNewUserDoesNotStarve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(100)
		for u := range uint32(9) {
			for range 10 {
				p.TryAcquire(One{u, 1}) // each holds 10, and 10 are left
			}
		}
		large := acquire(t, p, One{20, 30})
		for u := range uint32(9) { // each gives some back, and asks for it again
			for range 3 {
				p.Release(One{u, 1})
				acquire(t, p, One{u, 1})
			}
			if !p.TryAcquire(One{30, 1}) && !large.Load() {
				t.Fatal("a user that holds nothing waits as well")
			}
			p.Release(One{30, 1})
		}
		if !large.Load() {
			t.Error("a large load waits although its amount came back")
		}
	})
}

func TestAcquireEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(100)
		p.TryAcquire(One{1, 50})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ended := make(chan error)
		go func() { ended <- p.Acquire(ctx, One{1, 60}) }()
		synctest.Wait()
		next := acquire(t, p, loads{{2, 1}, {1, 0}}) // fits, but for the one before it
		if next.Load() {
			t.Fatal("a load overtakes another of the same user")
		}
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Acquire = %v, want %v", err, context.DeadlineExceeded)
		}
		synctest.Wait()
		if !next.Load() {
			t.Error("a load goes on waiting for one that has given up")
		}
		p.Release(loads{{2, 1}, {1, 0}})
		p.Release(One{1, 50})
		checkUnused(t, p)
	})
}

func checkUnused(t *testing.T, p *Pool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used != 0 || p.owed != 0 || len(p.waiters) != 0 {
		t.Errorf("used %d, owed %d, %d waiters, want none", p.used, p.owed, len(p.waiters))
	}
	for k := range p.held {
		if p.held[k] != 0 || p.behind[k] != 0 {
			t.Errorf("user %d holds %d and has %d waiters, want none", k, p.held[k], p.behind[k])
		}
	}
}

// Whatever comes, nobody waits for ever and all is given back.
func TestEveryLoadIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const users, most = 40, 1000
		p := New(most)
		var over atomic.Int32
		for u := range users {
			r := rand.New(rand.NewPCG(1, uint64(u)))
			go func() {
				for range 200 {
					var l loads
					for range 1 + r.IntN(4) {
						l = append(l, One{r.Uint32N(users), 1 + r.Int64N(most/10)})
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					if r.IntN(4) == 0 {
						cancel()
					}
					err := p.Acquire(ctx, l)
					cancel()
					if errors.Is(err, context.DeadlineExceeded) {
						t.Error("a load waited for an hour")
						return
					}
					if err != nil {
						continue
					}
					if p.Used() > most {
						over.Add(1)
					}
					time.Sleep(time.Duration(r.IntN(1000)) * time.Microsecond)
					p.Release(l)
				}
			}()
		}
		synctest.Wait()
		time.Sleep(24 * time.Hour)
		if n := over.Load(); n > 0 {
			t.Errorf("more than all was taken %d times", n)
		}
		checkUnused(t, p)
	})
}

func TestFreePoolDoesNotAllocate(t *testing.T) {
	p := New(1 << 20)
	var l Load = &loads{{1, 10}, {2, 10}, {1, 10}}
	if n := testing.AllocsPerRun(100, func() {
		p.Acquire(context.Background(), l) //nolint:errcheck // never ends
		p.Release(l)
	}); n != 0 {
		t.Errorf("Acquire and Release allocate %v times, want 0", n)
	}
}

func BenchmarkPool(b *testing.B) {
	p := New(1 << 20)
	var l Load = &loads{{1, 10}, {2, 10}, {1, 10}}
	b.ReportAllocs()
	for b.Loop() {
		p.Acquire(context.Background(), l) //nolint:errcheck // never ends
		p.Release(l)
	}
}
