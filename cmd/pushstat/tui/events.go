package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"holdfast/pkg/stats"
)

// keptEvents is how many events can be scrolled back to.
const keptEvents = 1000

// events shows what happens, live. The subscriptions run while it is shown; what they bring is taken at every tick.
type events struct {
	all    bool // ordinary comings and goings too
	text   string
	filter stats.EventFilter
	rows   []eventRow // the oldest first
	up     int        // rows that are scrolled back, 0: follows the newest
	lost   uint64     // events that we were too slow for
	left   uint64     // events that pushd left out because there were too many

	box  *mailbox // of the subscriptions that run; nil while none does
	wait map[*node]time.Time
	err  string
}

type eventRow struct {
	node *node
	stats.Event
}

// mailbox takes what subscriptions bring until the program's goroutine fetches it. mu guards what follows it.
type mailbox struct {
	cancel context.CancelFunc
	ctx    context.Context
	wanted func(*stats.Event) bool
	on     map[*node]bool // who is subscribed; used by the program's goroutine only

	mu   sync.Mutex
	rows []eventRow // at most keptEvents
	lost uint64
	left uint64
}

// eventsEnded says that the subscription at a node has ended.
type eventsEnded struct {
	view *events
	box  *mailbox
	node *node
	err  error
}

// resubscribe is how long after a refusal pushd is asked again.
const resubscribe = 5 * time.Second

// troubles are the events shown at first: what hurts clients. Ordinary disconnects are left out here.
var troubles = []string{stats.EventDrop, stats.EventOverload, stats.EventReload, stats.EventDisconnect}

// ordinary are the reasons of disconnects that are no trouble.
var ordinary = map[string]bool{
	stats.CloseClient.String(): true, stats.CloseDone.String(): true, stats.CloseTimeoutIdle.String(): true, stats.CloseAction.String(): true, stats.CloseDrain.String(): true,
}

func (*events) name() string { return "Events" }

func (v *events) hints() []hint {
	what := "all events"
	if v.all {
		what = "troubles only"
	}
	return []hint{{"a", what}, {"/", "filter"}, {"c", "clear"}, {"j k", "scroll"}}
}

// show subscribes where it is not, and takes what has come.
func (v *events) show(m *model) tea.Cmd {
	if m.paused {
		return nil
	}
	if v.box == nil {
		ctx, cancel := context.WithCancel(m.ctx)
		v.box = &mailbox{ctx: ctx, cancel: cancel, wanted: v.wanted(), on: make(map[*node]bool)}
		v.err = ""
	}
	v.collect()
	var cmds []tea.Cmd
	for _, n := range m.inScope() {
		if !n.alive() || n.conn == nil || v.box.on[n] || m.now.Before(v.wait[n]) {
			continue
		}
		v.box.on[n] = true
		box, conn, filter := v.box, n.conn, v.subscription()
		cmds = append(cmds, func() tea.Msg {
			err := conn.Events(box.ctx, filter, func(b *stats.EventBatch) error { box.put(n, b); return nil })
			return eventsEnded{v, box, n, err}
		})
	}
	return tea.Batch(cmds...)
}

// hide ends the subscriptions.
func (v *events) hide(*model) {
	if v.box != nil {
		v.collect()
		v.box.cancel()
		v.box = nil
	}
}

// subscription is the filter that pushd gets.
func (v *events) subscription() stats.EventFilter {
	f := v.filter
	if len(f.Types) == 0 && !v.all {
		f.Types = troubles
	}
	return f
}

// wanted tells which of the events of the subscription are shown: all of those that somebody asked for, else the troubles.
func (v *events) wanted() func(*stats.Event) bool {
	all := v.all || len(v.filter.Types) > 0
	return func(e *stats.Event) bool { return all || e.Type != stats.EventDisconnect || !ordinary[e.Reason] }
}

// put takes a batch. It runs on the subscription's goroutine.
func (b *mailbox) put(n *node, batch *stats.EventBatch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost += batch.Lost
	b.left += batch.Skipped
	for _, e := range batch.Events {
		if b.wanted(&e) {
			b.rows = append(b.rows, eventRow{n, e})
		}
	}
	if over := len(b.rows) - keptEvents; over > 0 {
		b.rows = append(b.rows[:0], b.rows[over:]...)
		b.lost += uint64(over)
	}
}

// collect takes what the mailbox has.
func (v *events) collect() {
	v.box.mu.Lock()
	defer v.box.mu.Unlock()
	v.lost += v.box.lost
	v.left += v.box.left
	for _, r := range v.box.rows {
		v.rows = append(v.rows, r)
		if v.up > 0 {
			v.up++
		}
	}
	if over := len(v.rows) - keptEvents; over > 0 {
		v.rows = append(v.rows[:0], v.rows[over:]...)
	}
	v.up = min(v.up, len(v.rows))
	v.box.rows, v.box.lost, v.box.left = v.box.rows[:0], 0, 0
}

