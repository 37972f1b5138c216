package tui

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"

	"holdfast/cmd/internal/golden"
	"holdfast/pkg/stats"
)

// inBubble runs f as a test with a rig that has watched the busy pushd for five seconds on 80x24.
func inBubble(t *testing.T, f func(t *testing.T, r *rig, p *fakePushd)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r, p := watched(t, 80, 24, 5)
		f(t, r, p)
	})
}

// want fails unless the screen has all texts.
func (r *rig) want(texts ...string) {
	r.t.Helper()
	screen := r.text()
	for _, text := range texts {
		if !strings.Contains(screen, text) {
			r.t.Errorf("the screen has no %q:\n%s", text, screen)
		}
	}
}

// lacks fails if the screen has the text.
func (r *rig) lacks(text string) {
	r.t.Helper()
	if screen := r.text(); strings.Contains(screen, text) {
		r.t.Errorf("the screen has %q:\n%s", text, screen)
	}
}

// TestOnlyTheVisibleViewAsks counts what pushd is asked while each view is shown.
func TestOnlyTheVisibleViewAsks(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		lists := []string{"", "", "channels", "connections", "routes", ""}
		for i, list := range lists {
			r.press(fmt.Sprint(i + 1))
			before := map[string]int{}
			for _, what := range []string{"stats", "channels", "connections", "routes"} {
				before[what] = p.times(what)
			}
			for range 3 {
				r.tick()
			}
			for _, what := range []string{"stats", "channels", "connections", "routes"} {
				want := 0
				if what == "stats" || what == list {
					want = 3
				}
				if got := p.times(what) - before[what]; got != want {
					t.Errorf("view %d: pushd was asked for %s %d times in 3 intervals, want %d", i+1, what, got, want)
				}
			}
		}
		if got := p.times("events"); got != 1 {
			t.Errorf("events were subscribed to %d times, want once", got)
		}
	})
}

// TestOneFramePerInterval: answers of several pushd and of a view make one frame together.
func TestOneFramePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := busyFake(), busyFake()
		r := newRig(t, 80, 24, map[string]*fakePushd{"a": a, "b": b}, "a", "b")
		if err := r.m.connect(); err != nil {
			t.Fatal(err)
		}
		r.press("4")
		cmds := []tea.Cmd{r.m.poll(), r.m.view().show(r.m)}
		var msgs []tea.Msg
		for _, c := range cmds {
			if c != nil {
				msgs = append(msgs, flatten(c())...)
			}
		}
		if len(msgs) != 3 {
			t.Fatalf("%d answers, want those of two pushd and one of the view", len(msgs))
		}
		frames := 0
		for _, msg := range msgs {
			r.m.frame = "not drawn"
			r.m.Update(msg)
			if r.m.frame != "not drawn" {
				frames++
			}
		}
		if frames != 1 {
			t.Errorf("%d frames for one interval, want 1", frames)
		}
	})
}

// flatten executes the commands of a batch.
func flatten(msg tea.Msg) []tea.Msg {
	batch, ok := msg.(tea.BatchMsg)
	if !ok {
		return []tea.Msg{msg}
	}
	var out []tea.Msg
	for _, c := range batch {
		out = append(out, flatten(c())...)
	}
	return out
}

func TestPauseAsksNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		r.press("4", "space")
		before := p.times("stats") + p.times("connections")
		r.tick()
		r.tick()
		r.want("PAUSED 2s", "space goes on")
		r.press("3")
		r.want("Paused: pushd is not asked")
		if got := p.times("stats") + p.times("connections") + p.times("channels"); got != before {
			t.Errorf("pushd was asked %d times during the pause", got-before)
		}
		r.press("space")
		r.lacks("PAUSED")
		r.want("channels with subscribers")
		if p.times("stats")+p.times("connections") != before+1 {
			t.Errorf("pushd was asked %d times after the pause, want once", p.times("stats")+p.times("connections")-before)
		}
	})
}

