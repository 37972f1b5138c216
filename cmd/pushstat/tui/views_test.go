package tui

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"holdfast/cmd/internal/golden"
	"holdfast/pkg/stats"
)

func TestFindingsNameWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(s *stats.Snapshot)
		level level
		text  string // "" for nothing
	}{
		{"nothing", func(*stats.Snapshot) {}, allWell, ""},
		{"drops", func(s *stats.Snapshot) { s.Dropped["queue-full"] += 1200 }, critical, "dropped: 1,200 in 6 s (queue-full)"},
		{"filtered is asked for", func(s *stats.Snapshot) { s.Dropped["filtered"] += 1200; s.Dropped["repeat"] += 3 }, allWell, ""},
		{"slow clients", func(s *stats.Snapshot) { s.Closed["slow"] = 3 }, critical, "slow clients closed: 3 in 6 s"},
		{"queue memory", func(s *stats.Snapshot) { s.Closed["queue-memory"] = 2 }, critical, "clients closed for --queue-memory: 2 in"},
		{"overload", func(s *stats.Snapshot) { s.Closed["overload"] = 9 }, critical, "clients refused for overload: 9 in"},
		{"backend", func(s *stats.Snapshot) { s.Closed["backend"] = 1 }, warning, "backend answers broken off: 1 in"},
		{"fds", func(s *stats.Snapshot) { s.FDs = stats.FDs{Used: 90, Limit: 100} }, warning, "open files at 90% of 100"},
		{"fds at the end", func(s *stats.Snapshot) { s.FDs = stats.FDs{Used: 96, Limit: 100} }, critical, "open files at 96% of 100"},
		{"connections", func(s *stats.Snapshot) { s.Limits.MaxConnections = s.Connections.Total }, critical, "connections at 100% of --max-connections"},
		{"queues", func(s *stats.Snapshot) { s.QueuedBytes = 600 << 20 }, warning, "queues at 59% of --queue-memory 1.00 GiB"},
		{"tcp", func(s *stats.Snapshot) { s.Kernel.TCPMemBytes = 2600 << 20 }, warning, "TCP memory at 85% of its pressure mark"},
		{"tcp pressure", func(s *stats.Snapshot) { s.Kernel.TCPMemBytes = 3100 << 20 }, critical, "TCP memory under pressure (3.03 GiB, from 3.00 GiB on)"},
		{"tcp full", func(s *stats.Snapshot) { s.Kernel.TCPMemBytes = 4 << 30 }, critical, "TCP memory used up"},
		{"overflows", func(s *stats.Snapshot) { s.Kernel.ListenOverflows += 5; s.Kernel.ListenDrops += 5 }, critical, "listen overflows: 5 in 6 s"},
		{"listen drops", func(s *stats.Snapshot) { s.Kernel.ListenDrops += 4 }, warning, "listen drops: 4 in 6 s"},
		{"lag", func(s *stats.Snapshot) { s.Lag = durations(100_000, 200_000) }, warning, "loops lag, p99 2"},
		{"long lag", func(s *stats.Snapshot) { s.Lag = durations(100_000, 2_000_000) }, critical, "loops lag, p99 2"},
		{"gc", func(s *stats.Snapshot) { s.GC.Pauses = durations(100, 60, 110, 300_000) }, warning, "GC paused for 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
				p.snap = busy(6)
				p.snap.Limits.MaxConnections = 2_000_000
				tt.spoil(p.snap)
				r.tick()
				worst, found := r.m.findings()
				if worst != tt.level || tt.text == "" && len(found) > 0 {
					t.Fatalf("findings are %v, %v; want %v", worst, found, tt.level)
				}
				if tt.text != "" && (len(found) != 1 || !strings.Contains(found[0].text, tt.text)) {
					t.Errorf("findings are %v, want one with %q", found, tt.text)
				}
				if tt.text != "" {
					r.want(tt.level.String(), tt.text)
				}
			})
		})
	}
}

// TestFindingsThatHaveNoRoomAreCounted: nothing that is wrong goes unsaid.
func TestFindingsThatHaveNoRoomAreCounted(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		p.snap = busy(6)
		p.snap.Closed["slow"], p.snap.Closed["overload"], p.snap.Closed["backend"], p.snap.Closed["error-read"] = 1, 1, 1, 1
		p.snap.Dropped["queue-full"] = 7
		p.snap.FDs.Used = p.snap.FDs.Limit
		p.snap.Kernel.ListenOverflows++
		p.snap.QueuedBytes = 1 << 30
		r.tick()
		golden.Check(t, "screens/trouble-80x24.txt", trimLines(r.text()))
		r.want("dropped: 7", "more")
		r.m.width, r.m.height = 40, 10
		golden.Check(t, "screens/trouble-40x10.txt", trimLines(r.text()))
		r.want("dropped: 7", "more")
	})
}

