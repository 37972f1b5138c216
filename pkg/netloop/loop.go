package netloop

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mailru/easygo/netpoll"
	"golang.org/x/sys/unix"

	"holdfast/pkg/slab"
	"holdfast/pkg/stats"
	"holdfast/pkg/timewheel"
)

const (
	batchEvents     = 128      // connection events taken from one epoll set in one batch
	batchTasks      = 4096     // mailbox tasks taken in one batch
	batchDue        = 256      // deadlines told in one batch
	batchSheds      = 256      // connections closed in one batch because the memory for queues is used up
	batchShedPieces = 1 << 15  // pieces of their queues
	batchAccepts    = 64       // connections accepted from one listener in one batch
	readBudget      = 8 << 10  // bytes read from one connection in one batch
	heldUnread      = 32 << 10 // bytes that the client of a held connection may send while it is paused
	tickLength      = 50 * time.Millisecond
	lingerTime      = 2 * time.Second // for a client that has all bytes to close
	takeTime        = 5 * time.Second // in which a client has to go on taking the last bytes
	acceptRecheck   = time.Second     // how long a pause in accepting lasts when nobody of this loop leaves
)

// Task is what other goroutines give to a loop: a pointer to a struct that the Handler knows.
type Task = any

// Handler decides what becomes of a loop's connections. The loop calls it on its own goroutine, and the handler calls
// the loop's methods from there.
type Handler interface {
	// Open tells of an accepted connection. With refused set the daemon holds as many as it may: the handler answers so
	// and calls Finish.
	Open(c uint32, refused bool)
	// Data hands over the bytes that the handler has not used so far, of which the first seen were there in the call
	// before. It returns how many of them it used. b is good during the call only.
	Data(c uint32, b []byte, seen int) (used int)
	// Drained tells that the connection's queue, which was not empty, is.
	Drained(c uint32)
	// Gone tells that the connection is over, or that Finish was called. The number may come back with the next Open.
	Gone(c uint32)
	// Due tells that the deadline set by Arm has come.
	Due(c uint32)
	// Task hands over a task of the mailbox.
	Task(t Task)
	// BatchEnd runs after each batch of events, for work in slices. It reports whether some of it is left, and is then
	// called again soon.
	BatchEnd() (more bool)
}

// Config is what the loops of one daemon have in common, and a loop's own counters.
type Config struct {
	Log       *slog.Logger
	Stats     *stats.Loop
	Limit     *Limit  // connections of all loops together
	Rate      *Rate   // connections that all loops together accept in a second; nil: as many as come
	Queue     *Budget // queued bytes of all loops together
	MaxQueued int     // queued bytes of one connection, before its overflow rule applies
	Drop      bool    // overflow rule: leave out what does not fit, instead of closing the connection
	MaxInput  int     // bytes that a handler may leave unused

	// Failed is told, once and on the loop's goroutine, that the loop cannot go on and has closed
	// its connections. Nil: it is logged.
	Failed func(error)
}

// Loop is one event loop.
type Loop struct {
	cfg     Config
	handler Handler
	dialer  Dialer  // the handler again, if it has the method
	watcher Watcher // the same
	stats   *stats.Loop

	ep      *netpoll.Epoll
	active  int       // epoll set of the connections that wait for an answer or may ask something
	held    int       // epoll set of the connections that only listen: see Hold
	wake    int       // eventfd
	timer   int       // timerfd
	timerAt time.Time // to which it is set; zero: it is not
	wakeAt  time.Time // asked for by WakeIn; zero: nothing is

	slots    slab.Slab[slot]
	wheel    *timewheel.Wheel
	start    time.Time
	now      timewheel.Tick // of the current batch
	ready    []uint32       // connections to be read in the next batch
	dead     []uint32       // slots to be freed at the end of the batch: events of this batch may still name them
	sends    int            // for the next yield
	bytesOut uint64         // since the last batch

	buf    []byte // the one read buffer
	inputs inputs // unused bytes of connections, between reads
	queues queues // unsent bytes of connections

	starving []starving     // connections that wait for another try to write
	retryAt  timewheel.Tick // of the next try

	taking map[uint32]int // Unsent of finishing connections with a queue, when it was last looked at

	listeners []*listener
	paused    bool      // accepting is paused
	atLimit   bool      // because of Config.Limit
	resumeAt  time.Time // the end of the pause, or of the one before
	resting   int       // listeners that do not accept: see restListener
	booked    int       // connections that may be accepted from then on: see Rate
	births    uint16    // connections opened, for their generation

	begun   chan struct{} // closed when New has made the loop, or has failed
	asked   atomic.Bool   // Beat was called, and no batch has ended since
	mailbox mailbox
	tasks   []Task // taken from the mailbox
	task    int    // the first of them that is not yet handed over
	closed  bool
}

