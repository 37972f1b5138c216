package netloop

import (
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/pkg/stats"
)

// Send writes b to the connection. What the socket does not take is copied and queued; a connection whose queue is full
// is closed, whatever its overflow rule, because an answer cannot be left out.
func (l *Loop) Send(c uint32, b []byte) {
	s := l.slots.At(c)
	if s.fd < 0 || s.flags&flagFinishing != 0 || len(b) == 0 {
		return
	}
	rest, ok := l.write(c, s, b)
	if !ok || len(rest) == 0 {
		return
	}
	if !l.queues.fits(s.queue, len(rest), l.cfg.MaxQueued) {
		l.close(c, stats.CloseSlow)
		return
	}
	l.queues.add(c, &s.queue, &block{bytes: slices.Clone(rest)}, 0, l.now, l.stats)
	s.lastWrite = l.now
}

// SendShared writes b to each of the connections. Where a socket does not take it all, the rest
// waits in the connection's queue, by reference to one copy of b for all calls of the same key; so
// equal keys must mean equal bytes. Where the queue is full, the overflow rule applies. It returns
// to how many connections b was written or queued, how many of those are behind now (Lags), and how
// many stay but were left out.
func (l *Loop) SendShared(key uint64, conns []uint32, b []byte) (written, behind, leftOut int) {
	for _, c := range conns {
		if l.sends++; l.sends%sendsPerYield == 0 {
			runtime.Gosched()
		}
		s := l.slots.At(c)
		if s.fd < 0 || s.flags&flagFinishing != 0 {
			continue
		}
		rest, ok := l.write(c, s, b)
		if !ok {
			continue
		}
		if len(rest) > 0 {
			if !l.keep(c, s, key, b, len(b)-len(rest)) {
				if s.fd >= 0 {
					leftOut++
				}
				continue
			}
			if l.lags(s) {
				behind++
			}
		}
		written++
	}
	return written, behind, leftOut
}

// keep queues b from offset off on, by reference, or applies the overflow rule and reports false.
func (l *Loop) keep(c uint32, s *slot, key uint64, b []byte, off int) bool {
	if !l.queues.fits(s.queue, len(b)-off, l.cfg.MaxQueued) {
		switch {
		case !l.cfg.Drop:
			l.close(c, stats.CloseSlow)
		case l.watcher != nil:
			l.watcher.LeftOut(c)
		}
		return false
	}
	l.queues.add(c, &s.queue, l.queues.share(key, b), off, l.now, l.stats)
	s.lastWrite = l.now
	return true
}

// write sends b when nothing is queued before it, and returns what the socket did not take. It reports false when the
// connection broke and was closed.
func (l *Loop) write(c uint32, s *slot, b []byte) (rest []byte, ok bool) {
	if s.queue != 0 {
		return b, true
	}
	n, errno := send(int(s.fd), b)
	switch errno {
	case 0:
		s.lastWrite = l.now
		l.bytesOut += uint64(n)
		return b[n:], true
	case unix.EAGAIN, unix.EINTR, unix.ENOBUFS, unix.ENOMEM:
		return b, true // an edge tells when there is room: TCP answers EAGAIN when it is out of memory, too
	default:
		l.broken(c, errno, stats.CloseErrorWrite)
		return nil, false
	}
}

// flush writes what waits in the connection's queue.
func (l *Loop) flush(c uint32, s *slot) {
	wrote := false
	for s.queue != 0 {
		b := l.queues.head(s.queue, l.buf[:0])
		n, errno := send(int(s.fd), b)
		switch errno {
		case 0:
			wrote = true
			s.lastWrite = l.now
			l.bytesOut += uint64(n)
			l.queues.advance(&s.queue, n, l.stats)
		case unix.EINTR:
			continue
		case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
			l.full(c, s, wrote)
			return
		default:
			l.broken(c, errno, stats.CloseErrorWrite)
			return
		}
		if n < len(b) {
			l.full(c, s, wrote)
			return
		}
	}
	if s.flags&flagFinishing != 0 {
		l.drained(c, s)
		return
	}
	l.handler.Drained(c)
}

// shed closes connections with the longest queues until the daemon is within its budget again, or
// this loop within its share of it: the clients of a loop do not pay for those of another. A
// connection that stays has a queue that is at most a quarter longer than that of one that was
// closed. In one batch their number is bounded, and that of the pieces in their queues. It reports
// whether there is more to close.
func (l *Loop) shed() (more bool) {
	conns, pieces := batchSheds, batchShedPieces
	for l.queues.over() {
		qu := l.queues.first()
		if qu == nil {
			return false
		}
		if conns == 0 || pieces <= 0 {
			return true
		}
		conns--
		pieces -= len(qu.pieces)
		l.close(qu.conn, stats.CloseMemory)
	}
	return false
}

// lagTime is how long a connection counts as behind: less than the 5 s in which pushpub wants an
// answer. Readers on a machine with 15 times the work that it can do were seen to take 3.7 s to
// catch up.
const lagTime = 4 * time.Second

// Lags reports whether the connection has fallen behind lately: an eighth of what its queue takes
// is waiting, and something has waited for less than lagTime. A publisher may wait for it to catch
// up. One that has been behind for longer does not count: it catches up by itself, or its queue
// fills up.
func (l *Loop) Lags(c uint32) bool { return l.lags(l.slots.At(c)) }

func (l *Loop) lags(s *slot) bool {
	if s.queue == 0 {
		return false
	}
	qu := l.queues.all.At(s.queue)
	return qu.cost > l.cfg.MaxQueued/8 && l.now-qu.since < ticks(lagTime)
}

// Behind reports whether something waits in the connection's queue.
func (l *Loop) Behind(c uint32) bool { return l.slots.At(c).queue != 0 }

// Unsent returns about how many bytes of what was sent to the connection its client has not
// acknowledged: those in its queue, with what they are charged, and those in the kernel. It makes a
// system call.
func (l *Loop) Unsent(c uint32) int {
	s := l.slots.At(c)
	if s.fd < 0 {
		return 0
	}
	n, err := unix.IoctlGetInt(int(s.fd), unix.SIOCOUTQ)
	if err != nil { // never on a TCP socket
		n = 0
	}
	return n + l.Queued(c)
}

// Quiet returns the time since something was last written to the connection or queued for it: none,
// while something waits in its queue.
func (l *Loop) Quiet(c uint32) time.Duration {
	if l.slots.At(c).queue != 0 {
		return 0
	}
	return time.Duration(l.now-l.slots.At(c).lastWrite) * tickLength
}