func TestConnectionsAreSortedAndFilteredByPushd(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		r.press("4")
		if p.lastConns.By != stats.ByQueued || p.lastConns.Top != topRows {
			t.Errorf("asked for %+v, want the first %d by queued bytes", p.lastConns, topRows)
		}
		r.press("s")
		if p.lastConns.By != stats.ByAge {
			t.Errorf("after s asked by %q, want %q", p.lastConns.By, stats.ByAge)
		}
		r.want("by: oldest")
		r.press("S", "S")
		if p.lastConns.By != stats.BySubscriptions {
			t.Errorf("after S asked by %q, want %q", p.lastConns.By, stats.BySubscriptions)
		}
		r.press("/")
		r.typeText("kind=ws address=10.0.0.0/8")
		r.want("Filter: kind=ws address=10.0.0.0/8")
		r.press("enter")
		if want := (stats.ConnectionFilter{Kind: "ws", Address: "10.0.0.0/8"}); p.lastConns.Filter != want {
			t.Errorf("filter = %+v, want %+v", p.lastConns.Filter, want)
		}
		r.want("filter: kind=ws address=10.0.0.0/8")
		r.press("esc")
		if p.lastConns.Filter != (stats.ConnectionFilter{}) {
			t.Errorf("after esc filter = %+v, want none", p.lastConns.Filter)
		}
	})
}

func TestBadFilterIsSaidAndCanBeMended(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		r.press("4", "/")
		r.typeText("kind=nosuch")
		r.press("enter")
		r.want(`"nosuch" is not a kind of connection`)
		if p.lastConns.Filter != (stats.ConnectionFilter{}) {
			t.Errorf("pushd was asked with %+v", p.lastConns.Filter)
		}
		for range "nosuch" {
			r.press("backspace")
		}
		r.lacks("is not a kind")
		r.typeText("ws")
		r.press("enter")
		if p.lastConns.Filter.Kind != "ws" {
			t.Errorf("filter = %+v, want kind ws", p.lastConns.Filter)
		}
		r.press("/", "esc")
		r.want("filter: kind=ws")
	})
}

func TestFilterOfOneWord(t *testing.T) {
	for text, want := range map[string]stats.ConnectionFilter{
		"":                   {},
		"ws":                 {Kind: "ws"},
		"10.1.2.3":           {Address: "10.1.2.3"},
		"10.0.0.0/8":         {Address: "10.0.0.0/8"},
		"10.1.2.3:4567":      {Address: "10.1.2.3"},
		"[2001:db8::1]:4567": {Address: "2001:db8::1"},
		"news":               {Channel: "news"},
		"channel=a b=c":      {Channel: "a b=c"},
	} {
		if got, err := parseFilter(text); err != nil || got != want {
			t.Errorf("parseFilter(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"kind=x", "nosuch=1", "kind=ws kind=ws", "address=10.0.0.0/99"} {
		if f, err := parseFilter(text); err == nil {
			t.Errorf("parseFilter(%q) = %+v, want an error", text, f)
		}
	}
}

// TestOneConnectionInFull also holds hostile channel names to their lines.
func TestOneConnectionInFull(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		r.press("4", "j", "enter")
		r.want("Connection 1-bef0-1", "[2001:db8:85a3:1234:5678:8a2e:370:7334]:65535", "ws, held", "5,000", "4,997 more that are not listed")
		checkScreen(t, r, "screens/connection-80x24.txt")
		if p.lastConns.ID != "1-bef0-1" {
			t.Errorf("asked for %q, want the connection under the cursor", p.lastConns.ID)
		}
		p.connections.Connections = p.connections.Connections[:1]
		r.tick()
		r.want("has ended; these are its last figures")
		before := p.times("connections")
		r.tick()
		if p.times("connections") != before {
			t.Error("pushd is asked again for a connection that has ended")
		}
		r.press("esc")
		r.want("987,698 connections")
	})
}

func TestLongListOfChannelsScrolls(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		c := &p.connections.Connections[0]
		c.Channels = nil
		for i := range 100 {
			c.Channels = append(c.Channels, fmt.Sprintf("channel-%d", i))
		}
		c.Subscriptions = 100
		r.press("4", "enter")
		r.want("channel-0", "more below")
		r.press("G")
		r.want("channel-99")
		r.lacks("more below")
		r.press("g", "j", "pgdown", "k")
		r.want("channel-10")
	})
}

