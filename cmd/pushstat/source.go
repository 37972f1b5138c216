package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/client"
	"holdfast/pkg/stats"
	"holdfast/pkg/version"
	"holdfast/pkg/wire"
)

// Bounds of the time between two attempts to reach a pushd that went away.
const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// source is one pushd that is asked. It belongs to one goroutine at a time.
type source struct {
	path    string // "" for the usual places
	timeout time.Duration
	conn    *client.Conn // nil while there is none
	worked  bool         // it has answered before
	told    bool         // that it has never answered was said
	retry   time.Duration
	retryAt time.Time
	last    *stats.Snapshot // the answer before, of the same connection
}

// name is the source as messages show it.
func (s *source) name() string {
	if s.path == "" {
		return "pushd"
	}
	return "pushd on " + app.Printable(s.path)
}

// snapshot connects if need be and asks once.
func (s *source) snapshot(ctx context.Context) (*stats.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if s.conn == nil {
		conn, err := client.Dial(ctx, s.path, client.Options{Program: "pushstat " + version.String(), Role: wire.RoleStats})
		if err != nil {
			return nil, coded(err)
		}
		s.conn = conn
	}
	snap, err := s.conn.Stats(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v", s.timeout)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return snap, nil
}

// coded gives err its exit code.
func coded(err error) error {
	var gone *client.DialError
	if errors.As(err, &gone) {
		return app.Exit(app.NotThere, err)
	}
	return err
}

func (s *source) close() {
	if s.conn != nil {
		s.conn.Close()
	}
	s.conn, s.last = nil, nil
}

// read asks once. A pushd that had answered before and does not now gives no error but nil: it is asked again with
// back-off, and say is called with the news of its loss and its return.
func (s *source) read(ctx context.Context, now time.Time, say func(string)) (*reading, error) {
	lost := s.worked && s.conn == nil
	if lost && now.Before(s.retryAt) {
		return nil, nil
	}
	snap, err := s.snapshot(ctx)
	switch {
	case err == nil && lost:
		say(s.name() + " is back")
	case err == nil:
	case ctx.Err() != nil || !s.worked:
		return nil, err
	default:
		if !lost {
			s.retry = firstRetry
			say(fmt.Sprintf("%s went away (%v); trying again", s.name(), err))
		}
		s.retryAt = now.Add(s.retry)
		s.retry = min(2*s.retry, lastRetry)
		return nil, nil
	}
	r := &reading{labels: labels{Socket: s.path}, Snapshot: snap, Rates: ratesBetween(s.last, snap)}
	s.worked, s.last = true, snap
	return r, nil
}
