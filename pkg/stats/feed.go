package stats

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
)

// maxUnread is the number of events that wait for one listener. When more come, the oldest are lost, and counted.
const maxUnread = 4096

// Feed takes events from the loops to those who listen. It is safe for all goroutines. Where nobody listens it costs a look at
// one word.
type Feed struct {
	wanted atomic.Uint32 // types that somebody listens to

	mu        sync.Mutex
	listeners []*Listener
}

// Wants reports whether anybody listens to events of that type.
func (f *Feed) Wants(eventType string) bool {
	w := f.wanted.Load()
	return w != 0 && w&typeBit(eventType) != 0
}

func typeBit(eventType string) uint32 {
	switch eventType {
	case EventConnect:
		return 1
	case EventDisconnect:
		return 2
	case EventSubscribe:
		return 4
	case EventUnsubscribe:
		return 8
	case EventDrop:
		return 16
	case EventReload:
		return 32
	case EventOverload:
		return 64
	}
	return 0
}

// Add hands events to those who listen. skipped is how many happened besides and were left out. The events stay the caller's.
func (f *Feed) Add(events []Event, skipped uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.listeners {
		l.add(events, skipped)
	}
}

// Listen has a new Listener get the events that pass the filter, until it is closed.
func (f *Feed) Listen(filter EventFilter) (*Listener, error) {
	if err := filter.Check(); err != nil {
		return nil, err
	}
	l := &Listener{feed: f, filter: filter, some: make(chan struct{}, 1)}
	for _, t := range filter.Types {
		l.types |= typeBit(t)
	}
	if l.types == 0 {
		l.types = 1<<len(EventTypes()) - 1
	}
	if filter.Address != "" {
		l.prefix, _ = ParsePrefix(filter.Address) //nolint:errcheck // Check has read it
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listeners = append(f.listeners, l)
	f.update()
	return l, nil
}

// update notes which types are wanted. The mutex is held.
func (f *Feed) update() {
	w := uint32(0)
	for _, l := range f.listeners {
		w |= l.types
	}
	f.wanted.Store(w)
}

// Listener gets events of a Feed.
type Listener struct {
	feed   *Feed
	filter EventFilter
	types  uint32
	prefix netip.Prefix  // not valid: any address
	some   chan struct{} // holds a token when there may be something

	mu      sync.Mutex
	events  []Event // a ring of maxUnread when it is that long
	oldest  int     // of the ring
	lost    uint64
	skipped uint64
}

// Some holds a token when there may be something to take.
func (l *Listener) Some() <-chan struct{} { return l.some }

// Close ends the listening. A second call does nothing more.
func (l *Listener) Close() {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	l.feed.listeners = slices.DeleteFunc(l.feed.listeners, func(o *Listener) bool { return o == l })
	l.feed.update()
}

func (l *Listener) add(events []Event, skipped uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.skipped += skipped
	some := skipped > 0
	for i := range events {
		if !l.passes(&events[i]) {
			continue
		}
		some = true
		if len(l.events) < maxUnread {
			l.events = append(l.events, events[i])
			continue
		}
		l.events[l.oldest] = events[i]
		l.oldest = (l.oldest + 1) % maxUnread
		l.lost++
	}
	if some {
		l.wake()
	}
}

func (l *Listener) wake() {
	select {
	case l.some <- struct{}{}:
	default:
	}
}

func (l *Listener) passes(e *Event) bool {
	f := &l.filter
	return l.types&typeBit(e.Type) != 0 &&
		(f.Kind == "" || f.Kind == e.Kind) &&
		(f.Channel == "" || f.Channel == e.Channel) &&
		(!l.prefix.IsValid() || l.prefix.Contains(e.ip))
}

// Take returns what has come since the last call, at most max events, the oldest. It reports whether there is anything.
func (l *Listener) Take(max int) (b EventBatch, any bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.oldest > 0 { // put the ring in order
		l.events = append(append(make([]Event, 0, len(l.events)), l.events[l.oldest:]...), l.events[:l.oldest]...)
		l.oldest = 0
	}
	n := min(max, len(l.events))
	b = EventBatch{Events: l.events[:n:n], Lost: l.lost, Skipped: l.skipped}
	l.events, l.lost, l.skipped = l.events[n:], 0, 0
	if len(l.events) == 0 {
		l.events = nil
	} else {
		l.wake()
	}
	return b, n > 0 || b.Lost > 0 || b.Skipped > 0
}
