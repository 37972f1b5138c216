package feed

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// runSchedule waits through s and takes work(i) after message i. It returns when each message was let through and the
// sum of those left out.
func runSchedule(t *testing.T, s *Schedule, work func(i int) time.Duration) (at []time.Duration, skipped int) {
	t.Helper()
	start := time.Now()
	for i := 0; ; i++ {
		n, err := s.Wait(t.Context())
		if err == io.EOF {
			return at, skipped
		}
		if err != nil {
			t.Fatal(err)
		}
		skipped += n
		at = append(at, time.Since(start))
		time.Sleep(work(i))
	}
}

func TestScheduleDoesNotDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, skipped := runSchedule(t, NewSchedule(time.Second, 1000), func(i int) time.Duration {
			return time.Duration(i%10) * 99 * time.Millisecond
		})
		if len(at) != 1000 || skipped != 0 {
			t.Fatalf("%d messages, %d left out, want 1000 and 0", len(at), skipped)
		}
		for i, d := range at {
			if want := time.Duration(i) * time.Second; d != want {
				t.Fatalf("message %d at %v, want %v", i, d, want)
			}
		}
	})
}

func TestScheduleLeavesOutWhatAStallMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, skipped := runSchedule(t, NewSchedule(time.Second, 5), func(i int) time.Duration {
			if i == 1 {
				return 3500 * time.Millisecond // from 1 s to 4.5 s: 2 and 3 are missed, 4 is late
			}
			return 0
		})
		want := []time.Duration{0, time.Second, 4500 * time.Millisecond, 5 * time.Second, 6 * time.Second}
		if len(at) != len(want) || skipped != 2 {
			t.Fatalf("messages at %v, %d left out, want %v and 2", at, skipped, want)
		}
		for i := range want {
			if at[i] != want[i] {
				t.Errorf("message %d at %v, want %v", i, at[i], want[i])
			}
		}
	})
}

func TestScheduleWithoutPeriodIsDueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, skipped := runSchedule(t, NewSchedule(0, 3), func(int) time.Duration { return time.Second })
		if len(at) != 3 || at[2] != 2*time.Second || skipped != 0 {
			t.Errorf("messages at %v, %d left out, want 0s, 1s, 2s and 0", at, skipped)
		}
	})
}

func TestScheduleWithoutCountGoesOn(t *testing.T) {
	s := NewSchedule(time.Second, 0)
	start := time.Unix(0, 0)
	for i := range 100_000 {
		want := start.Add(time.Duration(i) * time.Second)
		if due, skipped, ok := s.Next(want); !ok || skipped != 0 || !due.Equal(want) {
			t.Fatalf("Next %d = %v, %d, %v, want %v", i, due, skipped, ok, want)
		}
	}
}

func TestScheduleEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := NewSchedule(time.Hour, 0)
		if _, err := s.Wait(ctx); err != nil {
			t.Fatalf("first Wait = %v, want nil", err)
		}
		time.AfterFunc(time.Minute, cancel)
		start := time.Now()
		if _, err := s.Wait(ctx); !errors.Is(err, context.Canceled) || time.Since(start) != time.Minute {
			t.Errorf("Wait = %v after %v, want context.Canceled after 1m", err, time.Since(start))
		}
		if _, err := s.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Wait afterwards = %v, want context.Canceled", err)
		}
	})
}
