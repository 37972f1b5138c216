package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/sysprep"
)

const undoDescription = `Brings back the files and the kernel's settings that were there before the first
sysprep fix since the last undo. What somebody else has changed since is left as it
is, and so is a limit of which more is in use than the old value allows; a later
undo looks at both again.

Exit status: 0 all is as it was, or nothing had to be undone; 1 something is not;
2 wrong usage; 3 there is no /proc below the root.`

func undoCommand() *cli.Command {
	var o fixOptions
	return &cli.Command{
		Name:        "undo",
		Usage:       "bring back what was there before fix",
		UsageText:   "sysprep undo [--dry-run] [--json] [--root DIR]",
		Description: undoDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Destination: &o.dryRun, Usage: "tell what would be done, and do nothing"},
			&cli.BoolFlag{Name: "json", Destination: &o.json, Usage: "print one JSON object"},
			&cli.StringFlag{Name: "root", Destination: &o.root, Value: "/",
				Usage: "work below `DIR`, the copy of another host's files"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return app.Usagef("unexpected argument %q", c.Args().First())
			}
			return undo(c, &o)
		},
	}
}

// undo brings everything back and tells what came of it.
func undo(c *cli.Context, o *fixOptions) error {
	h, err := o.open()
	if err != nil {
		return err
	}
	w := newAccount(c.App.Writer)
	done, err := sysprep.NewChanger(h, o.root).Undo(c.Context, o.dryRun)
	if errors.Is(err, sysprep.ErrNoRecord) {
		done, err = []sysprep.Undone{}, nil
	}
	switch {
	case o.json && (err == nil || done != nil):
		w.json(map[string]any{"undone": done})
	case err == nil && len(done) == 0:
		w.printf("Nothing to undo.\n")
	default:
		w.undone(done, o.dryRun)
	}
	complete := true
	for _, u := range done {
		complete = complete && u.State == sysprep.StepDone
	}
	switch {
	case w.err != nil:
		return w.err
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted; sysprep undo goes on from here")
	case errors.Is(err, sysprep.ErrBusy):
		return errors.New("another sysprep is changing this host; nothing was changed")
	case err != nil:
		return err
	case !complete && !o.dryRun:
		return app.Exit(app.Failed, nil) // said already
	}
	return nil
}

// undone writes what became of files and settings.
func (a *account) undone(done []sysprep.Undone, dry bool) {
	states := map[sysprep.StepState]string{sysprep.StepPlanned: "to bring back", sysprep.StepDone: "back", sysprep.StepRefused: "NOT BACK",
		sysprep.StepOpen: "not tried", sysprep.StepBlocked: "left"}
	var settings, files []row
	for _, u := range done {
		r := row{name: u.Name, before: shown(u.Now), after: shown(u.Before), state: states[u.State]}
		if u.Reason != "" {
			r.notes = []string{u.Reason}
		}
		if u.File && u.State == sysprep.StepPlanned && !u.Existed {
			r.state = "to remove"
		}
		if u.File {
			if u.State == sysprep.StepDone && !u.Existed && u.Reason == "" {
				r.state = "removed"
			}
			files = append(files, r)
			continue
		}
		settings = append(settings, r)
	}
	if len(files) > 0 {
		a.printf("Files\n")
		for _, r := range files {
			a.printf("  %-60s  %s\n", r.name, painted(r.state))
			for _, note := range r.notes {
				a.text("      ", note)
			}
		}
	}
	if len(settings) > 0 {
		if len(files) > 0 {
			a.printf("\n")
		}
		a.printf("Settings\n")
		a.table(row{name: "setting", before: "now", after: "again"}, settings)
	}
	if dry {
		a.printf("\nNothing was changed.\n")
	}
}
