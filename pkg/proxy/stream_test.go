package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/pkg/exchange"
)

func TestSlowClientPausesTheBackend(t *testing.T) {
	var sent atomic.Int64
	addr := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		for {
			n, err := w.Write(make([]byte, 32<<10))
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	p := newProxy(t, Options{})
	hold := &holdingLoop{}
	x := exchange.New(t.Context(), hold, 1, 1, get("/"))
	x.Route = routeTo(addr)
	p.Start(x)
	var last int64 = -1
	until(t, "the backend is paused", func() bool {
		now := sent.Load()
		still := now == last && now > 0
		last = now
		time.Sleep(50 * time.Millisecond)
		return still
	})
	if n := hold.pieces.Load(); n != 1 {
		t.Errorf("%d pieces are under way, want 1", n)
	}
	x.Took()
	until(t, "a piece more", func() bool { return hold.pieces.Load() == 2 })
	x.Abandon()
}

// holdingLoop has a client that takes nothing.
type holdingLoop struct{ pieces atomic.Int64 }

func (l *holdingLoop) Post(task any) {
	if task.(*exchange.Event).Kind == exchange.Body {
		l.pieces.Add(1)
	}
}

func TestBodiesFlowBothWaysInConstantMemory(t *testing.T) {
	const size = 64 << 20
	addr := raw(t, func(nc net.Conn, _ int) { // echoes while it reads
		br := bufio.NewReader(nc)
		readHead(br)
		_, _ = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
		_, _ = io.CopyN(nc, br, size)
	})
	p := newProxy(t, Options{})
	req := get("/")
	req.Method, req.Length = "PUT", size
	at := 0
	var wrong, peak int64
	c := begin(t.Context(), p, routeTo(addr), req, func(c *client) {
		c.count = true
		c.check = func(b []byte) {
			for _, v := range b {
				if v != byte(at>>12) {
					wrong++
				}
				at++
			}
			if at>>20 != (at-len(b))>>20 { // once in a while
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, int64(m.HeapInuse))
			}
		}
	})
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c.send(t, io.LimitReader(&pattern{}, size))
	c.wait(t)
	if c.size != size || wrong != 0 || c.kinds[len(c.kinds)-1] != exchange.End {
		t.Errorf("%d bytes came back, %d of them wrong, last event %d", c.size, wrong, c.kinds[len(c.kinds)-1])
	}
	if grown := peak - int64(m.HeapInuse); grown > 8<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
}

// pattern is a body whose bytes say where they are.
type pattern struct{ at int }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(p.at >> 12)
		p.at++
	}
	return len(b), nil
}

func TestEventsArriveAtOnce(t *testing.T) {
	step := make(chan struct{})
	addr := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		for range step {
			_, _ = io.WriteString(w, "data: x\n\n")
			w.(http.Flusher).Flush()
		}
	})
	p := newProxy(t, Options{})
	c := begin(t.Context(), p, routeTo(addr), get("/"))
	begun := func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.head != nil }
	until(t, "the head comes before any data", begun)
	for i := range 3 {
		step <- struct{}{}
		until(t, "the event comes", func() bool { return c.bytes() == int64(9*(i+1)) })
	}
	close(step)
	if c.wait(t); !bytes.Equal(c.body, bytes.Repeat([]byte("data: x\n\n"), 3)) {
		t.Errorf("got %v", c)
	}
}
