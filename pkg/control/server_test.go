package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	cli "holdfast/pkg/client"
	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

func TestHelloNamesTheLimits(t *testing.T) {
	p := connect(t, startServer(t, Options{Publisher: &fakeHub{}, MaxFrame: 5000, MaxMessage: 300, Program: "pushd 1"}))
	p.send(wire.AppendHello(nil, &wire.Hello{Version: 3, Program: "newer"}))
	h, err := wire.ReadHello(p.frames)
	if err != nil || h.Version != wire.Version || h.MaxFrame != 5000 || h.MaxMessage != 300 || h.PID == 0 || h.Program != "pushd 1" {
		t.Errorf("the server says %+v, %v", h, err)
	}
}

func TestPublishIsAcknowledged(t *testing.T) {
	f := &fakeHub{}
	p := greet(t, startServer(t, Options{Publisher: f}))
	p.send(wire.AppendPublish(nil, 7, 0, streamItem("a", 3)))
	if got, want := p.acks(1), (wire.Ack{ID: 7, Accepted: true}); got[0] != want {
		t.Errorf("ack = %+v, want %+v", got[0], want)
	}
	p.send(batchOf(100, wire.AcceptedOnly, streamItem("b", 1), streamItem("c", 1)))
	if got := p.acks(2); got[0] != (wire.Ack{ID: 100, Accepted: true}) || got[1] != (wire.Ack{ID: 101, Accepted: true}) {
		t.Errorf("acks = %+v, want 100 and 101 accepted", got)
	}
	if got, want := f.channels(), []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("published %q, want %q", got, want)
	}
}

// Frames that come in one read are one batch, unless their flags differ.
func TestFramesOfOneReadBecomeOneBatch(t *testing.T) {
	f := &fakeHub{}
	p := greet(t, startServer(t, Options{Publisher: f}))
	var b []byte
	for i := range 30 {
		flags := wire.Flags(0)
		if i >= 20 {
			flags = wire.AcceptedOnly
		}
		b = wire.AppendPublish(b, uint64(i), flags, streamItem(fmt.Sprint(i), 10))
	}
	p.send(b)
	p.acks(30)
	if f.batches > 4 { // two, and two more when the reader was woken by a part
		t.Errorf("30 frames in one write became %d batches, want about 2", f.batches)
	}
}

func TestEachItemIsJudgedAlone(t *testing.T) {
	f := &fakeHub{}
	p := greet(t, startServer(t, Options{Publisher: f, MaxMessage: 1000}))
	noFormats := &publish.Item{Channel: "x"}
	p.send(batchOf(1, 0, streamItem("ok1", 1), streamItem("", 1), noFormats, streamItem("line\nbreak", 1),
		streamItem(strings.Repeat("x", 256), 1), streamItem("big", 1001), streamItem("ok2", 1000)))
	want := map[uint64]wire.Code{1: 0, 2: wire.BadItem, 3: wire.BadItem, 4: wire.BadItem, 5: wire.BadItem, 6: wire.ItemTooLarge, 7: 0}
	for _, a := range p.acks(len(want)) {
		code := wire.Code(0)
		if a.Err != nil {
			code = a.Err.Code
		}
		if code != want[a.ID] || a.Accepted != (code == 0) {
			t.Errorf("ack %+v (%v), want code %d", a, a.Err, want[a.ID])
		}
	}
	if got := f.channels(); !slices.Equal(got, []string{"ok1", "ok2"}) {
		t.Errorf("published %q, want ok1 and ok2", got)
	}
}

func TestPingIsAnswered(t *testing.T) {
	p := greet(t, startServer(t, Options{Publisher: &fakeHub{}}))
	p.send(wire.AppendCold(nil, wire.TypePing, &wire.Request{ID: 77}))
	m := p.message()
	var r wire.Request
	if err := wire.ParseCold(m, &r); m.Type != wire.TypePong || err != nil || r.ID != 77 {
		t.Errorf("answer of type %d, %+v, %v, want pong 77", m.Type, r, err)
	}
}

func TestUnknownMessageIsPassedOver(t *testing.T) {
	p := greet(t, startServer(t, Options{Publisher: &fakeHub{}}))
	p.send(wire.AppendCold(nil, 99, &wire.Request{ID: 5}))
	if f := p.failure(); f.Code != wire.UnknownMessage || f.ID != 5 || f.Fatal {
		t.Errorf("failure = %+v, want unknown message for 5, not fatal", f)
	}
	p.send(wire.AppendPublish(nil, 6, 0, streamItem("a", 1)))
	p.acks(1)
}