// TestCloseAsksFirst: the one that is closed is the one that was asked about, even when the list has moved since.
func TestCloseAsksFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		r.press("4", "j", "j", "x")
		r.want("Close stream 2-bef1-2 (10.1.2.253:40002, 5m08s old)? [y/N]")
		checkScreen(t, r, "screens/close-80x24.txt")
		r.press("z", "5", "space")
		r.want("[y/N]")
		r.press("n")
		r.want("Nothing was done")
		if len(p.closed) != 0 {
			t.Fatalf("closed %q without a yes", p.closed)
		}
		r.press("x")
		slices.Reverse(p.connections.Connections)
		r.tick()
		r.press("y")
		if want := []string{"2-bef1-2"}; !slices.Equal(p.closed, want) {
			t.Errorf("closed %q, want %q", p.closed, want)
		}
		r.want("Closed connection 2-bef1-2")
		r.m.now = r.m.now.Add(noticeTime)
		r.lacks("Closed connection")
	})
}

func TestCloseThatFailsIsSaid(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		r.press("4", "x")
		p.err = errors.New("not allowed\x1b[2J")
		r.press("y")
		r.want("Not closed: not allowed\uFFFD[2J")
		p.err = nil
	})
}

// TestCursorFollowsItsRow while the list is sorted anew under it.
func TestCursorFollowsItsRow(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		r.press("3", "j", "j", "j")
		r.want("▶ room-3")
		p.channels.Channels[3].Subscribers = 9_999_999
		r.tick()
		r.want("▶ room-3", "9,999,999")
		r.press("G")
		r.want("▶ room-59")
		r.press("pgup", "g")
		r.want("▶ room-3")
		r.press("enter")
		r.want("[4 Connections]", "filter: channel=room-3")
		if p.lastConns.Filter.Channel != "room-3" {
			t.Errorf("asked for the connections of %+v", p.lastConns.Filter)
		}
	})
}

func TestChannelsByRateAndPrefix(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		r.press("3", "s")
		if p.lastChans.By != stats.ByRate || p.lastChans.WindowMS != 800 {
			t.Errorf("asked for %+v, want by rate over 800 ms of the interval", p.lastChans)
		}
		r.want("deliveries▼", "channels with deliveries")
		r.press("/")
		r.typeText("room-")
		r.press("enter")
		if p.lastChans.Prefix != "room-" {
			t.Errorf("prefix = %q, want room-", p.lastChans.Prefix)
		}
		r.want("filter: room-…")
		r.press("esc")
		if p.lastChans.Prefix != "" {
			t.Errorf("prefix after esc = %q", p.lastChans.Prefix)
		}
	})
}

// Until the answer for another filter comes, a list says that it waits, not that there is nothing.
func TestChannelsOfANewFilterAreAsked(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, _ *fakePushd) {
		r.press("3")
		v := r.m.views[2].(*channels)
		cmd := v.filter(r.m, "room-")
		if got := r.text(); !strings.Contains(got, "Asking pushd") || strings.Contains(got, "None.") {
			t.Errorf("before the answer the screen is\n%s", got)
		}
		r.run(cmd)
		r.want("filter: room-…")
	})
}

func TestListThatPushdRefuses(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		for _, key := range []string{"3", "4", "5"} {
			r.press("1")
			p.err = errors.New("the server does not know this message\x1b[H")
			r.press(key)
			r.want("pushd did not say: the server does not know this message\uFFFD[H")
			p.err = nil
			r.tick()
			r.lacks("did not say")
		}
		p.err = errors.New("too many questions")
		r.send(r.m.view().show(r.m)())
		r.want("pushd did not say: too many questions; these are older", "chat.example.org")
	})
}

func TestRoutesShowRatesAndCauses(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		r.press("5")
		p.routes = slices.Clone(p.routes)
		p.routes[1].Requests += 50
		p.routes[1].Errors = map[string]uint64{"timeout": 130, "refused": 3}
		p.routes[1].Latency = durations(20, 90_000, 2_000_000, 4_000_000)
		r.tick()
		r.want("50/s", "! 10/s", "128,506 requests")
		r.press("s")
		r.want("▶ ", "requests▼")
		r.press("g", "enter")
		r.want("Route", "http://10.0.0.7:9000", "130  timeout", "3  refused", "64 active, 17 waiting")
		checkScreen(t, r, "screens/route-80x24.txt")
		r.press("esc")
		r.want("2 routes")
	})
}

