package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxHTTPHeader is the bytes of a request head, as Pushpin has it; net/http adds some slack.
const maxHTTPHeader = 10_000

// Endpoint is how an HTTP endpoint for operators and programs is served. Its clients are few, and are not those of channels.
type Endpoint struct {
	Name         string        // for errors
	Log          *slog.Logger  // nil means silence
	Clients      int           // connections at the same time; more wait to be accepted
	ReadTimeout  time.Duration // for head and body of a request
	WriteTimeout time.Duration // from the end of the head to the end of the answer
	IdleTimeout  time.Duration // between requests of one connection
}

// Serve serves ln with h until ctx ends, gives requests under way a second, and returns when all its goroutines are gone.
func (e Endpoint) Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	log := e.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	hs := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: e.ReadTimeout,
		ReadTimeout:       e.ReadTimeout,
		WriteTimeout:      e.WriteTimeout,
		IdleTimeout:       e.IdleTimeout,
		MaxHeaderBytes:    maxHTTPHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	limited := newLimitListener(ln, e.Clients)
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

// Probes answers those who ask how pushd is: GET /health says that it lives, GET /ready whether it takes new clients. They
// tell nothing else, and anybody may ask.
type Probes struct {
	Draining func() bool // whether pushd is about to end; nil: never
}

// Answer answers r if it is such a question, and reports whether it was.
func (p Probes) Answer(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case r.URL.Path == "/health":
		answerProbe(w, r, http.StatusOK, "ok")
	case r.URL.Path != "/ready":
		return false
	case p.Draining != nil && p.Draining():
		answerProbe(w, r, http.StatusServiceUnavailable, "draining")
	default:
		answerProbe(w, r, http.StatusOK, "ready")
	}
	return true
}

// answerProbe answers a GET or HEAD that asks how pushd is.
func answerProbe(w http.ResponseWriter, r *http.Request, code int, text string) {
	if !OnlyRead(w, r) {
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	answer(w, code, text)
}

// OnlyRead reports whether r is a GET or HEAD. Other methods it answers itself.
func OnlyRead(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	wrongMethod(w, r, http.MethodGet+", "+http.MethodHead)
	return false
}