// slot is one connection.
type slot struct {
	fd        int32  // -1 once closed
	gen       uint16 // never 0, so that a record which is not in use matches no event
	flags     uint16
	timer     timewheel.Node
	input     uint32 // number in inputs, or 0
	queue     uint32 // number in queues, or 0
	lastWrite timewheel.Tick
}

const (
	flagReady     = 1 << iota // stands in Loop.ready
	flagAgain                 // the handler wants its unused bytes again
	flagFinishing             // Finish was called
	flagShut                  // our side is shut down; waiting for the client's
	flagEOF                   // the client's side is shut down
	flagRead                  // all that it sent before that has been read
	flagDialing               // Dial began it, and it does not stand yet
	flagAwaited               // Await was called: an answer is on its way
	flagPaused                // Pause was called
	flagHeld                  // it is in the set of the held ones
	flagStarved               // it stands in Loop.starving
)

// New makes a loop and starts it. newHandler makes its handler; it is called before New returns and may keep the loop,
// but must not call it.
func New(cfg Config, newHandler func(*Loop) Handler) (*Loop, error) {
	l := &Loop{
		cfg: cfg, stats: cfg.Stats, start: time.Now(),
		buf: make([]byte, cfg.MaxInput+readBudget), begun: make(chan struct{}),
	}
	l.wheel = timewheel.New(func(id uint32) *timewheel.Node { return &l.slots.At(id).timer })
	l.queues.budget = cfg.Queue
	l.taking = map[uint32]int{}
	err := l.openFiles()
	if err == nil {
		l.handler = newHandler(l)
		l.dialer, _ = l.handler.(Dialer)
		l.watcher, _ = l.handler.(Watcher)
		err = l.watchFiles()
	}
	if err != nil {
		l.closed = true
		close(l.begun)
		return nil, errors.Join(err, l.closeFiles())
	}
	cfg.Queue.loops.Add(1)
	cfg.Rate.join(1)
	close(l.begun)
	return l, nil
}

// openFiles makes the descriptors on which the loop waits, and easygo's set for them.
func (l *Loop) openFiles() (err error) {
	for _, set := range []*int{&l.active, &l.held} {
		if *set, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			return fmt.Errorf("create epoll set: %w", err)
		}
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("create eventfd: %w", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return fmt.Errorf("create timerfd: %w", err)
	}
	l.ep, err = netpoll.EpollCreate(&netpoll.EpollConfig{OnWaitError: l.waitFailed})
	if err != nil {
		return fmt.Errorf("create easygo epoll: %w", err)
	}
	return nil
}

func (l *Loop) watchFiles() error {
	return errors.Join(
		l.watch(l.active, func() { l.onConnections(l.active) }),
		l.watch(l.held, func() { l.onConnections(l.held) }),
		l.watch(l.wake, l.onWake),
		l.watch(l.timer, l.onTimer),
	)
}

func (l *Loop) closeFiles() (err error) {
	if l.ep != nil {
		err = l.ep.Close()
	}
	for _, fd := range []int{l.active, l.held, l.wake, l.timer} {
		if fd > 0 { // it was opened
			err = errors.Join(err, unix.Close(fd))
		}
	}
	return err
}

