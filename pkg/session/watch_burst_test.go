package session

import (
	"testing"
	"time"

	"holdfast/pkg/stats"
)

// After a burst that was sampled, a single event some time later is told.
func TestEventsAfterABurstAreTold(t *testing.T) {
	f := newFake(t)
	l, err := f.clients.opts.Feed.Listen(stats.EventFilter{Types: []string{stats.EventConnect}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 12000 { // as fast as it goes: sampled
		f.accept(false)
	}
	f.clients.BatchEnd()
	time.Sleep(3 * watchWindow) // nothing happens
	for {
		if _, some := l.Take(10000); !some {
			break
		}
	}
	f.accept(false)
	f.clients.BatchEnd()
	b, _ := l.Take(10)
	if len(b.Events) != 1 {
		t.Errorf("%d events told, %d left out: want the one that happened", len(b.Events), b.Skipped)
	}
}
