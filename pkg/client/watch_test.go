package client

import (
	"context"
	"errors"
	"testing"
	"time"

	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

// tell is a script that answers requests for statistics: with numbered snapshots, or that there are none.
func tell(s *session) {
	n := uint64(0)
	for {
		m, ok := s.next()
		if !ok {
			return
		}
		var sub wire.Subscribe // a stats-request has the same id
		if err := wire.ParseCold(m, &sub); err != nil {
			s.t.Error(err)
			return
		}
		count := 1
		if m.Type == wire.TypeStatsSubscribe {
			count = min(int(sub.IntervalMS), 5)
		}
		if sub.IntervalMS == 666 {
			s.Write(wire.AppendCold(nil, wire.TypeError, &wire.Failure{Code: wire.BadRequest, Text: "no", ID: sub.ID})) //nolint:errcheck // the client may be gone
			continue
		}
		for range count {
			n++
			s.Write(wire.AppendCold(nil, wire.TypeStatsSnapshot, //nolint:errcheck // as above
				&wire.Snapshot{ID: sub.ID, Snapshot: stats.Snapshot{Published: n}}))
		}
	}
}

func TestStatsAndWatch(t *testing.T) {
	c := dialTest(t, serve(t, ours, tell))
	s, err := c.Stats(t.Context())
	if err != nil || s.Published != 1 {
		t.Fatalf("Stats = %+v, %v, want the first snapshot", s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	last := uint64(0)
	err = c.Watch(ctx, time.Second, func(s *stats.Snapshot) error {
		if s.Published <= last {
			t.Errorf("snapshot %d after %d", s.Published, last)
		}
		if last = s.Published; last == 6 {
			cancel()
		}
		return nil
	})
	if err != nil || last != 6 {
		t.Errorf("Watch = %v after snapshot %d, want nil after the sixth", err, last)
	}
	if s, err := c.Stats(t.Context()); err != nil || s.Published != 7 {
		t.Errorf("Stats after Watch = %+v, %v, want the seventh snapshot", s, err)
	}
	stop := errors.New("stop")
	if err := c.Watch(t.Context(), time.Second, func(*stats.Snapshot) error { return stop }); err != stop {
		t.Errorf("Watch = %v, want the error of its function", err)
	}
}

func TestRefusedRequestEndsAlone(t *testing.T) {
	c := dialTest(t, serve(t, ours, tell))
	err := c.Watch(t.Context(), 666*time.Millisecond, func(*stats.Snapshot) error { return nil })
	if !errors.Is(err, &wire.Error{Code: wire.BadRequest}) {
		t.Errorf("Watch = %v, want bad request", err)
	}
	if _, err := c.Stats(t.Context()); err != nil {
		t.Errorf("Stats after it: %v", err)
	}
}

func TestWatchEndsWithTheConnection(t *testing.T) {
	c := dialTest(t, serve(t, ours, func(s *session) { s.next() }))
	if err := c.Watch(t.Context(), time.Second, func(*stats.Snapshot) error { return nil }); err == nil {
		t.Error("Watch = nil at the end of the connection")
	}
	c = dialTest(t, serve(t, ours, listenOnly))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Stats(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stats of a silent server = %v", err)
	}
}
