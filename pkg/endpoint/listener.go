package endpoint

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	firstPause   = 5 * time.Millisecond // after an accept that failed, doubled each time
	longestPause = time.Second
	warnEvery    = time.Second
)

// Listener accepts until it is closed. Accept is for one goroutine at a time.
type Listener struct {
	net.Listener
	accepting warning
	ended     chan struct{}
	once      sync.Once
}

// NewListener returns a Listener on ln, which it then owns. The name of the endpoint is for its
// warnings; a nil log means silence.
func NewListener(ln net.Listener, name string, log *slog.Logger) *Listener {
	return &Listener{
		Listener:  ln,
		accepting: warning{log: orSilent(log), text: "endpoint cannot accept", name: name},
		ended:     make(chan struct{}),
	}
}

// Accept waits for the next connection. It fails only when the listener is closed.
func (l *Listener) Accept() (net.Conn, error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		nc, err := l.Listener.Accept()
		select {
		case <-l.ended:
			if err == nil {
				nc.Close()
			}
			return nil, net.ErrClosed
		default:
		}
		if err == nil || errors.Is(err, net.ErrClosed) {
			return nc, err
		}
		l.accepting.warn(slog.Any("err", err))
		if !l.sleep(pause) {
			return nil, net.ErrClosed
		}
	}
}

// sleep reports false when the listener was closed meanwhile.
func (l *Listener) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.ended:
		return false
	}
}

// Close ends Accept. Connections stay. A second call does nothing.
func (l *Listener) Close() (err error) {
	l.once.Do(func() {
		close(l.ended)
		err = l.Listener.Close()
	})
	return err
}

// warning is logged once a second at most, with the number of those held back.
type warning struct {
	log  *slog.Logger
	text string
	name string // of the endpoint

	mu   sync.Mutex
	last time.Time
	held int
}

func (w *warning) warn(facts ...slog.Attr) {
	w.mu.Lock()
	now := time.Now()
	if now.Sub(w.last) < warnEvery {
		w.held++
		w.mu.Unlock()
		return
	}
	held := w.held
	w.last, w.held = now, 0
	w.mu.Unlock()
	facts = append([]slog.Attr{slog.String("endpoint", w.name)}, facts...)
	facts = append(facts, slog.Int("held_back", held))
	w.log.LogAttrs(context.Background(), slog.LevelWarn, w.text, facts...)
}

func orSilent(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
