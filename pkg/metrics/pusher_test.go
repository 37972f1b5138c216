package metrics

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/pkg/stats"

	"go.uber.org/goleak"
)

// TestMain fails when a test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func linesOf(before, now *stats.Snapshot) []string {
	p := packets{prefix: "p."}
	appendSnapshot(&p, before, now)
	var lines []string
	for _, b := range p.take() {
		lines = append(lines, strings.Split(string(b), "\n")...)
	}
	return lines
}

func contains(lines []string, want string) bool {
	for _, l := range lines {
		if l == want {
			return true
		}
	}
	return false
}

func TestStatsdLines(t *testing.T) {
	now := sample()
	got := linesOf(&stats.Snapshot{}, &now)
	for _, want := range []string{
		"p.connections.ws:3|g", "p.connections.total:28|g", "p.channels:7|g", "p.queued_bytes:4096|g", "p.fds.limit:20000|g", "p.uptime_s:99|g",
		"p.accepted:100|c", "p.deliveries:1001|c", "p.written_bytes:1099511627776|c", "p.cpu_ms:12250|c",
		"p.closed.slow:12|c", "p.closed.drain:0|c", "p.dropped.queue-full:2|c", "p.dropped.repeat:4|c",
		"p.publish_to_write.p50:0.960|ms", "p.walk.p99:2.048|ms",
	} {
		if !contains(got, want) {
			t.Errorf("no line %s in\n%s", want, strings.Join(got, "\n"))
		}
	}
	for _, line := range linesOf(&now, &now) {
		name, value, _ := strings.Cut(line, ":")
		if strings.HasSuffix(value, "|ms") || strings.HasSuffix(value, "|c") && value != "0|c" {
			t.Errorf("nothing has happened, and %s is %s", name, value)
		}
	}
}

// With a sign in front statsd would add it to the gauge instead.
func TestGaugeIsNeverNegative(t *testing.T) {
	p := packets{prefix: "p."}
	p.gauge("x", -5)
	if got := string(p.take()[0]); got != "p.x:0|g" {
		t.Errorf("gauge of -5 is sent as %s, want 0", got)
	}
}

func TestPacketsFitAndKeepLinesWhole(t *testing.T) {
	now := sample()
	want := linesOf(&stats.Snapshot{}, &now)
	for n := 1; n <= 200; n++ {
		prefix := strings.Repeat("x", n) + "."
		p := packets{prefix: prefix}
		appendSnapshot(&p, &stats.Snapshot{}, &now)
		var got []string
		for _, b := range p.take() {
			if len(b) > maxPacket || len(b) == 0 || bytes.HasSuffix(b, []byte("\n")) {
				t.Fatalf("prefix of %d bytes: a packet of %d bytes, which ends with %q", n, len(b), b[max(0, len(b)-20):])
			}
			got = append(got, strings.Split(string(b), "\n")...)
		}
		if len(got) != len(want) {
			t.Fatalf("prefix of %d bytes: %d lines, want %d", n, len(got), len(want))
		}
		for i := range got {
			if got[i] != prefix+strings.TrimPrefix(want[i], "p.") {
				t.Fatalf("prefix of %d bytes: line %d is %s, want %s", n, i, got[i], want[i])
			}
		}
	}
}

