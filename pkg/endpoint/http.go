package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxHeader  = 10_000      // bytes of a request head, as Pushpin has it; net/http adds some slack
	lingerTime = time.Second // for requests under way at the end
)

// HTTP is how an HTTP endpoint for operators and programs is served. Its clients are few, and are
// not those of channels.
type HTTP struct {
	Name         string                   // for errors and warnings
	Log          *slog.Logger             // nil means silence
	Requests     int                      // in hand at the same time; more wait
	Connections  int                      // open at the same time, at least 8 more than Requests
	Free         func(*http.Request) bool // whether a request needs no place; nil: none does
	Wait         time.Duration            // for a place; then 503 is answered
	ReadTimeout  time.Duration            // for a request; after a wait, again for its body
	WriteTimeout time.Duration            // for the answer, without the wait for a place
	IdleTimeout  time.Duration            // between requests of one connection
}

// Serve serves ln with h until ctx ends, gives requests under way a second, and returns when all
// its goroutines are gone.
func (e HTTP) Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	log := orSilent(e.Log)
	limited := newConns(NewListener(ln, e.Name, log), e.Connections)
	hs := &http.Server{
		Handler:           newPlaces(e, h),
		ReadHeaderTimeout: e.ReadTimeout,
		ReadTimeout:       e.ReadTimeout,
		WriteTimeout:      e.WriteTimeout + e.Wait,
		IdleTimeout:       e.IdleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnState:         limited.changed,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, nc)
		},
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	ended, cancel := context.WithCancel(ctx)
	var ender sync.WaitGroup
	ender.Go(func() {
		<-ended.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), lingerTime)
		defer cancel()
		if hs.Shutdown(late) != nil {
			hs.Close()
		}
	})
	err := hs.Serve(limited)
	cancel()
	ender.Wait()
	limited.wait()
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", e.Name, err)
	}
	return nil
}

// connKey is the key of a request's *conn in its context.
type connKey struct{}

// places is a handler that bounds the requests in hand.
type places struct {
	e       HTTP
	h       http.Handler
	taken   chan struct{} // holds a token for each request in hand
	waiting atomic.Int64
	most    int64 // that may wait: the rest of the connections is for requests that need no place
	full    warning
}

func newPlaces(e HTTP, h http.Handler) *places {
	return &places{
		e: e, h: h, taken: make(chan struct{}, e.Requests),
		most: int64(e.Connections - e.Requests - max(e.Connections/8, 1)),
		full: warning{
			log: orSilent(e.Log), text: "endpoint has no place for a request", name: e.Name,
		},
	}
}

// ServeHTTP answers one request, when there is a place for it.
func (p *places) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.e.Free != nil && p.e.Free(r) {
		p.h.ServeHTTP(w, r)
		return
	}
	if !p.take(w, r) {
		p.full.warn(slog.Int("limit", p.e.Requests))
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Connection", "close") // else net/http reads the body before it answers
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusServiceUnavailable)
		//nolint:errcheck // a client that is gone needs no answer
		io.WriteString(w, "Too many requests at a time.\n")
		//nolint:errcheck // as above
		http.NewResponseController(w).Flush()
		if c, ok := r.Context().Value(connKey{}).(*conn); ok {
			c.become(idle) // net/http lets it linger: it gives way to who comes
			c.l.tell()
		}
		return
	}
	defer func() { <-p.taken }()
	p.h.ServeHTTP(w, r)
}

// take waits for a place.
func (p *places) take(w http.ResponseWriter, r *http.Request) bool {
	select {
	case p.taken <- struct{}{}:
		return true
	default:
	}
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > p.most {
		return false
	}
	timeout := time.NewTimer(p.e.Wait)
	defer timeout.Stop()
	select {
	case p.taken <- struct{}{}:
		// A body that nobody has read meanwhile gets its time again.
		//nolint:errcheck // HTTP/1 has deadlines
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(p.e.ReadTimeout))
		return true
	case <-timeout.C:
	case <-r.Context().Done():
	}
	return false
}
