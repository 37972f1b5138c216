package proxy

import (
	"io"
	"net/http"
	"testing"

	"holdfast/pkg/exchange"
)

// BenchmarkHold is from Start to Hold, with a backend in the same process.
func BenchmarkHold(b *testing.B) {
	addr := backend(b, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Grip-Hold"], h["Grip-Channel"] = []string{"stream"}, []string{"news"}
		h["Content-Type"] = []string{"text/event-stream"}
		_, _ = io.WriteString(w, "event: open\ndata:\n\n")
	})
	p := newProxy(b, Options{})
	r := routeTo(addr)
	req := get("/stream.php?topic=news")
	req.Fields = []exchange.Field{{Name: "Accept", Value: "text/event-stream"}, {Name: "User-Agent", Value: "bench"}}
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if c := begin(b.Context(), p, r, req); c.wait(b).plan == nil {
				b.Errorf("no hold: %v", c)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "holds/s")
}

// BenchmarkBody is the way of a long body down, in pieces of exchange.MaxWrite.
func BenchmarkBody(b *testing.B) {
	piece := make([]byte, 1<<20)
	addr := backend(b, func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	p := newProxy(b, Options{})
	b.ReportAllocs()
	b.SetBytes(exchange.MaxWrite)
	var n int
	enough := make(chan struct{})
	c := begin(b.Context(), p, routeTo(addr), get("/"), func(c *client) {
		c.count = true
		c.check = func([]byte) {
			if n++; n == b.N {
				close(enough)
			}
		}
	})
	<-enough
	c.x.Abandon()
}
