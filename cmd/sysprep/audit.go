package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/nearest"
	"holdfast/pkg/sysprep"
)

const auditDescription = `Holds kernel settings against this kernel and N connections: line by line what
helps, what does nothing, and what harms, with the evidence; and what N
connections need that the settings leave out. pushpin, appwrite and netty are
tunings that were published for a million connections, which is N unless -n says
another. FILE is one in the syntax of sysctl.d, - is standard input.

Exit status: 0 nothing harms; 1 something does; 2 wrong usage; 3 the file, or
/proc, could not be read.`

// auditOptions are those of sysprep audit.
type auditOptions struct {
	targetOptions
	json bool
}

func auditCommand() *cli.Command {
	var o auditOptions
	return &cli.Command{
		Name:  "audit",
		Usage: "hold published settings, or a file of your own, against this host",
		UsageText: "sysprep audit " + strings.Join(sysprep.Published(), "|") +
			" [-n N] [--json] [options]\nsysprep audit FILE -n N [--json] [options]",
		Description: auditDescription,
		Flags: append(targetFlags(&o.targetOptions),
			&cli.BoolFlag{Name: "json", Destination: &o.json, Usage: "print one JSON object"}),
		Action: func(c *cli.Context) error {
			switch {
			case c.NArg() == 0:
				return app.Usagef("say what to audit: %s, or a file", strings.Join(sysprep.Published(), ", "))
			case c.NArg() > 1:
				return app.Usagef("unexpected argument %q", c.Args().Get(1))
			}
			if err := o.validate(c); err != nil {
				return err
			}
			tuning, known := sysprep.PublishedTuning(c.Args().First())
			if o.n == 0 && known {
				o.n = tuning.N
			}
			if err := o.needN(); err != nil {
				return err
			}
			tuning, err := readTuning(c, c.Args().First())
			if err != nil {
				return err
			}
			return audit(c, &o, tuning)
		},
	}
}

// audit holds the tuning against the host and writes the outcome.
func audit(c *cli.Context, o *auditOptions, tuning sysprep.Tuning) error {
	h, err := o.open()
	if err != nil {
		return err
	}
	t, _, err := o.resolve(c.Context, h, app.Given(c, "socket"))
	if err != nil {
		return err
	}
	a := sysprep.RunAudit(h, t, tuning)
	out := newAccount(c.App.Writer)
	if o.json {
		out.json(a)
	} else {
		out.audit(a)
	}
	switch {
	case out.err != nil:
		return out.err
	case a.Count(sysprep.Harms) > 0:
		return app.Exit(app.Failed, nil) // said already
	}
	return nil
}

// maxAuditBytes is a little more than a tuning may have, so that a longer one is noticed.
const maxAuditBytes = 1<<20 + 1

// readTuning finds the tuning that arg names: a published one, standard input, or a file.
func readTuning(c *cli.Context, arg string) (sysprep.Tuning, error) {
	if t, ok := sysprep.PublishedTuning(arg); ok {
		return t, nil
	}
	var text []byte
	var err error
	if arg == "-" {
		arg = "standard input"
		text, err = readTuningText(c.Context, c.App.Reader)
	} else {
		text, err = readAuditFile(c.Context, arg)
	}
	if errors.Is(err, fs.ErrNotExist) && !strings.ContainsRune(arg, '/') {
		return sysprep.Tuning{}, unknownTuning(arg)
	}
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = fmt.Errorf("read %s: %w", arg, pe.Err)
		}
		return sysprep.Tuning{}, app.Exit(app.NotThere, err)
	}
	t, err := sysprep.ParseTuning(arg, text)
	if err != nil {
		return sysprep.Tuning{}, app.Exit(app.NotThere, notTuning(arg, err))
	}
	return t, nil
}

// unknownTuning is the error for a word that is neither a tuning nor a file.
func unknownTuning(arg string) error {
	if s := nearest.Name(arg, sysprep.Published()); s != "" {
		return app.Usagef("there is neither a published tuning nor a file %q (did you mean %s?)", arg, s)
	}
	return app.Usagef("there is neither a published tuning nor a file %q; there are %s", arg, strings.Join(sysprep.Published(), ", "))
}

