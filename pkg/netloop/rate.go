package netloop

import (
	"sync"
	"sync/atomic"
	"time"
)

// burst is the time whose connections may be accepted at once after nobody has come for a while.
const burst = 100 * time.Millisecond

// Rate bounds the connections that all loops of a daemon accept in a second. Those above it wait in the queues of the
// listeners. It is safe for all goroutines.
//
// It keeps an even schedule (the generic cell rate algorithm): each accepted connection moves the time at which the next is
// due by one interval, and a loop may be ahead of that time by the burst. A loop that finds nothing due books the next few
// places of the schedule and waits for them, behind those that other loops have booked: so all loops get on, however their
// timers lie.
type Rate struct {
	interval time.Duration // between two connections
	ahead    time.Duration // by which a connection may be early
	block    int           // places booked at once by all loops together
	loops    atomic.Int64

	mu   sync.Mutex
	next time.Time // when the next connection is due
}

// NewRate returns a Rate of perSecond connections, or nil, which bounds nothing, for 0.
func NewRate(perSecond int) *Rate {
	if perSecond <= 0 {
		return nil
	}
	interval := max(time.Second/time.Duration(perSecond), 1)
	return &Rate{
		interval: interval,
		ahead:    max(burst-interval, tickLength), // a late timer costs no place, however low the rate
		block:    int(tickLength / interval),
	}
}

// join counts a loop in, or out with -1.
func (r *Rate) join(n int64) {
	if r != nil {
		r.loops.Add(n)
	}
}

// ready reports whether a connection may be accepted now.
func (r *Rate) ready(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next.Sub(now) <= r.ahead
}

// spend notes an accepted connection. Two loops may both have found the last place ready: the schedule then goes on later.
func (r *Rate) spend(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.take(now, 1)
}

// take moves the schedule on by n places.
func (r *Rate) take(now time.Time, n int) {
	if r.next.Before(now) {
		r.next = now
	}
	r.next = r.next.Add(time.Duration(n) * r.interval)
}

// book takes the next places of the schedule, a loop's share of those of one tick, and returns how many they are and when
// the last of them is ready.
func (r *Rate) book(now time.Time) (n int, at time.Time) {
	n = max(1, r.block/int(max(1, r.loops.Load())))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.take(now, n)
	return n, r.next.Add(-r.interval - r.ahead)
}

// giveBack undoes the booking of n places.
func (r *Rate) giveBack(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = r.next.Add(-time.Duration(n) * r.interval)
}