func TestStats(t *testing.T) {
	c := dial(t, startServer(t, Options{Publisher: &fakeHub{}}))
	s, err := c.Stats(t.Context())
	if err != nil || s.Published != 42 || s.Closed["client"] != 1 {
		t.Errorf("Stats = %+v, %v", s, err)
	}
	n := 0
	stop := errors.New("enough")
	err = c.Watch(t.Context(), time.Millisecond, func(*stats.Snapshot) error {
		if n++; n == 3 {
			return stop
		}
		return nil
	})
	if err != stop || n != 3 {
		t.Errorf("Watch = %v after %d snapshots, want 3", err, n)
	}
	p := greet(t, startServer(t, Options{Publisher: &fakeHub{}}))
	p.send(wire.AppendCold(nil, wire.TypeStatsSubscribe, &wire.Subscribe{ID: 3, IntervalMS: -1}))
	if f := p.failure(); f.Code != wire.BadRequest || f.ID != 3 || f.Fatal {
		t.Errorf("a negative interval is answered by %+v", f)
	}
}

func dial(t testing.TB, path string) *cli.Conn {
	t.Helper()
	c, err := cli.Dial(t.Context(), path, cli.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestClientBeyondTheLimitIsTold(t *testing.T) {
	path := startServer(t, Options{Publisher: &fakeHub{}, MaxClients: 2})
	first, second := greet(t, path), greet(t, path)
	p := connect(t, path)
	if _, err := wire.ReadHello(p.frames); !errors.Is(err, &wire.Error{Code: wire.Busy}) {
		t.Errorf("the third client reads %v, want busy", err)
	}
	p.closed()
	_, err := cli.Dial(t.Context(), path, cli.Options{})
	if !errors.Is(err, &wire.Error{Code: wire.Busy}) {
		t.Errorf("Dial = %v, want busy", err)
	}
	first.Close()
	second.send(wire.AppendPublish(nil, 1, 0, streamItem("a", 1)))
	second.acks(1)
	for range 500 { // the place comes back as soon as the server has seen the end
		if c, err := cli.Dial(t.Context(), path, cli.Options{}); err == nil {
			c.Close()
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("the place of a client that left stays taken")
}

// A publisher that shuts its side down still gets the acks of all that it sent.
func TestHalfCloseWaitsForAcks(t *testing.T) {
	f := &fakeHub{late: make(chan *hub.Batch, 10)}
	p := greet(t, startServer(t, Options{Publisher: f}))
	p.send(batchOf(1, 0, streamItem("a", 1), streamItem("b", 1)))
	p.Conn.(*net.UnixConn).CloseWrite() //nolint:errcheck // seen below
	b := <-f.late
	b.Done(b)
	if got := p.acks(2); len(got) != 2 {
		t.Errorf("acks = %+v", got)
	}
	p.closed()
}

func TestShutdownTellsClients(t *testing.T) {
	f := &fakeHub{late: make(chan *hub.Batch, 10)}
	ln, err := Listen(t.TempDir()+"/s", 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	stop := startServing(t, Options{Publisher: f}, ln)
	idle, waiting := greet(t, ln.Addr().String()), greet(t, ln.Addr().String())
	waiting.send(wire.AppendPublish(nil, 1, 0, streamItem("a", 1)))
	b := <-f.late
	stopped := make(chan struct{})
	go func() {
		stop()
		close(stopped)
	}()
	if f := idle.failure(); f.Code != wire.ShuttingDown || !f.Fatal {
		t.Errorf("an idle client is told %+v", f)
	}
	idle.closed()
	b.Done(b) // within the second that is left
	waiting.acks(1)
	if f := waiting.failure(); f.Code != wire.ShuttingDown || !f.Fatal {
		t.Errorf("a publisher is told %+v", f)
	}
	waiting.closed()
	<-stopped
}

func TestShutdownDoesNotWaitForTheHub(t *testing.T) {
	f := &fakeHub{came: make(chan struct{}), hold: make(chan struct{})}
	ln, err := Listen(t.TempDir()+"/s", 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	stop := startServing(t, Options{Publisher: f}, ln)
	p := greet(t, ln.Addr().String())
	p.send(wire.AppendPublish(nil, 1, 0, streamItem("a", 1)))
	<-f.came
	stop()
	a := p.acks(1)
	if a[0].Accepted || a[0].Err.Code != wire.ShuttingDown {
		t.Errorf("ack = %+v, want refused for shutting down", a[0])
	}
}

// pipeListener gives out connections that exist in memory only, so that time can be simulated.
type pipeListener struct {
	conns    chan net.Conn
	closed   chan struct{}
	failures chan error // of Accept
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case err := <-l.failures:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	close(l.closed)
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// A failed accept, whatever the reason, ends neither the server nor its clients.
func TestServerOutlivesFailedAccepts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := &pipeListener{
			conns: make(chan net.Conn), closed: make(chan struct{}), failures: make(chan error),
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- New(Options{Publisher: &fakeHub{}}).Serve(ctx, ln) }()
		hello := func() net.Conn {
			ours, theirs := net.Pipe()
			ln.conns <- theirs
			p := &peer{Conn: ours, t: t, frames: wire.NewReader(ours, wire.MaxFrame)}
			p.send(wire.AppendHello(nil, &wire.Hello{Version: 1}))
			if _, err := wire.ReadHello(p.frames); err != nil {
				t.Fatal(err)
			}
			return ours
		}
		before := hello()
		for _, err := range []error{syscall.ENOSPC, syscall.ENOMEM, syscall.EPERM} {
			select {
			case ln.failures <- &net.OpError{Op: "accept", Net: "unix", Err: err}:
			case err := <-served:
				t.Fatalf("Serve returned %v", err)
			}
		}
		hello().Close()
		before.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := before.Read(make([]byte, 1)); !os.IsTimeout(err) {
			t.Errorf("the client from before reads %v, want that it is still there", err)
		}
		before.Close()
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// withPipe runs f in simulated time with the client's side of a connection.
func withPipe(t *testing.T, o Options, f func(p *peer)) {
	synctest.Test(t, func(t *testing.T) {
		ln := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- New(o).Serve(ctx, ln) }()
		ours, theirs := net.Pipe()
		ln.conns <- theirs
		f(&peer{Conn: ours, t: t, frames: wire.NewReader(ours, wire.MaxFrame)})
		ours.Close()
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestHelloMustComeInTime(t *testing.T) {
	for name, sent := range map[string]string{"silence": "", "half the magic": "HF", "half a hello": "HFST\x00\x00\x00\x20\x92\x01"} {
		t.Run(name, func(t *testing.T) {
			withPipe(t, Options{Publisher: &fakeHub{}}, func(p *peer) {
				start := time.Now()
				if sent != "" {
					p.send([]byte(sent))
				}
				_, err := wire.ReadHello(p.frames)
				if !errors.Is(err, &wire.Error{Code: wire.Timeout}) || time.Since(start) != helloTimeout {
					t.Errorf("after %v: %v, want timeout after %v", time.Since(start), err, helloTimeout)
				}
				p.closed()
			})
		})
	}
}

func TestHalfFrameThenSilence(t *testing.T) {
	withPipe(t, Options{Publisher: &fakeHub{}}, func(p *peer) {
		p.send(wire.AppendHello(nil, &wire.Hello{Version: 1}))
		if _, err := wire.ReadHello(p.frames); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // between frames there is no limit
		p.send(wire.AppendPublish(nil, 1, 0, streamItem("a", 1)))
		p.acks(1)
		whole := wire.AppendPublish(nil, 2, 0, streamItem("a", 100))
		p.send(whole[:10])
		time.Sleep(frameTimeout - time.Second)
		p.send(whole[10:20])
		start := time.Now()
		if f := p.failure(); f.Code != wire.Timeout || !f.Fatal || time.Since(start) != frameTimeout {
			t.Errorf("after %v: %+v, want timeout after %v", time.Since(start), f, frameTimeout)
		}
		p.closed()
	})
}

// While the server itself does not read, the rest of a frame is not late.
func TestBackPressureIsNoTimeout(t *testing.T) {
	f := &fakeHub{}
	withPipe(t, Options{Publisher: f}, func(p *peer) {
		f.hold = make(chan struct{}) // a channel of the simulated time
		p.send(wire.AppendHello(nil, &wire.Hello{Version: 1}))
		if _, err := wire.ReadHello(p.frames); err != nil {
			t.Fatal(err)
		}
		second := wire.AppendPublish(nil, 2, 0, streamItem("b", 100))
		p.send(append(wire.AppendPublish(nil, 1, 0, streamItem("a", 1)), second[:10]...))
		time.Sleep(2 * frameTimeout)
		close(f.hold)
		p.acks(1)
		p.send(second[10:])
		p.acks(1)
	})
}

func TestClientThatNeverReadsIsClosed(t *testing.T) {
	withPipe(t, Options{Publisher: &fakeHub{}}, func(p *peer) {
		p.send(wire.AppendHello(nil, &wire.Hello{Version: 1}))
		time.Sleep(writeTimeout + time.Second) // its hello is not read
		if _, err := p.Write([]byte{0}); err == nil {
			t.Error("the connection stays open")
		}
	})
}

// When Serve has returned, the socket and its lock are gone: the next pushd may start at once.
func TestServeReturnsAfterTheSocketIsGone(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "pushd.sock")
		ln, err := Listen(path, 0o600, "")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := New(Options{Publisher: nobody{}}).Serve(ctx, ln); err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(path + "*"); len(left) > 0 {
			t.Fatalf("%v is left after Serve has returned", left)
		}
	}
}

// nobody takes items and has no subscribers.
type nobody struct{}

func (nobody) Publish(_ context.Context, b *hub.Batch) error { b.Done(b); return nil }

// An error's text is cut between two characters: a str of msgpack is UTF-8.
func TestErrorTextStaysUTF8(t *testing.T) {
	long := errors.New(strings.Repeat("x", maxErrorText-1) + "€")
	if text := refusalFor(long).Text; !utf8.ValidString(text) || len(text) != maxErrorText-1 {
		t.Errorf("text of %d bytes, valid %v, want %d and valid", len(text), utf8.ValidString(text), maxErrorText-1)
	}
}
