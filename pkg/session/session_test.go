package session

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

// fakeConn is a connection as the fake transport sees it.
type fakeConn struct {
	in     string // not used so far
	seen   int    // of in
	again  bool
	out    strings.Builder
	held   bool
	over   bool // closed or finished
	finish bool // finished in good order
	why    stats.CloseReason
	armed  time.Duration // last deadline that was set
	quiet  time.Duration // since the last write, as the test says
	full   bool          // its queue takes nothing shared
	broken bool          // the next write finds it closed

	awaited bool // an answer is on its way
	paused  bool // nothing is read
	behind  bool // something waits in its queue
	unsent  int
	queued  int // bytes that do
	peer    netip.Addr
}

// fakeTransport is a loop without sockets. It belongs to the test's goroutine.
type fakeTransport struct {
	t       testing.TB
	clients *Clients
	dir     *hub.Directory
	stats   *stats.Loop
	conns   map[uint32]*fakeConn
	last    uint32
	posted  []*hub.Delivery

	verdicts chan any
	local    netip.Addr // of all connections
	peer     netip.Addr // of the next connection
}

// fakePost is the loop as the directory sees it.
type fakePost struct{ *fakeTransport }

func (f fakePost) Post(d *hub.Delivery) { f.posted = append(f.posted, d) }

// Post takes what the Gate says of a token, on its goroutine.
func (f *fakeTransport) Post(task any) { f.verdicts <- task }

func (f *fakeTransport) Await(id uint32) { f.conn(id).awaited = true }
func (f *fakeTransport) Peer(id uint32) netip.AddrPort {
	return netip.AddrPortFrom(f.conn(id).peer, 40000)
}
func (f *fakeTransport) Local(id uint32) netip.AddrPort { return netip.AddrPortFrom(f.local, 7999) }

func (f *fakeTransport) conn(id uint32) *fakeConn {
	c := f.conns[id]
	if c == nil || c.over {
		f.t.Fatalf("connection %d was used after its end", id)
	}
	return c
}

func (f *fakeTransport) end(id uint32, finish bool, why stats.CloseReason) {
	c := f.conn(id)
	f.clients.Closing(id, why)
	c.over, c.finish, c.why = true, finish, why
	f.clients.Gone(id)
}

func (f *fakeTransport) Send(id uint32, b []byte) {
	c := f.conn(id)
	if c.broken {
		f.end(id, false, stats.CloseErrorWrite)
		return
	}
	c.out.Write(b)
	c.quiet = 0
}

func (f *fakeTransport) SendShared(_ uint64, conns []uint32, b []byte) (written, behind, leftOut int) {
	for _, id := range conns {
		switch c := f.conn(id); {
		case c.broken:
			f.end(id, false, stats.CloseErrorWrite)
		case c.full:
			leftOut++
			f.clients.LeftOut(id) // as loops do
		default:
			c.out.Write(b)
			c.quiet = 0
			written++
		}
	}
	return written, 0, leftOut
}

func (f *fakeTransport) WakeIn(time.Duration) {}

func (f *fakeTransport) Hold(id uint32)                          { f.conn(id).held = true }
func (f *fakeTransport) Ended(uint32) bool                       { return false }
func (f *fakeTransport) Behind(id uint32) bool                   { return f.conn(id).behind }
func (f *fakeTransport) Lags(id uint32) bool                     { return f.conn(id).behind }
func (f *fakeTransport) Unsent(id uint32) int                    { return f.conn(id).unsent }
func (f *fakeTransport) Queued(id uint32) int                    { return f.conn(id).queued }
func (f *fakeTransport) Pause(id uint32)                         { f.conn(id).paused = true }
func (f *fakeTransport) Close(id uint32, why stats.CloseReason)  { f.end(id, false, why) }
func (f *fakeTransport) Reset(id uint32, why stats.CloseReason)  { f.end(id, false, why) }
func (f *fakeTransport) Finish(id uint32, why stats.CloseReason) { f.end(id, true, why) }
func (f *fakeTransport) Arm(id uint32, d time.Duration)          { f.conn(id).armed = d }
func (f *fakeTransport) Quiet(id uint32) time.Duration           { return f.conn(id).quiet }
func (f *fakeTransport) Again(id uint32) {
	c := f.conn(id)
	c.again, c.awaited, c.paused = true, false, false
}

