package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/client"
	"holdfast/pkg/stats"
)

var connectionOrders = []string{stats.ByQueued, stats.ByAge, stats.ByNewest, stats.ByQuiet, stats.BySubscriptions}

func connectionsCommand() *cli.Command {
	return &cli.Command{
		Name:      "connections",
		Usage:     "list single connections, or show some in full",
		UsageText: "pushstat connections [--top N] [--by ORDER] [--filter TERMS] [--json]\npushstat connections ID... [--json]",
		Description: `The first connections in an order: queued (most bytes that the client has not
taken), age (oldest), newest, quiet (longest without a write) or subscriptions.
A connection keeps its id for its life; no later one ever has it.`,
		Flags: []cli.Flag{
			topFlag(),
			&cli.StringFlag{Name: "by", Usage: "`ORDER`: " + strings.Join(connectionOrders, ", "), Value: stats.ByQueued},
			filterFlag(),
		},
		Action: connections,
	}
}

func connections(c *cli.Context) error {
	l, err := newLister(c)
	if err != nil {
		return err
	}
	if c.NArg() > 0 {
		return l.inFull(c.Context, c.Args().Slice())
	}
	q := stats.ConnectionQuery{By: c.String("by")}
	if q.Top, err = checkTop(c); err != nil {
		return err
	}
	if q.Filter, err = readFilter(c.StringSlice("filter")); err != nil {
		return err
	}
	if !slices.Contains(connectionOrders, q.By) {
		return app.Usagef("--by: %q is no order, want %s", q.By, strings.Join(connectionOrders, ", "))
	}
	answers, missing := askAll(c.Context, l.o, func(ctx context.Context, conn *client.Conn) (*stats.ConnectionList, error) {
		return conn.Connections(ctx, q)
	})
	if len(answers) == 0 {
		return missing
	}
	return cmp.Or(l.printConnections(answers, q), missing)
}

// placed is a connection and whose it is.
type placed struct {
	socket string
	stats.ConnectionInfo
}

func (l *lister) printConnections(answers []answer[*stats.ConnectionList], q stats.ConnectionQuery) error {
	var all []placed
	matched, total := 0, 0
	for _, a := range answers {
		for _, info := range a.value.Connections {
			all = append(all, placed{a.socket, info})
		}
		matched += a.value.Matched
		total += a.value.Total
	}
	slices.SortStableFunc(all, func(a, b placed) int { return stats.CompareConnections(q.By, &a.ConnectionInfo, &b.ConnectionInfo) })
	all = all[:min(len(all), q.Top)]
	if l.o.json {
		for i := range all {
			if err := printJSON(l.out, l.o, all[i].socket, &all[i].ConnectionInfo); err != nil {
				return err
			}
		}
		return nil
	}
	columns := []string{"id", "kind", "state", "address", ">age", ">quiet", ">queued", ">subs", "channels"}
	if l.o.several() {
		columns = append(columns, "socket")
	}
	t := newLines(columns...)
	for i := range all {
		p := &all[i]
		cells := []string{p.ID, p.Kind, p.State, cmp.Or(p.Address, "-"), span(p.AgeSeconds), span(p.QuietSeconds),
			byteSize(int64(p.QueuedBytes)), count(float64(p.Subscriptions)), channelNames(&p.ConnectionInfo)}
		if l.o.several() {
			cells = append(cells, p.socket)
		}
		t.add(cells...)
	}
	if err := t.print(l.out); err != nil {
		return err
	}
	_, err := fmt.Fprintf(l.out, "%d of %d shown, %d connections in all\n", len(all), matched, total)
	return err
}

// channelNames is as many names as pushd gives, and how many there are besides.
func channelNames(info *stats.ConnectionInfo) string {
	text := strings.Join(info.Channels, " ")
	if more := info.Subscriptions - len(info.Channels); more > 0 {
		text += fmt.Sprintf(" +%d", more)
	}
	return text
}

// inFull shows connections by their ids.
func (l *lister) inFull(ctx context.Context, ids []string) error {
	var lost []string
	for i, id := range ids {
		answers, missing := askAll(ctx, l.o, func(ctx context.Context, conn *client.Conn) (*stats.ConnectionList, error) {
			return conn.Connections(ctx, stats.ConnectionQuery{ID: id})
		})
		if missing != nil {
			return missing
		}
		found := false
		for _, a := range answers {
			for j := range a.value.Connections {
				if err := l.printInFull(i > 0 || found, a.socket, &a.value.Connections[j]); err != nil {
					return err
				}
				found = true
			}
		}
		if !found {
			lost = append(lost, id)
		}
	}
	if len(lost) > 0 {
		return fmt.Errorf("no connection %s: it has gone, or never was", strings.Join(lost, ", "))
	}
	return nil
}

func (l *lister) printInFull(behind bool, socket string, info *stats.ConnectionInfo) error {
	if l.o.json {
		return printJSON(l.out, l.o, socket, info)
	}
	if behind {
		if _, err := io.WriteString(l.out, "\n"); err != nil {
			return err
		}
	}
	facts := [][2]string{
		{"connection", info.ID}, {"kind", info.Kind}, {"state", info.State}, {"address", cmp.Or(info.Address, "not known any more")},
		{"proxy", info.Proxy}, {"route", info.Route}, {"loop", fmt.Sprint(info.Loop)}, {"age", span(info.AgeSeconds)},
		{"last write", span(info.QuietSeconds) + " ago"}, {"queued", byteSize(int64(info.QueuedBytes))},
		{"subscriptions", fmt.Sprint(info.Subscriptions)},
	}
	if l.o.several() {
		facts = append(facts, [2]string{"socket", socket})
	}
	for _, name := range info.Channels {
		facts = append(facts, [2]string{"channel", name})
	}
	return printFacts(l.out, facts)
}

// span writes seconds in two units at most: 12s, 3m05s, 4h12m, 9d03h.
func span(seconds float64) string {
	d := time.Duration(max(seconds, 0) * float64(time.Second)).Round(time.Second)
	h, m, s := int(d/time.Hour), int(d/time.Minute)%60, int(d/time.Second)%60
	switch {
	case h >= 24:
		return fmt.Sprintf("%dd%02dh", h/24, h%24)
	case h > 0:
		return fmt.Sprintf("%dh%02dm", h, m)
	case m > 0:
		return fmt.Sprintf("%dm%02ds", m, s)
	}
	return fmt.Sprintf("%ds", s)
}
