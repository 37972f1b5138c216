package netloop

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// mailbox is the one part of a loop that other goroutines touch.
type mailbox struct {
	mu      sync.Mutex
	tasks   []Task
	stopped bool // nothing is taken any more

	rings sync.WaitGroup // rings under way; none begins once stopped is set
}

// Post hands t to the loop, which takes it at the end of its current batch of events. It may be
// called from any goroutine and never blocks. Its callers bound what they post (the hub by the
// bytes of undelivered items). After Stop it does nothing.
func (l *Loop) Post(t Task) {
	m := &l.mailbox
	m.mu.Lock()
	if m.stopped {
		m.mu.Unlock()
		return
	}
	m.tasks = append(m.tasks, t)
	first := len(m.tasks) == 1
	if first {
		m.rings.Add(1)
	}
	m.mu.Unlock()
	if first { // the loop is woken once per batch, not once per task
		ring(l.wake)
		m.rings.Done()
	}
}

// Beat asks the loop for a sign of life, which is the end of a batch, and reports whether there was
// one since the Beat before. It may be called from any goroutine and never blocks.
func (l *Loop) Beat() (alive bool) {
	alive = !l.asked.Swap(true)
	m := &l.mailbox
	m.mu.Lock()
	if m.stopped {
		m.mu.Unlock()
		return alive
	}
	m.rings.Add(1)
	m.mu.Unlock()
	ring(l.wake)
	m.rings.Done()
	return alive
}

// alive answers a Beat.
func (l *Loop) alive() {
	if l.asked.Load() {
		l.asked.Store(false)
	}
}

// Stop ends the loop: its goroutine, its listeners and whatever connections are left. It is called
// from another goroutine, once.
func (l *Loop) Stop() error {
	done := make(chan struct{})
	l.Post(&stopTask{done})
	<-done
	l.mailbox.mu.Lock()
	l.mailbox.stopped, l.mailbox.tasks = true, nil
	l.mailbox.mu.Unlock()
	l.mailbox.rings.Wait() // the number of the eventfd may be another file's after closeFiles
	l.cfg.Queue.loops.Add(-1)
	l.cfg.Rate.join(-1)
	return l.closeFiles()
}

// stopTask makes the loop close its connections and stop; done is closed then.
type stopTask struct{ done chan struct{} }

// failedStep is how often a loop that cannot wait any more looks into its mailbox.
const failedStep = 10 * time.Millisecond

// waitFailed is called on the loop's goroutine when easygo cannot wait for events any more. The
// loop then closes its connections and tells Config.Failed. It goes on with its mailbox until Stop,
// so that whoever posts to it gets an answer.
func (l *Loop) waitFailed(err error) {
	<-l.begun
	if l.closed { // easygo could not close its set in the end
		l.cfg.Log.Error("event loop did not close in order", slog.Any("err", err))
		return
	}
	err = fmt.Errorf("event loop cannot wait for events: %w", err)
	l.closeAll()
	if l.cfg.Failed != nil {
		l.cfg.Failed(err)
	} else {
		l.cfg.Log.Error("event loop failed", slog.Any("err", err))
	}
	tick := time.NewTicker(failedStep)
	defer tick.Stop()
	for !l.closed {
		<-tick.C
		l.now = tickAt(time.Since(l.start))
		l.endBatch()
	}
}
