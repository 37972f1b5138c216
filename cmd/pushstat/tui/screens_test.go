package tui

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"

	"holdfast/cmd/internal/golden"
	"holdfast/pkg/stats"
)

// durations counts n of each of the given microseconds.
func durations(n int, us ...int) stats.Durations {
	var t stats.Timing
	for _, d := range us {
		t.Add(time.Duration(d)*time.Microsecond, n)
	}
	return t.Durations()
}

// busy is a pushd with a million connections in its second n, which has been up for three days.
func busy(n int) *stats.Snapshot {
	wave := func(period, depth float64) int { return int(depth * math.Sin(float64(n)/period)) }
	s := &stats.Snapshot{
		Connections: stats.Connections{Events: 780_000 + wave(9, 50_000), WS: 152_344, Stream: 40_021 + wave(3, 9000), Poll: 15_012, HTTP: 321 + wave(2, 200)},
		Accepted:    9_800_000 + uint64(n*1234), Closed: map[string]uint64{"client": 8_700_000 + uint64(n*1200), "timeout-idle": 1000},
		Channels: 12_345, Subscriptions: 1_203_456,
		Published: 3_456_789 + uint64(n*2500+wave(4, 900)), Delivered: 987_654_321_000 + uint64(n*1_250_000+wave(4, 300_000)),
		Dropped: map[string]uint64{"filtered": 42}, QueuedBytes: 1_234_567, BytesOut: 9e12 + uint64(n)*180e6,
		RSSBytes: 412 << 20, RSSAnonBytes: 390 << 20, CPUSeconds: 1000 + 0.85*float64(n),
		FDs: stats.FDs{Used: 987_912, Limit: 1_300_000}, UptimeSeconds: 3*86400 + 15_300 + float64(n), Goroutines: 34, PID: 4242, Version: "1.4.0",
		Latency:   durations(1000*(n+1), 180, 250, 420, 800, 900, 1200, 2300, 4500),
		Walk:      durations(10*(n+1), 90, 150, 900),
		Lag:       durations(100*(n+1), 20, 40, 60, 300, 1900),
		HeapBytes: 210 << 20, GC: stats.GC{Cycles: 4711, Pauses: durations(n+1, 60, 110)},
		Kernel: stats.Kernel{TCPMemBytes: 1_400 << 20, TCPMemPressure: 3 << 30, TCPMemLimit: 4 << 30, ListenOverflows: 17, ListenDrops: 17},
		Limits: stats.Limits{MaxConnections: 1_200_000, QueueMemory: 1 << 30},
	}
	s.Connections.Total = s.Connections.Events + s.Connections.WS + s.Connections.Stream + s.Connections.Poll + s.Connections.HTTP
	for i := range 8 {
		s.Loops = append(s.Loops, stats.LoopSnapshot{
			Connections: s.Connections.Total/8 + (i-4)*600, Accepted: s.Accepted/8 + uint64(i*n), Subscriptions: 150_000 + i, Delivered: s.Delivered/8 + uint64(i*1000*n),
			BytesOut: s.BytesOut / 8, QueuedBytes: int64(i) * 43_210, Mailbox: i % 3, Latency: s.Latency, Lag: durations(100*(n+1), 20, 40, 60*(i+1), 300*(i+1)),
		})
	}
	return s
}

// quiet is a pushd that has just been started and has nobody.
func quiet(n int) *stats.Snapshot {
	return &stats.Snapshot{UptimeSeconds: float64(n) + 1, PID: 7, Version: "1.4.0", FDs: stats.FDs{Used: 12, Limit: 20_000}, RSSBytes: 9 << 20,
		Loops: make([]stats.LoopSnapshot, 2)}
}

// hostile is text that would break a terminal, its columns or its direction.
const hostile = "a\x1b[2J\x1b]0;gotcha\a\u202edesrever\u2066\r\n\u0301\u0301\u0301e\u0301\u0301\u0301 日本語チャンネル\U0001f468\u200d\U0001f469 \xff end"

