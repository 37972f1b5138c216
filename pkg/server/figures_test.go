package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/client"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

// figures plays clients and publishers against a pushd over real sockets, in random order, and knows what its figures must be.
type figures struct {
	t   *testing.T
	rnd *rand.Rand
	s   *Server
	ctl *client.Conn

	conns     []*figureConn
	accepted  uint64
	published uint64
	due       uint64 // deliveries, dropped ones included
}

// figureConn is a client of the model.
type figureConn struct {
	nc       net.Conn
	kind     string
	channels map[string]bool
	stuck    bool // it does not read
}

const figureChannels = 5

func TestFiguresAgreeWithAModel(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s, ctl := startServer(t, func(o *Options) { o.Overflow, o.MaxQueued = OverflowDrop, 16<<10 })
			defer s.Shutdown()
			defer ctl.Close()
			f := &figures{t: t, rnd: rand.New(rand.NewPCG(seed, 5)), s: s, ctl: ctl}
			defer watchGrowth(t, s)()
			for step := range 300 {
				f.step()
				if step%20 == 19 {
					f.check()
				}
			}
			f.fill()
			f.check()
			for len(f.conns) > 0 {
				f.leave(0)
			}
			f.check()
			if snap := s.Snapshot(); snap.QueuedBytes != 0 || snap.Channels != 0 || snap.Dropped["queue-full"] == 0 {
				t.Errorf("when everybody has left: %d bytes queued, %d channels, dropped %v, want none, none and some", snap.QueuedBytes, snap.Channels, snap.Dropped)
			}
		})
	}
}

func (f *figures) step() {
	switch n := f.rnd.IntN(100); {
	case n < 40:
		f.open()
	case n < 60 && len(f.conns) > 0:
		f.leave(f.rnd.IntN(len(f.conns)))
	case n < 64:
		f.closeChannel()
	case n < 68 && len(f.conns) > 0:
		f.closeSome()
	default:
		f.publish()
	}
}

func channelName(i int) string { return fmt.Sprintf("c%d", i) }

// open opens a client of a random kind on random channels, and waits for its answer.
func (f *figures) open() {
	c := &figureConn{kind: []string{"stream", "events", "ws", "http"}[f.rnd.IntN(4)], channels: map[string]bool{}}
	c.stuck = c.kind == "stream" && f.rnd.IntN(4) == 0
	nc, err := net.Dial("tcp", f.s.addr())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { nc.Close() })
	c.nc = nc
	f.accepted++
	f.conns = append(f.conns, c)
	if c.kind == "http" {
		return
	}
	var query []string
	for range 1 + f.rnd.IntN(3) {
		name := channelName(f.rnd.IntN(figureChannels))
		c.channels[name] = true
		query = append(query, "channel="+name)
	}
	request := "GET /" + c.kind + "?" + strings.Join(query, "&") + " HTTP/1.1\r\nHost: x\r\n"
	if c.kind == "ws" {
		request += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	}
	if c.stuck {
		nc.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	fmt.Fprint(nc, request+"\r\n")
	r := bufio.NewReader(nc)
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	for line := ""; line != "\r\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			f.t.Fatal(err)
		}
	}
	if !c.stuck {
		go io.Copy(io.Discard, r) //nolint:errcheck // ends with the connection
	}
}

func (f *figures) leave(i int) {
	f.conns[i].nc.Close()
	f.forget(i)
}

func (f *figures) forget(i int) {
	f.conns[i] = f.conns[len(f.conns)-1]
	f.conns = f.conns[:len(f.conns)-1]
}

// subscribers counts the clients on a channel that see stream items.
func (f *figures) subscribers(name string) (n uint64) {
	for _, c := range f.conns {
		if c.channels[name] && c.kind != "ws" {
			n++
		}
	}
	return n
}