// watch has easygo call fn, and then the end-of-batch step, whenever fd is readable.
func (l *Loop) watch(fd int, fn func()) error {
	err := l.ep.Add(fd, netpoll.EPOLLIN, func(ev netpoll.EpollEvent) {
		if l.closed {
			return // easygo tells every callback when the set is closed
		}
		began := time.Since(l.start)
		l.now = tickAt(began)
		fn()
		l.endBatch()
		l.stats.Lag.Add(time.Since(l.start)-began, 1)
	})
	if err != nil {
		l.ep.Del(fd) // Add keeps its map entry even when epoll_ctl fails
		return fmt.Errorf("watch fd %d: %w", fd, err)
	}
	return nil
}

// funcTask runs on the loop for the package's own rare needs.
type funcTask struct{ run func() }

// onConnections takes a batch of events from one of the two sets of connections.
func (l *Loop) onConnections(set int) {
	var events [batchEvents]unix.EpollEvent
	n, errno := ready(set, events[:])
	if errno != 0 {
		return // EINTR; the outer set tells again
	}
	for i := range events[:n] {
		ev := &events[i]
		id := uint32(ev.Fd)
		s := l.named(ev)
		if s == nil {
			continue
		}
		if s.flags&flagDialing != 0 && !l.dialed(id, s, ev.Events) {
			continue
		}
		if ev.Events&unix.EPOLLRDHUP != 0 {
			s.flags |= flagEOF
		}
		if ev.Events&unix.EPOLLOUT != 0 && s.queue != 0 && s.flags&flagStarved == 0 {
			l.flush(id, s)
		}
		switch {
		case s.fd < 0:
		case ev.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 && s.flags&(flagAwaited|flagPaused) != 0: // no read would tell
			l.close(id, stats.CloseClient)
		case s.flags&(flagHeld|flagPaused) == flagHeld|flagPaused && unread(int(s.fd)) > heldUnread:
			l.Finish(id, stats.CloseBadRequest)
		case ev.Events&^unix.EPOLLOUT != 0:
			l.read(id, s)
		}
	}
}

// named returns the connection that an event names, nil when it is closed. A slot is freed at the
// end of the batch at the earliest. An older event could come only for a socket that somebody else
// still holds; its page of slots may be gone, or another connection may have the number.
func (l *Loop) named(ev *unix.EpollEvent) *slot {
	s := l.slots.Find(uint32(ev.Fd))
	if s == nil || s.fd < 0 || s.gen == 0 || s.gen != uint16(ev.Pad) {
		return nil
	}
	return s
}

func (l *Loop) onWake() { silence(l.wake) }

func (l *Loop) onTimer() {
	silence(l.timer)
	l.timerAt = time.Time{}
	if time.Until(l.wakeAt) <= 0 {
		l.wakeAt = time.Time{}
	}
}

// WakeIn has BatchEnd called in d at the latest. It is finer than deadlines, and there is one for the loop: the earliest
// that was asked for.
func (l *Loop) WakeIn(d time.Duration) {
	if at := time.Now().Add(d); l.wakeAt.IsZero() || at.Before(l.wakeAt) {
		l.wakeAt = at
	}
}

// endBatch is the end-of-batch step: mailbox, deadlines, left-over reads, the handler's slice of work, and the slots that
// became free.
func (l *Loop) endBatch() {
	more := l.takeTasks()
	if l.closed {
		return
	}
	if l.wheel.Advance(l.now, batchDue, l.due) {
		more = true
	}
	l.readAgain()
	more = l.retryStarving() || more
	more = l.handler.BatchEnd() || more
	more = l.shed() || more
	l.freeDead()
	l.resumeAccept()
	l.watchRested()
	more = more || len(l.ready) > 0 // last: any of the steps may have called Again
	if more {
		ring(l.wake)
	}
	l.armTimer()
	l.stats.Batches.Add(1)
	l.alive()
	if l.bytesOut > 0 {
		l.stats.BytesOut.Add(l.bytesOut)
		l.bytesOut = 0
	}
}

