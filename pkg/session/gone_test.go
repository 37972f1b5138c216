package session

import (
	"net/netip"
	"testing"

	"holdfast/pkg/stats"
)

// What netloop closes at the very end of a batch, after the events were handed on, leaves no
// address for the next connection of its number.
func TestNextConnectionOfANumberHasItsOwnAddress(t *testing.T) {
	f := newFake(t)
	l, err := f.clients.opts.Feed.Listen(stats.EventFilter{
		Types: []string{stats.EventConnect, stats.EventDisconnect},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	id, _ := f.accept(false)
	f.clients.BatchEnd()
	f.Close(id, stats.CloseMemory) // as shedding does
	f.last--                       // the number comes back
	f.peer = netip.MustParseAddr("203.0.113.9")
	f.accept(false)
	f.clients.BatchEnd()
	got := ""
	for b, some := l.Take(10); some; b, some = l.Take(10) {
		for _, e := range b.Events {
			got += e.Type + " " + e.Address + "\n"
		}
	}
	want := "connect 198.51.100.7:40000\ndisconnect 198.51.100.7:40000\nconnect 203.0.113.9:40000\n"
	if got != want {
		t.Errorf("events:\n%swant:\n%s", got, want)
	}
}

// Connections that have ended since they were gathered are passed over.
func TestDeliverPassesOverConnectionsThatHaveEnded(t *testing.T) {
	f := newFake(t)
	first, _ := f.get("/stream?channel=a")
	second, c := f.get("/stream?channel=a")
	f.Close(first, stats.CloseDone)
	before := c.out.Len()
	if n, _ := f.clients.Deliver(1, []uint32{first, second}, []byte("x"), 1); n != 1 {
		t.Errorf("handed to %d, want 1", n)
	}
	if got := c.out.String()[before:]; got != "x" {
		t.Errorf("the other connection got %q, want x", got)
	}
	far := uint32(1 << 20) // its page of records is gone
	if n, behind := f.clients.Deliver(2, []uint32{far}, []byte("x"), 1); n != 0 || behind != 0 {
		t.Errorf("Deliver = %d, %d with nobody left, want 0, 0", n, behind)
	}
}
