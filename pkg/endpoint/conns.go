package endpoint

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// conns accepts connections, and closes one that is not in use when there would be too many.
type conns struct {
	*Listener
	room chan struct{} // told when a connection is closed, or no longer in use
	all  sync.WaitGroup

	mu   sync.Mutex
	most int
	open map[*conn]struct{}
}

// conn is an accepted connection.
type conn struct {
	net.Conn
	l    *conns
	once sync.Once

	// Under l.mu.
	state state
	since time.Time // when the state began
}

// state is what a connection is doing.
type state uint8

const (
	idle    state = iota // answered, and nothing has come since
	reading              // new, or the head of a request is incomplete
	inUse                // a request is complete, and not yet answered
)

func newConns(l *Listener, most int) *conns {
	return &conns{
		Listener: l, most: most,
		room: make(chan struct{}, 1), open: make(map[*conn]struct{}),
	}
}

// Accept makes room for the new connection first. Where all are in use it waits.
func (l *conns) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, l: l, state: reading, since: time.Now()}
	for !l.add(c) {
		select {
		case <-l.room:
		case <-l.ended:
			nc.Close()
			return nil, net.ErrClosed
		}
	}
	return c, nil
}

// add takes c in, if there is a place or one can be made.
func (l *conns) add(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.most {
		old := l.spare()
		if old == nil {
			return false
		}
		delete(l.open, old)
		old.Conn.Close() // its goroutine notices, and calls old.Close
	}
	l.open[c] = struct{}{}
	l.all.Add(1)
	return true
}

// spare returns the connection that has been idle for longest, or else the one that has been
// reading for longest.
func (l *conns) spare() (best *conn) {
	for c := range l.open {
		switch {
		case c.state == inUse:
		case best == nil, c.state < best.state, c.state == best.state && c.since.Before(best.since):
			best = c
		}
	}
	return best
}

// changed notes what net/http says of a connection.
func (l *conns) changed(nc net.Conn, s http.ConnState) {
	c := nc.(*conn)
	switch s {
	case http.StateActive:
		c.become(inUse)
	case http.StateIdle:
		c.become(idle)
		l.tell()
	}
}

func (l *conns) tell() {
	select {
	case l.room <- struct{}{}:
	default: // it has been told
	}
}

// wait blocks until every accepted connection is closed.
func (l *conns) wait() { l.all.Wait() }

func (c *conn) become(s state) {
	c.l.mu.Lock()
	c.state, c.since = s, time.Now()
	c.l.mu.Unlock()
}

// Read notes that a request has begun: net/http tells only when its head is complete.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.l.mu.Lock()
		if c.state == idle {
			c.state, c.since = reading, time.Now()
		}
		c.l.mu.Unlock()
	}
	return n, err
}

// Close closes the connection and gives its place back.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.l.mu.Lock()
		delete(c.l.open, c)
		c.l.mu.Unlock()
		c.l.tell()
		c.l.all.Done()
	})
	return err
}
