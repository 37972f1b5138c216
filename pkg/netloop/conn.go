package netloop

import (
	"math/bits"
	"net/netip"

	"golang.org/x/sys/unix"

	"holdfast/pkg/slab"
	"holdfast/pkg/stats"
)

// open takes over the accepted socket fd.
func (l *Loop) open(fd int, refused bool) {
	l.stats.Accepted.Add(1)
	id, _, err := l.register(fd)
	if err != nil { // ENOSPC: fs.epoll.max_user_watches; ENOMEM
		l.stats.Closed[stats.CloseOverload].Add(1)
		return
	}
	l.handler.Open(id, refused)
}

// register makes a slot for the socket fd, which is counted in the limit, and adds it to the set of active ones. When
// that fails the socket is closed.
func (l *Loop) register(fd int) (uint32, *slot, error) {
	id, s := l.slots.Alloc()
	if l.births++; l.births == 0 {
		l.births = 1
	}
	s.fd, s.gen, s.lastWrite = int32(fd), l.births, l.now
	if err := addTo(l.active, id, s); err != nil {
		l.slots.Free(id)
		unix.Close(fd)
		l.cfg.Limit.leave()
		return 0, nil, err
	}
	return id, s, nil
}

// addTo registers the connection in an epoll set, for all events: it is never changed there.
func addTo(set int, id uint32, s *slot) error {
	return unix.EpollCtl(set, unix.EPOLL_CTL_ADD, int(s.fd), &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     int32(id), Pad: int32(s.gen), // the set's 64 bits of user data
	})
}

// Peer returns the address and port of the client's side, and Local those of ours, as the kernel knows them. They are the
// zero AddrPort when it does not: after a reset, and once the connection is closed, which it is when Gone is called. An
// IPv4-mapped address is returned as IPv4.
func (l *Loop) Peer(c uint32) netip.AddrPort { return l.ask(unix.SYS_GETPEERNAME, c) }

// Local is described with Peer.
func (l *Loop) Local(c uint32) netip.AddrPort { return l.ask(unix.SYS_GETSOCKNAME, c) }

func (l *Loop) ask(call uintptr, c uint32) netip.AddrPort {
	fd := l.slots.At(c).fd
	if fd < 0 {
		return netip.AddrPort{}
	}
	ap, _ := sockName(call, int(fd))
	return ap
}

// Hold notes that the client only listens from now on. Its events then wait in a set of their own, which takes turns with
// that of the other connections: when 15,000 held clients go at the same moment, somebody who has asked something does
// not wait behind them.
func (l *Loop) Hold(c uint32) { l.move(c, l.active, l.held) }

// Release undoes Hold: the client may ask something again.
func (l *Loop) Release(c uint32) { l.move(c, l.held, l.active) }

func (l *Loop) move(c uint32, from, to int) {
	s := l.slots.At(c)
	if s.fd < 0 {
		return
	}
	if errno := forget(from, int(s.fd)); errno != 0 { // it is not in that set
		l.close(c, stats.CloseOverload)
		return
	}
	s.flags ^= flagHeld
	if err := addTo(to, c, s); err != nil { // ENOMEM
		l.close(c, stats.CloseOverload)
	}
}

// set returns the epoll set in which the connection is.
func (l *Loop) set(s *slot) int {
	if s.flags&flagHeld != 0 {
		return l.held
	}
	return l.active
}

// Close ends the connection at once. Bytes that wait in its queue are lost. The handler's Gone is called before Close
// returns.
func (l *Loop) Close(c uint32, why stats.CloseReason) { l.close(c, why) }

func (l *Loop) close(c uint32, why stats.CloseReason) {
	s := l.slots.At(c)
	if s.fd < 0 {
		return
	}
	if l.watcher != nil && s.flags&flagFinishing == 0 {
		l.watcher.Closing(c, why)
	}
	l.wheel.Disarm(c)
	delete(l.taking, c)
	l.inputs.drop(&s.input)
	l.queues.drop(&s.queue, l.stats)
	// A socket leaves its epoll set by itself when its last descriptor is closed. Where somebody
	// else has one, it would stay there and go on telling events.
	forget(l.set(s), int(s.fd))
	unix.Close(int(s.fd))
	s.fd = -1
	l.dead = append(l.dead, c)
	l.cfg.Limit.leave()
	if s.flags&flagFinishing == 0 {
		l.stats.Closed[why].Add(1)
		l.handler.Gone(c)
	}
}

