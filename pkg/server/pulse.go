package server

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// beatEvery is the time between two looks at the loops.
	beatEvery = time.Second
	// stillAfter is after how many looks without the end of a batch a loop stands still. A batch
	// takes milliseconds, and a second or two where the machine is overloaded: a loop that is
	// merely busy never needs so long. Looks are counted, not seconds, so that a process that was
	// frozen as a whole finds its loops well when it goes on.
	stillAfter = 10
)

// heart is a loop as a pulse sees it.
type heart interface {
	// Beat asks for a sign of life, and reports whether there was one since the Beat before.
	Beat() (alive bool)
}

// pulse knows whether the loops go round.
type pulse struct {
	log   *slog.Logger
	loops []heart
	quiet []int        // looks since the last sign of life of each loop
	still atomic.Int32 // number of loops that stand still
}

// add has p look at a loop too. It is called before run.
func (p *pulse) add(l heart) { p.loops, p.quiet = append(p.loops, l), append(p.quiet, 0) }

// run looks at the loops until ctx ends.
func (p *pulse) run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.look()
		}
	}
}

func (p *pulse) look() {
	var still int32
	for i, l := range p.loops {
		was := p.quiet[i]
		if p.quiet[i]++; l.Beat() {
			p.quiet[i] = 0
		}
		switch now := p.quiet[i]; {
		case now == stillAfter:
			p.log.Error("event loop stands still", slog.Int("loop", i))
		case now == 0 && was >= stillAfter:
			p.log.Warn("event loop goes on", slog.Int("loop", i),
				slog.String("took", (time.Duration(was)*beatEvery).String()))
		}
		if p.quiet[i] >= stillAfter {
			still++
		}
	}
	p.still.Store(still)
}

// trouble says what is wrong, or "".
func (p *pulse) trouble() string {
	if p.still.Load() > 0 {
		return "an event loop stands still"
	}
	return ""
}
