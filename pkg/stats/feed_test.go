package stats

import (
	"net/netip"
	"sync"
	"testing"
	"time"
)

func event(eventType, kind, address, channel string) Event {
	e := Event{Type: eventType, Kind: kind, Channel: channel}
	if address != "" {
		e.SetAddress(netip.MustParseAddrPort(address))
	}
	return e
}

func TestFeedFiltersForEachListener(t *testing.T) {
	var f Feed
	if f.Wants(EventConnect) {
		t.Error("something is wanted where nobody listens")
	}
	all := []Event{
		event(EventConnect, "http", "192.0.2.1:1", ""),
		event(EventSubscribe, "ws", "192.0.2.1:1", "a"),
		event(EventSubscribe, "events", "[2001:db8::1]:1", "b"),
		event(EventOverload, "", "", ""),
	}
	for _, tt := range []struct {
		filter EventFilter
		want   int
	}{
		{EventFilter{}, 4},
		{EventFilter{Types: []string{EventSubscribe}}, 2},
		{EventFilter{Types: []string{EventSubscribe, EventOverload}}, 3},
		{EventFilter{Types: []string{EventReload}}, 0},
		{EventFilter{Channel: "a"}, 1},
		{EventFilter{Kind: "ws"}, 1},
		{EventFilter{Address: "192.0.2.0/24"}, 2},
		{EventFilter{Address: "2001:db8::1"}, 1},
		{EventFilter{Address: "192.0.2.0/24", Channel: "b"}, 0},
	} {
		l, err := f.Listen(tt.filter)
		if err != nil {
			t.Fatal(err)
		}
		f.Add(all, 0)
		if b, some := l.Take(100); len(b.Events) != tt.want || some != (tt.want > 0) {
			t.Errorf("%+v: %d events, %v, want %d", tt.filter, len(b.Events), some, tt.want)
		}
		if want := len(tt.filter.Types) == 0 || tt.filter.Types[0] == EventSubscribe; f.Wants(EventSubscribe) != want {
			t.Errorf("%+v: Wants(subscribe) = %v", tt.filter, !want)
		}
		l.Close()
	}
	if f.Wants(EventConnect) {
		t.Error("something is wanted when all are closed")
	}
}

// A listener that does not take loses the oldest, and nobody else anything.
func TestSlowListenerLosesTheOldest(t *testing.T) {
	var f Feed
	slow, _ := f.Listen(EventFilter{})
	fast, _ := f.Listen(EventFilter{})
	seen := 0
	for i := range maxUnread + 1000 {
		e := Event{Type: EventConnect, UnixMS: int64(i)}
		f.Add([]Event{e}, 1)
		b, _ := fast.Take(10)
		seen += len(b.Events)
		if b.Lost > 0 {
			t.Fatal("the one that takes everything has lost something")
		}
	}
	if seen != maxUnread+1000 {
		t.Errorf("the fast listener has seen %d events", seen)
	}
	next, lost, skipped := int64(1000), uint64(0), uint64(0)
	for {
		select {
		case <-slow.Some():
		case <-time.After(10 * time.Second):
			t.Fatal("nothing is told of what is left")
		}
		b, _ := slow.Take(256)
		for _, e := range b.Events {
			if e.UnixMS != next {
				t.Fatalf("event %d, want %d", e.UnixMS, next)
			}
			next++
		}
		lost += b.Lost
		skipped += b.Skipped
		if next == maxUnread+1000 {
			break
		}
	}
	if lost != 1000 || skipped != maxUnread+1000 {
		t.Errorf("lost %d, skipped %d, want 1000 and %d", lost, skipped, maxUnread+1000)
	}
}

func TestFeedFromManyGoroutines(t *testing.T) {
	var f Feed
	l, err := f.Listen(EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				f.Add([]Event{{Type: EventConnect, Loop: g, UnixMS: int64(i)}}, 0)
			}
		})
	}
	next := [4]int64{}
	for n := 0; n < 2000; {
		<-l.Some()
		b, _ := l.Take(64)
		for _, e := range b.Events {
			if e.UnixMS != next[e.Loop] {
				t.Fatalf("loop %d: event %d, want %d", e.Loop, e.UnixMS, next[e.Loop])
			}
			next[e.Loop]++
			n++
		}
	}
	wg.Wait()
}

func TestNobodyListeningCostsNothing(t *testing.T) {
	var f Feed
	if n := testing.AllocsPerRun(100, func() {
		if f.Wants(EventConnect) {
			t.Error("wanted")
		}
	}); n != 0 {
		t.Errorf("Wants allocates %v times", n)
	}
}

func TestParseFilter(t *testing.T) {
	for _, tt := range []struct {
		text string
		want ConnectionFilter
		bad  bool
	}{
		{text: "", want: ConnectionFilter{}},
		{text: "  kind=ws ", want: ConnectionFilter{Kind: "ws"}},
		{text: "kind=ws address=10.0.0.0/8 channel=a b=c", want: ConnectionFilter{Kind: "ws", Address: "10.0.0.0/8", Channel: "a b=c"}},
		{text: "address=2001:db8::1", want: ConnectionFilter{Address: "2001:db8::1"}},
		{text: "channel=kind=ws", want: ConnectionFilter{Channel: "kind=ws"}},
		{text: "ws", bad: true},
		{text: "kind=telnet", bad: true},
		{text: "kind=", bad: true},
		{text: "kind= ws", bad: true},
		{text: "kind=ws kind=ws", bad: true},
		{text: "address=localhost", bad: true},
		{text: "address=fe80::1%eth0", bad: true},
		{text: "address=10.0.0.0/40", bad: true},
		{text: "colour=red", bad: true},
	} {
		got, err := ParseFilter(tt.text)
		if (err != nil) != tt.bad || !tt.bad && got != tt.want {
			t.Errorf("ParseFilter(%q) = %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	for _, s := range []string{"kind=ws", "address=10.0.0.0/8 channel=x y", "channel=", "kind=ws kind=ws"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseFilter(s)
		if err == nil && got.Check() != nil {
			t.Errorf("ParseFilter(%q) = %+v, which is no filter", s, got)
		}
	})
}
