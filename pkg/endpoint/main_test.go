package endpoint

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when a test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is a listener in memory, so that its clients can be in a synctest bubble. Each value of
// came is a connection, or an error of Accept.
type pipes struct {
	came  chan any
	ended chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{came: make(chan any), ended: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case v := <-p.came:
		if err, failed := v.(error); failed {
			return nil, err
		}
		return v.(net.Conn), nil
	case <-p.ended:
		return nil, errors.New("not the listener's own word for closed")
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.ended) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// dial returns the client's side of a connection that was accepted.
func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.came <- theirs
	return ours
}

// logTo returns a logger and what it has written.
func logTo() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}
