package netloop

import (
	"log/slog"

	"golang.org/x/sys/unix"

	"holdfast/pkg/stats"
)

// listener is one listening socket of a loop.
type listener struct {
	fd int // -1 once closed
}

// Listen has the loop accept from fd, a non-blocking listening socket that it then owns. It may be called from any
// goroutine; it returns when the loop accepts.
func (l *Loop) Listen(fd int) error {
	done := make(chan error)
	l.Post(&funcTask{func() {
		ln := &listener{fd}
		l.listeners = append(l.listeners, ln)
		if l.paused { // the end of the pause watches all
			done <- nil
			return
		}
		done <- l.watch(fd, func() { l.onAccept(ln) })
	}})
	return <-done
}

// StopListening has the loop accept what waits in its listeners' queues (closing a listener would reset those clients)
// and close them. It may be called from any goroutine; it returns when that is done.
func (l *Loop) StopListening() {
	done := make(chan struct{})
	l.Post(&funcTask{func() {
		l.stopAccept()
		close(done)
	}})
	<-done
}

func (l *Loop) stopAccept() {
	for _, ln := range l.listeners {
		for range 1 << 16 { // as many as a queue can hold
			if !l.acceptOne(ln) {
				break
			}
		}
		l.ep.Del(ln.fd)
		unix.Close(ln.fd)
		ln.fd = -1
	}
	l.listeners, l.paused = nil, false
}

func (l *Loop) onAccept(ln *listener) {
	for range batchAccepts {
		if l.paused || ln.fd < 0 || !l.acceptOne(ln) { // easygo may call once more after Del
			return
		}
	}
}

// acceptOne accepts a connection and reports whether there may be another.
func (l *Loop) acceptOne(ln *listener) bool {
	fd, errno := accept(ln.fd)
	switch errno {
	case 0:
	case unix.EAGAIN:
		return false
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		l.cfg.Log.Warn("accepting is paused for a second", slog.Any("err", errno), slog.Int("connections", l.cfg.Limit.Connections()))
		l.pauseAccept(false)
		return false
	default: // ECONNABORTED and the network errors of accept(2): the connection is gone, the next may be well
		return true
	}
	if l.cfg.Limit.enter() {
		l.open(fd, false)
		return true
	}
	answer, warn, refused := l.cfg.Limit.refuse()
	if warn {
		l.cfg.Log.Warn("connection limit reached: new clients are answered 503",
			slog.Int64("max_connections", l.cfg.Limit.max), slog.Int("refused", refused))
	}
	if answer {
		l.open(fd, true)
		return true
	}
	unix.Close(fd)
	l.cfg.Limit.leave()
	l.stats.Accepted.Add(1)
	l.stats.Closed[stats.CloseOverload].Add(1)
	l.pauseAccept(true)
	return false
}

// pauseAccept takes the listeners out of the wait until there is room: a level-triggered listener that nobody serves
// was seen to spin 326,000 times a second. atLimit says that room below the limit ends the pause early; where the system itself is out of something, nobody tells
// when that has changed.
func (l *Loop) pauseAccept(atLimit bool) {
	if l.paused {
		return
	}
	l.paused, l.atLimit, l.resumeAt = true, atLimit, l.now+ticks(acceptRecheck)
	for _, ln := range l.listeners {
		l.ep.Del(ln.fd)
	}
}

// resumeAccept ends a pause when its time is over (then a second's worth of refusals can be answered again) or when
// connections have left.
func (l *Loop) resumeAccept() {
	if !l.paused || l.now < l.resumeAt && (!l.atLimit || l.cfg.Limit.full()) {
		return
	}
	l.paused = false
	for _, ln := range l.listeners {
		if err := l.watch(ln.fd, func() { l.onAccept(ln) }); err != nil {
			l.cfg.Log.Error("cannot accept again, will try in a second", slog.Any("err", err))
			l.pauseAccept(false)
			return
		}
	}
}