func busyFake() *fakePushd {
	f := &fakePushd{snap: busy(0)}
	kinds := []string{"events", "ws", "stream", "poll", "http"}
	f.connections = &stats.ConnectionList{Matched: 987_698, Total: 987_698}
	for i := range 60 {
		c := stats.ConnectionInfo{ID: fmt.Sprintf("%d-%x-%d", i%8, 0xbeef+i, i), Loop: i % 8, Kind: kinds[i%5], State: "held", Address: fmt.Sprintf("10.1.%d.%d:%d", i, 255-i, 40000+i),
			AgeSeconds: float64(i*i) * 77, QuietSeconds: float64(i), QueuedBytes: 1 << 20 / (i + 1), Subscriptions: 1, Channels: []string{fmt.Sprintf("room-%d", i)}}
		f.connections.Connections = append(f.connections.Connections, c)
	}
	cs := f.connections.Connections
	cs[1].Address, cs[1].Subscriptions, cs[1].Channels = "[2001:db8:85a3:1234:5678:8a2e:370:7334]:65535", 5000, []string{"news", "sport", hostile}
	cs[2].Channels = []string{hostile}
	f.channels = &stats.ChannelList{Matched: 12_345}
	for i := range 60 {
		f.channels.Channels = append(f.channels.Channels, stats.ChannelInfo{Name: fmt.Sprintf("room-%d", i), Subscribers: 1_000_000 / (i + 1), Items: 12.5 / float64(i+1), Deliveries: 1.25e6 / float64(i+1)})
	}
	f.channels.Channels[1].Name = hostile
	f.channels.Channels[2].Name = strings.Repeat("long-", 40)
	f.routes = []stats.RouteInfo{
		{ID: "api", Match: "/api/*", Targets: []string{"http://127.0.0.1:8000", "http://127.0.0.1:8001"}, Requests: 123_456, Active: 12, Holds: 40_000, Errors: map[string]uint64{}, Latency: durations(100, 900, 2000, 15000)},
		{ID: "1", Match: "chat.example.org/*", Targets: []string{"http://10.0.0.7:9000"}, Requests: 5_000, Active: 64, Waiting: 17, Errors: map[string]uint64{"timeout": 120, "refused": 3}, Latency: durations(10, 90_000, 2_000_000)},
	}
	for i, e := range []stats.Event{
		{Type: stats.EventDrop, Loop: 1, Connection: "1-beef-3", Kind: "ws", Address: "10.1.2.3:4567", Channel: "room-1", Reason: "queue-full"},
		{Type: stats.EventDisconnect, Loop: 1, Connection: "1-beef-3", Kind: "ws", Address: "10.1.2.3:4567", Reason: "slow"},
		{Type: stats.EventDisconnect, Loop: 0, Connection: "1-beef-4", Kind: "ws", Address: "10.1.2.4:4567", Reason: "client"},
		{Type: stats.EventReload, Loop: -1},
		{Type: stats.EventOverload, Loop: 2, Address: "10.9.9.9:1", Reason: "connections"},
		{Type: stats.EventDrop, Loop: 1, Connection: "1-beef-3", Kind: "events", Address: "10.1.2.3:4567", Channel: hostile, Reason: "queue-full"},
	} {
		e.UnixMS = noon.UnixMilli() + int64(i)*123
		f.events = append(f.events, e)
	}
	return f
}

// watched is a rig that has watched the busy pushd for so many seconds.
func watched(t *testing.T, w, h, secs int) (*rig, *fakePushd) {
	t.Helper()
	f := busyFake()
	r := newRig(t, w, h, map[string]*fakePushd{"/run/pushd/pushd.sock": f}, "/run/pushd/pushd.sock")
	if err := r.m.connect(); err != nil {
		t.Fatal(err)
	}
	r.m.nodes[0].last.at, r.m.nodes[0].samples[0].at, r.m.now = noon, noon, noon // in place of the real time
	for n := 1; n <= secs; n++ {
		f.mu.Lock()
		f.snap = busy(n)
		f.mu.Unlock()
		r.tick()
	}
	return r, f
}

