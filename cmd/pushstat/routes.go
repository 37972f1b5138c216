package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/client"
	"holdfast/pkg/stats"
)

func routesCommand() *cli.Command {
	return &cli.Command{
		Name:      "routes",
		Usage:     "list the routes to backends",
		UsageText: "pushstat routes [--json]",
		Description: `A line for each route: its requests since the file had it, those under way,
the requests that were held, errors by cause, and how long the backends took
to the head of their answers.`,
		Action: routes,
	}
}

func routes(c *cli.Context) error {
	l, err := newLister(c)
	if err != nil {
		return err
	}
	if c.NArg() > 0 {
		return app.Usagef("unknown argument %q", c.Args().First())
	}
	answers, missing := askAll(c.Context, l.o, func(ctx context.Context, conn *client.Conn) ([]stats.RouteInfo, error) {
		return conn.Routes(ctx)
	})
	if len(answers) == 0 {
		return missing
	}
	return cmp.Or(l.printRoutes(answers), missing)
}

func (l *lister) printRoutes(answers []answer[[]stats.RouteInfo]) error {
	columns := []string{"route", ">requests", ">active", ">waiting", ">holds", ">p50", ">p99", "errors", "targets"}
	if l.o.several() {
		columns = append(columns, "socket")
	}
	t := newLines(columns...)
	n := 0
	for _, a := range answers {
		for i := range a.value {
			r := &a.value[i]
			n++
			if l.o.json {
				if err := printJSON(l.out, l.o, a.socket, r); err != nil {
					return err
				}
				continue
			}
			cells := []string{r.ID, count(float64(r.Requests)), fmt.Sprint(r.Active), fmt.Sprint(r.Waiting), count(float64(r.Holds)),
				latency(r.Latency.P50, r.Latency.Count), latency(r.Latency.P99, r.Latency.Count), byReason(r.Errors), strings.Join(r.Targets, " ")}
			if l.o.several() {
				cells = append(cells, a.socket)
			}
			t.add(cells...)
		}
	}
	switch {
	case l.o.json:
		return nil
	case n == 0:
		_, err := io.WriteString(l.out, "no routes to backends: channels are served directly\n")
		return err
	}
	return t.print(l.out)
}

// latency writes microseconds with two digits or more; "-" when nothing was measured.
func latency(us, n uint64) string {
	switch {
	case n == 0:
		return "-"
	case us < 1000:
		return fmt.Sprintf("%dus", us)
	case us < 1_000_000:
		return fmt.Sprintf("%.3gms", float64(us)/1000)
	}
	return fmt.Sprintf("%.3gs", float64(us)/1e6)
}