func (f *figures) publish() {
	f.settle() // who has left has left, before the item comes
	var items []publish.Item
	for range 1 + f.rnd.IntN(4) {
		name := channelName(f.rnd.IntN(figureChannels + 1)) // of the last nobody wants to hear
		items = append(items, streamItem(name, strings.Repeat("x", 1+f.rnd.IntN(100<<10))))
		f.published++
		f.due += f.subscribers(name)
	}
	if _, err := f.ctl.Publish(f.t.Context(), items); err != nil {
		f.t.Fatal(err)
	}
}

// fill publishes until a client that does not read has something dropped.
func (f *figures) fill() {
	for !slices.ContainsFunc(f.conns, func(c *figureConn) bool { return c.stuck }) {
		f.open()
	}
	for f.s.Snapshot().Dropped["queue-full"] == 0 {
		f.publish()
	}
}

func (f *figures) closeChannel() {
	f.settle()
	name := channelName(f.rnd.IntN(figureChannels))
	want := 0
	for i := len(f.conns) - 1; i >= 0; i-- {
		if f.conns[i].channels[name] {
			want++
			f.conns[i].nc.Close() // a stuck one would not see the end for a while
			f.forget(i)
		}
	}
	if _, err := f.ctl.CloseConnections(f.t.Context(), stats.CloseQuery{Channel: name}); err != nil {
		f.t.Fatal(err)
	}
}

// closeSome has pushd close clients by their ids.
func (f *figures) closeSome() {
	f.settle()
	list, err := f.ctl.Connections(f.t.Context(), stats.ConnectionQuery{Top: 3, By: stats.ByNewest, Filter: stats.ConnectionFilter{Kind: "events"}})
	if err != nil {
		f.t.Fatal(err)
	}
	q := stats.CloseQuery{}
	for _, info := range list.Connections {
		q.IDs = append(q.IDs, info.ID)
		for i, c := range f.conns {
			if c.nc.LocalAddr().String() == info.Address {
				f.forget(i)
				break
			}
		}
	}
	if len(q.IDs) == 0 {
		return
	}
	if n, err := f.ctl.CloseConnections(f.t.Context(), q); err != nil || n != len(q.IDs) {
		f.t.Fatalf("CloseConnections(%v) = %d, %v", q.IDs, n, err)
	}
}

// settle waits until pushd has seen what the clients did.
func (f *figures) settle() {
	f.t.Helper()
	want := f.gauges()
	var got stats.Snapshot
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if got = f.s.Snapshot(); got.Connections == want.Connections && got.Subscriptions == want.Subscriptions && got.Accepted == f.accepted {
			return
		}
	}
	f.t.Fatalf("pushd has %+v, %d subscriptions, %d accepted; the model %+v, %d, %d", got.Connections, got.Subscriptions, got.Accepted,
		want.Connections, want.Subscriptions, f.accepted)
}

func (f *figures) gauges() (s stats.Snapshot) {
	names := map[string]bool{}
	for _, c := range f.conns {
		s.Connections.Total++
		switch c.kind {
		case "stream":
			s.Connections.Stream++
		case "events":
			s.Connections.Events++
		case "ws":
			s.Connections.WS++
		default:
			s.Connections.HTTP++
		}
		s.Subscriptions += len(c.channels)
		for name := range c.channels {
			names[name] = true
		}
	}
	s.Channels = len(names)
	return s
}

