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

// noticePause is the least time between two notices of the same kind.
const noticePause = time.Second

// run does what o asks for.
func run(ctx context.Context, o *options, s streams) error {
	targets, err := findTargets(o.sockets)
	if err != nil {
		return err
	}
	if o.mode != oneMessage {
		return runLines(ctx, o, s, targets)
	}
	content, err := readContent(ctx, o, s)
	if err != nil {
		return err
	}
	p := &publisher{options: o, streams: s, content: content, rep: &reporter{w: s.errs}, up: make(chan *target, len(targets))}
	// What pushd would refuse is refused before anything is sent.
	for _, it := range p.items(nil, content, o.content.asItIs(), time.Now(), 1) {
		if err := it.Check(); err != nil {
			return app.Exit(o.content.badContent(), err)
		}
	}
	p.live = dialAll(ctx, targets, o.timeout, p.rep)
	defer p.close()
	if len(p.live) == 0 {
		return p.rep.result()
	}
	return p.run(ctx)
}

// readContent reads the content. A read of standard input cannot be broken off, so when ctx ends it is left behind.
func readContent(ctx context.Context, o *options, s streams) ([]byte, error) {
	type result struct {
		content []byte
		err     error
	}
	done := make(chan result, 1)
	go func() {
		content, err := o.content.read(s)
		done <- result{content, err}
	}()
	select {
	case r := <-done:
		return r.content, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// publisher publishes one message, once or repeatedly.
type publisher struct {
	*options
	streams
	content []byte
	rep     *reporter
	total   int // receivers of everything

	live []*target      // connected; only run's goroutine touches them
	up   chan *target   // targets that were lost and are connected again
	wg   sync.WaitGroup // the goroutines that reconnect
}

func (p *publisher) close() {
	p.wg.Wait()
	for len(p.up) > 0 {
		p.live = append(p.live, <-p.up)
	}
	for _, t := range p.live {
		t.close()
	}
}

// run publishes as often as is asked for, and ends early with ctx.
func (p *publisher) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the attempts to reconnect
	count := p.count
	if !p.repeated() {
		count = 1
	}
	schedule := feed.NewSchedule(p.every, count)
	skipped, lastNotice := 0, time.Time{}
	for n := 1; ; n++ {
		missed, err := schedule.Wait(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if count > 0 {
				return err // there is more that should have been published
			}
			break
		}
		if skipped += missed; skipped > 0 && time.Since(lastNotice) >= noticePause {
			p.rep.notice("left out %d messages that were overdue by more than --every", skipped)
			skipped, lastNotice = 0, time.Now()
		}
		if err := p.publishOne(ctx, n); err != nil {
			return err
		}
		if p.every == 0 && len(p.live) == 0 {
			return p.rep.result()
		}
	}
	if p.requireReceivers && p.total == 0 {
		p.rep.problem(app.NoReceivers, errors.New("nobody received it"))
	}
	return p.rep.result()
}

// publishOne publishes message number n on every target that is there, again when a lost connection has left it
// unanswered everywhere. The error is that of standard output, or of ctx.
func (p *publisher) publishOne(ctx context.Context, n int) error {
	items := p.items(nil, p.content, p.options.content.asItIs(), time.Now(), n)
	for {
		if err := p.awaitTarget(ctx); err != nil {
			return err
		}
		outcomes := p.publishAll(ctx, items)
		answered := false
		receivers := 0
		for _, out := range outcomes {
			if out.err != nil {
				p.lost(ctx, out.target, out.err)
				continue
			}
			answered = true
			receivers += p.refusals(out, items)
		}
		if answered {
			p.total += receivers
			return p.print(items, outcomes, receivers)
		}
		if p.every == 0 {
			return nil
		}
	}
}

// awaitTarget takes up the targets that are back, and waits for one when there is no other.
func (p *publisher) awaitTarget(ctx context.Context) error {
	for {
		select {
		case t := <-p.up:
			p.live = append(p.live, t)
			continue
		default:
		}
		if len(p.live) > 0 || p.every == 0 {
			return nil
		}
		select {
		case t := <-p.up:
			p.live = append(p.live, t)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// outcome is what became of a message on one target.
type outcome struct {
	target *target
	acks   []wire.Ack
	err    error // of the connection; nobody knows the fate of the message
}

func (p *publisher) publishAll(ctx context.Context, items []publish.Item) []outcome {
	outcomes := make([]outcome, len(p.live))
	var wg sync.WaitGroup
	for i, t := range p.live {
		wg.Go(func() {
			acks, err := t.publish(ctx, p.timeout, items)
			outcomes[i] = outcome{t, acks, err}
		})
	}
	wg.Wait()
	return outcomes
}

// lost deals with a target that has failed: with --every it is said once and tried again, else it is an error.
func (p *publisher) lost(ctx context.Context, t *target, err error) {
	for i := range p.live {
		if p.live[i] == t {
			p.live = append(p.live[:i:i], p.live[i+1:]...)
			break
		}
	}
	t.close()
	if p.every == 0 {
		p.rep.problem(app.Failed, t.label(err))
		return
	}
	p.rep.notice("%v; reconnecting", t.label(err))
	p.wg.Go(func() {
		if t.redial(ctx, p.timeout) == nil {
			p.up <- t // has room for every target
		}
	})
}

// refusals reports the items that were not accepted, and returns the receivers of the others.
func (p *publisher) refusals(out outcome, items []publish.Item) (receivers int) {
	for i, ack := range out.acks {
		if ack.Accepted {
			receivers += ack.Receivers
			continue
		}
		err := fmt.Errorf("refused: %w", ack.Err)
		if len(items) > 1 {
			err = fmt.Errorf("channel %q: %w", items[i].Channel, err)
		}
		p.rep.problem(app.Failed, out.target.label(err))
	}
	return receivers
}

// print says who received the message.
func (p *publisher) print(items []publish.Item, outcomes []outcome, receivers int) error {
	if p.quiet {
		return nil
	}
	accepted := false
	for _, out := range outcomes {
		for i, ack := range out.acks {
			if !ack.Accepted {
				continue
			}
			accepted = true
			if !p.json {
				continue
			}
			line := publishedJSON{Channel: items[i].Channel, Receivers: ack.Receivers, Socket: out.target.socket()}
			if items[i].ID != "" {
				line.ID = &items[i].ID
			}
			if err := writeJSON(p.out, line); err != nil {
				return err
			}
		}
	}
	if p.json || !accepted {
		return nil
	}
	return writePublished(p.out, receivers)
}