// take notes the end of a subscription. A new one is begun at the next tick, after a refusal only a while later.
func (e eventsEnded) take(m *model) (bool, tea.Cmd) {
	v := e.view
	delete(e.box.on, e.node)
	if e.err == nil || e.box != v.box {
		return false, nil
	}
	if e.node.alive() && e.node.conn != nil {
		if v.wait == nil {
			v.wait = make(map[*node]time.Time)
		}
		v.wait[e.node] = m.now.Add(resubscribe)
		v.err = lossReason(e.err)
	}
	return false, nil
}

// again begins new subscriptions after the filter has changed.
func (v *events) again(m *model) tea.Cmd {
	v.hide(m)
	v.up = 0
	clear(v.wait)
	return v.show(m)
}

func (v *events) key(m *model, key string) (tea.Cmd, bool) {
	page := max(1, m.height-8)
	switch key {
	case "a":
		v.all = !v.all
		return v.again(m), true
	case "/":
		m.input = &input{label: "Filter:", text: v.text, done: func(text string) (tea.Cmd, error) { return v.setFilter(m, text) }}
	case "esc":
		if v.up > 0 {
			v.up = 0
			return nil, true
		}
		cmd, _ := v.setFilter(m, "") // which is one
		return cmd, true
	case "c":
		v.rows, v.up, v.lost, v.left = nil, 0, 0, 0
	case "k", "up":
		v.up = min(v.up+1, len(v.rows))
	case "j", "down":
		v.up = max(v.up-1, 0)
	case "pgup":
		v.up = min(v.up+page, len(v.rows))
	case "pgdown":
		v.up = max(v.up-page, 0)
	case "g", "home":
		v.up = len(v.rows)
	case "G", "end":
		v.up = 0
	default:
		return nil, false
	}
	return nil, true
}

func (v *events) setFilter(m *model, text string) (tea.Cmd, error) {
	f, err := parseEventFilter(text)
	if err != nil {
		return nil, err
	}
	if text == v.text {
		return nil, nil
	}
	v.text, v.filter, v.rows = text, f, nil
	return v.again(m), nil
}

// parseEventFilter reads type=TYPE,TYPE in front of the terms that connections have; a type may also stand alone.
func parseEventFilter(text string) (stats.EventFilter, error) {
	var f stats.EventFilter
	first, rest, _ := strings.Cut(text, " ")
	types, isTypes := strings.CutPrefix(first, "type=")
	if isTypes || slices.Contains(stats.EventTypes(), first) {
		f.Types = strings.Split(types, ",")
		text = strings.TrimSpace(rest)
	}
	c, err := parseFilter(text)
	if err != nil {
		return f, err
	}
	f.Address, f.Channel, f.Kind = c.Address, c.Channel, c.Kind
	return f, f.Check()
}

func (v *events) body(m *model, width, height int) []line {
	out := []line{v.head(m)}
	if v.err != "" {
		out = append(out, line{}.add(plain, " ").add(bad, "pushd did not say: "+m.g.clean(v.err)))
	}
	room := height - len(out)
	v.up = min(v.up, max(0, len(v.rows)-room))
	last := len(v.rows) - v.up
	for _, r := range v.rows[max(0, last-room):last] {
		out = append(out, eventLine(m, &r))
	}
	if len(v.rows) == 0 && v.err == "" {
		out = append(out, line{}.add(dim, " Nothing has happened since this view was opened."))
	}
	return out
}

// head says what is shown, and first what is not.
func (v *events) head(m *model) line {
	l := line{}.add(plain, " ")
	if v.up > 0 {
		l = l.add(strong, fmt.Sprintf("scrolled back %d (G: newest)  ", v.up))
	}
	if v.left > 0 {
		l = l.add(warn, short(float64(v.left))+" left out: too many at once  ")
	}
	if v.lost > 0 {
		l = l.add(warn, short(float64(v.lost))+" lost: this program was too slow  ")
	}
	switch {
	case v.text != "":
		return l.add(accent, "filter: "+m.g.clean(v.text))
	case v.all:
		return l.add(accent, "everything that happens")
	}
	return l.add(accent, "drops, overload, reloads, clients closed for a fault")
}

// eventLine is one event: when, what, why, who, where.
func eventLine(m *model, r *eventRow) line {
	g := m.g
	kind := plain
	switch r.Type {
	case stats.EventDrop, stats.EventOverload:
		kind = bad
	case stats.EventDisconnect:
		if !ordinary[r.Reason] {
			kind = warn
		}
	}
	l := line{}.add(dim, " "+time.UnixMilli(r.UnixMS).In(m.now.Location()).Format("15:04:05.000")+" ")
	if len(m.nodes) > 1 && m.scope < 0 {
		l = l.add(dim, fmt.Sprintf("%d: ", slices.Index(m.nodes, r.node)+1))
	}
	l = l.add(kind, padRight(g.clean(r.Type), 12))
	if r.Reason != "" {
		l = l.add(kind, g.clean(r.Reason)+" ")
	}
	if r.Address != "" {
		l = l.add(plain, g.clean(r.Address)+" ")
	}
	if r.Kind != "" {
		l = l.add(dim, g.clean(r.Kind)+" ")
	}
	if r.Channel != "" {
		l = l.add(accent, g.clean(r.Channel)+" ")
	}
	if r.Connection != "" {
		l = l.add(dim, g.clean(r.Connection))
	}
	return l
}
