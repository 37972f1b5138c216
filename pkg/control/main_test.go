package control

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
	"holdfast/pkg/wire"

	"go.uber.org/goleak"
)

// TestMain fails when a test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeHub takes batches as hub.Directory does. It has no subscribers.
type fakeHub struct {
	came chan struct{}   // when set, it is sent to at the start of Publish
	hold chan struct{}   // when set, Publish blocks until it is closed
	late chan *hub.Batch // when set, Done is left to whoever receives the batch; a full one blocks Publish

	mu      sync.Mutex
	items   []publish.Item // clones
	batches int
}

func (f *fakeHub) Publish(ctx context.Context, b *hub.Batch) error {
	if f.came != nil {
		f.came <- struct{}{}
	}
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	for i := range b.Deliveries {
		f.items = append(f.items, publish.Clone(b.Deliveries[i].Item))
	}
	f.batches++
	f.mu.Unlock()
	if f.late == nil {
		b.Done(b)
		return nil
	}
	select {
	case f.late <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fakeHub) channels() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for _, it := range f.items {
		names = append(names, it.Channel)
	}
	return names
}

func testStats() stats.Snapshot {
	return stats.Snapshot{Published: 42, PID: os.Getpid(), Closed: map[string]uint64{"client": 1}}
}

// startServer serves o on a socket and returns its path. The server ends with the test.
func startServer(t testing.TB, o Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pushd.sock")
	ln, err := Listen(path, 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	if o.Stats == nil {
		o.Stats = testStats
	}
	if o.Program == "" {
		o.Program = "pushd test"
	}
	startServing(t, o, ln)
	return path
}

func startServing(t testing.TB, o Options, ln net.Listener) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- New(o).Serve(ctx, ln) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// peer is a client that speaks the protocol by hand.
type peer struct {
	net.Conn
	t      testing.TB
	frames *wire.Reader
}

// connect opens a connection without a hello. Whatever the test waits for must come within ten seconds.
func connect(t testing.TB, path string) *peer {
	t.Helper()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // it is open
	return &peer{Conn: nc, t: t, frames: wire.NewReader(nc, wire.MaxFrame)}
}

// greet opens a connection with hellos.
func greet(t testing.TB, path string) *peer {
	t.Helper()
	p := connect(t, path)
	p.send(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Program: "test", Role: wire.RolePublish}))
	if _, err := wire.ReadHello(p.frames); err != nil {
		t.Fatalf("ReadHello: %v", err)
	}
	return p
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

// message reads the next message.
func (p *peer) message() wire.Message {
	p.t.Helper()
	payload, err := p.frames.Next()
	if err != nil {
		p.t.Fatalf("read a message: %v", err)
	}
	m, err := wire.ParseMessage(payload)
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// until reads messages up to the first of a type.
func (p *peer) until(want wire.Type) wire.Message {
	p.t.Helper()
	for {
		if m := p.message(); m.Type == want {
			return m
		}
	}
}

// acks reads until n acks have come.
func (p *peer) acks(n int) []wire.Ack {
	p.t.Helper()
	var acks []wire.Ack
	for len(acks) < n {
		m := p.message()
		if m.Type != wire.TypeAckBatch {
			p.t.Fatalf("a message of type %d, want acks", m.Type)
		}
		var err error
		if acks, err = m.Acks(acks); err != nil {
			p.t.Fatal(err)
		}
	}
	return acks
}

// failure reads an error frame.
func (p *peer) failure() wire.Failure {
	p.t.Helper()
	m := p.message()
	var f wire.Failure
	if m.Type != wire.TypeError {
		p.t.Fatalf("a message of type %d, want an error", m.Type)
	}
	if err := wire.ParseCold(m, &f); err != nil {
		p.t.Fatal(err)
	}
	return f
}

// closed reads the end of the connection.
func (p *peer) closed() {
	p.t.Helper()
	if payload, err := p.frames.Next(); err == nil {
		p.t.Fatalf("a frame of %d bytes, want the end", len(payload))
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		p.t.Fatal("the connection stays open")
	}
}

// streamItem is an item with n bytes of http-stream content.
func streamItem(channel string, n int) *publish.Item {
	return &publish.Item{Channel: channel, Formats: publish.HTTPStream, Stream: publish.Stream{Content: string(make([]byte, n))}}
}

// batchOf is a publish-batch frame.
func batchOf(first uint64, flags wire.Flags, items ...*publish.Item) []byte {
	b := wire.AppendBatchHead(nil, first, flags)
	for _, it := range items {
		b = wire.AppendItem(b, it)
	}
	wire.FinishBatch(b, len(items))
	return b
}
