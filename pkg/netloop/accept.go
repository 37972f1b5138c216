package netloop

import (
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/pkg/stats"
)

// listener is one listening socket of a loop.
type listener struct {
	fd      int  // -1 once closed
	adopted bool // others hold the socket, too
	old     bool // connections may wait that were made before the socket was adopted: they have not inherited its options

	retryAt time.Time // when it is watched again; zero: it is watched, unless all are paused
}

// Listen has the loop accept from fd, a non-blocking listening socket that it then owns. It may be called from any
// goroutine; it returns when the loop accepts.
func (l *Loop) Listen(fd int) error { return l.listen(&listener{fd: fd}) }

// ListenAdopted is Listen for a descriptor that Adopt returned.
func (l *Loop) ListenAdopted(fd int) error {
	return l.listen(&listener{fd: fd, adopted: true, old: true})
}

func (l *Loop) listen(ln *listener) error {
	done := make(chan error)
	l.Post(&funcTask{func() {
		l.listeners = append(l.listeners, ln)
		if l.paused { // the end of the pause watches all
			done <- nil
			return
		}
		done <- l.watch(ln.fd, func() { l.onAccept(ln) })
	}})
	return <-done
}

// StopListening has the loop accept what waits in its listeners' queues (closing a listener would reset those clients)
// and close them. The queue of an adopted socket is left to those who hold it besides the loop: that it goes on listening
// is for them to say. StopListening may be called from any goroutine; it returns when that is done.
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
			if ln.adopted || !l.acceptOne(ln) {
				break
			}
		}
		l.ep.Del(ln.fd) // an adopted socket would stay in the set after Close
		unix.Close(ln.fd)
		ln.fd = -1
	}
	l.unbook()
	l.listeners, l.paused, l.resting = nil, false, 0
}

func (l *Loop) onAccept(ln *listener) {
	for i := range batchAccepts {
		if l.paused || ln.fd < 0 || !l.mayAccept(i == 0) || !l.acceptOne(ln) { // easygo may call once more after Del
			return
		}
	}
}

// mayAccept reports whether Config.Rate allows another connection. When it does not and a connection is known to wait, the
// loop books the next places and pauses until then.
func (l *Loop) mayAccept(waits bool) bool {
	r := l.cfg.Rate
	if r == nil || l.booked > 0 {
		return true
	}
	now := time.Now()
	if r.ready(now) {
		return true
	}
	if waits {
		n, at := r.book(now)
		l.pauseAccept(at, false)
		l.booked = n
	}
	return false
}

// spend notes an accepted connection for Config.Rate.
func (l *Loop) spend() {
	switch {
	case l.cfg.Rate == nil:
	case l.booked > 0:
		l.booked--
	default:
		l.cfg.Rate.spend(time.Now())
	}
}

// unbook gives back the places of the schedule that the loop does not need after all.
func (l *Loop) unbook() {
	if l.booked > 0 {
		l.cfg.Rate.giveBack(l.booked)
		l.booked = 0
	}
}

// acceptOne accepts a connection and reports whether there may be another.
func (l *Loop) acceptOne(ln *listener) bool {
	fd, errno := accept(ln.fd)
	switch errno {
	case 0:
	case unix.EAGAIN:
		ln.old = false
		return false
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		l.cfg.Log.Warn("accepting is paused for a second", slog.Any("err", errno), slog.Int("connections", l.cfg.Limit.Connections()))
		l.overload("accepting is paused: " + errno.Error())
		l.pauseAccept(time.Now().Add(acceptRecheck), false)
		return false
	case unix.ECONNABORTED, unix.EINTR, unix.EPERM, unix.EPROTO, unix.ENOPROTOOPT, unix.EOPNOTSUPP,
		unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENONET, unix.ETIMEDOUT:
		return true // accept(2): the connection is gone, the next may be well
	default:
		l.restListener(ln, errno)
		return false
	}
	l.spend()
	if ln.old {
		setInherited(fd) // it fails when the client has gone already, which is told later
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
	l.overload("connection limit: accepting is paused")
	l.pauseAccept(time.Now().Add(acceptRecheck), true)
	return false
}

// restListener takes a listener out of the wait for a second: its error stays, and would be told
// again at once. Another process that holds the socket may have it listen again.
func (l *Loop) restListener(ln *listener, err error) {
	l.cfg.Log.Error("a listener does not accept, will try again in a second", slog.Any("err", err))
	l.overload("a listener does not accept: " + err.Error())
	l.ep.Del(ln.fd)
	ln.retryAt = time.Now().Add(acceptRecheck)
	l.resting++
	l.WakeIn(acceptRecheck)
}

// watchRested watches the listeners again whose second is over.
func (l *Loop) watchRested() {
	if l.resting == 0 || l.paused { // the end of the pause watches all
		return
	}
	for _, ln := range l.listeners {
		if ln.retryAt.IsZero() {
			continue
		}
		if left := time.Until(ln.retryAt); left > 0 {
			l.WakeIn(left)
			continue
		}
		ln.retryAt = time.Time{}
		l.resting--
		if err := l.watch(ln.fd, func() { l.onAccept(ln) }); err != nil {
			l.restListener(ln, err)
		}
	}
}

// pauseAccept takes the listeners out of the wait until a time: a level-triggered listener that nobody serves was seen to
// spin 326,000 times a second. atLimit says that room below the limit ends the pause early; where the system itself is out
// of something, nobody tells when that has changed.
func (l *Loop) pauseAccept(until time.Time, atLimit bool) {
	if l.paused {
		return
	}
	l.unbook()
	l.paused, l.atLimit, l.resumeAt = true, atLimit, until
	for _, ln := range l.listeners {
		l.ep.Del(ln.fd)
	}
}

// resumeAccept ends a pause when its time is over (then a second's worth of refusals can be answered again, or the booked
// places are ready) or when connections have left. Places that nobody needed in the tick after that are given back.
func (l *Loop) resumeAccept() {
	if l.booked > 0 && !l.paused && time.Since(l.resumeAt) > tickLength {
		l.unbook()
	}
	if !l.paused || time.Now().Before(l.resumeAt) && (!l.atLimit || l.cfg.Limit.full()) {
		return
	}
	l.paused, l.resting = false, 0
	if n := len(l.listeners); n > 1 { // the first is served first, and may need all that the rate allows
		first := l.listeners[0]
		copy(l.listeners, l.listeners[1:])
		l.listeners[n-1] = first
	}
	for _, ln := range l.listeners {
		ln.retryAt = time.Time{}
		if err := l.watch(ln.fd, func() { l.onAccept(ln) }); err != nil {
			l.cfg.Log.Error("cannot accept again, will try in a second", slog.Any("err", err))
			l.pauseAccept(time.Now().Add(acceptRecheck), false)
			return
		}
	}
}
