package tui

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"

	"holdfast/pkg/stats"
)

// fakePushd answers with what its fields say. It is safe for the goroutines of commands.
type fakePushd struct {
	mu          sync.Mutex
	snap        *stats.Snapshot
	connections *stats.ConnectionList
	channels    *stats.ChannelList
	routes      []stats.RouteInfo
	closed      []string // ids that were asked to be closed
	events      []stats.Event
	err         error // for everything
	asked       map[string]int
	lastConns   stats.ConnectionQuery
	lastChans   stats.ChannelQuery
	lastEvents  stats.EventFilter
	hungUp      int
}

// count notes a question and returns the error to give.
func (f *fakePushd) count(what string) error {
	if f.asked == nil {
		f.asked = map[string]int{}
	}
	f.asked[what]++
	return f.err
}

func (f *fakePushd) Stats(context.Context) (*stats.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.count("stats"); err != nil {
		return nil, err
	}
	s := *f.snap
	return &s, nil
}

func (f *fakePushd) Connections(_ context.Context, q stats.ConnectionQuery) (*stats.ConnectionList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastConns = q
	if err := f.count("connections"); err != nil {
		return nil, err
	}
	list := *f.connections
	if q.ID == "" {
		return &list, nil
	}
	list.Connections = nil
	for _, c := range f.connections.Connections {
		if c.ID == q.ID {
			list.Connections = []stats.ConnectionInfo{c}
		}
	}
	return &list, nil
}

func (f *fakePushd) Channels(_ context.Context, q stats.ChannelQuery) (*stats.ChannelList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastChans = q
	if err := f.count("channels"); err != nil {
		return nil, err
	}
	list := *f.channels
	list.WindowMS = q.WindowMS
	return &list, nil
}

func (f *fakePushd) Routes(context.Context) ([]stats.RouteInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.count("routes"); err != nil {
		return nil, err
	}
	return f.routes, nil
}

func (f *fakePushd) CloseConnections(_ context.Context, q stats.CloseQuery) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.count("close"); err != nil {
		return 0, err
	}
	f.closed = append(f.closed, q.IDs...)
	return len(q.IDs), nil
}

func (f *fakePushd) Events(ctx context.Context, filter stats.EventFilter, fn func(*stats.EventBatch) error) error {
	f.mu.Lock()
	f.lastEvents = filter
	err := f.count("events")
	batch := stats.EventBatch{Events: f.events}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	if err := fn(&batch); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (f *fakePushd) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hungUp++
	return nil
}

// times returns how often each question was asked.
func (f *fakePushd) times(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[what]
}

// noon is when the tests begin.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// rig is a model with fakes behind it and a clock of its own.
type rig struct {
	t     *testing.T
	m     *model
	fakes map[string]*fakePushd // by path; one that is nil does not answer the dialler
	mu    sync.Mutex
	quit  bool
}

// newRig returns a model of a size that has asked nothing yet. It is to be used in a bubble of synctest.
func newRig(t *testing.T, w, h int, fakes map[string]*fakePushd, paths ...string) *rig {
	t.Helper()
	r := &rig{t: t, fakes: fakes}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		time.Sleep(time.Hour) // of the bubble: ticks end
	})
	o := Options{Sockets: paths, Environ: []string{"LANG=C.UTF-8"}}
	o.setDefaults()
	r.m = newModel(ctx, o, r.dial)
	r.m.now = noon
	r.m.width, r.m.height = w, h
	return r
}

var errNobody = errors.New("connection refused")

func (r *rig) dial(_ context.Context, path string) (pushd, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.fakes[path]; f != nil {
		return f, nil
	}
	return nil, errNobody
}

// run executes a command and what follows from it, except ticks: each command on this goroutine, its time put to the rig's
// clock. A subscription to events, which does not end, is left running.
func (r *rig) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	done := make(chan tea.Msg, 1)
	go func() { done <- cmd() }()
	synctest.Wait()
	var msg tea.Msg
	select {
	case msg = <-done:
	default: // a tick, or a subscription
		return
	}
	switch msg := msg.(type) {
	case tea.BatchMsg:
		for _, c := range msg {
			r.run(c)
		}
		return
	case tea.QuitMsg:
		r.quit = true
		return
	case statsMsg:
		msg.at = r.m.now
		r.send(msg)
		return
	case nil:
		return
	}
	r.send(msg)
}

func (r *rig) send(msg tea.Msg) {
	_, cmd := r.m.Update(msg)
	r.run(cmd)
}

// tick lets an interval pass.
func (r *rig) tick() {
	r.t.Helper()
	r.send(tickMsg{r.m.tick, r.m.now.Add(r.m.interval)})
}

// press sends keys, by the names that Bubble Tea gives them.
func (r *rig) press(keys ...string) {
	for _, k := range keys {
		r.send(keyMsg(k))
	}
}

// keyMsg is the message of a key by its name.
func keyMsg(name string) tea.KeyPressMsg {
	named := map[string]rune{"esc": tea.KeyEscape, "enter": tea.KeyEnter, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown,
		"left": tea.KeyLeft, "right": tea.KeyRight, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "backspace": tea.KeyBackspace}
	switch code, found := named[name]; {
	case found:
		return tea.KeyPressMsg{Code: code}
	case name == "space":
		return tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
	case name == "ctrl+c":
		return tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
	case name == "shift+tab":
		return tea.KeyPressMsg{Code: tea.KeyTab, Mod: tea.ModShift}
	}
	r := []rune(name)[0]
	return tea.KeyPressMsg{Code: r, Text: name}
}

// typeText types text key by key.
func (r *rig) typeText(text string) {
	for _, c := range text {
		r.send(tea.KeyPressMsg{Code: c, Text: string(c)})
	}
}

// text is the screen without its styles.
func (r *rig) text() string {
	out := ""
	for _, l := range r.m.screen() {
		out += l.String() + "\n"
	}
	return out
}
