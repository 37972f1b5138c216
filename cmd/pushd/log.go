package main

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// linesLeftOut is the message of the line that says so.
const linesLeftOut = "log lines left out: nothing has read them in time"

// newLogger returns a logger to w. level and format were validated. A logQueue says in the same
// format what it has left out.
func newLogger(w io.Writer, level, format string) *slog.Logger {
	var o slog.HandlerOptions
	l := new(slog.LevelVar)
	if l.UnmarshalText([]byte(level)) == nil {
		o.Level = l
	}
	if q, ok := w.(*logQueue); ok {
		q.setNote(func(n int) []byte {
			var b bytes.Buffer
			r := slog.NewRecord(time.Now(), slog.LevelError, linesLeftOut, 0)
			r.AddAttrs(slog.Int("lines", n))
			h := newHandler(&b, format, nil)
			h.Handle(context.Background(), r) //nolint:errcheck // to memory
			return b.Bytes()
		})
	}
	return slog.New(newHandler(w, format, &o))
}

func newHandler(w io.Writer, format string, o *slog.HandlerOptions) slog.Handler {
	if format == "json" {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

// libraryLog takes what libraries write to the standard logger, net/http above all, and logs a line of it a second at most. What a
// backend has sent is left out.
type libraryLog struct {
	log *slog.Logger

	mu       sync.Mutex
	last     time.Time
	heldBack int // lines since then
}

// redirectLog has the standard logger write to l.
func redirectLog(l *slog.Logger) {
	log.SetFlags(0)
	log.SetOutput(&libraryLog{log: l})
}

func (l *libraryLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.last) < time.Second {
		l.heldBack++
		return len(b), nil
	} else {
		l.last = now
	}
	text, _, _ := strings.Cut(string(b), "\n")
	text, _, _ = strings.Cut(text, " starting with ")
	l.log.Warn("a library complains", slog.String("err", text), slog.Int("held_back", l.heldBack))
	l.heldBack = 0
	return len(b), nil
}
