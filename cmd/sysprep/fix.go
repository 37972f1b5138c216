package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/sysprep"
)

const fixDescription = `Raises what sysprep check finds too low, and never lowers anything. Kernel
settings go to /etc/sysctl.d/90-holdfast.conf and into the running kernel, limits
of the service to a drop-in 90-holdfast.conf of its unit; nobody else's file is
touched. What was there before is kept for sysprep undo. It asks before it does
anything; where there is no terminal to ask on, --yes is needed.

Exit status: 0 all is set, or nothing had to be; 1 something is left that keeps the
host from holding N; 2 wrong usage; 3 nothing could be checked.`

// fixOptions are those of sysprep fix.
type fixOptions struct {
	targetOptions
	only   cli.StringSlice
	dryRun bool
	yes    bool
	json   bool
}

func fixCommand() *cli.Command {
	var o fixOptions
	return &cli.Command{
		Name:        "fix",
		Usage:       "raise what is too low, and keep what was there for undo",
		UsageText:   "sysprep fix -n N [--dry-run | --yes] [--only IDS] [options]",
		Description: fixDescription,
		Flags: append(targetFlags(&o.targetOptions),
			&cli.BoolFlag{Name: "dry-run", Destination: &o.dryRun, Usage: "tell what would be done, and do nothing"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Destination: &o.yes, Usage: "do it without asking"},
			&cli.StringSliceFlag{Name: "only", Destination: &o.only,
				Usage: "put right what these checks ask for; `IDS` parted by commas"},
			&cli.BoolFlag{Name: "json", Destination: &o.json, Usage: "print one JSON object; with --dry-run or --yes"}),
		Action: func(c *cli.Context) error {
			switch {
			case c.NArg() > 0:
				return app.Usagef("unexpected argument %q", c.Args().First())
			case o.dryRun && o.yes:
				return app.Usagef("--dry-run and --yes contradict each other")
			case o.json && !o.dryRun && !o.yes:
				return app.Usagef("--json asks nothing; it needs --dry-run or --yes")
			}
			if _, can := terminal(c); !can && !o.yes && !o.dryRun {
				return app.Usagef("there is no terminal to ask on: --yes does it, --dry-run only tells")
			}
			return fix(c, &o)
		},
	}
}

// fix makes the plan, asks, carries it out and tells what came of it.
func fix(c *cli.Context, o *fixOptions) error {
	h, p, err := o.plan(c)
	if err != nil {
		return err
	}
	n := p.Count(sysprep.StepPlanned)
	w := newAccount(c.App.Writer)
	if ask := !o.yes && !o.dryRun; !o.json && (ask || o.dryRun || n == 0) {
		w.plan(p)
		if ask && n > 0 {
			if err := errors.Join(w.err, consent(c, n)); err != nil {
				return err
			}
		}
	}
	if n > 0 && !o.dryRun {
		p, err = sysprep.NewChanger(h, o.root).Apply(c.Context, p)
		if !o.json {
			w.applied(p, o.yes)
		}
	}
	if o.json {
		w.json(p)
	}
	switch {
	case w.err != nil:
		return w.err
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted; sysprep fix goes on from here, sysprep undo goes back")
	case errors.Is(err, sysprep.ErrBusy):
		return errors.New("another sysprep is changing this host; nothing was changed")
	case err != nil:
		return err
	case p.Failed():
		return app.Exit(app.Failed, nil) // said already
	}
	return nil
}

// plan runs the checks and collects their remedies; with --only, those of these checks.
func (o *fixOptions) plan(c *cli.Context) (*sysprep.Host, sysprep.Plan, error) {
	if err := errors.Join(o.validate(c), o.needN()); err != nil {
		return nil, sysprep.Plan{}, err
	}
	s, err := selection(o.only.Value(), nil)
	if err != nil {
		return nil, sysprep.Plan{}, err
	}
	h, err := o.open()
	if err != nil {
		return nil, sysprep.Plan{}, err
	}
	t, _, err := o.resolve(c.Context, h, app.Given(c, "socket"))
	if err != nil {
		return nil, sysprep.Plan{}, err
	}
	p, r := sysprep.MakePlan(h, t, s)
	if r.Count(sysprep.Skip) == len(r.Checks) {
		return nil, sysprep.Plan{}, app.Exit(app.NotThere, errors.New("none of the checks could be made: "+r.Checks[0].Why))
	}
	return h, p, nil
}

// terminal is standard input when it can be asked.
func terminal(c *cli.Context) (*os.File, bool) {
	in, ok := c.App.Reader.(*os.File)
	return in, ok && term.IsTerminal(int(in.Fd()))
}

// consent returns nil when the plan may be carried out.
func consent(c *cli.Context, n int) error {
	in, _ := terminal(c)
	noun := "settings"
	if n == 1 {
		noun = "setting"
	}
	fmt.Fprintf(c.App.ErrWriter, "\nRaise %d %s? [y/N] ", n, noun)
	line, err := readLine(c.Context, in)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was changed")
}

// readLine reads one line, unless ctx ends first. Its goroutine then ends with the process.
func readLine(ctx context.Context, r io.Reader) (string, error) {
	type answer struct {
		line string
		err  error
	}
	ch := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(r).ReadString('\n')
		ch <- answer{line, err}
	}()
	select {
	case a := <-ch:
		return a.line, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
