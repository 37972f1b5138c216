package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/client"
	"holdfast/pkg/stats"
)

const maxWindow = 10 * time.Second

func channelsCommand() *cli.Command {
	return &cli.Command{
		Name:      "channels",
		Usage:     "list channels with subscribers",
		UsageText: "pushstat channels [--top N] [--by subscribers|rate] [--prefix TEXT] [--window TIME] [--json]",
		Description: `The channels with most subscribers, or with most deliveries. Deliveries are
counted over a --window, for which the command takes as long; --by subscribers
without --window answers at once, without rates. With several sockets a channel
has a line for each.`,
		Flags: []cli.Flag{
			topFlag(),
			&cli.StringFlag{Name: "by", Usage: "`ORDER`: subscribers or rate", Value: stats.BySubscribers},
			&cli.StringFlag{Name: "prefix", Usage: "only channels whose names begin with `TEXT`"},
			&cli.DurationFlag{Name: "window", Usage: "count deliveries over `TIME`, up to 10s (default with --by rate 1s)"},
		},
		Action: channels,
	}
}

func channels(c *cli.Context) error {
	l, err := newLister(c)
	if err != nil {
		return err
	}
	q := stats.ChannelQuery{By: c.String("by"), Prefix: c.String("prefix")}
	window := c.Duration("window")
	switch {
	case c.NArg() > 0:
		return app.Usagef("unknown argument %q", c.Args().First())
	case q.By != stats.BySubscribers && q.By != stats.ByRate:
		return app.Usagef("--by: %q is no order, want subscribers or rate", q.By)
	case window < 0 || window > maxWindow:
		return app.Usagef("--window: %v is out of range, up to %v is allowed", window, maxWindow)
	case window == 0 && q.By == stats.ByRate:
		window = time.Second
	}
	if q.Top, err = checkTop(c); err != nil {
		return err
	}
	q.WindowMS = window.Milliseconds()
	l.o.timeout += window
	answers, missing := askAll(c.Context, l.o, func(ctx context.Context, conn *client.Conn) (*stats.ChannelList, error) {
		return conn.Channels(ctx, q)
	})
	if len(answers) == 0 {
		return missing
	}
	return cmp.Or(l.printChannels(answers, q), missing)
}

func (l *lister) printChannels(answers []answer[*stats.ChannelList], q stats.ChannelQuery) error {
	type placed struct {
		socket string
		stats.ChannelInfo
	}
	var all []placed
	matched, uncounted := 0, uint64(0)
	for _, a := range answers {
		for _, info := range a.value.Channels {
			all = append(all, placed{a.socket, info})
		}
		matched += a.value.Matched
		uncounted += a.value.Uncounted
	}
	slices.SortStableFunc(all, func(a, b placed) int {
		if q.By == stats.ByRate {
			return cmp.Compare(b.Deliveries, a.Deliveries)
		}
		return cmp.Compare(b.Subscribers, a.Subscribers)
	})
	all = all[:min(len(all), q.Top)]
	columns := []string{">subscribers"}
	if q.WindowMS > 0 {
		columns = append(columns, ">items/s", ">deliveries/s")
	}
	if columns = append(columns, "channel"); l.o.several() {
		columns = append(columns, "socket")
	}
	t := newLines(columns...)
	for i := range all {
		p := &all[i]
		if l.o.json {
			if err := printJSON(l.out, l.o, p.socket, &p.ChannelInfo); err != nil {
				return err
			}
			continue
		}
		cells := []string{fmt.Sprint(p.Subscribers)}
		if q.WindowMS > 0 {
			cells = append(cells, perSecond(p.Items), perSecond(p.Deliveries))
		}
		if cells = append(cells, p.Name); l.o.several() {
			cells = append(cells, p.socket)
		}
		t.add(cells...)
	}
	if l.o.json {
		return nil
	}
	if err := t.print(l.out); err != nil {
		return err
	}
	what := "channels with subscribers"
	if q.By == stats.ByRate {
		what = "channels with deliveries"
	}
	note := strings.Builder{}
	fmt.Fprintf(&note, "%d of %d %s shown", len(all), matched, what)
	if uncounted > 0 {
		fmt.Fprintf(&note, "; too many channels: %d deliveries are not counted", uncounted)
	}
	_, err := fmt.Fprintln(l.out, note.String())
	return err
}
