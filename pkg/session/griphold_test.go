package session

import (
	"sync/atomic"
	"testing"

	"holdfast/pkg/route"
	"holdfast/pkg/stats"
)

// A stream whose client is found gone when its answer begins ends its subscriptions while the connection is known: somebody may listen.
func TestStreamHoldWhoseClientIsGone(t *testing.T) {
	f := newFake(t)
	table, err := route.Parse("routes", []byte("* test\n"), route.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f.clients.opts.Routes = new(atomic.Pointer[route.Table])
	f.clients.opts.Routes.Store(table)
	l, err := f.clients.opts.Feed.Listen(stats.EventFilter{Types: []string{stats.EventUnsubscribe}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f.clients.Task(&Listening{Done: make(chan struct{}, 1)})
	id, c := f.accept(false)
	c.broken = true
	f.write(id, "GET /stream?channel=a"+host)
	f.clients.BatchEnd()
	if b, _ := l.Take(10); len(b.Events) != 1 || b.Events[0].Channel != "a" {
		t.Errorf("told: %+v", b.Events)
	}
	if n := f.stats.Subscriptions.Load(); n != 0 || !c.over {
		t.Errorf("%d subscriptions, over=%v", n, c.over)
	}
}
