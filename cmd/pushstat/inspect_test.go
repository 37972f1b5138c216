package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/cmd/internal/golden"
	"holdfast/pkg/control"
	"holdfast/pkg/hub"
	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

// fakeInspector answers with fixed connections, channels and routes, and remembers what it was asked.
type fakeInspector struct {
	feed   stats.Feed
	routes []stats.RouteInfo

	mu       sync.Mutex
	closed   stats.CloseQuery
	channels stats.ChannelQuery
	asked    stats.ConnectionQuery
}

var hostile = "a\x1b[2Jb\u202e"

func (f *fakeInspector) Connections(_ context.Context, q stats.ConnectionQuery) (stats.ConnectionList, error) {
	f.mu.Lock()
	f.asked = q
	f.mu.Unlock()
	slow := stats.ConnectionInfo{ID: "0.7.abc", Loop: 0, Kind: "events", State: "held", Address: "192.0.2.1:4711", Proxy: "10.0.0.1:80", AgeSeconds: 3700,
		QueuedBytes: 70 << 10, Subscriptions: 5, Channels: []string{"news", hostile, "x"}, Route: "api"}
	idle := stats.ConnectionInfo{ID: "1.3.abd", Loop: 1, Kind: "http", State: "idle", AgeSeconds: 5, QuietSeconds: 4.5}
	switch q.ID {
	case "":
		return stats.ConnectionList{Connections: []stats.ConnectionInfo{slow, idle}, Matched: 2, Total: 9}, nil
	case slow.ID:
		return stats.ConnectionList{Connections: []stats.ConnectionInfo{slow}, Matched: 1, Total: 9}, nil
	case "bad":
		return stats.ConnectionList{}, wire.Errorf(wire.BadRequest, "%q is not the id of a connection", q.ID)
	}
	return stats.ConnectionList{Total: 9}, nil
}

func (f *fakeInspector) Channels(_ context.Context, q stats.ChannelQuery) (stats.ChannelList, error) {
	f.mu.Lock()
	f.channels = q
	f.mu.Unlock()
	return stats.ChannelList{Matched: 700, WindowMS: q.WindowMS, Uncounted: 3, Channels: []stats.ChannelInfo{
		{Name: "news", Subscribers: 120000, Items: 2.5, Deliveries: 300000}, {Name: hostile, Subscribers: 1, Items: 10, Deliveries: 10}}}, nil
}

func (f *fakeInspector) Routes(context.Context) ([]stats.RouteInfo, error) { return f.routes, nil }

func (f *fakeInspector) Close(_ context.Context, q stats.CloseQuery) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = q
	if q.Channel == "nobody" {
		return 0, nil
	}
	return max(len(q.IDs), 1), nil
}

func (f *fakeInspector) Listen(_ context.Context, filter stats.EventFilter) (*stats.Listener, error) {
	l, err := f.feed.Listen(filter)
	if err != nil {
		return nil, wire.Errorf(wire.BadRequest, "%v", err)
	}
	return l, nil
}

func (f *fakeInspector) Unlisten(l *stats.Listener) { l.Close() }

// noHub takes no items.
type noHub struct{}

func (noHub) Publish(context.Context, *hub.Batch) error { return errors.New("nothing is taken") }

