package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/publish"
)

// get asks the metrics endpoint on a connection of its own.
func get(t *testing.T, s *Server, method, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+s.metrics.String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func withMetrics(o *Options) { o.MetricsListen = "127.0.0.1:0" }

func TestMetricsShowWhatHappens(t *testing.T) {
	s, ctl := startServer(t, withMetrics)
	defer s.Shutdown()
	defer ctl.Close()
	for range 3 {
		open(t, s.addr(), "/events?channel=secret-name", "")
	}
	eventually(t, "three clients are held", func() bool { return s.Snapshot().Connections.Events == 3 })
	it := publish.Item{Channel: "secret-name", Formats: publish.HTTPStream, Stream: publish.Stream{Content: "data: x\n\n"}}
	if _, err := ctl.Publish(context.Background(), []publish.Item{it, it}); err != nil {
		t.Fatal(err)
	}
	code, text := get(t, s, "GET", "/metrics")
	for _, want := range []string{
		`pushd_connections{kind="events"} 3`, `pushd_connections{kind="ws"} 0`, "pushd_channels 1", "pushd_subscriptions 3", "pushd_published_total 2",
		"pushd_deliveries_total 6", `pushd_dropped_total{reason="queue-full"} 0`, "pushd_publish_to_write_seconds_count 6", "process_open_fds ", "go_goroutines ",
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no line %q", want)
		}
	}
	if code != http.StatusOK || strings.Contains(text, "secret-name") || strings.Contains(text, "127.0.0.1") {
		t.Errorf("status %d; a channel or an address is in\n%s", code, text)
	}
}

func TestMetricsEndpointAnswersNothingElse(t *testing.T) {
	s, ctl := startServer(t, withMetrics)
	defer s.Shutdown()
	defer ctl.Close()
	for _, tt := range []struct {
		method, path string
		code         int
	}{
		{"GET", "/health", 200}, {"GET", "/ready", 200}, {"HEAD", "/metrics", 200}, {"GET", "/", 200}, {"POST", "/metrics", 405},
		{"PUT", "/ready", 405}, {"POST", "/publish/", 405}, {"GET", "/publish/", 404}, {"GET", "/metrics/x", 404}, {"GET", "/debug/pprof/", 404},
	} {
		if code, body := get(t, s, tt.method, tt.path); code != tt.code {
			t.Errorf("%s %s: status %d (%q), want %d", tt.method, tt.path, code, body, tt.code)
		}
	}
}

// While clients are drained the endpoint is there, and says so; a scrape of that time is answered.
func TestMetricsEndpointDuringTheDrain(t *testing.T) {
	s, ctl := startServer(t, func(o *Options) {
		withMetrics(o)
		o.DrainTimeout = time.Minute // ends when nobody is left
	})
	ctl.Close()
	client := stuck(t, s.addr(), "/poll?channel=a&timeout=300")
	eventually(t, "a client is held", func() bool { return s.Snapshot().Connections.Poll == 1 })
	done := make(chan struct{})
	go func() { s.Shutdown(); close(done) }()
	eventually(t, "the endpoint says that pushd is stopping", func() bool {
		code, body := get(t, s, "GET", "/ready")
		return code == http.StatusServiceUnavailable && body == "draining\n"
	})
	if code, body := get(t, s, "GET", "/health"); code != http.StatusOK {
		t.Errorf("/health during the drain: %d %q", code, body)
	}
	if code, _ := get(t, s, "GET", "/metrics"); code != http.StatusOK {
		t.Errorf("/metrics during the drain: %d", code)
	}
	client.Close()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("Shutdown has not returned")
	}
	if c, err := net.Dial("tcp", s.metrics.String()); err == nil {
		c.Close()
		t.Error("the metrics endpoint is still there")
	}
}

func TestMetricsAddressInUse(t *testing.T) {
	s, ctl := startServer(t, withMetrics)
	defer s.Shutdown()
	defer ctl.Close()
	o := s.opts
	o.Socket = filepath.Join(t.TempDir(), "other.sock")
	o.MetricsListen = s.metrics.String()
	before := files(t)
	_, err := Start(o)
	if err == nil || !strings.Contains(err.Error(), "open the metrics endpoint") || !strings.Contains(err.Error(), o.MetricsListen) {
		t.Errorf("Start on an address in use: %v, want an error that names it", err)
	}
	eventually(t, "the failed start has given everything back", func() bool { return files(t) <= before })
}

// The last that a statsd hears of is the end.
func TestStatsdHearsOfTheEnd(t *testing.T) {
	sink, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	s, ctl := startServer(t, func(o *Options) {
		o.Statsd, o.StatsdInterval = sink.LocalAddr().String(), time.Hour
	})
	ctl.Close()
	open(t, s.addr(), "/stream?channel=a", "")
	eventually(t, "a client is held", func() bool { return s.Snapshot().Connections.Stream == 1 })
	s.Shutdown()
	var all strings.Builder
	buf := make([]byte, 65536)
	for !strings.Contains(all.String(), "pushd.closed.drain:1|c") || !strings.Contains(all.String(), "pushd.accepted:1|c") {
		sink.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _, err := sink.ReadFrom(buf)
		if err != nil {
			t.Fatalf("%v; so far:\n%s", err, all.String())
		}
		fmt.Fprintf(&all, "%s\n", buf[:n])
	}
}

// Clients that keep their connections to a side endpoint open do not keep others out of it.
func TestIdleClientsOfSideEndpointsYield(t *testing.T) {
	s, ctl := startServer(t, func(o *Options) {
		withMetrics(o)
		o.PublishListen = "127.0.0.1:0"
	})
	defer s.Shutdown()
	defer ctl.Close()
	for _, tt := range []struct {
		addr, path string
		clients    int
	}{{s.metrics.String(), "/metrics", 40}, {s.publish.String(), "/", 300}} {
		for i := range tt.clients {
			c, err := net.Dial("tcp", tt.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", tt.path)
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatalf("%s, client %d: %v", tt.path, i, err)
			}
			_, err = io.Copy(io.Discard, res.Body)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%s, client %d: %d, %v", tt.path, i, res.StatusCode, err)
			}
		}
	}
}
