package server

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"holdfast/pkg/publish"
)

func TestTide(t *testing.T) {
	var tide tide
	for i, step := range []struct {
		now, highest int64
		out          bool
	}{
		{100, 100, false},  // it rises
		{900, 1000, false}, // and is past its highest
		{600, 900, false},  // it falls
		{500, 600, false},
		{500, 500, true},  // and has stopped
		{500, 500, false}, // once
		{480, 500, false}, // less than is worth it
		{480, 480, false},
		{0, 2000, false}, // a peak between two looks
		{0, 0, true},
	} {
		if got := tide.out(step.now, step.highest, 100); got != step.out {
			t.Errorf("step %d: %v, want %v", i, got, step.out)
		}
	}
}

// What waited for clients who did not read is given back to the system when they are gone.
func TestMemoryOfSlowClientsComesBack(t *testing.T) {
	if raced {
		t.Skip("the race detector keeps memory of its own")
	}
	s, ctl := startServer(t, func(o *Options) { o.MaxQueued, o.QueueMemory, o.Overflow = 4<<20, 256<<20, OverflowDrop })
	defer s.Shutdown()
	defer ctl.Close()
	before := s.Snapshot().RSSAnonBytes
	var conns []io.Closer
	for i := range 16 {
		conns = append(conns, stuck(t, s.addr(), fmt.Sprint("/stream?channel=a", i)))
	}
	eventually(t, "they are held", func() bool { return s.Snapshot().Connections.Stream == len(conns) })
	for range 20 {
		var items []publish.Item
		for i := range conns {
			items = append(items, streamItem(fmt.Sprint("a", i), strings.Repeat("x", 200<<10)))
		}
		if _, err := ctl.Publish(t.Context(), items); err != nil {
			t.Fatal(err)
		}
	}
	full := s.Snapshot()
	if full.QueuedBytes < 2*minUnqueued {
		t.Fatalf("only %d bytes are queued", full.QueuedBytes)
	}
	for _, c := range conns {
		c.Close()
	}
	eventually(t, fmt.Sprintf("memory comes back (%d KiB before, %d with %d KiB queued)", before>>10, full.RSSAnonBytes>>10, full.QueuedBytes>>10), func() bool {
		now := s.Snapshot()
		return now.QueuedBytes == 0 && now.RSSAnonBytes < before+8<<20
	})
}