// serveInspector serves a control socket, at path unless that is "", until the test ends or stop is called.
func serveInspector(t *testing.T, f *fakeInspector, path string) (socket string, stop func()) {
	t.Helper()
	if path == "" {
		path = filepath.Join(t.TempDir(), "pushd.sock")
	}
	ln, err := control.Listen(path, 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	s := control.New(control.Options{Publisher: noHub{}, Inspector: f, Program: "pushd test"})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return path, stop
}

func TestListsAsText(t *testing.T) {
	f := &fakeInspector{routes: []stats.RouteInfo{
		{ID: "api", Targets: []string{"127.0.0.1:80", "127.0.0.1:81"}, Requests: 1234567, Active: 3, Holds: 20,
			Errors: map[string]uint64{"timeout": 2, "refused": 9}, Latency: stats.Durations{Count: 9, P50: 900, P99: 1_500_000}},
		{ID: "*,path_beg=/x", Targets: []string{"test"}},
	}}
	path, _ := serveInspector(t, f, "")
	for name, args := range map[string][]string{
		"connections.txt":   {"connections"},
		"connection.txt":    {"connections", "0.7.abc"},
		"channels.txt":      {"channels"},
		"channels-rate.txt": {"channels", "--by", "rate", "--window", "1ms"},
		"routes.txt":        {"routes"},
		"lists.json":        {"connections", "--json", "--top", "1"},
	} {
		code, stdout, stderr := pushstat(t, append(args, "--socket", path)...)
		if code != app.OK || stderr != "" {
			t.Errorf("%v: exit %d, stderr %q", args, code, stderr)
		}
		if strings.ContainsRune(stdout, '\x1b') {
			t.Errorf("%v: an escape character reaches the terminal", args)
		}
		golden.Check(t, name, stdout)
	}
	f.routes = nil
	if code, stdout, _ := pushstat(t, "routes", "--socket", path); code != app.OK || !strings.Contains(stdout, "no routes") {
		t.Errorf("without routes: exit %d, %q", code, stdout)
	}
}

func TestSeveralSocketsAreMerged(t *testing.T) {
	one, _ := serveInspector(t, &fakeInspector{}, "")
	two, _ := serveInspector(t, &fakeInspector{}, "")
	code, stdout, stderr := pushstat(t, "connections", "--socket", one, "--socket", two, "--top", "3")
	if code != app.OK || stderr != "" || strings.Count(stdout, "0.7.abc") != 2 || strings.Count(stdout, one) != 2 || !strings.HasSuffix(stdout, "3 of 4 shown, 18 connections in all\n") {
		t.Errorf("exit %d, stderr %q, stdout\n%s", code, stderr, stdout)
	}
	code, stdout, stderr = pushstat(t, "channels", "--json", "--socket", one, "--socket", filepath.Join(t.TempDir(), "none"))
	if code != app.NotThere || !strings.Contains(stderr, "no pushd answers") || strings.Count(stdout, `{"socket":"`+one+`","name":`) != 2 {
		t.Errorf("with one that is not there: exit %d, stderr %q, stdout\n%s", code, stderr, stdout)
	}
}

func TestCloseNeedsAYes(t *testing.T) {
	f := &fakeInspector{}
	path, _ := serveInspector(t, f, "")
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"0.7.abc"}, app.Usage, "give --yes"},
		{[]string{"0.7.abc", "1.3.abd", "--yes"}, app.OK, "closed 2\n"},
		{[]string{"--channel", "news", "-y", "--json"}, app.OK, "{\"closed\":1}\n"},
		{[]string{"--channel", "nobody", "-y"}, app.Failed, "no such connection"},
		{[]string{"--yes"}, app.Usage, "which connections"},
		{[]string{"0.7.abc", "--channel", "news", "--yes"}, app.Usage, "not both"},
		{[]string{"0.7.abc", "--yes", "--socket", "other"}, app.Usage, "name its --socket"},
		{[]string{"0.7.abc", "--yes", "--once"}, app.Usage, "--once is not for close"},
	} {
		code, stdout, stderr := pushstat(t, append([]string{"close", "--socket", path}, tt.args...)...)
		if code != tt.code || !strings.Contains(stdout+stderr, tt.want) {
			t.Errorf("close %v: exit %d, %q, %q, want %d and %q", tt.args, code, stdout, stderr, tt.code, tt.want)
		}
	}
	if f.closed.Channel != "nobody" {
		t.Errorf("the last that was closed: %+v", f.closed)
	}
}

func TestAskYes(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, " YES \n": true, "y": true, "\n": false, "": false, "n\n": false, "yesterday\n": false} {
		var out bytes.Buffer
		err := askYes(t.Context(), strings.NewReader(answer), &out, "close it?")
		if (err == nil) != want || out.String() != "close it? [y/N] " {
			t.Errorf("answer %q: %v, asked %q", answer, err, out.String())
		}
	}
}

func TestCtrlCEndsTheQuestion(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close() // ends the read
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := askYes(ctx, r, io.Discard, "close it?"); !errors.Is(err, context.Canceled) {
		t.Errorf("askYes = %v, want canceled", err)
	}
}

func TestBadQuestionsAreUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"connections", "--top", "0"}, {"connections", "--top", "501"}, {"connections", "--by", "luck"}, {"connections", "--filter", "ws"},
		{"connections", "--filter", "kind=ws", "--filter", "kind=http"}, {"connections", "--interval", "2s"},
		{"channels", "--window", "11s"}, {"channels", "--by", "age"}, {"channels", "x"}, {"routes", "x"},
		{"events", "--type", "disconect"}, {"events", "--filter", "address=here"}, {"events", "--once"}, {"events", "x"},
	} {
		if code, stdout, stderr := pushstat(t, args...); code != app.Usage || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: exit %d, stdout %q, stderr %q, want 2 and one line", args, code, stdout, stderr)
		}
	}
	path, _ := serveInspector(t, &fakeInspector{}, "")
	if code, _, stderr := pushstat(t, "connections", "bad", "--socket", path); code != app.Failed || !strings.Contains(stderr, "not the id") {
		t.Errorf("a bad id: exit %d, %q", code, stderr)
	}
	if code, _, stderr := pushstat(t, "connections", "0.1.zz", "--socket", path); code != app.Failed || !strings.Contains(stderr, "no connection 0.1.zz") {
		t.Errorf("an id that nobody has: exit %d, %q", code, stderr)
	}
	old := newFake(t, sample)
	if code, _, stderr := pushstat(t, "channels", "--socket", old.path); code != app.Failed || !strings.Contains(stderr, "pushd test is older") {
		t.Errorf("an older pushd: exit %d, %q", code, stderr)
	}
}

