package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/pkg/publish"
)

// fakeHeart is alive or not.
type fakeHeart struct{ alive bool }

func (h *fakeHeart) Beat() bool { return h.alive }

// A loop that is busy for a while is well; one that gives no sign of life for ten looks stands
// still.
func TestPulse(t *testing.T) {
	var said bytes.Buffer
	p := &pulse{log: slog.New(slog.NewTextHandler(&said, nil))}
	other, loop := &fakeHeart{alive: true}, &fakeHeart{alive: true}
	p.add(other)
	p.add(loop)
	looks := func(n int, alive bool) {
		loop.alive = alive
		for range n {
			p.look()
		}
	}
	looks(20, true)
	looks(stillAfter-1, false)
	if trouble := p.trouble(); trouble != "" || said.Len() > 0 {
		t.Errorf("a loop that is busy for 9 s: %q, %s", trouble, &said)
	}
	looks(1, true)
	looks(20, false)
	if trouble := p.trouble(); trouble != "an event loop stands still" {
		t.Errorf("a loop without a sign of life: %q", trouble)
	}
	log := said.String()
	if strings.Count(log, "\n") != 1 || !strings.Contains(log, "loop=1") {
		t.Errorf("said %q, want one line on loop 1", log)
	}
	looks(1, true)
	if trouble := p.trouble(); trouble != "" || !strings.Contains(said.String(), "goes on") {
		t.Errorf("when it goes on: %q, %s", trouble, &said)
	}
}

// stuckLog is a log whose writer stands still from the line with a certain message on.
type stuckLog struct {
	slog.Handler
	message  string
	released chan struct{}
}

func (s *stuckLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == s.message {
		<-s.released
	}
	return nil
}

// When one loop of two stands still, /health says so wherever it is still answered.
func TestHealthNoticesALoopThatStandsStill(t *testing.T) {
	stuck := &stuckLog{
		Handler: slog.DiscardHandler, message: "a client speaks TLS to a plain HTTP listener",
		released: make(chan struct{}),
	}
	release := sync.OnceFunc(func() { close(stuck.released) })
	s, ctl := startServer(t, func(o *Options) {
		withMetrics(o)
		o.Log = slog.New(enabled{stuck})
		o.beatEvery = 10 * time.Millisecond
	})
	defer s.Shutdown()
	defer release()
	defer ctl.Close()
	tls, err := net.Dial("tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer tls.Close()
	io.WriteString(tls, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	ask := http.Client{
		Timeout:   time.Second, // the loop that stands still does not answer
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	status := func(url string) int {
		res, err := ask.Get(url)
		if err != nil {
			return 0
		}
		res.Body.Close()
		return res.StatusCode
	}
	for _, addr := range []string{s.publish.String(), s.metrics.String(), s.addr()} {
		for _, path := range []string{"/health", "/ready"} {
			url := "http://" + addr + path
			eventually(t, url+" says 503", func() bool { return status(url) == 503 })
		}
	}
	release()
	url := "http://" + s.publish.String() + "/health"
	eventually(t, url+" says 200 again", func() bool { return status(url) == 200 })
}

// enabled is a handler for all levels.
type enabled struct{ slog.Handler }

func (enabled) Enabled(context.Context, slog.Level) bool { return true }

// A loop that cannot wait for events ends pushd with its reason. Its publishers get answers.
func TestFailedLoopEndsTheServer(t *testing.T) {
	s, ctl := startServer(t, nil)
	defer ctl.Close()
	for i := range 8 {
		open(t, s.addr(), "/stream?channel=a", "")
		eventually(t, "it is held", func() bool { return s.Snapshot().Connections.Stream == i+1 })
	}
	breakWait(t, s, 0)
	select {
	case err := <-s.failed:
		const want = "loop 0: event loop cannot wait for events: invalid argument"
		if err.Error() != want {
			t.Errorf("failed with %q, want %q", err, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was told that a loop failed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 100 {
		if _, err := ctl.Publish(ctx, []publish.Item{streamItem("a", "x")}); err != nil {
			t.Fatalf("publish after a loop has failed: %v", err)
		}
	}
	ended := make(chan struct{})
	go func() { s.Shutdown(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("Shutdown does not return")
	}
}

// breakWait makes a loop's next wait for events fail: its epoll set becomes another file.
func breakWait(t *testing.T, s *Server, loop int) {
	t.Helper()
	l := reflect.ValueOf(s.loops.all[loop]).Elem()
	ep := int(l.FieldByName("ep").Elem().FieldByName("fd").Int())
	none, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(none)
	if err := unix.Dup3(none, ep, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	s.loops.all[loop].Post(nil) // ends the wait that is under way
}

// However many parts fail at once, none of them waits for somebody to hear of it.
func TestAnyNumberOfPartsMayFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		s := &Server{failed: make(chan error, 1)}
		s.opts.Log = slog.New(slog.NewTextHandler(&said, nil))
		for range 20 {
			p := s.task("part", func(context.Context) error { return errors.New("it broke") })
			p.start() //nolint:errcheck // it never fails
			defer p.stop()
		}
		synctest.Wait()
		if err := <-s.failed; err == nil || err.Error() != "it broke" {
			t.Errorf("failed with %v", err)
		}
		if n := strings.Count(said.String(), "it broke"); n != 19 {
			t.Errorf("%d of 19 other failures are in the log", n)
		}
	})
}