// check compares all figures with the model.
func (f *figures) check() {
	f.t.Helper()
	f.settle()
	s, want := f.s.Snapshot(), f.gauges()
	closed := uint64(0)
	for _, n := range s.Closed {
		closed += n
	}
	if s.Channels != want.Channels || s.Published != f.published || closed != f.accepted-uint64(len(f.conns)) {
		f.t.Errorf("%d channels, %d published, %d closed; the model has %d, %d, %d", s.Channels, s.Published, closed,
			want.Channels, f.published, f.accepted-uint64(len(f.conns)))
	}
	if got := s.Delivered + s.Dropped["queue-full"]; got != f.due {
		f.t.Errorf("%d delivered and %d dropped, together %d; the model has %d", s.Delivered, s.Dropped["queue-full"], got, f.due)
	}
	if s.Latency.Count != s.Delivered {
		f.t.Errorf("the latency of %d deliveries is known, of %d", s.Latency.Count, s.Delivered)
	}
	list, err := f.ctl.Connections(f.t.Context(), stats.ConnectionQuery{Top: stats.MaxTop})
	if err != nil || list.Total != len(f.conns) || len(list.Connections) != min(len(f.conns), stats.MaxTop) {
		f.t.Errorf("%d connections listed of %d, %v; the model has %d", len(list.Connections), list.Total, err, len(f.conns))
	}
	channels, err := f.ctl.Channels(f.t.Context(), stats.ChannelQuery{Top: stats.MaxTop})
	if err != nil || len(channels.Channels) != want.Channels {
		f.t.Errorf("%d channels listed, %v; the model has %d", len(channels.Channels), err, want.Channels)
	}
	subscribers := 0
	for _, c := range channels.Channels {
		subscribers += c.Subscribers
	}
	if subscribers != want.Subscriptions {
		f.t.Errorf("the channels have %d subscribers, the model %d", subscribers, want.Subscriptions)
	}
	checkSums(f.t, &s)
}

// checkSums compares the totals with the sums over the loops. Nothing happens meanwhile.
func checkSums(t *testing.T, s *stats.Snapshot) {
	t.Helper()
	var sum stats.Snapshot
	for _, l := range s.Loops {
		sum.Connections.Total += l.Connections
		sum.Accepted += l.Accepted
		sum.Subscriptions += l.Subscriptions
		sum.Delivered += l.Delivered
		sum.BytesOut += l.BytesOut
		sum.QueuedBytes += l.QueuedBytes
		sum.Latency.Merge(l.Latency)
		if k := l.Kinds; k.Total != l.Connections || k.HTTP+k.Stream+k.Events+k.Poll+k.WS != k.Total {
			t.Errorf("kinds %+v of %d connections", k, l.Connections)
		}
	}
	if sum.Connections.Total != s.Connections.Total || sum.Accepted != s.Accepted || sum.Subscriptions != s.Subscriptions ||
		sum.Delivered != s.Delivered || sum.BytesOut != s.BytesOut || sum.QueuedBytes != s.QueuedBytes || sum.Latency.Count != s.Latency.Count {
		t.Errorf("the loops together: %+v\ntotals: %+v", sum, s)
	}
}

// watchGrowth compares snapshots all the time: counters only grow, and no gauge is below zero. The function that it returns ends
// that.
func watchGrowth(t *testing.T, s *Server) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		last := s.Snapshot()
		for ctx.Err() == nil {
			now := s.Snapshot()
			if now.Accepted < last.Accepted || now.Published < last.Published || now.Delivered < last.Delivered || now.BytesOut < last.BytesOut ||
				now.Latency.Count < last.Latency.Count || now.Lag.Count < last.Lag.Count {
				t.Errorf("a counter has fallen: %+v after %+v", now, last)
			}
			for _, m := range [][2]map[string]uint64{{last.Closed, now.Closed}, {last.Dropped, now.Dropped}} {
				for reason, n := range m[0] {
					if m[1][reason] < n {
						t.Errorf("%s has fallen from %d to %d", reason, n, m[1][reason])
					}
				}
			}
			if now.Subscriptions < 0 || now.Connections.Total < 0 || now.QueuedBytes < 0 || now.Channels < 0 {
				t.Errorf("a gauge is below zero: %+v", now)
			}
			last = now
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return func() { cancel(); <-done }
}

// BenchmarkSnapshot is what each reader of statistics costs, whatever the number of connections.
func BenchmarkSnapshot(b *testing.B) {
	o := NewOptions()
	o.Loops, o.Listen, o.PublishListen, o.Socket = 2, nil, "", filepath.Join(b.TempDir(), "pushd.sock")
	s, err := Start(o)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Shutdown()
	b.ReportAllocs()
	for b.Loop() {
		s.Snapshot()
	}
}