func TestIntervalKeys(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, _ *fakePushd) {
		old := r.m.tick
		r.press("-")
		if r.m.interval != 2*time.Second {
			t.Errorf("after - the interval is %v, want 2s", r.m.interval)
		}
		r.want("every 2s")
		if cmd, draw := r.m.handleTick(tickMsg{old, r.m.now}); cmd != nil || draw {
			t.Error("a tick of the old interval still counts")
		}
		for range 20 {
			r.press("-")
		}
		r.want("every 1m")
		for range 20 {
			r.press("+")
		}
		r.want("every 100ms")
		r.m.interval = 3 * time.Second
		r.press("+")
		r.want("every 2s")
	})
}

func TestTabsGoRound(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, _ *fakePushd) {
		r.press("tab", "tab")
		r.want("[3 Channels]")
		r.press("shift+tab", "left", "left")
		r.want("[6 Events]")
		r.press("right")
		r.want("[1 Overview]")
		r.press("9", "Z", "F")
		r.want("[1 Overview]")
		r.press("?")
		r.want("pushstat: keys")
		r.press("5")
		r.want("[5 Routes]")
		r.press("q")
		if !r.quit {
			t.Error("q does not quit")
		}
	})
}

func TestHelpFits(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, _ *fakePushd) {
		r.press("?")
		for i, l := range r.m.helpScreen() {
			if l.width() > 80 || i >= 24 {
				t.Errorf("line %d of the help has %d cells: %q", i+1, l.width(), l.String())
			}
		}
		golden.Check(t, "screens/help-80x24.txt", trimLines(r.text()))
		r.press("q")
		if !r.quit {
			t.Error("q does not quit from the help")
		}
	})
}

func TestResetCountsFromNow(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		p.snap.Dropped["queue-full"] = 500
		r.tick()
		r.press("r")
		r.want("since reset", "Totals count from now on")
		if got := r.m.reading(); got.Published != 0 || stats.Total(got.Dropped) != 0 || got.Connections.Total == 0 {
			t.Errorf("after a reset published %d, dropped %d, connections %d: want 0, 0 and still all", got.Published, stats.Total(got.Dropped), got.Connections.Total)
		}
		p.snap = busy(8)
		r.tick()
		if got, want := r.m.reading().Published, busy(8).Published-busy(5).Published; got != want {
			t.Errorf("published since the reset = %d, want %d", got, want)
		}
		r.press("R")
		if got := r.m.reading().Published; got != busy(8).Published {
			t.Errorf("published after R = %d, want %d", got, busy(8).Published)
		}
	})
}

// TestPushdGoesAndComesBack: the banner, the back-off, figures marked as old, and another process in its place.
func TestPushdGoesAndComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		p.err = fmt.Errorf("pushd closed the connection: %w", io.ErrUnexpectedEOF)
		r.tick()
		r.want("CRITICAL", "NO ANSWER from pushd for 0s: it closed the connection", "figures are of 12:00:05", "pid 4242")
		golden.Check(t, "screens/lost-80x24.txt", trimLines(r.text()))
		if p.hungUp != 1 {
			t.Errorf("the connection was closed %d times, want once", p.hungUp)
		}
		r.fakes = nil
		asked := 0
		for range 30 {
			if n := r.m.nodes[0]; n.due(r.m.now.Add(r.m.interval)) {
				asked++
			}
			r.tick()
		}
		if asked < 5 || asked > 12 {
			t.Errorf("pushd was looked for %d times in 30 s, want about every 5 s in the end", asked)
		}
		r.want("NO ANSWER from pushd for 30s: connection refused; next try in")
		back := &fakePushd{snap: quiet(3)}
		r.mu.Lock()
		r.fakes = map[string]*fakePushd{"/run/pushd/pushd.sock": back}
		r.mu.Unlock()
		for range 6 {
			back.snap = quiet(int(r.m.now.Sub(noon).Seconds()))
			r.tick()
		}
		r.want("WARNING", "pushd was away and is back since", "pid 7")
		r.lacks("NO ANSWER")
		if d := r.m.reading().tick; d == nil || d.rates.published != 0 {
			t.Errorf("rates across the restart: %+v, want 0", d)
		}
		for n := range 61 {
			back.snap = quiet(100 + n)
			r.tick()
		}
		r.want(" OK ")
	})
}

