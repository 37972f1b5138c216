package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/sysprep"
)

// explainN is the number of connections that explain reckons with unless told.
const explainN = 1_000_000

func explainCommand() *cli.Command {
	o := targetOptions{}
	return &cli.Command{
		Name:      "explain",
		Usage:     "tell what a check is about, and how this host stands",
		UsageText: "sysprep explain [ID] [options]",
		Description: `What the limit governs, what happens when it is met, and how this host stands for
N connections (a million unless told). Without an ID, the list of all checks.`,
		Flags: targetFlags(&o),
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return app.Usagef("unexpected argument %q", c.Args().Get(1))
			}
			if err := o.validate(c); err != nil {
				return err
			}
			out := &report{}
			if c.NArg() == 0 {
				out.ids()
				_, err := out.WriteTo(c.App.Writer)
				return err
			}
			id := c.Args().First()
			k, ok := sysprep.Lookup(id)
			if !ok {
				return unknownID("", id)
			}
			fmt.Fprintf(out, "%s (%s)\n\n", k.ID, groupTitles[k.Group])
			out.wrapped(0, k.Explain)
			if f, n, ok := finding(c, o, k.ID); ok {
				setColours(coloured(c.App.Writer))
				fmt.Fprintf(out, "\nHere, for %s connections:\n", count(n))
				out.idWidth = len(k.ID)
				out.finding(f)
			}
			_, err := out.WriteTo(c.App.Writer)
			return err
		},
	}
}

// finding makes one check on this host, as far as that is possible.
func finding(c *cli.Context, o targetOptions, id string) (f sysprep.Finding, n int64, ok bool) {
	if o.n == 0 {
		o.n = explainN
	}
	h, err := o.open()
	if err != nil {
		return f, 0, false
	}
	t, _, err := o.resolve(c.Context, h, false)
	if err != nil {
		return f, 0, false
	}
	r := sysprep.Run(h, t, sysprep.Selection{Only: []string{id}})
	return r.Checks[0], o.n, true
}

// ids lists every check with the first sentence about it.
func (out *report) ids() {
	group := ""
	for _, k := range sysprep.Checks() {
		if k.Group != group {
			if group != "" {
				out.WriteString("\n")
			}
			group = k.Group
			fmt.Fprintf(out, "%s\n", groupTitles[group])
		}
		fmt.Fprintf(out, "  %s\n", k.ID)
	}
	out.WriteString("\nsysprep explain ID tells about one of them.\n")
}
