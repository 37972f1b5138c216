package netloop

import (
	"net"
	"slices"
	"sync"
	"testing"

	"holdfast/pkg/stats"
)

// watching is a recorder that is a Watcher, too.
type watching struct {
	*recorder
	told sync.Mutex
	ends []stats.CloseReason
	left []uint32
	over []string
	from []string // addresses at the ends
}

func (w *watching) Closing(c uint32, why stats.CloseReason) {
	w.told.Lock()
	defer w.told.Unlock()
	w.ends = append(w.ends, why)
	w.from = append(w.from, w.loop.Peer(c).String())
}

func (w *watching) LeftOut(c uint32) {
	w.told.Lock()
	defer w.told.Unlock()
	w.left = append(w.left, c)
}

func (w *watching) Overload(what string) {
	w.told.Lock()
	defer w.told.Unlock()
	w.over = append(w.over, what)
}

// startWatching is startLoop with a Watcher.
func startWatching(t *testing.T, change func(*Config)) (*watching, string) {
	t.Helper()
	w := &watching{}
	r, _ := startLoop(t, func(cfg *Config, r *recorder) {
		if change != nil {
			change(cfg)
		}
		w.recorder = r
	})
	r.call(func() { r.loop.watcher = w })
	return w, listen(t, r.loop)
}

func TestWatcherIsToldOfEachEndOnce(t *testing.T) {
	w, addr := startWatching(t, nil)
	var from []string
	for i, end := range []func(c uint32, conn *net.TCPConn){
		func(_ uint32, conn *net.TCPConn) { conn.Close() },
		func(c uint32, _ *net.TCPConn) { w.call(func() { w.loop.Close(c, stats.CloseSlow) }) },
		func(c uint32, conn *net.TCPConn) {
			w.call(func() { w.loop.Finish(c, stats.CloseDone); w.loop.Finish(c, stats.CloseDone) })
			conn.Close()
		},
	} {
		conn := dial(t, addr)
		from = append(from, conn.LocalAddr().String())
		end(w.connection(t, i), conn)
		eventually(t, "it is gone", func() bool { return w.loop.cfg.Limit.Connections() == 0 })
	}
	w.told.Lock()
	defer w.told.Unlock()
	if want := []stats.CloseReason{stats.CloseClient, stats.CloseSlow, stats.CloseDone}; !slices.Equal(w.ends, want) || !slices.Equal(w.from, from) {
		t.Errorf("ends %v from %v, want %v from %v", w.ends, w.from, want, from)
	}
}

func TestWatcherIsToldWhoIsLeftOut(t *testing.T) {
	w, addr := startWatching(t, func(cfg *Config) { cfg.Drop, cfg.MaxQueued = true, 1<<20 })
	dialSlow(t, addr)
	c := w.connection(t, 0)
	var leftOut, queued, cost int
	w.call(func() {
		w.stuff(c)
		for i := range uint64(200) {
			_, _, n := w.loop.SendShared(i+1, []uint32{c}, []byte(pattern(i, 16<<10)))
			leftOut += n
		}
		queued, cost = w.loop.Queued(c), w.queued(c)
	})
	if leftOut == 0 || len(w.left) != leftOut || w.left[0] != c {
		t.Errorf("told of %d, left out %d times", len(w.left), leftOut)
	}
	if queued != cost || queued == 0 {
		t.Errorf("Queued = %d, want %d", queued, cost)
	}
}

func TestWatcherIsToldOfOverload(t *testing.T) {
	w, addr := startWatching(t, func(cfg *Config) { cfg.Limit = NewLimit(1) })
	dial(t, addr)
	w.connection(t, 0)
	for range 3 * refusalsPerSecond { // those beyond are closed without an answer
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	eventually(t, "it is told", func() bool {
		w.told.Lock()
		defer w.told.Unlock()
		return len(w.over) > 0
	})
}

// Each batch of a loop is timed.
func TestLagIsCounted(t *testing.T) {
	r, addr := startLoop(t, nil)
	write(t, dial(t, addr), "x")
	r.connection(t, 0)
	r.call(func() {})
	eventually(t, "all batches are timed", func() bool {
		d := r.loop.stats.Lag.Durations()
		return d.Count >= 3 && d.Count == r.loop.stats.Batches.Load()
	})
}

func TestWaitingIsTheMailbox(t *testing.T) {
	r, _ := startLoop(t, nil)
	inside, leave := make(chan struct{}), make(chan struct{})
	r.loop.Post(func() { close(inside); <-leave })
	<-inside
	for range 5 {
		r.loop.Post(func() {})
	}
	if n := r.loop.Waiting(); n != 5 {
		t.Errorf("Waiting = %d, want 5", n)
	}
	close(leave)
	eventually(t, "they are taken", func() bool { return r.loop.Waiting() == 0 })
}