func TestCheckPrefix(t *testing.T) {
	for _, good := range []string{"pushd", "push.host-1.pushd_2", "A"} {
		if err := CheckPrefix(good); err != nil {
			t.Errorf("CheckPrefix(%q) = %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "a.", ".a", "a..b", "a b", "a:b", "a|b", "a@b", "a\nb", "ä", strings.Repeat("x", 201)} {
		if CheckPrefix(bad) == nil {
			t.Errorf("CheckPrefix(%q) = nil, want an error", bad)
		}
	}
}

// sink is a statsd of a few lines: it adds up what arrives on a UDP port.
type sink struct {
	conn net.PacketConn
	wg   sync.WaitGroup

	mu      sync.Mutex
	counts  map[string]uint64 // guarded by mu
	gauges  map[string]string // guarded by mu
	packets int               // guarded by mu
}

func newSink(t *testing.T, addr string) *sink {
	t.Helper()
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{conn: conn, counts: make(map[string]uint64), gauges: make(map[string]string)}
	s.wg.Go(func() {
		buf := make([]byte, 65536)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			s.take(string(buf[:n]))
		}
	})
	t.Cleanup(s.close)
	return s
}

func (s *sink) close() {
	s.conn.Close()
	s.wg.Wait()
}

func (s *sink) take(packet string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets++
	for _, line := range strings.Split(packet, "\n") {
		name, rest, _ := strings.Cut(line, ":")
		value, kind, _ := strings.Cut(rest, "|")
		switch kind {
		case "c":
			n, _ := strconv.ParseUint(value, 10, 64)
			s.counts[name] += n
		case "g":
			s.gauges[name] = value
		}
	}
}

func (s *sink) count(name string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[name]
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// growing is a source of snapshots whose counters grow with each.
type growing struct {
	mu sync.Mutex
	n  uint64
}

func (g *growing) snapshot() stats.Snapshot {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
	return stats.Snapshot{Delivered: g.n * 1000, Closed: map[string]uint64{"client": g.n}, Subscriptions: int(g.n)}
}

func (g *growing) total() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

// What a sink adds up is what pushd has counted, the last time at the end included.
func TestPusherSumsAreTotals(t *testing.T) {
	s := newSink(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(s.conn.LocalAddr().String())
	for _, host := range []string{"127.0.0.1", "localhost"} {
		g := new(growing)
		prefix := "push-" + host[:1]
		p := NewPusher(PusherOptions{Address: net.JoinHostPort(host, port), Prefix: prefix, Interval: 5 * time.Millisecond, Snapshot: g.snapshot})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.Run(ctx); close(done) }()
		eventually(t, "the sink has got something several times", func() bool { return s.count(prefix+".deliveries") > 5000 })
		before := g.total()
		cancel()
		<-done
		if g.total() == before {
			t.Error("nothing was sent at the end")
		}
		want := g.total() * 1000
		eventually(t, "the sink has got everything", func() bool { return s.count(prefix+".deliveries") == want })
		if got := s.count(prefix + ".closed.client"); got != g.total() {
			t.Errorf("closed.client adds up to %d, want %d", got, g.total())
		}
		s.mu.Lock()
		if got, want := s.gauges[prefix+".subscriptions"], strconv.FormatUint(g.total(), 10); got != want {
			t.Errorf("subscriptions is %s, want %s", got, want)
		}
		s.mu.Unlock()
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A sink that is not there is said once, costs nothing else, and gets what is sent when it comes.
func TestMissingSinkIsSaidOnce(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.LocalAddr().String()
	l.Close()
	var log lockedBuffer
	g := new(growing)
	p := NewPusher(PusherOptions{
		Log: slog.New(slog.NewTextHandler(&log, nil)), Address: addr, Prefix: "pushd", Interval: time.Millisecond, Snapshot: g.snapshot,
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { p.Run(ctx); close(done) }()
	eventually(t, "it has tried often", func() bool { return g.total() > 30 })
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), addr) {
		t.Errorf("log: %s\nwant one warning that names %s", log.String(), addr)
	}
	s := newSink(t, addr)
	eventually(t, "the sink gets something", func() bool { return s.count("pushd.deliveries") > 0 })
	eventually(t, "the log says that it is there", func() bool { return strings.Contains(log.String(), "takes what is sent again") })
	cancel()
	<-done
}

func TestNameThatDoesNotResolveIsNoError(t *testing.T) {
	var log lockedBuffer
	g := new(growing)
	p := NewPusher(PusherOptions{
		Log: slog.New(slog.NewTextHandler(&log, nil)), Address: "nowhere.invalid:8125", Prefix: "pushd", Interval: time.Millisecond, Snapshot: g.snapshot,
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { p.Run(ctx); close(done) }()
	eventually(t, "it has tried more than once", func() bool { return g.total() > 2 })
	cancel()
	<-done
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "nowhere.invalid") {
		t.Errorf("log: %s\nwant one line that names the host", log.String())
	}
}

// A sink with a name is looked for again after a while; when the name is not known then, it stays where it was.
func TestNameIsAskedForAgain(t *testing.T) {
	s := newSink(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(s.conn.LocalAddr().String())
	p := NewPusher(PusherOptions{Address: "localhost:" + port, Prefix: "pushd", Interval: time.Hour, Snapshot: new(growing).snapshot})
	dial := func() net.Conn {
		t.Helper()
		if err := p.dial(t.Context()); err != nil {
			t.Fatal(err)
		}
		return p.conn
	}
	first := dial()
	if dial() != first {
		t.Error("a fresh address is asked for again")
	}
	p.dialed = time.Now().Add(-2 * resolveEvery)
	second := dial()
	if second == first {
		t.Error("an old address is not asked for again")
	}
	p.o.Address, p.dialed = "nowhere.invalid:"+port, time.Now().Add(-2*resolveEvery)
	if dial() != second {
		t.Error("the address is given up although there is no other")
	}
	p.conn.Close()
}
