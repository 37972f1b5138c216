package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// part is a piece of a running pushd. See newServer for the order.
type part interface {
	name() string
	// start makes the part work. When it fails nothing of the part is left.
	start() error
	// quiesce has the part take nothing new, for a hand-over. What it has in hand goes on, and its
	// sockets stay open: a client that connects waits in their queues.
	quiesce() error
	// detach follows quiesce: the part gives up what the next pushd goes on with, and goes on.
	detach(to *sockets) error
	// stop ends the part in good order, and returns when nothing of it is left.
	stop()
}

// passive is a part that does nothing. Others embed it, and have what they need of their own.
type passive string

func (p passive) name() string        { return string(p) }
func (passive) start() error          { return nil }
func (passive) quiesce() error        { return nil }
func (passive) detach(*sockets) error { return nil }
func (passive) stop()                 {}

// parts start in their order and stop in the reverse order, so that each finds what it needs.
type parts struct {
	all     []part
	started int // how many of all have started and not been stopped
}

// start starts all parts. When one fails, those before it are stopped, and the error is the reason.
func (p *parts) start() error {
	for _, x := range p.all {
		if err := x.start(); err != nil {
			p.stop()
			return err
		}
		p.started++
	}
	return nil
}

// quiesce quiesces all parts, the last one first.
func (p *parts) quiesce() error {
	for _, x := range slices.Backward(p.all) {
		if err := x.quiesce(); err != nil {
			return fmt.Errorf("quiesce %s: %w", x.name(), err)
		}
	}
	return nil
}

// detach has all parts give up what they hold, the last one first.
func (p *parts) detach(to *sockets) error {
	for _, x := range slices.Backward(p.all) {
		if err := x.detach(to); err != nil {
			return fmt.Errorf("detach %s: %w", x.name(), err)
		}
	}
	return nil
}

// stop stops the parts that have started, the last one first.
func (p *parts) stop() {
	for ; p.started > 0; p.started-- {
		p.all[p.started-1].stop()
	}
}

// together is a group of parts that do not need each other. They start in their order, and quiesce
// and stop at the same time, because each may take a second for what it has in hand.
type together struct {
	passive
	parts
}

func (g *together) start() error { return g.parts.start() }

func (g *together) quiesce() error {
	var all sync.WaitGroup
	errs := make([]error, len(g.all))
	for i, x := range g.all {
		all.Go(func() { errs[i] = x.quiesce() })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (g *together) detach(to *sockets) error { return g.parts.detach(to) }

func (g *together) stop() {
	var all sync.WaitGroup
	for ; g.started > 0; g.started-- {
		all.Go(g.all[g.started-1].stop)
	}
	all.Wait()
}

// task is a part that runs beside the loops: one goroutine, or several that do the same.
type task struct {
	passive
	run        func(ctx context.Context) error // ends with ctx; an error before that is fatal
	failed     func(error)                     // is told of it
	goroutines int                             // 0 means 1

	end context.CancelFunc
	wg  sync.WaitGroup
}

// task makes a task of which pushd's life depends.
func (s *Server) task(name passive, run func(ctx context.Context) error) *task {
	return &task{passive: name, run: run, failed: s.fail}
}

func (t *task) start() error {
	ctx, end := context.WithCancel(context.Background())
	t.end = end
	for range max(1, t.goroutines) {
		t.wg.Go(func() {
			if err := t.run(ctx); err != nil {
				t.failed(err)
			}
		})
	}
	return nil
}

// stop may be called again.
func (t *task) stop() {
	t.end()
	t.wg.Wait()
}