// readAuditFile reads a file, or a pipe such as a shell's <(...). It waits for nobody to write to a pipe who has not opened it.
func readAuditFile(ctx context.Context, name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENXIO) {
		return nil, fmt.Errorf("%s is no plain file", name) // a socket
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return nil, fmt.Errorf("%s is a directory; name one of its files", name)
	case !mode.IsRegular() && mode&fs.ModeNamedPipe == 0:
		return nil, fmt.Errorf("%s is no plain file", name)
	}
	return readTuningText(ctx, f)
}

// readTuningText reads to the end, unless ctx ends first. Its goroutine then ends with the process.
func readTuningText(ctx context.Context, r io.Reader) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	ch := make(chan result, 1)
	go func() {
		text, err := io.ReadAll(io.LimitReader(r, maxAuditBytes))
		ch <- result{text, err}
	}()
	select {
	case got := <-ch:
		return got.text, got.err
	case <-ctx.Done():
		return nil, errors.New("interrupted")
	}
}

// maxBadLines is how many lines that are no settings are named.
const maxBadLines = 5

// notTuning says in few lines why the text is no file of kernel settings.
func notTuning(name string, err error) error {
	if errors.Is(err, sysprep.ErrNoTuning) {
		return fmt.Errorf("there is no kernel setting in %s", name)
	}
	lines := strings.Split(err.Error(), "\n")
	if n := len(lines) - maxBadLines; n > 0 {
		lines = append(lines[:maxBadLines], fmt.Sprintf("and %d more lines are no settings in the syntax of sysctl.d", n))
	}
	return errors.New(strings.Join(lines, "\n"))
}

var effectTitles = map[sysprep.Effect]string{
	sysprep.Helps:    "Helps",
	sysprep.Nothing:  "Does nothing",
	sysprep.Harms:    "Harms",
	sysprep.Unjudged: "Not judged",
}

// audit writes the judgements by effect, then what is lacking, then the counts.
func (a *account) audit(r sysprep.Audit) {
	kernel := "an unknown kernel"
	if r.Kernel != "" {
		kernel = "Linux " + r.Kernel
	}
	name := r.Tuning
	if r.Title != "" {
		name += " (" + r.Title + ")"
	}
	a.text("", fmt.Sprintf("%s against %s and %s connections, role %s", name, kernel, count(r.N), r.Role))
	effects := sysprep.Effects()
	slices.SortStableFunc(effects, func(x, y sysprep.Effect) int { return auditOrder(x) - auditOrder(y) })
	for _, e := range effects {
		if r.Count(e) == 0 {
			continue
		}
		title := effectTitles[e]
		if e == sysprep.Harms {
			title = bad(title)
		}
		a.printf("\n%s\n", title)
		for _, j := range r.Lines {
			if j.Effect == e {
				a.judgement(j)
			}
		}
	}
	a.lacks(r)
	a.printf("\n")
	counts := fmt.Sprintf("%d help, %d do nothing, %d harm", r.Count(sysprep.Helps), r.Count(sysprep.Nothing), r.Count(sysprep.Harms))
	if n := r.Count(sysprep.Unjudged); n > 0 {
		counts += fmt.Sprintf(", %d not judged", n)
	}
	if n := len(r.Lacks); n > 0 {
		counts += fmt.Sprintf("; %d lacking", n)
	}
	a.text("", fmt.Sprintf("%d lines: %s", len(r.Lines), counts))
}

// auditOrder puts what matters most next to the end, where the reader's eye is.
func auditOrder(e sysprep.Effect) int {
	return slices.Index([]sysprep.Effect{sysprep.Unjudged, sysprep.Nothing, sysprep.Helps, sysprep.Harms}, e)
}

func (a *account) judgement(j sysprep.Judgement) {
	line := "-"
	if j.Line > 0 {
		line = fmt.Sprint(j.Line)
	}
	head := j.Key
	if j.Value != "" {
		head += " = " + j.Value
	}
	a.text(fmt.Sprintf("  %4s  ", line), head)
	a.text("          ", grouped(j.Why))
	if j.Evidence != "" {
		a.text("          evidence  ", grouped(j.Evidence))
	}
	if j.Better != "" {
		a.text("          better    ", j.Better)
	}
}

func (a *account) lacks(r sysprep.Audit) {
	if len(r.Lacks) == 0 {
		return
	}
	a.printf("\nLacking\n")
	var rows []row
	for _, l := range r.Lacks {
		rows = append(rows, row{name: l.ID, before: shown(l.Current), after: shown(l.Wanted), notes: []string{grouped(l.Why)}})
	}
	a.table(row{name: "setting", before: "now", after: "wanted"}, rows)
}
