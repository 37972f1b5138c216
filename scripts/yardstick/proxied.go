package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// proxied opens streams that a backend of a few lines, in this process, has held, and measures how fast and in how much memory.
func proxied(s *setup) error {
	file, end, err := s.backend()
	if err != nil {
		return err
	}
	defer end()
	var rates, direct, held []float64
	for range s.pairs {
		for _, args := range [][]string{nil, {"--routes", file}} {
			rate, bytes, err := s.holding(args)
			if err != nil {
				return err
			}
			if args == nil {
				direct = append(direct, bytes)
				continue
			}
			rates, held = append(rates, rate), append(held, bytes)
		}
	}
	fmt.Printf("  %.0f holds/s (wanted >= 5,000); %.0f B/conn, direct %.0f (wanted at most 100 more)\n", median(rates), median(held), median(direct))
	return nil
}

// backend starts a backend that has every stream held, and returns the routes file that leads to
// it.
func (s *setup) backend() (file string, end func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	backend := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Grip-Hold", "stream")
		h.Set("Grip-Channel", r.URL.Query().Get("channel"))
		h.Set("Grip-Keep-Alive", `:\n\n; format=cstring; timeout=55`)
		io.WriteString(w, "event: message\ndata: stream open\n\n")
	})}
	go backend.Serve(ln) //nolint:errcheck // it ends with Close
	file = filepath.Join(s.tools, s.name+".routes")
	if err := os.WriteFile(file, []byte("* "+ln.Addr().String()+"\n"), 0o600); err != nil {
		backend.Close()
		return "", nil, err
	}
	return file, func() { backend.Close() }, nil
}

// holding opens half of the connections to a pushd that was started with args, and then the others, and returns how fast those were
// and how many bytes each of them takes: the first half pays for what the runtime takes once.
func (s *setup) holding(args []string) (rate, bytes float64, err error) {
	d, err := s.pushd(args...)
	if err != nil {
		return 0, 0, err
	}
	defer d.stop()
	half := min(s.n, 12_000) / 2 // the backend's connections need files too
	var rss [2]int64
	for i := range rss {
		sw, c, err := s.swarm(d.addr, half, "-p", path, "-K", fmt.Sprint(channels))
		if err != nil {
			return 0, 0, err
		}
		defer sw.end()
		rate = c.Rate
		time.Sleep(3 * time.Second) // for garbage to be collected
		snap, err := d.stats()
		if err != nil {
			return 0, 0, err
		}
		if snap.Connections.Stream != (i+1)*half {
			return 0, 0, fmt.Errorf("%d of %d are held", snap.Connections.Stream, (i+1)*half)
		}
		rss[i] = snap.RSSAnonBytes
	}
	return rate, float64(rss[1]-rss[0]) / float64(half), nil
}
