package server

import "net/netip"

// listeners lets clients in.
type listeners struct {
	passive
	s    *Server
	kept sockets // from quiesce to detach
}

func (l *listeners) start() error {
	s := l.s
	for _, f := range s.opts.ListenFiles {
		if err := l.add(s.loops.adopt(f)); err != nil {
			return err
		}
	}
	groups, err := groupByAddress(s.opts.ownFiles)
	if err != nil {
		return err
	}
	for _, b := range groups {
		if err := l.add(s.loops.take(b)); err != nil {
			return err
		}
	}
	for _, addr := range s.opts.Listen {
		if err := l.add(s.loops.listen(addr)); err != nil {
			return err
		}
	}
	return nil
}

// add notes an address on which the loops accept. On an error they accept on none any more.
func (l *listeners) add(bound netip.AddrPort, err error) error {
	if err != nil {
		l.stop()
		return err
	}
	l.s.addrs = append(l.s.addrs, bound)
	return nil
}

// quiesce has the loops accept no more, but for the connections that wait in the queues now. Those
// that come later wait for the next pushd.
func (l *listeners) quiesce() error {
	for _, b := range l.s.loops.bound {
		if err := b.keep(&l.kept); err != nil {
			l.kept.close()
			return err
		}
	}
	l.s.loops.stopListening()
	return nil
}

func (l *listeners) detach(to *sockets) error {
	to.clients, to.adopted = l.kept.clients, l.kept.adopted
	l.kept = sockets{}
	return nil
}

func (l *listeners) stop() {
	l.s.loops.stopListening()
	l.kept.close()
}

// drain ends the connections in good order. It comes last, and only in a pushd that has started:
// while connections are drained everything else is at work, so what is published reaches those that
// are still there.
type drain struct {
	passive
	s *Server
}

func (d *drain) stop() { d.s.loops.drain() }
