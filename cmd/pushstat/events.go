package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/client"
	"holdfast/pkg/nearest"
	"holdfast/pkg/stats"
)

func eventsCommand() *cli.Command {
	return &cli.Command{
		Name:      "events",
		Usage:     "print what happens to connections as it happens",
		UsageText: "pushstat events [--type TYPE]... [--filter TERMS] [--count N] [--json]",
		Description: "A line for each event: " + strings.Join(stats.EventTypes(), ", ") + `.
They are filtered in pushd, which is never slowed down: of more than about
10,000 a second in one loop, before the filter, only some are told, and who
reads too slowly loses some. Both are said on standard error, with --json as an
object with the keys lost and skipped. A filter for channel= passes only events that have a channel.
A pushd that goes away is waited for. Ctrl-C ends with 0.`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "type", Usage: "only events of `TYPE` (repeatable, or with commas)"},
			filterFlag(),
		},
		Action: events,
	}
}

func events(c *cli.Context) error {
	o, err := readOptions(c)
	if err != nil {
		return err
	}
	var f stats.EventFilter
	for _, v := range c.StringSlice("type") {
		f.Types = append(f.Types, strings.Split(v, ",")...)
	}
	who, err := readFilter(c.StringSlice("filter"))
	if err != nil {
		return err
	}
	f.Address, f.Channel, f.Kind = who.Address, who.Channel, who.Kind
	if err := f.Check(); err != nil {
		hint := ""
		for _, t := range f.Types {
			if s := nearest.Name(t, stats.EventTypes()); s != "" && !slices.Contains(stats.EventTypes(), t) {
				hint = " (did you mean " + s + "?)"
			}
		}
		return app.Usagef("--type: %v%s", err, hint)
	}
	switch {
	case c.NArg() > 0:
		return app.Usagef("unknown argument %q", c.Args().First())
	case app.Given(c, "interval") || app.Given(c, "once"):
		return app.Usagef("--interval and --once are not for events")
	}
	p := &eventPrinter{o: o, out: c.App.Writer, errs: c.App.ErrWriter}
	return p.run(c.Context, f)
}

// errEnough ends events after --count.
var errEnough = errors.New("enough events")

// eventPrinter prints the events of all sockets.
type eventPrinter struct {
	o options

	mu      sync.Mutex // guards the rest
	out     io.Writer
	errs    io.Writer
	printed int
	missing gap       // of which nothing was said yet
	said    time.Time // when something was said of it
}

// sayEvery is the time between two lines about events that are not there.
const sayEvery = time.Second

// run follows all pushd side by side until ctx ends or enough is printed.
func (p *eventPrinter) run(ctx context.Context, f stats.EventFilter) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conns := make([]*client.Conn, len(p.o.sockets))
	for i, path := range p.o.sockets {
		conn, err := p.o.dial(ctx, path)
		if err != nil {
			for _, c := range conns[:i] {
				c.Close()
			}
			return err
		}
		conns[i] = conn
	}
	var wg sync.WaitGroup
	for i, path := range p.o.sockets {
		wg.Go(func() {
			if err := p.follow(ctx, path, conns[i], f); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	p.sayMissing()
	if err := context.Cause(ctx); err != nil && err != errEnough && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// follow prints the events of one pushd, and waits for it when it goes away.
func (p *eventPrinter) follow(ctx context.Context, path string, conn *client.Conn, f stats.EventFilter) error {
	s := source{path: path}
	for wait := firstRetry; ; {
		var stop error
		err := conn.Events(ctx, f, func(b *stats.EventBatch) error {
			stop = p.print(path, b)
			return stop
		})
		broken := conn.Err() != nil
		conn.Close()
		if ctx.Err() != nil {
			return nil
		}
		if stop != nil || !broken { // pushd stays and says no
			return err
		}
		p.say("%s went away (%v); trying again", s.name(), err)
		for conn = nil; conn == nil; {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(wait):
			}
			wait = min(2*wait, lastRetry)
			conn, _ = p.o.dial(ctx, path) //nolint:errcheck // it is tried again
		}
		wait = firstRetry
		p.say("%s is back: what happened meanwhile is not known", s.name())
	}
}

func (p *eventPrinter) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.errs, "pushstat: "+format+"\n", args...)
}

// gap is the line that tells of events that are not there.
type gap struct {
	Lost    uint64 `json:"lost"`
	Skipped uint64 `json:"skipped"`
}

func (p *eventPrinter) print(path string, b *stats.EventBatch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.Lost > 0 || b.Skipped > 0 {
		if p.o.json {
			if err := printJSON(p.out, p.o, path, &gap{b.Lost, b.Skipped}); err != nil {
				return err
			}
		} else {
			p.missing.Lost += b.Lost
			p.missing.Skipped += b.Skipped
			if time.Since(p.said) >= sayEvery {
				p.sayMissing()
			}
		}
	}
	for i := range b.Events {
		var err error
		if e := &b.Events[i]; p.o.json {
			err = printJSON(p.out, p.o, path, e)
		} else {
			_, err = io.WriteString(p.out, eventLine(e, p.o, path)+"\n")
		}
		if err != nil {
			return err
		}
		if p.printed++; p.printed == p.o.count {
			return errEnough
		}
	}
	return nil
}

// sayMissing tells of events that are not there. The mutex is held, or nobody else is left.
func (p *eventPrinter) sayMissing() {
	if p.missing != (gap{}) {
		fmt.Fprintf(p.errs, "pushstat: %d events lost (read too slowly), %d left out (too many at once)\n", p.missing.Lost, p.missing.Skipped)
		p.missing, p.said = gap{}, time.Now()
	}
}

// eventLine is an event for a person.
func eventLine(e *stats.Event, o options, path string) string {
	parts := []string{time.UnixMilli(e.UnixMS).Format("15:04:05.000"), padRight(e.Type, len(stats.EventUnsubscribe))}
	for _, s := range []string{e.Connection, e.Kind, e.Address, e.Channel} {
		if s != "" {
			parts = append(parts, app.Printable(s))
		}
	}
	if e.Reason != "" {
		parts = append(parts, "("+app.Printable(e.Reason)+")")
	}
	if o.several() {
		parts = append(parts, "on "+app.Printable(path))
	}
	return strings.Join(parts, " ")
}
