package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/sysprep"
)

const capacityDescription = `The number of connections for which every limit of this host has room, the limit
that comes first, and the three that come next when it is raised.

Exit status: 0; 2 wrong usage; 3 nothing could be checked.`

// nextLimits is how many limits are shown after the first.
const nextLimits = 3

// capacity is the JSON form of what sysprep capacity prints.
type capacity struct {
	Role       sysprep.Role    `json:"role"`
	Capacity   *int64          `json:"capacity"`
	FirstLimit *string         `json:"first_limit"`
	Limits     []sysprep.Limit `json:"limits"`
	Assumed    []string        `json:"assumed"`
	Skipped    []string        `json:"skipped"`
	Kernel     string          `json:"kernel"`
}

func capacityCommand() *cli.Command {
	var o targetOptions
	var asJSON bool
	return &cli.Command{
		Name:        "capacity",
		Usage:       "tell how many connections this host holds as it stands",
		UsageText:   "sysprep capacity [--role ROLE] [options]",
		Description: capacityDescription,
		Flags: append(targetFlags(&o)[1:],
			&cli.BoolFlag{Name: "json", Destination: &asJSON, Usage: "print one JSON object"}),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if err := o.validate(c); err != nil {
				return err
			}
			h, err := o.open()
			if err != nil {
				return err
			}
			t, remark, err := o.resolve(c.Context, h, app.Given(c, "socket"))
			if err != nil {
				return err
			}
			t.Rate = max(1, t.Rate) // no bound depends on it, so none is assumed
			r := sysprep.Run(h, t, sysprep.Selection{})
			if asJSON {
				err = writeJSON(c.App.Writer, capacityOf(r))
			} else {
				out := &report{}
				out.capacity(r, heading(t, remark))
				_, err = out.WriteTo(c.App.Writer)
			}
			if err == nil && r.Capacity == nil {
				return app.Exit(app.NotThere, errors.New("no check that bounds the number could be made"))
			}
			return err
		},
	}
}

func capacityOf(r sysprep.Report) capacity {
	c := capacity{Role: r.Role, Capacity: r.Capacity, FirstLimit: r.FirstLimit, Assumed: r.Assumed, Kernel: r.Kernel,
		Limits: r.Limits[:min(len(r.Limits), 1+nextLimits)], Skipped: []string{}}
	for _, f := range bounding(r) {
		c.Skipped = append(c.Skipped, f.ID)
	}
	return c
}

// boundingIDs are the checks that set a bound where they can be made.
var boundingIDs = map[string]bool{"memory": true, "cgroup.memory": true, "fs.nr_open": true, "rlimit.nofile": true, "fs.file-max": true,
	"fs.epoll.max_user_watches": true}

// portRange bounds what a load generator opens.
const portRange = "net.ipv4.ip_local_port_range"

// bounded reports whether a check was made that sets a bound, or could have: one that is ok may be without a limit.
func bounded(r sysprep.Report) bool {
	return slices.ContainsFunc(r.Checks, func(f sysprep.Finding) bool {
		return f.Holds != nil || f.Outcome != sysprep.Skip && (boundingIDs[f.ID] || f.ID == portRange && r.Role != sysprep.RoleServer)
	})
}

// bounding are the skipped checks that would have set a bound.
func bounding(r sysprep.Report) []sysprep.Finding {
	var skipped []sysprep.Finding
	for _, f := range r.Checks {
		if f.Outcome == sysprep.Skip && boundingIDs[f.ID] {
			skipped = append(skipped, f)
		}
	}
	return skipped
}

// capacity writes the first limits as a table, what was left out and what was assumed.
func (out *report) capacity(r sysprep.Report, head string) {
	kernel := "unknown kernel"
	if r.Kernel != "" {
		kernel = "Linux " + app.Printable(r.Kernel)
	}
	out.wrapped(0, fmt.Sprintf("role %s, %s", r.Role, kernel))
	if head != "" {
		out.wrapped(0, app.Printable(head))
	}
	if r.Capacity != nil {
		fmt.Fprintf(out, "\n%15s  %s\n", "connections", "limit")
		for _, l := range r.Limits[:min(len(r.Limits), 1+nextLimits)] {
			fmt.Fprintf(out, "%15s  %s\n", count(l.Holds), l.ID)
		}
		out.WriteString("\n")
	}
	for _, f := range bounding(r) {
		out.wrapped(0, fmt.Sprintf("Left out: %s, because %s.", f.ID, app.Printable(f.Why)))
	}
	out.assumed(r)
	out.lastLine(r)
}