// TestLostFiguresAreDim: nothing of the body of a pushd that does not answer looks as if it were of now.
func TestLostFiguresAreDim(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, p *fakePushd) {
		p.err = errors.New("gone")
		r.tick()
		for _, key := range []string{"1", "2"} {
			r.press(key)
			for i, l := range r.m.view().body(r.m, 80, 20) {
				for _, piece := range l {
					if piece.role != stale {
						t.Errorf("view %s, line %d: %q is drawn as %d, want stale", key, i+1, piece.text, piece.role)
					}
				}
			}
		}
	})
}

func TestSumOfSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fakes := map[string]*fakePushd{"/run/a.sock": {snap: busy(0)}, "/run/b.sock": {snap: quiet(0)}}
		r := newRig(t, 80, 24, fakes, "/run/a.sock", "/run/b.sock", "/run/c.sock")
		if err := r.m.connect(); err != nil {
			t.Fatal(err)
		}
		r.want("sum of 3 pushd", "2 of them answer", "CRITICAL", "NO ANSWER from /run/c.sock", "connection refused")
		if got, want := r.m.reading().FDs.Used, 987_912+12; got != want {
			t.Errorf("open files of the sum = %d, want %d", got, want)
		}
		if got, want := r.m.reading().Kernel.ListenOverflows, uint64(17); got != want {
			t.Errorf("listen overflows of the host = %d, want %d once", got, want)
		}
		golden.Check(t, "screens/sum-80x24.txt", trimLines(r.text()))
		r.press("]")
		r.want("1 of 3", "/run/a.sock", "pid 4242")
		r.press("]")
		r.want("2 of 3", "/run/b.sock", "pid 7", " OK ")
		r.press("]")
		r.want("3 of 3", "/run/c.sock", "No figures yet")
		r.press("]")
		r.want("sum of 3 pushd")
		r.press("[", "[", "0")
		r.want("sum of 3 pushd")
		r.press("2")
		r.want("10 loops", "1:0", "2:1")
	})
}

func TestNobodyThereIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 80, 24, nil, "a", "b")
		if err := r.m.connect(); !errors.Is(err, errNobody) {
			t.Errorf("connect = %v, want %v", err, errNobody)
		}
	})
}

// TestHungPushdDoesNotStopTheOthers: a question without an answer is not asked again, and the screen is drawn at the tick.
func TestHungPushdDoesNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := busyFake()
		r := newRig(t, 80, 24, map[string]*fakePushd{"a": a, "b": busyFake()}, "a", "b")
		if err := r.m.connect(); err != nil {
			t.Fatal(err)
		}
		r.m.nodes[1].busy = true // its answer is on its way, for ever
		r.m.pending++
		before := a.times("stats")
		r.m.frame = "not drawn"
		r.tick()
		r.tick()
		if got := a.times("stats") - before; got != 2 {
			t.Errorf("the other was asked %d times in two intervals, want 2", got)
		}
		if r.m.frame == "not drawn" {
			t.Error("no frame was drawn")
		}
		r.m.nodes[1].askedAt = r.m.now.Add(-3 * time.Second)
		r.want("WARNING", "no answer from b yet, asked 3s ago")
	})
}

func TestOrphanEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, _ *fakePushd) {
		ended := false
		r.m.orphaned = func() { ended = true }
		r.m.parent++
		r.tick()
		if !ended {
			t.Error("the screens go on after their parent has ended")
		}
	})
}

func TestQuietPushdIsOK(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakePushd{snap: quiet(0), channels: &stats.ChannelList{}, connections: &stats.ConnectionList{}}
		r := newRig(t, 80, 24, map[string]*fakePushd{"": p}, "")
		if err := r.m.connect(); err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			p.snap = quiet(n + 1)
			r.tick()
		}
		r.want(" OK  no drops, slow clients or overflows in the last minute", "TCP memory", "not known here")
		golden.Check(t, "screens/quiet-80x24.txt", trimLines(r.text()))
		for key, text := range map[string]string{"2": "no connections", "3": "None.", "4": "None.", "5": "No routes", "6": "Nothing has happened"} {
			r.press(key)
			r.want(text)
		}
	})
}
