package server

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	reclaimEvery = time.Second
	minReclaim   = 1000     // connections whose leaving is worth a collection
	minUnqueued  = 16 << 20 // bytes of queues whose emptying is
)

// reclaim gives memory back to the system after many connections have left, or much that waited
// for slow ones has gone: once, when the number has fallen to three quarters of its peak or less
// and has stopped falling. The collector would keep it for a next time that may never come.
func (s *Server) reclaim(ctx context.Context) error {
	tick := time.NewTicker(reclaimEvery)
	defer tick.Stop()
	var connections, queued tide
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		limit := s.loops.limit
		ebb := connections.out(int64(limit.Connections()), int64(limit.Peak()), minReclaim)
		now, peak := s.loops.queue.Used()
		if queued.out(now, peak, minUnqueued) || ebb {
			debug.FreeOSMemory()
		}
	}
}

// tide follows a number that rises and falls.
type tide struct{ peak, last int64 }

// out reports that the number, now and at its highest since the last call, has gone far down, by
// least or more, and stopped.
func (t *tide) out(now, highest, least int64) bool {
	t.peak = max(t.peak, highest, now)
	stopped := now >= t.last
	t.last = now
	if now > t.peak*3/4 || !stopped || t.peak-now < least {
		return false
	}
	t.peak = now
	return true
}
