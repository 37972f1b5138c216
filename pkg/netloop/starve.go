package netloop

// emptyTries is how many writes in a row a socket may take nothing of, although it says that it has
// room.
const emptyTries = 8

// starving is a connection that waits for another try to write, although its socket says that it
// has room.
type starving struct {
	conn uint32
	gen  uint16
}

// full notes that the socket takes no more for now. An edge tells when there is room. Where TCP is
// out of memory that edge comes at once, and the loop would spin just then: after emptyTries of
// them in a row the connection is left alone until the next tick.
func (l *Loop) full(c uint32, s *slot, wrote bool) {
	qu := l.queues.all.At(s.queue)
	if wrote {
		qu.empty = 0
		return
	}
	if qu.empty++; qu.empty >= emptyTries {
		qu.empty = emptyTries - 1
		s.flags |= flagStarved
		l.starving = append(l.starving, starving{c, s.gen})
	}
}

// retryStarving tries a bounded number of the starving connections again, once in a tick, and at
// once while they get something. It reports whether to go on.
func (l *Loop) retryStarving() (more bool) {
	if len(l.starving) == 0 {
		return false
	}
	if l.now < l.retryAt {
		l.WakeIn(tickLength)
		return false
	}
	n := min(len(l.starving), batchEvents)
	for _, st := range l.starving[:n] {
		s := l.slots.Find(st.conn)
		if s == nil || s.fd < 0 || s.gen != st.gen {
			more = true // it has left: the next may be tried in its place
			continue
		}
		s.flags &^= flagStarved
		if l.flush(st.conn, s); s.flags&flagStarved == 0 {
			more = true
		}
	}
	l.starving = append(l.starving[:0], l.starving[n:]...)
	if !more {
		l.retryAt = l.now + 1
		l.WakeIn(tickLength)
	}
	return more && len(l.starving) > 0
}
