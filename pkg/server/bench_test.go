package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/client"
)

// BenchmarkPublish measures an item from a publisher's call to the last subscriber's socket, over the control socket and
// loopback, with everything in one process: what one item costs all of them together.
func BenchmarkPublish(b *testing.B) {
	for _, subscribers := range []int{1, 15} {
		b.Run(fmt.Sprintf("subscribers=%d", subscribers), func(b *testing.B) {
			o := NewOptions()
			o.Loops, o.Listen, o.PublishListen = 2, []string{"127.0.0.1:0"}, ""
			o.Socket = filepath.Join(b.TempDir(), "pushd.sock")
			o.DrainTimeout = 100 * time.Millisecond
			o.MaxQueued, o.QueueMemory = 1<<30, 1<<31 // the readers share the CPUs with what is measured
			s, err := Start(o)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Shutdown()
			for range subscribers {
				c, err := net.Dial("tcp", s.Addrs()[0].String())
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				fmt.Fprint(c, "GET /stream?channel=a HTTP/1.1\r\nHost: x\r\n\r\n")
				go io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 256<<10))
			}
			for s.Snapshot().Connections.Stream < subscribers {
				time.Sleep(time.Millisecond)
			}
			ctx := context.Background()
			ctl, err := client.Dial(ctx, o.Socket, client.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer ctl.Close()
			p := ctl.Publisher(client.PublisherOptions{})
			it := streamItem("a", strings.Repeat("x", 100))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Publish(ctx, &it); err != nil {
					b.Fatal(err)
				}
			}
			if err := p.Flush(ctx); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if snap := s.Snapshot(); snap.Delivered != snap.Published*uint64(subscribers) {
				b.Errorf("%d delivered of %d published to %d", snap.Delivered, snap.Published, subscribers)
			}
		})
	}
}
