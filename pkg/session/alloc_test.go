package session

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

// nullTransport takes everything and keeps nothing, but that a connection that is over is gone.
type nullTransport struct {
	clients *Clients
	posted  *hub.Delivery
}

func (n *nullTransport) Send(uint32, []byte) {}
func (n *nullTransport) SendShared(_ uint64, conns []uint32, _ []byte) (written, behind, leftOut int) {
	return len(conns), 0, 0
}
func (n *nullTransport) WakeIn(time.Duration)                  {}
func (n *nullTransport) Hold(uint32)                           {}
func (n *nullTransport) Release(uint32)                        {}
func (n *nullTransport) Close(id uint32, _ stats.CloseReason)  { n.clients.Gone(id) }
func (n *nullTransport) Reset(uint32, stats.CloseReason)       {}
func (n *nullTransport) Finish(id uint32, _ stats.CloseReason) { n.clients.Gone(id) }
func (n *nullTransport) Arm(uint32, time.Duration)             {}
func (n *nullTransport) Quiet(uint32) time.Duration            { return time.Hour }
func (n *nullTransport) Again(uint32)                          {}
func (n *nullTransport) Await(uint32)                          {}
func (n *nullTransport) Lags(uint32) bool                      { return false }
func (n *nullTransport) Pause(uint32)                          {}
func (n *nullTransport) Behind(uint32) bool                    { return false }
func (n *nullTransport) Unsent(uint32) int                     { return 0 }
func (n *nullTransport) Queued(uint32) int                     { return 0 }
func (n *nullTransport) Ended(uint32) bool                     { return false }
func (n *nullTransport) Peer(uint32) (a netip.AddrPort)        { return a }
func (n *nullTransport) Local(uint32) (a netip.AddrPort)       { return a }
func (n *nullTransport) Post(any)                              {}

// nullPost is the loop as the directory sees it.
type nullPost struct{ *nullTransport }

func (n nullPost) Post(d *hub.Delivery) { n.posted = d }

func newNull() (*nullTransport, *hub.Directory) {
	n := &nullTransport{}
	dir := hub.NewDirectory(1 << 20)
	dir.SetLoops([]hub.Loop{nullPost{n}})
	n.clients = New(testOptions, n, dir, 0, new(stats.Loop))
	return n, dir
}

func (n *nullTransport) hold(id uint32, request []byte) {
	n.clients.Open(id, false)
	n.clients.Data(id, request, 0)
}

func TestAcceptToHeldDoesNotAllocate(t *testing.T) {
	for _, path := range []string{"/events", "/stream"} {
		n, _ := newNull()
		request := []byte("GET " + path + "?channel=a&channel=b HTTP/1.1\r\nHost: x\r\nUser-Agent: test\r\n\r\n")
		n.hold(1, request)
		n.hold(2, request)
		n.clients.Gone(2)
		if got := testing.AllocsPerRun(1000, func() {
			n.hold(2, request)
			n.clients.Gone(2)
		}); got != 0 {
			t.Errorf("%s: accepting, holding and losing a connection allocates %v times, want 0", path, got)
		}
	}
}

func TestAnswersDoNotAllocate(t *testing.T) {
	n, _ := newNull()
	request := []byte("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
	n.hold(1, request)
	if got := testing.AllocsPerRun(1000, func() { n.clients.Data(1, request, 0) }); got != 0 {
		t.Errorf("a request on a kept connection allocates %v times, want 0", got)
	}
}

func TestDeliveryDoesNotAllocate(t *testing.T) {
	n, dir := newNull()
	requests := [][]byte{
		[]byte("GET /events?channel=a HTTP/1.1\r\nHost: x\r\n\r\n"), []byte("GET /stream?channel=a HTTP/1.1\r\nHost: x\r\n\r\n"),
		[]byte("GET /events?channel=a HTTP/1.0\r\n\r\n"), []byte("GET /stream?channel=a HTTP/1.0\r\n\r\n"),
	}
	for i := range uint32(1000) {
		n.hold(i+1, requests[i%4])
	}
	b := &hub.Batch{Deliveries: make([]hub.Delivery, 1), Done: func(*hub.Batch) {}}
	b.Deliveries[0].Item = publish.Item{Channel: "a", ID: "1", Formats: publish.HTTPStream, Stream: publish.Stream{Content: "hello\n"}}
	if got := testing.AllocsPerRun(100, func() {
		if err := dir.Publish(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		n.clients.Task(n.posted)
		for n.clients.BatchEnd() {
		}
	}); got != 0 {
		t.Errorf("delivering to 1,000 allocates %v times, want 0", got)
	}
}

func TestKeepAliveDoesNotAllocate(t *testing.T) {
	n, _ := newNull()
	n.hold(1, []byte("GET /events?channel=a HTTP/1.1\r\nHost: x\r\n\r\n"))
	if got := testing.AllocsPerRun(1000, func() { n.clients.Due(1) }); got != 0 {
		t.Errorf("a keep-alive allocates %v times, want 0", got)
	}
}

// BenchmarkHold is a connection from accept to held, and its end.
func BenchmarkHold(b *testing.B) {
	n, _ := newNull()
	request := []byte("GET /events?channel=a HTTP/1.1\r\nHost: 127.0.0.1:7999\r\nUser-Agent: curl/8.0\r\nAccept: */*\r\n\r\n")
	n.hold(1, request)
	b.ReportAllocs()
	for b.Loop() {
		n.hold(2, request)
		n.clients.Gone(2)
	}
}

// BenchmarkMemory is what hub and session keep of a held connection, without the loop's slot of 32 bytes: with 1,000
// channels, and with one for each connection.
func BenchmarkMemory(b *testing.B) {
	for _, conns := range []int{15_000, 100_000} {
		for _, channels := range []int{1000, conns} {
			b.Run(fmt.Sprintf("conns=%d/channels=%d", conns, channels), func(b *testing.B) {
				var perConn, left float64
				for b.Loop() {
					perConn, left = measureMemory(conns, channels)
				}
				b.ReportMetric(perConn, "B/conn")
				b.ReportMetric(left, "B-left")
			})
		}
	}
}

// measureMemory returns the heap for each of the connections, and what is left of it when all are gone.
func measureMemory(conns, channels int) (perConn, left float64) {
	n, _ := newNull()
	n.hold(uint32(conns+1), []byte("GET /events?channel=first HTTP/1.1\r\nHost: x\r\n\r\n"))
	before := heap()
	for i := range conns {
		n.hold(uint32(i+1), fmt.Appendf(nil, "GET /events?channel=channel-%d HTTP/1.1\r\nHost: x\r\n\r\n", i%channels))
	}
	perConn = float64(heap()-before) / float64(conns)
	for i := range conns {
		n.clients.Gone(uint32(i + 1))
	}
	left = float64(heap() - before)
	runtime.KeepAlive(n)
	return perConn, left
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
