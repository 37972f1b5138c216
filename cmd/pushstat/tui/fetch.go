package tui

import (
	"context"
	"errors"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"holdfast/pkg/stats"
)

// snapshotOrError is an answer of a pushd.
type snapshotOrError struct {
	snap *stats.Snapshot
	err  error
}

// poll asks every node that is due for a snapshot.
func (m *model) poll() tea.Cmd {
	var cmds []tea.Cmd
	for _, n := range m.nodes {
		if !n.due(m.now) {
			continue
		}
		n.busy, n.askedAt = true, m.now
		m.pending++
		conn := n.conn
		cmds = append(cmds, func() tea.Msg { return m.fetchStats(n, conn) })
	}
	return tea.Batch(cmds...)
}

// fetchStats connects if need be and asks once. It runs on a goroutine of its own and touches nothing of the node.
func (m *model) fetchStats(n *node, conn pushd) tea.Msg {
	ctx, cancel := context.WithTimeout(m.ctx, m.timeout)
	defer cancel()
	var err error
	if conn == nil {
		conn, err = m.dial(ctx, n.path)
	}
	var snap *stats.Snapshot
	if err == nil {
		if snap, err = conn.Stats(ctx); err != nil {
			conn.Close() //nolint:errcheck // it is of no use any more
		}
	}
	return statsMsg{node: n, conn: conn, at: time.Now(), snap: snapshotOrError{snap, err}}
}

// connect asks all nodes for a first snapshot before there is a screen. It fails when none of them answers.
func (m *model) connect() error {
	answers := make([]tea.Msg, len(m.nodes))
	sideBySide(len(m.nodes), func(i int) { answers[i] = m.fetchStats(m.nodes[i], nil) })
	var errs []error
	for _, a := range answers {
		s := a.(statsMsg)
		m.pending++
		m.handleStats(s)
		if s.snap.err != nil {
			errs = append(errs, s.snap.err)
		}
	}
	if len(errs) == len(m.nodes) {
		return errors.Join(errs...)
	}
	return nil
}

// close ends the connections.
func (m *model) close() {
	m.view().hide(m)
	for _, n := range m.nodes {
		if n.conn != nil {
			n.conn.Close() //nolint:errcheck // nothing is under way
		}
	}
}

// sideBySide calls f with 0 to n-1, each on a goroutine of its own, and waits for all. A panic in one of them becomes one of
// the caller, for Bubble Tea restores the terminal after those of the goroutines that it started, and of no others.
func sideBySide(n int, f func(i int)) {
	var wg sync.WaitGroup
	faults := make([]any, n)
	for i := range n {
		wg.Go(func() {
			defer func() { faults[i] = recover() }()
			f(i)
		})
	}
	wg.Wait()
	for _, fault := range faults {
		if fault != nil {
			panic(fault)
		}
	}
}

// part is what one pushd answered.
type part[T any] struct {
	node  *node
	value T
	err   error
}

// asked is the answers of several, which done takes on the program's goroutine.
type asked[T any] struct {
	parts []part[T]
	done  func(m *model, parts []part[T]) tea.Cmd
}

func (a asked[T]) take(m *model) (bool, tea.Cmd) {
	cmd := a.done(m, a.parts)
	return m.answered(), cmd
}

// askAll asks those nodes that answer, side by side. question runs on a goroutine of its own. Without any node it is nil.
func askAll[T any](m *model, nodes []*node, question func(ctx context.Context, p pushd) (T, error), done func(m *model, parts []part[T]) tea.Cmd) tea.Cmd {
	var parts []part[T]
	var conns []pushd
	for _, n := range nodes {
		if n.alive() && n.conn != nil {
			parts = append(parts, part[T]{node: n})
			conns = append(conns, n.conn)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	m.pending++
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(m.ctx, m.timeout)
		defer cancel()
		sideBySide(len(parts), func(i int) { parts[i].value, parts[i].err = question(ctx, conns[i]) })
		return asked[T]{parts, done}
	}
}