func TestEventsShowTroublesAndAll(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		r.press("6")
		r.tick()
		r.want("disconnect  slow", "overload", "reload")
		r.lacks("disconnect  client")
		if !slices.Equal(p.lastEvents.Types, troubles) {
			t.Errorf("subscribed to %q, want %q", p.lastEvents.Types, troubles)
		}
		r.press("c", "a")
		r.tick()
		r.want("disconnect  client", "everything that happens")
		if len(p.lastEvents.Types) != 0 {
			t.Errorf("subscribed to %q, want all", p.lastEvents.Types)
		}
		r.press("/")
		r.typeText("drop kind=ws")
		r.press("enter")
		if got := p.lastEvents; !slices.Equal(got.Types, []string{"drop"}) || got.Kind != "ws" {
			t.Errorf("subscribed to %+v, want drops of ws", got)
		}
		r.press("/")
		r.typeText(" type=nosuch")
		r.press("enter")
		r.want("filter")
	})
}

func TestEventFilter(t *testing.T) {
	f, err := parseEventFilter("type=drop,overload address=10.0.0.1")
	if err != nil || !slices.Equal(f.Types, []string{"drop", "overload"}) || f.Address != "10.0.0.1" {
		t.Errorf("parseEventFilter = %+v, %v", f, err)
	}
	for _, text := range []string{"type=nosuch", "drop kind=nosuch", "type="} {
		if f, err := parseEventFilter(text); err == nil {
			t.Errorf("parseEventFilter(%q) = %+v, want an error", text, f)
		}
	}
}

// TestEventsAreBounded: a flood keeps the newest, and says what was left out.
func TestEventsAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, _ *fakePushd) {
		r.press("6")
		v := r.m.views[5].(*events)
		batch := &stats.EventBatch{Lost: 5, Skipped: 70_000}
		for i := range 3 * keptEvents {
			batch.Events = append(batch.Events, stats.Event{Type: stats.EventDrop, Reason: fmt.Sprint("r", i), UnixMS: noon.UnixMilli()})
		}
		v.box.put(r.m.nodes[0], batch)
		r.tick()
		if len(v.rows) != keptEvents {
			t.Errorf("%d events are kept, want %d", len(v.rows), keptEvents)
		}
		r.want(fmt.Sprint("r", 3*keptEvents-1), "70.0k left out: too many at once", "2010 lost") // those of the batch, and what the view has no room for
		r.press("k", "k", "pgup")
		r.want("scrolled back 18")
		v.box.put(r.m.nodes[0], &stats.EventBatch{Events: batch.Events[:10]})
		r.tick()
		r.want("scrolled back 28")
		r.press("G")
		r.want(" r9 ")
		r.press("g")
		r.want("scrolled back")
		r.press("esc", "c")
		r.want("Nothing has happened")
	})
}

// TestEventsRefused: pushd is not asked at every tick.
func TestEventsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		v := r.m.views[5].(*events)
		r.press("6")
		synctest.Wait()
		n := r.m.nodes[0]
		v.box.cancel()
		synctest.Wait()
		box := v.box
		r.send(eventsEnded{v, box, n, errors.New("busy")})
		r.want("pushd did not say: busy")
		before := p.times("events")
		for range 4 {
			r.tick()
		}
		if got := p.times("events") - before; got != 0 {
			t.Errorf("subscribed %d times within 4 s of a refusal, want 0", got)
		}
		r.tick()
		r.tick()
		if got := p.times("events") - before; got == 0 {
			t.Error("never subscribed again")
		}
	})
}

// TestLeavingEventsEndsTheSubscription.
func TestLeavingEventsEndsTheSubscription(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, _ *fakePushd) {
		r.press("6")
		box := r.m.views[5].(*events).box
		r.press("1")
		if box.ctx.Err() == nil {
			t.Error("the subscription goes on while another view is shown")
		}
	})
}

func TestTypingKeepsToItsLine(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, _ *fakePushd) {
		r.press("4", "/")
		r.m.paste("a\x1b[2J\nb\u202e" + strings.Repeat("x", 2*maxInput))
		if in := r.m.input.text; in != "" {
			t.Errorf("what is too long is taken: %q", in)
		}
		r.m.paste("a\x1b[2J\nb\u202ec")
		if in := r.m.input.text; in != "a[2J bc" {
			t.Errorf("input = %q, want %q", in, "a[2J bc")
		}
		r.typeText(strings.Repeat("y", 200))
		for i, l := range r.m.screen() {
			if l.width() > 80 {
				t.Errorf("line %d has %d cells", i+1, l.width())
			}
		}
		r.send(keyMsg("q"))
		if r.quit {
			t.Error("q quits while a filter is typed")
		}
		r.press("esc")
		r.m.say(plain, "x")
		if r.m.noticeEnds.Sub(r.m.now) != noticeTime {
			t.Errorf("news stand for %v, want %v", r.m.noticeEnds.Sub(r.m.now), noticeTime)
		}
	})
}
