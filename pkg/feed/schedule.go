package feed

import (
	"context"
	"io"
	"time"
)

// Schedule says when a repeated message is due: the first time at once, then every period counted from the first, so
// that delays do not add up. When more than one is overdue, after a stall, all but the latest are left out instead of
// being caught up in a burst.
type Schedule struct {
	every time.Duration
	count int // messages to come; negative means without end
	first time.Time
	tick  int64 // of the last message: it was due at first + tick*every
	begun bool
}

// NewSchedule returns the schedule of count messages, one every period; a count of 0 means without end. With a period
// of 0 each message is due at once.
func NewSchedule(every time.Duration, count int) *Schedule {
	if count == 0 {
		count = -1
	}
	return &Schedule{every: every, count: count}
}

// Next returns the time at which the next message is due, which may have passed, and the number of messages left out
// because they are overdue. It reports false when there are no more.
func (s *Schedule) Next(now time.Time) (due time.Time, skipped int, ok bool) {
	if s.count == 0 {
		return time.Time{}, 0, false
	}
	if s.count > 0 {
		s.count--
	}
	if !s.begun || s.every <= 0 {
		s.begun = true
		s.first = now
		return now, 0, true
	}
	next := s.tick + 1
	s.tick = max(next, int64(now.Sub(s.first)/s.every))
	return s.first.Add(time.Duration(s.tick) * s.every), int(s.tick - next), true
}

// Wait returns when the next message is due, with the number of messages that were left out. The error is io.EOF when
// there are no more, else that of ctx.
func (s *Schedule) Wait(ctx context.Context) (skipped int, err error) {
	now := time.Now()
	due, skipped, ok := s.Next(now)
	if !ok {
		return 0, io.EOF
	}
	if err := ctx.Err(); err != nil {
		return skipped, err
	}
	if !due.After(now) {
		return skipped, nil
	}
	timer := time.NewTimer(due.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return skipped, nil
	case <-ctx.Done():
		return skipped, ctx.Err()
	}
}
