package main

import (
	"strconv"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/sysprep"
)

const description = `Each check compares one limit of this host with what N connections need, and
says what to change where it falls short: now, until the next boot, and for good.
It changes nothing itself, and never asks for a limit to be lowered. The commands
that it prints are for a shell of root.

Exit status: 0 the host can hold N, with or without warnings; 1 it cannot;
2 wrong usage; 3 nothing could be checked.`

// connections is the value of -n.
type connections int64

// Set reads what people say for a number of connections.
func (n *connections) Set(s string) error {
	v, err := sysprep.ParseN(s)
	if err != nil {
		return err
	}
	*n = connections(v)
	return nil
}

// String is empty for a number that was not given.
func (n *connections) String() string {
	if *n == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*n), 10)
}

func newApp() *cli.App {
	a := app.New("sysprep", "tell whether this host can hold N connections, and what to change")
	a.UsageText = "sysprep COMMAND [options]"
	a.Description = "sysprep check -n 1M is the place to begin."
	a.Commands = []*cli.Command{checkCommand()}
	a.Action = func(c *cli.Context) error {
		if name := c.Args().First(); name != "" {
			return app.Usagef("unknown command %q; there is: check", name)
		}
		return app.Usagef("no command given; there is: check")
	}
	return a
}

func checkCommand() *cli.Command {
	var o options
	return &cli.Command{
		Name:        "check",
		Usage:       "check every limit for N connections",
		UsageText:   "sysprep check -n N [--json] [--root DIR]",
		Description: description,
		Flags: []cli.Flag{
			&cli.GenericFlag{Name: "n", Value: (*connections)(&o.n),
				Usage: "`N` connections at the same time, such as 15000, 250k or 1M"},
			&cli.BoolFlag{Name: "json", Destination: &o.json, Usage: "print one JSON object"},
			&cli.StringFlag{Name: "root", Destination: &o.root, Value: "/",
				Usage: "read proc and sys below `DIR`, such as the copy of another host's"},
		},
		Action: func(c *cli.Context) error {
			switch {
			case c.NArg() > 0:
				return app.Usagef("unexpected argument %q", c.Args().First())
			case o.n == 0:
				return app.Usagef("option -n is missing: for how many connections?")
			}
			return check(c.App.Writer, o)
		},
	}
}
