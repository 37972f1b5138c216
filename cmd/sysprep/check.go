package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/fatih/color"
	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/sysprep"
)

const checkDescription = `Each check compares one limit of this host with what N connections need, and
says what to change where it falls short: now, until the next boot, and for good.
It changes nothing itself, and never asks for a limit to be lowered that could be
raised. The commands that it prints are for a shell of root; sysprep fix runs them.

A pushd that answers on its control socket is asked for its limits and its memory;
what is assumed instead stands below the list.

Exit status: 0 the host can hold N, with or without warnings; 1 it cannot, or
there is a warning and --strict; 2 wrong usage; 3 nothing could be checked.`

// checkOptions are those of sysprep check.
type checkOptions struct {
	targetOptions
	only, skip cli.StringSlice
	strict     bool
	json       bool
}

func checkCommand() *cli.Command {
	var o checkOptions
	return &cli.Command{
		Name:        "check",
		Usage:       "check every limit for N connections",
		UsageText:   "sysprep check -n N [--role ROLE] [options]",
		Description: checkDescription,
		Flags: append(targetFlags(&o.targetOptions),
			&cli.StringSliceFlag{Name: "only", Destination: &o.only, Usage: "make only these checks: `IDS`, parted by commas"},
			&cli.StringSliceFlag{Name: "skip", Destination: &o.skip, Usage: "leave out these checks: `IDS`, parted by commas"},
			&cli.BoolFlag{Name: "strict", Destination: &o.strict, Usage: "end with exit status 1 on a warning too"},
			&cli.BoolFlag{Name: "json", Destination: &o.json, Usage: "print one JSON object"}),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if err := o.validate(c); err != nil {
				return err
			}
			if err := o.needN(); err != nil {
				return err
			}
			return check(c, &o)
		},
	}
}

// selection reads lists of ids. An id that there is none of is a mistake, and not a check that passes.
func selection(only, skip []string) (sysprep.Selection, error) {
	var s sysprep.Selection
	for _, list := range []struct {
		option string
		ids    []string
		to     *[]string
	}{{"--only", only, &s.Only}, {"--skip", skip, &s.Skip}} {
		for _, id := range strings.Split(strings.Join(list.ids, ","), ",") {
			id = strings.TrimSpace(id)
			if id == "" {
				continue
			}
			if _, ok := sysprep.Lookup(id); !ok {
				return s, unknownID(list.option+": ", id)
			}
			*list.to = append(*list.to, id)
		}
		if len(list.ids) > 0 && len(*list.to) == 0 {
			return s, app.Usagef("%s: no id given; sysprep explain lists them", list.option)
		}
	}
	if len(s.Only) > 0 && !slices.ContainsFunc(s.Only, func(id string) bool { return !slices.Contains(s.Skip, id) }) {
		return s, app.Usagef("--skip leaves out every check of --only")
	}
	return s, nil
}

// unknownID is the error for an id of no check.
func unknownID(where, id string) error {
	hint := "sysprep explain lists them"
	if near := sysprep.Suggest(id); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return app.Usagef("%sthere is no check %.80q; %s", where, id, hint)
}

// check makes the checks and prints the report. The exit code of its error says what came of it.
func check(c *cli.Context, o *checkOptions) error {
	s, err := selection(o.only.Value(), o.skip.Value())
	if err != nil {
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
	r := sysprep.Run(h, t, s)
	w := c.App.Writer
	if o.json {
		err = writeJSON(w, r)
	} else {
		err = writeReport(w, r, heading(t, remark), coloured(w))
	}
	switch {
	case err != nil:
		return err
	case r.Count(sysprep.Fail) > 0 || o.strict && r.Count(sysprep.Warn) > 0:
		return app.Exit(app.Failed, nil) // the report has said it
	case r.Count(sysprep.Skip) == len(r.Checks):
		return app.Exit(app.NotThere, errors.New("none of the checks could be made"))
	case !bounded(r) && len(bounding(r)) > 0:
		return app.Exit(app.NotThere, errors.New("none of the checks that bound the number could be made"))
	}
	return nil
}

// heading says of which process the limits are, and what could not be found out about it.
func heading(t sysprep.Target, remark string) string {
	var parts []string
	switch {
	case t.Pushd != nil && t.PID == t.Pushd.PID:
		parts = append(parts, fmt.Sprintf("pushd answers: process %d, %d loops, %s connections", t.Pushd.PID, t.Pushd.Loops, count(t.Pushd.Connections)))
	case t.PID != 0:
		parts = append(parts, fmt.Sprintf("limits of process %d", t.PID))
	}
	if t.Unit != "" {
		parts = append(parts, "unit "+t.Unit)
	}
	if remark != "" {
		parts = append(parts, remark)
	}
	return strings.Join(parts, "; ")
}

// coloured reports whether w is a terminal that takes colours. fatih/color has looked at standard output, NO_COLOR and
// TERM.
func coloured(w io.Writer) bool { return w == io.Writer(os.Stdout) && !color.NoColor }

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