var testOptions = Options{
	MaxHeader: 1 << 10, HeaderTimeout: 10 * time.Second, IdleTimeout: 60 * time.Second,
	StreamKeepAlive: 55 * time.Second, WSPing: 50 * time.Second, MaxChannels: 20, MaxReplay: 4 << 10,
	Connections: func() int { return 7 },
}

func newFake(t testing.TB) *fakeTransport { return newFakeWith(t, testOptions) }

func newFakeWith(t testing.TB, o Options) *fakeTransport {
	f := &fakeTransport{
		t: t, dir: hub.NewDirectory(1 << 20), stats: new(stats.Loop), conns: map[uint32]*fakeConn{}, verdicts: make(chan any, 100),
		local: netip.MustParseAddr("192.0.2.1"), peer: netip.MustParseAddr("198.51.100.7"),
	}
	f.dir.SetLoops([]hub.Loop{fakePost{f}})
	f.clients = New(o, f, f.dir, 0, f.stats)
	return f
}

// Release fails on a connection that is not held: a loop closes it.
func (f *fakeTransport) Release(id uint32) {
	if c := f.conn(id); !c.held {
		f.t.Errorf("connection %d is released and was not held", id)
	}
	f.conn(id).held = false
}

// accept opens a connection.
func (f *fakeTransport) accept(refused bool) (uint32, *fakeConn) {
	f.last++
	c := &fakeConn{peer: f.peer}
	f.conns[f.last] = c
	f.clients.Open(f.last, refused)
	return f.last, c
}

// write hands bytes over as a loop does, with what was not used before in front, as often as is asked for.
func (f *fakeTransport) write(id uint32, s string) {
	c := f.conns[id]
	c.in += s
	for more := true; more && !c.over; more = c.again {
		if c.again {
			c.again, c.seen = false, 0
		}
		used := f.clients.Data(id, []byte(c.in), c.seen)
		c.in = c.in[used:]
		c.seen = len(c.in)
	}
}

// request opens a connection and writes s to it.
func (f *fakeTransport) request(s string) (uint32, *fakeConn) {
	id, c := f.accept(false)
	f.write(id, s)
	return id, c
}

// get opens a connection that is held by the target.
func (f *fakeTransport) get(target string) (uint32, *fakeConn) {
	f.t.Helper()
	id, c := f.request("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")
	if !c.held {
		f.t.Fatalf("GET %s is not held: %q", target, c.out.String())
	}
	return id, c
}

// publish publishes the items as one batch, delivers them and returns their receivers.
func (f *fakeTransport) publish(items ...publish.Item) (receivers []int) {
	f.t.Helper()
	b := &hub.Batch{Deliveries: make([]hub.Delivery, len(items))}
	b.Done = func(b *hub.Batch) {
		for i := range b.Deliveries {
			receivers = append(receivers, b.Deliveries[i].Receivers())
		}
	}
	for i, it := range items {
		b.Deliveries[i].Item = it
	}
	if err := f.dir.Publish(context.Background(), b); err != nil {
		f.t.Fatal(err)
	}
	for _, d := range f.posted {
		f.clients.Task(d)
	}
	f.posted = nil
	for f.clients.BatchEnd() {
	}
	if receivers == nil {
		f.t.Fatal("the batch is not done")
	}
	return receivers
}

// responses reads the complete responses in out, and fails when there is anything else. methods are those of the
// requests; where they end GET is meant.
func responses(t testing.TB, out string, methods ...string) (all []*http.Response, bodies []string) {
	t.Helper()
	r := bufio.NewReader(strings.NewReader(out))
	for i := 0; ; i++ {
		if _, err := r.Peek(1); err == io.EOF {
			return all, bodies
		}
		req := &http.Request{Method: "GET"}
		if i < len(methods) {
			req.Method = methods[i]
		}
		res, err := http.ReadResponse(r, req)
		if err != nil {
			t.Fatalf("response %d of %q: %v", i, out, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatalf("body of response %d of %q: %v", i, out, err)
		}
		all, bodies = append(all, res), append(bodies, string(body))
	}
}

var varying = regexp.MustCompile(`Date: [^\r]+|retry: \d+|Retry-After: \d+`)

// steady replaces what differs from one answer to the next.
func steady(out string) string {
	return varying.ReplaceAllStringFunc(out, func(s string) string { return s[:strings.IndexByte(s, ':')] + ": *" })
}

func stream(content string) publish.Item {
	return publish.Item{Channel: "a", Formats: publish.HTTPStream, Stream: publish.Stream{Content: content}}
}

func closeItem(content string) publish.Item {
	it := stream(content)
	it.Stream.Action = publish.Close
	return it
}
