package proxy

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	reportPeriod = time.Second
	maxReports   = 1024 // routes and causes that are remembered
)

// reporter writes at most one line a second for each route and cause, with the number of those that it held back.
type reporter struct {
	log *slog.Logger

	mu     sync.Mutex
	recent map[reportKey]*recent
}

type reportKey struct {
	route string
	cause Cause
}

type recent struct {
	at   time.Time // of the last line
	held int       // since then
}

func (r *reporter) warn(route string, cause Cause, attrs ...slog.Attr) {
	held, may := r.may(reportKey{route, cause}, time.Now())
	if !may || r.log == nil {
		return
	}
	attrs = append([]slog.Attr{slog.String("route", route), slog.String("cause", cause.String())}, attrs...)
	if held > 0 {
		attrs = append(attrs, slog.Int("held_back", held))
	}
	r.log.LogAttrs(context.Background(), slog.LevelWarn, "backend request failed", attrs...)
}

// full warns that the places of a route are taken, so that requests begin to wait.
func (r *reporter) full(route string, active int64) {
	held, may := r.may(reportKey{route, numCauses}, time.Now())
	if !may || r.log == nil {
		return
	}
	attrs := []slog.Attr{slog.String("route", route), slog.Int64("active", active)}
	if held > 0 {
		attrs = append(attrs, slog.Int("held_back", held))
	}
	r.log.LogAttrs(context.Background(), slog.LevelWarn, "all places of a route are taken: requests wait", attrs...)
}

func (r *reporter) may(k reportKey, now time.Time) (held int, may bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.recent[k]
	switch {
	case last == nil:
		if r.recent == nil || len(r.recent) >= maxReports { // after many reloads
			r.recent = make(map[reportKey]*recent)
		}
		r.recent[k] = &recent{at: now}
		return 0, true
	case now.Sub(last.at) < reportPeriod:
		last.held++
		return 0, false
	}
	held, last.at, last.held = last.held, now, 0
	return held, true
}