// Reset ends the connection at once, with a TCP reset: its client sees that it did not get everything.
func (l *Loop) Reset(c uint32, why stats.CloseReason) {
	if s := l.slots.At(c); s.fd >= 0 {
		unix.SetsockoptLinger(int(s.fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // else it is a mere close
	}
	l.close(c, why)
}

// broken closes a connection on which a call failed: a reset is the client's way of leaving.
func (l *Loop) broken(c uint32, errno unix.Errno, why stats.CloseReason) {
	if l.slots.At(c).flags&flagDialing != 0 {
		l.dialFailed(c, errno)
		return
	}
	if errno == unix.ECONNRESET || errno == unix.EPIPE {
		why = stats.CloseClient
	}
	l.close(c, why)
}

// Finish ends the connection in good order: what waits in its queue is still written, as long as the client takes something of
// it every 5 s; then our side is shut down, what the client sends is thrown away, and the socket is closed when the client closes
// its side, or after 2 s (RFC 9112 section 9.6: closing at once could take the answer from the client). The handler is done with the
// connection: its Gone is called before Finish returns.
func (l *Loop) Finish(c uint32, why stats.CloseReason) {
	s := l.slots.At(c)
	if s.fd < 0 || s.flags&flagFinishing != 0 {
		return
	}
	if l.watcher != nil {
		l.watcher.Closing(c, why)
	}
	l.inputs.drop(&s.input)
	unread := s.flags&(flagAwaited|flagPaused) != 0
	s.flags &^= flagAwaited | flagPaused
	s.flags |= flagFinishing
	if s.queue != 0 {
		l.taking[c] = l.Unsent(c)
		l.wheel.Arm(c, l.now+ticks(takeTime))
	}
	l.stats.Closed[why].Add(1)
	l.handler.Gone(c)
	if l.drained(c, s); unread && s.fd >= 0 { // the edge that told of it is past
		l.readLater(c, s)
	}
}

// finishDue closes a finishing connection, unless its client goes on taking what waits for it.
func (l *Loop) finishDue(c uint32) {
	before, taking := l.taking[c]
	if unsent := l.Unsent(c); taking && unsent < before {
		l.taking[c] = unsent
		l.wheel.Arm(c, l.now+ticks(takeTime))
		return
	}
	l.close(c, stats.CloseClient)
}

// drained shuts our side of a finishing connection down once its queue is empty.
func (l *Loop) drained(c uint32, s *slot) {
	if s.flags&flagShut != 0 || s.queue != 0 {
		return
	}
	if s.flags&flagRead != 0 {
		l.close(c, stats.CloseClient)
		return
	}
	s.flags |= flagShut
	delete(l.taking, c)
	l.wheel.Arm(c, l.now+ticks(lingerTime))
	if err := unix.Shutdown(int(s.fd), unix.SHUT_WR); err != nil {
		l.close(c, stats.CloseErrorRead)
	}
}

// Again has Data called once more with the bytes that the handler leaves unused, in the next batch: for a handler
// that has done enough for one connection, or that has what it waited for.
func (l *Loop) Again(c uint32) {
	s := l.slots.At(c)
	s.flags |= flagAgain
	s.flags &^= flagAwaited | flagPaused
	l.readLater(c, s)
}

// Ended reports whether the client has shut down its side.
func (l *Loop) Ended(c uint32) bool { return l.slots.At(c).flags&flagEOF != 0 }

// Pause has nothing more read of the connection until Again is called: its client has sent more
// than its turn. When it shuts down its side, the connection ends. One that is held (Hold) ends as
// well when its client sends more than heldUnread: its end could wait unseen behind more than the
// socket's buffer takes.
func (l *Loop) Pause(c uint32) { l.slots.At(c).flags |= flagPaused }

// Await notes that an answer to the client is on its way: until Again is called nothing more is read, and the connection stays
// although the client has shut down its side.
func (l *Loop) Await(c uint32) { l.slots.At(c).flags |= flagAwaited }

func (l *Loop) readLater(c uint32, s *slot) {
	if s.flags&flagReady == 0 {
		s.flags |= flagReady
		l.ready = append(l.ready, c)
	}
}

// read gives the handler what the socket has, up to readBudget bytes, in front of it what the handler did not use before.
// What waits for its turn (Again) goes first, and nothing is read until it is used.
func (l *Loop) read(c uint32, s *slot) {
	have := l.inputs.take(&s.input, l.buf)
	if s.flags&flagAgain != 0 {
		s.flags &^= flagAgain
		have = l.feed(c, s, l.buf[:have], 0)
	}
	whole := true
	if s.fd >= 0 && s.flags&(flagAgain|flagAwaited|flagPaused) == 0 {
		have, whole = l.readSocket(c, s, have)
	}
	switch {
	case s.fd < 0:
		return
	case s.flags&flagAgain != 0:
	case !whole:
		l.readLater(c, s)
	case s.flags&(flagEOF|flagAwaited) == flagEOF:
		if s.flags&flagPaused == 0 {
			s.flags |= flagRead // the end was there before the read that found no more
		}
		l.halfClosed(c, s)
		return
	}
	l.inputs.put(&s.input, l.buf[:have])
}

// readSocket reads once, behind the have bytes of the read buffer, and feeds the handler. It returns what the handler
// leaves, and whether the socket has no more for now: then an edge tells of more.
func (l *Loop) readSocket(c uint32, s *slot, have int) (left int, whole bool) {
	n, errno := read(int(s.fd), l.buf[have:have+readBudget])
	switch {
	case errno == unix.EAGAIN:
		return have, true
	case errno == unix.EINTR:
		return have, false
	case errno != 0:
		l.broken(c, errno, stats.CloseErrorRead)
		return 0, true
	case n == 0:
		s.flags |= flagEOF | flagRead
		return have, true
	}
	return l.feed(c, s, l.buf[:have+n], have), n < readBudget
}

// feed gives b to the handler, moves what it leaves to the front of the read buffer and returns how much that is.
func (l *Loop) feed(c uint32, s *slot, b []byte, seen int) (left int) {
	if s.flags&flagFinishing != 0 {
		return 0
	}
	used := l.handler.Data(c, b, seen)
	if s.fd < 0 || s.flags&flagFinishing != 0 {
		return 0
	}
	if left = copy(l.buf, b[used:]); left > l.cfg.MaxInput && s.flags&(flagAgain|flagAwaited|flagPaused) == 0 {
		l.close(c, stats.CloseBadRequest)
		return 0
	}
	return left
}

// halfClosed ends a connection whose client has shut down its side, after what waits for it was
// written: nobody who is held may shut down (it would keep a level-triggered set awake for ever,
// and browsers never do). Where something was left unread a mere close would be a reset, which
// could take an answer from the client.
func (l *Loop) halfClosed(c uint32, s *slot) {
	switch {
	case (s.queue != 0 || s.flags&flagRead == 0) && s.flags&flagFinishing == 0:
		l.Finish(c, stats.CloseClient)
	case s.queue == 0:
		l.close(c, stats.CloseClient)
	}
}

// inputs keeps what connections left unused between two reads.
type inputs struct {
	bufs  slab.Slab[[]byte]
	spare [32][][]byte // by size class
}

const (
	minInput       = 512 // bytes of the smallest size class
	sparePerClass  = 32
	largestToSpare = 64 << 10
)

// put keeps a copy of b, which may be empty, and sets *id.
func (in *inputs) put(id *uint32, b []byte) {
	if len(b) == 0 {
		return
	}
	class := bits.Len(uint(len(b)-1) / minInput)
	var buf []byte
	if n := len(in.spare[class]); n > 0 {
		buf, in.spare[class] = in.spare[class][n-1], in.spare[class][:n-1]
	} else {
		buf = make([]byte, 0, minInput<<class)
	}
	n, rec := in.bufs.Alloc()
	*rec, *id = append(buf, b...), n
}

// take copies what was kept to the front of dst, forgets it and returns its length.
func (in *inputs) take(id *uint32, dst []byte) int {
	if *id == 0 {
		return 0
	}
	n := copy(dst, *in.bufs.At(*id))
	in.drop(id)
	return n
}

func (in *inputs) drop(id *uint32) {
	if *id == 0 {
		return
	}
	buf := *in.bufs.At(*id)
	if class := bits.Len(uint(cap(buf)-1) / minInput); cap(buf) <= largestToSpare && len(in.spare[class]) < sparePerClass {
		in.spare[class] = append(in.spare[class], buf[:0])
	}
	in.bufs.Free(*id)
	*id = 0
}