var sizes = []struct{ w, h int }{{80, 24}, {120, 40}, {40, 10}, {200, 60}, {20, 5}}

// TestScreens compares every view at every size with its golden file, and holds every frame to its size.
func TestScreens(t *testing.T) {
	for _, size := range sizes {
		for i, name := range []string{"overview", "loops", "channels", "connections", "routes", "events"} {
			t.Run(fmt.Sprintf("%s-%dx%d", name, size.w, size.h), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, f := watched(t, size.w, size.h, 75)
					r.press(fmt.Sprint(i + 1))
					f.snap = busy(76)
					r.tick()
					checkScreen(t, r, fmt.Sprintf("screens/%s-%dx%d.txt", name, size.w, size.h))
				})
			})
		}
	}
}

// checkScreen holds the frame to the size of the terminal and compares it with a golden file.
func checkScreen(t *testing.T, r *rig, name string) {
	t.Helper()
	text := r.text()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) > r.m.height {
		t.Errorf("%d lines on a terminal of %d", len(lines), r.m.height)
	}
	for i, l := range lines {
		if w := ansi.StringWidthWc(l); w > r.m.width {
			t.Errorf("line %d has %d cells on a terminal of %d: %q", i+1, w, r.m.width, l)
		}
		if strings.ContainsAny(l, "\x1b\a\r\x00\u202e\u2066\u200d") {
			t.Errorf("line %d has control characters: %q", i+1, l)
		}
	}
	golden.Check(t, name, trimLines(text))
}

// trimLines takes the spaces from the ends of lines, which editors would.
func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// TestScreenInColourAndWithout compares what the terminal gets with golden files, with escape sequences written out: with
// sixteen colours, and as Bubble Tea leaves it under NO_COLOR.
func TestScreenInColourAndWithout(t *testing.T) {
	for name, profile := range map[string]colorprofile.Profile{"colour": colorprofile.ANSI, "no-color": colorprofile.ASCII} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, f := watched(t, 80, 24, 10)
				f.snap = busy(11)
				f.snap.Dropped["queue-full"] = 77
				r.tick()
				var b bytes.Buffer
				w := colorprofile.Writer{Forward: &b, Profile: profile}
				if _, err := w.WriteString(r.m.View().Content); err != nil {
					t.Fatal(err)
				}
				if name == "no-color" && strings.Contains(b.String(), "\x1b[3") {
					t.Errorf("there are colours: %q", b.String())
				}
				golden.Check(t, "screens/overview-80x24-"+name+".txt", strings.ReplaceAll(b.String(), "\x1b", "ESC")+"\n")
			})
		})
	}
}

// TestEverySizeHolds draws all views, with trouble on the status line, at many sizes and with both sets of glyphs.
func TestEverySizeHolds(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		p.snap = busy(6)
		p.snap.Dropped["queue-full"], p.snap.Closed["slow"], p.snap.FDs.Used = 10, 20, p.snap.FDs.Limit
		r.tick()
		for _, keys := range [][]string{{"1"}, {"2"}, {"3"}, {"4"}, {"5"}, {"6"}, {"5", "enter"}, {"4", "j", "enter"}, {"x"}, {"n", "esc", "/"}, {"esc", "?"}} {
			r.press(keys...)
			for _, g := range []*glyphs{&unicodeGlyphs, &asciiGlyphs} {
				r.m.g = g
				for w := 1; w < 220; w += 6 {
					for h := 1; h < 70; h += 4 {
						r.m.width, r.m.height = w, h
						lines := r.m.screen()
						if len(lines) > h {
							t.Errorf("after %q: %d lines on %dx%d", keys, len(lines), w, h)
						}
						for i, l := range lines {
							if text := l.String(); ansi.StringWidthWc(text) > w || g.ascii && !isPlain(text) {
								t.Fatalf("after %q: line %d on %dx%d is %q", keys, i+1, w, h, text)
							}
						}
					}
				}
			}
			r.m.g, r.m.width, r.m.height = &unicodeGlyphs, 80, 24
		}
	})
}
