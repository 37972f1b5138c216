package control

import (
	"net"
	"sync"
)

// limitListener accepts a new connection only while fewer than its limit are open.
type limitListener struct {
	net.Listener
	slots chan struct{} // holds a token for each open connection
	ended chan struct{}
	once  sync.Once
	conns sync.WaitGroup
}

func newLimitListener(ln net.Listener, limit int) *limitListener {
	return &limitListener{Listener: ln, slots: make(chan struct{}, limit), ended: make(chan struct{})}
}

// Accept waits for room first.
func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.ended:
		return nil, net.ErrClosed
	}
	nc, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	l.conns.Add(1)
	return &limitedConn{Conn: nc, l: l}, nil
}

// Close ends Accept. Connections stay.
func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.ended) })
	return l.Listener.Close()
}

// wait blocks until every accepted connection is closed.
func (l *limitListener) wait() { l.conns.Wait() }

// limitedConn gives its place back at Close.
type limitedConn struct {
	net.Conn
	l    *limitListener
	once sync.Once
}

// Close closes the connection.
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		<-c.l.slots
		c.l.conns.Done()
	})
	return err
}
