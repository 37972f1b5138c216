package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/feed"
	"holdfast/pkg/publish"
	"holdfast/pkg/wire"
)

// maxLineBytes is the longest line that is read. It is the longest frame of a pushd that is not configured otherwise.
const maxLineBytes = wire.MaxFrame

// A line of JSON may take more bytes than the item on the wire, for its escapes and base64.
const maxItemLineBytes = 4 * wire.MaxFrame

// runLines publishes each line of the input as soon as it is read, without waiting for the one before it.
func runLines(ctx context.Context, o *options, s streams, targets []*target) error {
	in, err := o.content.open(s)
	if err != nil {
		return err
	}
	defer in.Close()
	rep := &reporter{w: s.errs}
	live := dialAll(ctx, targets, o.timeout, rep)
	if len(live) == 0 {
		return rep.result()
	}
	p := &pipeline{options: o, rep: rep, source: o.lineSource(in)}
	for _, t := range live {
		p.lanes = append(p.lanes, newLane(t, rep))
		defer t.close()
	}
	p.run(ctx)
	if err := p.summary(s.out); err != nil {
		return err
	}
	return rep.result()
}

// lineSource gives the items of the next line, and its number. The items are valid until the next call. A *feed.LineError
// is about that line only.
type lineSource func() (items []publish.Item, number int, err error)

func (o *options) lineSource(r io.Reader) lineSource {
	var items []publish.Item
	if o.mode == eachItem {
		in := feed.NewItems(r, maxItemLineBytes)
		return func() ([]publish.Item, int, error) {
			it, number, err := in.Next()
			items = append(items[:0], it)
			return items, number, err
		}
	}
	in := feed.NewLines(r, maxLineBytes)
	var now time.Time
	return func() ([]publish.Item, int, error) {
		line, number, err := in.Next()
		if err == nil {
			line, err = o.content.unescapeLine(line, number)
		}
		if err != nil {
			return nil, number, err
		}
		if o.template {
			now = time.Now()
		}
		items = o.items(items[:0], line, false, now, number)
		return items, number, nil
	}
}

// pipeline moves lines from the source to the lanes.
type pipeline struct {
	*options
	rep    *reporter
	source lineSource
	lanes  []*lane

	mu      sync.Mutex // held while a line is handed to the lanes
	stopped bool       // no more lines may be handed over
}

// run reads to the end of the input, to the end of ctx, or until no pushd answers any more, and then waits for the acks
// of what is under way.
func (p *pipeline) run(ctx context.Context) {
	p.watch(ctx, p.pump)
	p.mu.Lock()
	p.stopped = true // pump may still be waiting for a line
	p.mu.Unlock()
	p.watch(context.WithoutCancel(ctx), p.flush)
}

// watch calls work and returns when it does, when ctx ends, or when all lanes are lost. In the latter cases work is left
// to see that its context has ended or, in a read of standard input that cannot be broken off, to the end of the process.
func (p *pipeline) watch(ctx context.Context, work func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		work(ctx)
	}()
	ticker := time.NewTicker(max(p.timeout/8, time.Millisecond))
	defer ticker.Stop()
	for _, l := range p.lanes {
		l.moved = time.Now()
	}
	for !p.allLost() {
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-ticker.C:
			for _, l := range p.lanes {
				l.check(p.timeout)
			}
		}
	}
}

func (p *pipeline) allLost() bool {
	for _, l := range p.lanes {
		if !l.lost.Load() {
			return false
		}
	}
	return true
}

// pump hands on line after line.
func (p *pipeline) pump(ctx context.Context) {
	for {
		items, number, err := p.source()
		if !p.handOn(ctx, items, number, err) {
			return
		}
	}
}

// handOn publishes the items of a line, or refuses the line. It reports false when there is no use in reading on.
func (p *pipeline) handOn(ctx context.Context, items []publish.Item, number int, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	if bad, ok := errors.AsType[*feed.LineError](err); ok {
		p.rep.problem(app.Failed, bad)
		for _, l := range p.lanes {
			l.refused.Add(1)
		}
		return true
	}
	if err != nil {
		if !errors.Is(err, io.EOF) {
			p.rep.problem(app.Failed, fmt.Errorf("read line %d: %w", number, withoutPath(err)))
		}
		return false
	}
	living := false
	for _, l := range p.lanes {
		living = l.publish(ctx, items, number) || living
	}
	return living && ctx.Err() == nil
}

// flush waits for the acks of all lanes.
func (p *pipeline) flush(ctx context.Context) {
	for _, l := range p.lanes {
		if err := l.pub.Flush(ctx); err != nil {
			l.fail(err)
		}
	}
}

// summary prints the sums, a line for each pushd.
func (p *pipeline) summary(w io.Writer) error {
	receivers := 0
	for _, l := range p.lanes {
		sums := l.finish()
		receivers += sums.Receivers
		if p.quiet {
			continue
		}
		if err := writeJSON(w, sums); err != nil {
			return err
		}
	}
	if p.requireReceivers && receivers == 0 {
		p.rep.problem(app.NoReceivers, errors.New("nobody received it"))
	}
	return nil
}