// lockedBuffer is written by the command and read by the test.
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

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what + ": not within 10 s")
		}
	}
}

// Events are printed as they come, over a restart of pushd.
func TestEventsAreFollowedOverARestart(t *testing.T) {
	f := &fakeInspector{}
	path, stop := serveInspector(t, f, "")
	var out, errs lockedBuffer
	a := newApp()
	a.Writer, a.ErrWriter = &out, &errs
	done := make(chan int)
	go func() {
		done <- app.Run(context.Background(), a, []string{"pushstat", "events", "--socket", path, "--type", "connect,drop", "-n", "3"})
	}()
	wanted := func() bool { return f.feed.Wants(stats.EventDrop) }
	await(t, "it listens", wanted)
	f.feed.Add([]stats.Event{
		{UnixMS: 1, Type: stats.EventConnect, Connection: "0.7.abc", Kind: "http", Address: "192.0.2.1:4711"},
		{UnixMS: 2, Type: stats.EventReload},
		{UnixMS: 3, Type: stats.EventDrop, Channel: hostile, Reason: "queue-full"},
	}, 5)
	await(t, "two lines", func() bool { return strings.Count(out.String(), "\n") == 2 })
	stop()
	await(t, "the loss is told", func() bool { return strings.Contains(errs.String(), "went away") })
	serveInspector(t, f, path)
	await(t, "it listens again", wanted)
	f.feed.Add([]stats.Event{{Type: stats.EventConnect, Connection: "0.8.abe"}}, 0)
	if code := <-done; code != app.OK {
		t.Errorf("exit %d", code)
	}
	got := out.String()
	if !strings.Contains(got, "connect     0.7.abc http 192.0.2.1:4711\n") || !strings.Contains(got, "(queue-full)\n") || !strings.Contains(got, "0.8.abe") ||
		strings.Contains(got, "reload") || strings.ContainsRune(got, '\x1b') {
		t.Errorf("stdout:\n%s", got)
	}
	if e := errs.String(); !strings.Contains(e, "5 left out") || !strings.Contains(e, "is back") {
		t.Errorf("stderr:\n%s", e)
	}
}

func TestEventsAsJSON(t *testing.T) {
	f := &fakeInspector{}
	one, _ := serveInspector(t, f, "")
	two, _ := serveInspector(t, f, "")
	var out lockedBuffer
	a := newApp()
	a.Writer, a.ErrWriter = &out, &lockedBuffer{}
	done := make(chan int)
	go func() {
		done <- app.Run(context.Background(), a, []string{"pushstat", "events", "--json", "--socket", one, "--socket", two, "-n", "2", "--filter", "channel=a b"})
	}()
	await(t, "both listen", func() bool {
		f.feed.Add([]stats.Event{{Type: stats.EventSubscribe, Channel: "a b", Loop: 1}}, 0)
		select {
		case code := <-done:
			done = nil
			return code == app.OK
		default:
			return false
		}
	})
	line := `{"socket":"%s","unix_ms":0,"type":"subscribe","loop":1,"channel":"a b"}` + "\n"
	if got := out.String(); strings.Count(got, fmt.Sprintf(line, one))+strings.Count(got, fmt.Sprintf(line, two)) < 2 {
		t.Errorf("stdout:\n%s", got)
	}
}

func TestEventsWithoutPushd(t *testing.T) {
	code, _, stderr := pushstat(t, "events", "--socket", filepath.Join(t.TempDir(), "none"))
	if code != app.NotThere || !strings.Contains(stderr, "start pushd") {
		t.Errorf("exit %d, %q, want 3 and the remedy", code, stderr)
	}
}

func TestSpan(t *testing.T) {
	for seconds, want := range map[float64]string{0: "0s", -3: "0s", 59.4: "59s", 59.6: "1m00s", 185: "3m05s", 3599: "59m59s", 15120: "4h12m", 86400 * 9: "9d00h"} {
		if got := span(seconds); got != want {
			t.Errorf("span(%v) = %q, want %q", seconds, got, want)
		}
	}
}
