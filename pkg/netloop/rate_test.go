package netloop

import (
	"fmt"
	"net"
	"testing"
	"time"

	"holdfast/pkg/stats"
)

// Nobody for a while, then more than may come: a burst, and from then on the rate.
func TestRateSchedule(t *testing.T) {
	for _, tt := range []struct{ perSecond, burst int }{{1, 1}, {9, 1}, {20, 2}, {100, 10}, {1000, 100}, {100_000, 10_000}} {
		r, now := NewRate(tt.perSecond), time.Now()
		begin, n := now, 0
		accept := func() {
			for r.ready(now) {
				r.spend(now)
				n++
			}
		}
		accept()
		if n != tt.burst {
			t.Errorf("%d a second: %d accepted at once, want %d", tt.perSecond, n, tt.burst)
		}
		// A loop that comes once in a tick, and not on time.
		for i := range 10 * time.Second / tickLength {
			now = begin.Add((i+1)*tickLength + tickLength*(i%3)/4)
			accept()
		}
		if want := tt.burst + 10*tt.perSecond; n < want-tt.burst-1 || n > want+tt.burst {
			t.Errorf("%d a second: %d accepted in 10 s, want %d", tt.perSecond, n, want)
		}
		now = now.Add(time.Hour)
		n = 0
		if accept(); n != tt.burst {
			t.Errorf("%d a second: %d accepted at once after an hour, want %d", tt.perSecond, n, tt.burst)
		}
	}
	for _, perSecond := range []int{0, -1} {
		if r := NewRate(perSecond); r != nil {
			t.Errorf("NewRate(%d) = %v, want nil", perSecond, r)
		}
	}
}

// Loops that always have clients waiting, and whose timers are late by different times, get on alike, and together they use
// what the rate allows.
func TestRateIsSharedByAllLoops(t *testing.T) {
	for _, perSecond := range []int{1, 7, 100, 1000, 100_000} {
		for _, loops := range []int{1, 2, 3, 16} {
			const length = 60 * time.Second
			r, begin := NewRate(perSecond), time.Now()
			type loop struct{ booked, accepted int }
			all, wakeAt := make([]loop, loops), make([]time.Time, loops)
			for i := range all {
				r.join(1)
				wakeAt[i] = begin.Add(time.Duration(i) * time.Millisecond)
			}
			total := 0
			for {
				i, l := 0, &all[0] // the loop whose timer is the next
				for k := range all {
					if wakeAt[k].Before(wakeAt[i]) {
						i, l = k, &all[k]
					}
				}
				now := wakeAt[i]
				if now.Sub(begin) > length {
					break
				}
				l.accepted, total, l.booked = l.accepted+l.booked, total+l.booked, 0
				for r.ready(now) {
					r.spend(now)
					l.accepted++
					total++
				}
				n, at := r.book(now)
				if !at.After(now) {
					t.Fatalf("%d a second: places are booked that are ready", perSecond)
				}
				l.booked, wakeAt[i] = n, at.Add(time.Duration(i)*100*time.Microsecond)
			}
			want := int(length.Seconds()) * perSecond
			if total < want*98/100-1 || total > want+want/100+perSecond/10+1 {
				t.Errorf("%d a second: %d loops accepted %d in %v, want %d", perSecond, loops, total, length, want)
			}
			for i, l := range all {
				if fair := total / loops; l.accepted < fair*9/10-1 || l.accepted > fair*11/10+perSecond/10+2 { // the first has the burst
					t.Errorf("%d a second: loop %d of %d accepted %d of %d", perSecond, i, loops, l.accepted, total)
				}
			}
		}
	}
}

func TestRateGivesBack(t *testing.T) {
	r, now := NewRate(100), time.Now()
	for r.ready(now) {
		r.spend(now)
	}
	n, _ := r.book(now)
	if n != 5 {
		t.Fatalf("book = %d places, want those of a tick, 5", n)
	}
	if now = now.Add(tickLength); r.ready(now) {
		t.Error("a place is ready that is booked")
	}
	r.giveBack(n)
	for i := range n {
		if !r.ready(now) {
			t.Fatalf("%d places are ready of %d that were given back", i, n)
		}
		r.spend(now)
	}
	if r.ready(now) {
		t.Errorf("more than %d places are ready", n)
	}
}

// dialMany connects n clients, which the kernel does without the loop.
func dialMany(t *testing.T, addr string, n int) (conns []*net.TCPConn) {
	t.Helper()
	for range n {
		conns = append(conns, dial(t, addr))
	}
	return conns
}

func accepted(r *recorder) int { return int(r.loop.stats.Accepted.Load()) }

