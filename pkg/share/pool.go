// Package share divides an amount, bytes or places, among users that compete for it. A user that
// asks for more than can be handed back in time is made to wait; the others go on.
//
// The rule is that of dynamic thresholds, known from the buffers of switches: a user may hold as
// much as is free. One user that takes all it can get holds half of the amount, two of them hold a
// third each, and what is free is for those who hold little. Without competition nobody waits, and
// nothing is set aside for users who are not there.
package share

import (
	"context"
	"slices"
	"sync"
)

// keys is how many users a Pool tells apart. Users whose keys are equal modulo keys share one part.
const keys = 1 << 12

// Same reports whether two keys are of one user for a Pool.
func Same(a, b uint32) bool { return a%keys == b%keys }

// Load is what is asked for at once: parts of the amount, each for a user. It must not change as
// long as the Pool has it.
type Load interface {
	Parts() int
	// Part returns the key of a user, best a hash of its name, and how much is for it.
	Part(i int) (key uint32, amount int64)
}

// One is a Load of one part.
type One struct {
	Key    uint32
	Amount int64
}

// Parts returns 1.
func (o One) Parts() int { return 1 }

// Part returns the part.
func (o One) Part(int) (key uint32, amount int64) { return o.Key, o.Amount }

// Pool is an amount that is shared. It is safe for all goroutines.
type Pool struct {
	most int64

	mu      sync.Mutex
	used    int64
	held    [keys]int64 // by each user
	waiters []*waiter   // in the order in which they came
	behind  [keys]int32 // waiters of each user, which are next
	owed    int64       // what those wait for whose users hold nothing: too much else is used
}

// waiter is a Load that does not fit.
type waiter struct {
	load  Load
	total int64
	why   refusal
	taken bool
	ready chan struct{} // closed when taken is set
}

// refusal says why a Load does not fit.
type refusal struct {
	fits  bool
	fresh bool // the users hold nothing, but there is not enough left
	key   uint32
}

// New returns a Pool of the amount most.
func New(most int64) *Pool { return &Pool{most: most} }

// Acquire waits until the load fits, and takes it. The Loads of one user are taken in the order in
// which they came. When ctx ends first it returns the error of ctx and has taken nothing. A load
// that is larger than the whole amount is taken when nothing else is.
func (p *Pool) Acquire(ctx context.Context, load Load) error {
	p.mu.Lock()
	why := p.take(load)
	if why.fits {
		p.mu.Unlock()
		return nil
	}
	w := &waiter{load: load, total: total(load), ready: make(chan struct{})}
	p.waiters = append(p.waiters, w)
	p.note(w, why)
	p.mu.Unlock()

	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.taken {
		p.put(load)
	} else {
		p.forget(w)
		i := slices.Index(p.waiters, w)
		p.waiters = slices.Delete(p.waiters, i, i+1)
	}
	p.serve() // others may have waited behind it
	return ctx.Err()
}

// TryAcquire takes the load if it fits now and no Load of its users waits.
func (p *Pool) TryAcquire(load Load) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.take(load).fits
}

// Release gives back what was taken.
func (p *Pool) Release(load Load) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(load)
	p.serve()
}

// Used returns how much is taken.
func (p *Pool) Used() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// take takes the load if it fits and no load of its users waits. p.mu is held.
func (p *Pool) take(load Load) refusal {
	free := p.most - p.used
	limit, sum := free, int64(0)
	for i := range load.Parts() {
		key, n := load.Part(i)
		key %= keys
		if p.owed > 0 && p.held[key] > 0 {
			limit = free - p.owed
		}
		p.held[key] += n
		sum += n
		if p.behind[key] > 0 || max(p.held[key], sum) > limit && p.used > 0 {
			for j := range i + 1 {
				k, m := load.Part(j)
				p.held[k%keys] -= m
			}
			return refusal{fresh: p.fresh(load), key: key}
		}
	}
	p.used += sum
	return refusal{fits: true}
}

// fresh reports whether no user of the load holds anything.
func (p *Pool) fresh(load Load) bool {
	for i := range load.Parts() {
		if key, _ := load.Part(i); p.held[key%keys] > 0 || p.behind[key%keys] > 0 {
			return false
		}
	}
	return true
}

// put gives the load back. p.mu is held.
func (p *Pool) put(load Load) {
	for i := range load.Parts() {
		key, n := load.Part(i)
		p.held[key%keys] -= n
		p.used -= n
	}
}

// note writes down why w waits, and forget strikes that out.
func (p *Pool) note(w *waiter, why refusal) {
	w.why = why
	if why.fresh {
		p.owed += w.total
	}
	p.behind[why.key]++
}

func (p *Pool) forget(w *waiter) {
	if w.why.fresh {
		p.owed -= w.total
	}
	p.behind[w.why.key]--
}

// serve takes the waiters' loads that fit now. p.mu is held.
func (p *Pool) serve() {
	if len(p.waiters) == 0 {
		return
	}
	waiters := p.waiters
	p.waiters = p.waiters[:0]
	for _, w := range waiters { // what stands behind w is noted as if it had come after it
		p.forget(w)
	}
	for _, w := range waiters {
		why := p.take(w.load)
		if why.fits {
			w.taken = true
			close(w.ready)
			continue
		}
		p.note(w, why)
		p.waiters = append(p.waiters, w)
	}
	clear(waiters[len(p.waiters):])
}

func total(load Load) (sum int64) {
	for i := range load.Parts() {
		_, n := load.Part(i)
		sum += n
	}
	return sum
}