// takeTasks hands over what waits in the mailbox, up to a bound, and reports whether some is left.
func (l *Loop) takeTasks() (more bool) {
	rest := l.task > 0
	if !rest {
		l.mailbox.mu.Lock()
		l.tasks, l.mailbox.tasks = l.mailbox.tasks, l.tasks
		l.mailbox.mu.Unlock()
	}
	tasks := l.tasks[l.task:]
	n := min(len(tasks), batchTasks)
	for i, t := range tasks[:n] {
		tasks[i] = nil
		switch t := t.(type) {
		case *stopTask:
			l.closeAll()
			l.closed = true
			close(t.done)
			return false
		case *funcTask:
			t.run()
		default:
			l.handler.Task(t)
		}
	}
	if l.task += n; l.task < len(l.tasks) {
		return true
	}
	if l.tasks, l.task = l.tasks[:0], 0; cap(l.tasks) > 4*batchTasks {
		l.tasks = nil // a burst does not keep its list for ever
	}
	return rest // the ring for what was posted since the burst was taken has been silenced already
}

// freeDead frees the slots of closed connections. One that the ready list still names waits for the next batch.
func (l *Loop) freeDead() {
	keep := l.dead[:0]
	for _, id := range l.dead {
		if l.slots.At(id).flags&flagReady != 0 {
			keep = append(keep, id)
			continue
		}
		l.slots.Free(id)
	}
	l.dead = keep
}

// readAgain reads the connections that wait for another turn, up to a bound.
func (l *Loop) readAgain() {
	n := min(len(l.ready), batchEvents)
	for _, id := range l.ready[:n] {
		s := l.slots.At(id)
		s.flags &^= flagReady
		if s.fd >= 0 {
			l.read(id, s)
		}
	}
	l.ready = append(l.ready[:0], l.ready[n:]...)
}

func (l *Loop) closeAll() {
	l.stopAccept()
	for id := range l.slots.All() {
		l.close(id, stats.CloseDrain)
	}
}

// tickAt returns a time since the loop's start in ticks; tick 0 is never.
func tickAt(sinceStart time.Duration) timewheel.Tick {
	return 1 + timewheel.Tick(sinceStart/tickLength)
}

func ticks(d time.Duration) timewheel.Tick { return timewheel.Tick((d + tickLength - 1) / tickLength) }

// armTimer sets the timerfd when the next deadline is earlier than what it is set to. One that turns out to be too early
// costs one wake-up.
func (l *Loop) armTimer() {
	next, ok := l.wheel.Next()
	at := l.wakeAt
	if l.paused && (at.IsZero() || l.resumeAt.Before(at)) {
		at = l.resumeAt
	}
	if tick := l.start.Add(time.Duration(next-1) * tickLength); ok && (at.IsZero() || tick.Before(at)) {
		at = tick
	}
	if at.IsZero() || !l.timerAt.IsZero() && !at.Before(l.timerAt) {
		return
	}
	l.timerAt = at
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(time.Until(at), time.Microsecond)))}
	if err := unix.TimerfdSettime(l.timer, 0, &spec, nil); err != nil {
		l.cfg.Log.Error("event loop cannot set its timer", slog.Any("err", err))
	}
}

// Arm sets the connection's deadline to d from now, in place of the one it had. Deadlines are kept in ticks of 50 ms: one
// comes up to two of them late, and never early.
func (l *Loop) Arm(c uint32, d time.Duration) {
	if s := l.slots.At(c); s.fd >= 0 && s.flags&flagFinishing == 0 {
		l.wheel.Arm(c, l.now+1+ticks(d))
	}
}

// Disarm takes the connection's deadline away.
func (l *Loop) Disarm(c uint32) {
	if s := l.slots.At(c); s.fd >= 0 && s.flags&flagFinishing == 0 {
		l.wheel.Disarm(c)
	}
}

func (l *Loop) due(c uint32) {
	s := l.slots.At(c)
	if s.flags&flagFinishing != 0 {
		l.finishDue(c)
		return
	}
	l.handler.Due(c)
}