// Above the rate clients wait in the queue: none is refused, none is lost, and the loop sleeps meanwhile.
func TestAcceptRate(t *testing.T) {
	t.Parallel()
	const perSecond, clients = 100, 60
	r, addr := startLoop(t, func(cfg *Config, _ *recorder) { cfg.Rate = NewRate(perSecond) })
	begin := time.Now()
	conns := dialMany(t, addr, clients)
	eventually(t, "all are accepted", func() bool {
		n, most := accepted(r), 0
		if most = perSecond/10 + 5 + 1 + int(time.Since(begin).Seconds()*perSecond); n > most { // the burst, and a block booked
			t.Errorf("%d accepted %v after the beginning, want at most %d", n, time.Since(begin), most)
		}
		return n == clients
	})
	if n := r.loop.stats.Batches.Load(); n > 3*clients {
		t.Errorf("%d batches for %d clients over %v, want hardly more than the clients", n, clients, time.Since(begin))
	}
	if n := r.loop.stats.Closed[stats.CloseOverload].Load(); n != 0 {
		t.Errorf("%d are counted as refused, want none", n)
	}
	write(t, conns[clients-1], "hello")
	c := r.connection(t, clients-1)
	eventually(t, "the last one is heard", func() bool { return r.bytes(c) == "hello" })
}

// Of two loops that both have clients waiting each gets about half of what the rate allows.
func TestAcceptRateStarvesNoLoop(t *testing.T) {
	t.Parallel()
	for _, perSecond := range []int{40, 200} {
		t.Run(fmt.Sprint(perSecond), func(t *testing.T) {
			t.Parallel()
			rate := NewRate(perSecond)
			share := func(cfg *Config, _ *recorder) { cfg.Rate = rate }
			a, addrA := startLoop(t, share)
			b, addrB := startLoop(t, share)
			blocked := make(chan struct{})
			a.loop.Post(func() { <-blocked })
			b.loop.Post(func() { <-blocked })
			dialMany(t, addrA, 60)
			dialMany(t, addrB, 60)
			close(blocked)
			eventually(t, "one loop has accepted 50", func() bool { return max(accepted(a), accepted(b)) >= 50 })
			if na, nb := accepted(a), accepted(b); min(na, nb) < 20 { // the burst may be one loop's
				t.Errorf("the loops accepted %d and %d, want about as many", na, nb)
			}
		})
	}
}

// Of two listeners of a loop that both have clients waiting each gets about half, too.
func TestAcceptRateStarvesNoListener(t *testing.T) {
	t.Parallel()
	r, addr := startLoop(t, func(cfg *Config, _ *recorder) { cfg.Rate = NewRate(100) })
	other := listen(t, r.loop)
	blocked := make(chan struct{})
	r.loop.Post(func() { <-blocked })
	dialMany(t, addr, 40)
	dialMany(t, other, 40)
	close(blocked)
	byPort := map[uint16]int{}
	eventually(t, "40 are accepted", func() bool {
		clear(byPort)
		r.call(func() {
			for c := range r.loop.slots.All() {
				byPort[r.loop.Local(c).Port()]++
			}
		})
		return accepted(r) >= 40
	})
	for port, n := range byPort {
		if len(byPort) != 2 || n < 10 { // the burst of 10 may be one listener's
			t.Errorf("%d clients came by port %d, want about half of %v", n, port, byPort)
		}
	}
}

// Who waits when pushd stops is accepted, whatever the rate: closing the listener would reset the connection.
func TestStopListeningTakesThoseAboveTheRate(t *testing.T) {
	t.Parallel()
	const clients = 20
	r, addr := startLoop(t, func(cfg *Config, _ *recorder) { cfg.Rate = NewRate(1) })
	conns := dialMany(t, addr, clients)
	r.connection(t, 0)
	r.loop.StopListening()
	if n := accepted(r); n != clients {
		t.Errorf("%d are accepted, want %d", n, clients)
	}
	write(t, conns[clients-1], "hello")
	c := r.connection(t, clients-1)
	eventually(t, "the last one is heard", func() bool { return r.bytes(c) == "hello" })
}

// Places that were booked and not needed come back.
func TestUnneededPlacesAreGivenBack(t *testing.T) {
	t.Parallel()
	rate := NewRate(200)
	r, addr := startLoop(t, func(cfg *Config, _ *recorder) { cfg.Rate = rate })
	r.call(func() {
		for rate.ready(time.Now()) {
			rate.spend(time.Now())
		}
	})
	dialMany(t, addr, 1)
	r.connection(t, 0)
	eventually(t, "nothing is booked", func() (ok bool) {
		r.call(func() { ok = r.loop.booked == 0 })
		return ok
	})
	if due := time.Until(rate.next); due > rate.ahead {
		t.Errorf("the next is due in %v, want %v at most", due, rate.ahead)
	}
}
