package loadgen

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"testing"

	"holdfast/pkg/client"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

// fake is a pushd made of net/http, with faults on demand.
type fake struct {
	addr   netip.AddrPort
	status func(n int) int                          // of request n; nil: 200
	tamper func(sub, message int) (frames []string) // what subscriber sub gets instead of a message; nil: the message
	refuse func(message int) bool

	mu        sync.Mutex
	requests  int
	subs      map[string][]*fakeSub
	published int
	snapshots int
}

// fakeSub is one held response. Closing it ends the response.
type fakeSub struct {
	number int
	frames chan string
	once   sync.Once
}

// Frames with a meaning.
const (
	itself = "the message itself"
	hangUp = "the end of the connection"
)

func startFake(t *testing.T) *fake {
	f := &fake{subs: map[string][]*fakeSub{}}
	s := httptest.NewServer(f)
	t.Cleanup(func() {
		f.mu.Lock()
		for _, list := range f.subs {
			for _, sub := range list {
				sub.once.Do(func() { close(sub.frames) })
			}
		}
		f.mu.Unlock()
		s.Close()
	})
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	f.addr = netip.MustParseAddrPort(u.Host)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	n := f.requests
	f.requests++
	f.mu.Unlock()
	if f.status != nil && f.status(n) != 200 {
		http.Error(w, "no room for you", f.status(n))
		return
	}
	sub := &fakeSub{number: n, frames: make(chan string, 10000)}
	name := r.URL.Query().Get("channel")
	f.mu.Lock()
	f.subs[name] = append(f.subs[name], sub)
	f.mu.Unlock()
	opening := "event: message\ndata: stream open\n\n"
	switch {
	case r.URL.Path == "/events":
		opening = ":\n\nretry: 2500\n\n"
	case r.URL.Query().Get("opening") != "1": // as pushd, a stream begins with what is published
		opening = ":\n\n:\n\n"
	}
	w.Header().Set("Content-Type", "text/event-stream")
	// The front of the opening comes alone, as any bytes may.
	for _, part := range []string{opening[:5], opening[5:]} {
		fmt.Fprint(w, part)
		w.(http.Flusher).Flush()
	}
	for {
		select {
		case frame, ok := <-sub.frames:
			switch {
			case !ok:
				return
			case frame == hangUp:
				panic(http.ErrAbortHandler) // closes the connection
			}
			fmt.Fprint(w, frame)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (f *fake) Stats(context.Context) (*stats.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshots++
	return &stats.Snapshot{RSSAnonBytes: int64(1e6 * f.snapshots), CPUSeconds: float64(f.snapshots)}, nil
}

func (f *fake) Publisher(o client.PublisherOptions) publisher { return &fakePublisher{f, o} }

type fakePublisher struct {
	f *fake
	o client.PublisherOptions
}

func (p *fakePublisher) Flush(ctx context.Context) error { return ctx.Err() }

func (p *fakePublisher) Publish(ctx context.Context, it *publish.Item) (uint64, error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	f := p.f
	f.mu.Lock()
	defer f.mu.Unlock()
	number := f.published
	f.published++
	seq := uint64(number + 1)
	if f.refuse != nil && f.refuse(number) {
		p.o.OnAck(seq, wire.Ack{ID: seq, Err: &wire.Error{Code: wire.Internal, Text: "not today"}})
		return seq, nil
	}
	frame := it.Stream.Content
	if it.Has(publish.SSE) {
		frame = "data: " + it.Event.Data + "\n\n"
	}
	subs := f.subs[it.Channel]
	for _, sub := range subs {
		frames := []string{frame}
		if f.tamper != nil {
			if instead := f.tamper(sub.number, number); instead != nil {
				frames = instead
			}
		}
		for _, instead := range frames {
			if instead == itself {
				instead = frame
			}
			sub.frames <- instead
		}
	}
	p.o.OnAck(seq, wire.Ack{ID: seq, Accepted: true, Receivers: len(subs)})
	return seq, nil
}

var errNoStats = errors.New("no statistics")

// silentDaemon has no statistics.
type silentDaemon struct{ *fake }

func (silentDaemon) Stats(context.Context) (*stats.Snapshot, error) { return nil, errNoStats }

func (f *fake) options() Options {
	o := NewOptions()
	o.Targets = []netip.AddrPort{f.addr}
	o.Connections, o.Messages, o.Rate = 20, 30, 0
	return o
}

// names lists the channels with subscribers.
func (f *fake) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for name := range f.subs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
