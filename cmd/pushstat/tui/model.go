package tui

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// Sizes of a terminal.
const (
	minWidth, minHeight = 30, 8 // below it the screen only says so
	roomyWidth          = 100   // from it on views stand in two columns
)

// Bounds of the interval, and the steps that + and - take.
var intervals = []time.Duration{
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second,
	10 * time.Second, 30 * time.Second, time.Minute,
}

// view is one of the numbered screens. Its methods run on the program's goroutine.
type view interface {
	name() string
	// body draws at most height lines of at most width cells.
	body(m *model, width, height int) []line
	// key acts on a key that is none of the model's own and reports whether it knew it.
	key(m *model, key string) (tea.Cmd, bool)
	// show starts what the view needs beyond the snapshots; it is called when the view is entered and at every tick.
	show(m *model) tea.Cmd
	// hide ends it.
	hide(m *model)
	// hints are the keys to name at the foot, the most useful first.
	hints() []hint
}

// hint is a key and what it does.
type hint struct{ key, does string }

// model is the state of the screens. Bubble Tea calls it on one goroutine.
type model struct {
	ctx      context.Context
	dial     dialer
	parent   int    // process id of who started us
	orphaned func() // is called when that one has ended
	timeout  time.Duration
	g        *glyphs

	nodes []*node
	scope int // which node is shown, -1 for the sum of all
	views []view
	at    int // the view shown

	pending  int // answers that are under way; the frame of this interval is drawn with the last of them
	interval time.Duration
	tick     int       // the chain of ticks that counts; those of an older interval are ignored
	now      time.Time // of the last message that brought one
	paused   bool
	pausedAt time.Time
	reset    *mark    // totals count from here on; nil counts from the start of pushd
	sum      *reading // of what is in scope; counts while added is set
	added    bool
	curves   []curves // of the sum, and of each node
	plotted  bool     // they have the figures of this interval

	width, height int
	help          bool
	ask           *question // waits for an answer; nil while there is none
	input         *input    // takes the keys; nil while there is none
	notice        line      // news about what the user did, until noticeEnds
	noticeEnds    time.Time

	frame string // what View shows; drawn again when a message changed something
}

// question is asked before something is done that cannot be undone.
type question struct {
	text string
	yes  func() tea.Cmd
}

// Messages.
type (
	tickMsg struct {
		chain int
		at    time.Time
	}
	statsMsg struct {
		node *node
		conn pushd
		at   time.Time
		snap snapshotOrError
	}
)

// Init starts the first round of questions.
func (m *model) Init() tea.Cmd { return tea.Batch(m.poll(), m.view().show(m), m.nextTick()) }

// View is the last frame that was drawn.
func (m *model) View() tea.View {
	v := tea.NewView(m.frame)
	v.AltScreen = true
	return v
}

// Update handles one message. A frame is drawn for keys and sizes, and once per interval: when all nodes that were asked
// have answered, or at the next tick.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	draw := true
	m.added = false
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		cmd = m.handleKey(msg.String(), msg.Text)
	case tea.PasteMsg:
		m.paste(msg.Content)
	case stopMsg:
		cmd = msg.cmd()
	case tea.ResumeMsg:
		cmd = tea.Batch(tea.ClearScreen, m.poll())
	case tickMsg:
		cmd, draw = m.handleTick(msg)
	case statsMsg:
		draw = m.handleStats(msg)
	case answer:
		draw, cmd = msg.take(m)
	default:
		draw = false
	}
	if draw {
		m.draw()
	}
	return m, cmd
}

// answer is what a view fetched.
type answer interface {
	take(m *model) (draw bool, cmd tea.Cmd)
}

func (m *model) handleTick(msg tickMsg) (tea.Cmd, bool) {
	if msg.chain != m.tick {
		return nil, false
	}
	if os.Getppid() != m.parent && m.orphaned != nil {
		m.orphaned()
		return nil, false
	}
	late := m.pending > 0 // somebody did not answer within the interval, so that no frame was drawn for it
	m.now = msg.at
	if m.paused {
		return m.nextTick(), true
	}
	m.plot() // of the interval that has passed, when not all have answered in it
	m.plotted = false
	cmds := tea.Batch(m.poll(), m.view().show(m), m.nextTick())
	return cmds, late || m.pending == 0
}

func (m *model) handleStats(msg statsMsg) (draw bool) {
	n := msg.node
	n.busy = false
	m.now = msg.at
	if msg.snap.err != nil {
		n.failed(msg.at, msg.snap.err)
	} else {
		n.answered(msg.conn, msg.at, msg.snap.snap)
	}
	return m.answered()
}

// answered counts an answer and reports whether it was the last that the screen waits for.
func (m *model) answered() bool {
	m.pending--
	if m.pending > 0 {
		return false
	}
	m.plot()
	return true
}

// plot appends the figures to the curves, once for each tick.
func (m *model) plot() {
	if !m.plotted {
		m.plotted = true
		m.addToCurves()
	}
}

// nextTick wakes the model after the interval.
func (m *model) nextTick() tea.Cmd {
	chain := m.tick
	return tea.Tick(m.interval, func(at time.Time) tea.Msg { return tickMsg{chain, at} })
}

// setInterval changes the interval and starts a new chain of ticks.
func (m *model) setInterval(d time.Duration) tea.Cmd {
	if d == m.interval {
		return nil
	}
	m.interval = d
	m.tick++
	return m.nextTick()
}

func (m *model) view() view { return m.views[m.at] }

// switchTo shows another view.
func (m *model) switchTo(at int) tea.Cmd {
	if at == m.at {
		return nil
	}
	m.view().hide(m)
	m.at = at
	return m.view().show(m)
}

// switchScope shows another node, or the sum.
func (m *model) switchScope(step int) tea.Cmd {
	if len(m.nodes) == 1 {
		m.say(plain, "There is one pushd; name others with --socket")
		return nil
	}
	m.view().hide(m)
	m.scope = (m.scope+1+step+len(m.nodes)+1)%(len(m.nodes)+1) - 1
	return m.view().show(m)
}

// inScope lists the nodes that the figures are of.
func (m *model) inScope() []*node {
	if m.scope < 0 {
		return m.nodes
	}
	return m.nodes[m.scope : m.scope+1]
}

// noticeTime is how long news about what the user did stands.
const noticeTime = 6 * time.Second

// say shows news in the last line for a while.
func (m *model) say(r role, format string, args ...any) {
	m.notice = line{}.add(r, fmt.Sprintf(format, args...))
	m.noticeEnds = m.now.Add(noticeTime)
}

// draw makes the frame.
func (m *model) draw() {
	m.added = false // the message may have changed the scope
	var b strings.Builder
	for i, l := range m.screen() {
		if i > 0 {
			b.WriteByte('\n')
		}
		l.appendTo(&b)
	}
	m.frame = b.String()
}
