package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/sysprep"
)

const watchDescription = `One line every interval with what the kernel and a pushd that answers show, while
connections come: sockets, orphans, sockets in TIME_WAIT, pages queued by TCP, open
files, tracked connections. A limit that is met in that interval marks its line with
an exclamation mark, and lines below it name the counter and the check that knows the
remedy. It ends with --count lines, or with Ctrl-C.

Exit status: 0, also when limits were met; 2 wrong usage; 3 nothing to watch.`

// watchOptions are those of sysprep watch.
type watchOptions struct {
	targetOptions
	interval time.Duration
	count    int
	json     bool
}

func watchCommand() *cli.Command {
	o := watchOptions{targetOptions: targetOptions{root: "/"}}
	return &cli.Command{
		Name:        "watch",
		Usage:       "show the moment a limit is met, while connections come",
		UsageText:   "sysprep watch [--interval TIME] [--count N] [--json]",
		Description: watchDescription,
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "interval", Destination: &o.interval, Value: time.Second, Usage: "`TIME` from line to line"},
			&cli.IntFlag{Name: "count", Destination: &o.count, DefaultText: "no end", Usage: "end after `N` lines"},
			&cli.BoolFlag{Name: "json", Destination: &o.json, Usage: "print a JSON object for each line"},
			&cli.StringFlag{Name: "socket", Destination: &o.socket, EnvVars: []string{"PUSHD_SOCKET"},
				DefaultText: "the usual places", Usage: "ask the pushd with the control socket at `PATH`"},
			&cli.BoolFlag{Name: "no-pushd", Destination: &o.noPushd, Usage: "ask no pushd"},
			&cli.StringFlag{Name: "root", Destination: &o.root, Value: "/", Usage: "read proc and sys below `DIR`"},
		},
		Action: func(c *cli.Context) error {
			switch {
			case c.NArg() > 0:
				return app.Usagef("unexpected argument %q", c.Args().First())
			case o.interval < 10*time.Millisecond || o.interval > time.Hour:
				return app.Usagef("--interval: %v is out of range, 10ms to 1h", o.interval)
			case app.Given(c, "count") && o.count < 1:
				return app.Usagef("--count: %d is no number of lines", o.count)
			}
			h, err := o.open()
			if err != nil {
				return err
			}
			return watch(c.Context, c.App.Writer, h, &o, app.Given(c, "socket"))
		},
	}
}

// observation is a line of sysprep watch.
type observation struct {
	Time time.Time `json:"time"`
	sysprep.Sample
	Connections *int64          `json:"connections"` // of the pushd; null when none answers
	FDs         *int64          `json:"fds"`         // open files of the pushd
	FDLimit     *int64          `json:"fd_limit"`
	Touched     []sysprep.Touch `json:"touched"`
}

// watch prints a line every interval until ctx ends, which is no error: it is how a watch ends.
func watch(ctx context.Context, w io.Writer, h *sysprep.Host, o *watchOptions, given bool) error {
	asks := !o.noPushd && h.Live()
	before, err := h.Sample()
	if err != nil {
		return app.Exit(app.NotThere, fmt.Errorf("nothing to watch: %w", err))
	}
	if given {
		if _, err := o.ask(ctx); err != nil {
			return app.Exit(app.NotThere, err)
		}
	}
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	for n := 0; o.count == 0 || n < o.count; n++ {
		if n > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
		v := observation{Time: time.Now()}
		if v.Sample, err = h.Sample(); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		v.Touched = v.Sample.Touched(before)
		before = v.Sample
		if asks {
			v.ask(ctx, o)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := v.print(w, n, o.json); err != nil {
			return err
		}
	}
	return nil
}

// ask adds what a pushd says; one that does not answer leaves its columns empty.
func (v *observation) ask(ctx context.Context, o *watchOptions) {
	s, err := o.targetOptions.ask(ctx)
	if err != nil {
		return
	}
	connections, fds, limit := int64(s.Connections.Total), int64(s.FDs.Used), int64(s.FDs.Limit)
	v.Connections, v.FDs, v.FDLimit = &connections, &fds, &limit
	if fds*10 > limit*9 {
		v.Touched = append(v.Touched, sysprep.Touch{ID: "rlimit.nofile", What: "open files of pushd", Meaning: fmt.Sprintf("%d of %d", fds, limit)})
	}
}

// headEvery is the number of lines after which the heading is repeated.
const headEvery = 20

// print writes the n-th line, and what was met below it.
func (v *observation) print(w io.Writer, n int, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(v)
	}
	setColours(coloured(w))
	var b strings.Builder
	if n%headEvery == 0 {
		fmt.Fprintf(&b, "  %-8s %10s %9s %8s %9s %9s %9s %9s\n", "time", "pushd", "sockets", "orphans", "time-wait", "tcp-pages", "files", "conntrack")
	}
	mark := " "
	if len(v.Touched) > 0 {
		mark = "!"
	}
	line := fmt.Sprintf("%s %-8s %10s %9s %8s %9s %9s %9s %9s", mark, v.Time.Format(time.TimeOnly), optional(v.Connections),
		cell(v.Sockets), cell(v.Orphans), cell(v.TimeWait), cell(v.Pages), cell(v.Files), cell(v.Conntrack))
	if mark == "!" {
		line = badges[sysprep.Warn].color.Sprint(line)
	}
	b.WriteString(line + "\n")
	for _, t := range v.Touched {
		grew := ""
		if t.Grew > 0 {
			grew = fmt.Sprintf(" +%d", t.Grew)
		}
		text := fmt.Sprintf("           %s%s: %s (sysprep explain %s)", t.What, grew, t.Meaning, t.ID)
		if t.What == t.ID {
			text = fmt.Sprintf("           %s: %s", t.What, t.Meaning)
		}
		b.WriteString(badges[sysprep.Fail].color.Sprint(text) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell prints a gauge, or a dash when the host does not show it.
func cell(n int64) string {
	if n < 0 {
		return "-"
	}
	return count(n)
}

func optional(n *int64) string {
	if n == nil {
		return "-"
	}
	return count(*n)
}
