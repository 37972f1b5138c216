package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/client"
	"holdfast/pkg/stats"
	"holdfast/pkg/version"
	"holdfast/pkg/wire"
)

// defaultTop is the number of lines of a list unless --top says another.
const defaultTop = 20

// lister is what the commands have in common that ask every pushd once and print a list.
type lister struct {
	o   options
	out io.Writer
}

func newLister(c *cli.Context) (*lister, error) {
	o, err := readOptions(c)
	if err != nil {
		return nil, err
	}
	for _, name := range notForLists {
		if app.Given(c, name) {
			return nil, app.Usagef("--%s is not for %s", name, c.Command.Name)
		}
	}
	return &lister{o, c.App.Writer}, nil
}

// dial connects to a pushd that knows what the commands ask for.
func (o options) dial(ctx context.Context, path string) (*client.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	conn, err := client.Dial(ctx, path, client.Options{Program: "pushstat " + version.String(), Role: wire.RoleControl})
	if err != nil {
		return nil, coded(err)
	}
	if s := conn.Server(); !slices.Contains(s.Features, "inspect") {
		conn.Close()
		return nil, fmt.Errorf("%s is older than this pushstat: it tells statistics only", app.Printable(s.Program))
	}
	return conn, nil
}

// answer is what one pushd says.
type answer[T any] struct {
	socket string
	value  T
}

// askAll asks all pushd side by side. It returns the answers that came, and why the others did not.
func askAll[T any](ctx context.Context, o options, ask func(context.Context, *client.Conn) (T, error)) ([]answer[T], error) {
	values := make([]T, len(o.sockets))
	errs := make([]error, len(o.sockets))
	var wg sync.WaitGroup
	for i, path := range o.sockets {
		wg.Go(func() {
			values[i], errs[i] = askOne(ctx, o, path, ask)
			if errs[i] != nil && len(o.sockets) > 1 && path != "" && !errors.As(errs[i], new(*client.DialError)) {
				errs[i] = fmt.Errorf("%s: %w", path, errs[i])
			}
		})
	}
	wg.Wait()
	var answers []answer[T]
	for i, path := range o.sockets {
		if errs[i] == nil {
			answers = append(answers, answer[T]{path, values[i]})
		}
	}
	return answers, coded(errors.Join(errs...))
}

func askOne[T any](ctx context.Context, o options, path string, ask func(context.Context, *client.Conn) (T, error)) (value T, err error) {
	conn, err := o.dial(ctx, path)
	if err != nil {
		return value, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	value, err = ask(ctx, conn)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v", o.timeout)
	}
	return value, err
}

// several reports whether lines have to say whose they are.
func (o options) several() bool { return len(o.sockets) > 1 }

// lines writes aligned columns. The names of the columns come first, in the form NAME or >NAME for one that is aligned to the right.
type lines struct {
	rows  [][]string
	right []bool
}

func newLines(columns ...string) *lines {
	l := &lines{right: make([]bool, len(columns))}
	for i := range columns {
		columns[i], l.right[i] = strings.CutPrefix(columns[i], ">")
	}
	l.rows = append(l.rows, columns)
	return l
}

// add adds a row, with foreign text made printable.
func (l *lines) add(cells ...string) {
	for i := range cells {
		cells[i] = app.Printable(cells[i])
	}
	l.rows = append(l.rows, cells)
}

func (l *lines) print(out io.Writer) error {
	widths := make([]int, len(l.right))
	for _, row := range l.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	for _, row := range l.rows {
		var cells []string
		for i, cell := range row {
			if l.right[i] {
				cells = append(cells, padLeft(cell, widths[i]))
			} else {
				cells = append(cells, padRight(cell, widths[i]))
			}
		}
		b.WriteString(strings.TrimRight(strings.Join(cells, "  "), " ") + "\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// printFacts prints names and values for a person.
func printFacts(out io.Writer, facts [][2]string) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, f := range facts {
		if f[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", f[0], app.Printable(f[1]))
		}
	}
	return w.Flush()
}

// printJSON prints an object a line. With several pushd each says whose it is.
func printJSON[T any](out io.Writer, o options, socket string, v *T) error {
	if !o.several() {
		return json.NewEncoder(out).Encode(v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	name, err := json.Marshal(socket)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "{\"socket\":%s,%s\n", name, text[1:]) // text is an object with a key at least
	return err
}

// readFilter reads --filter, which may be given more than once.
func readFilter(values []string) (stats.ConnectionFilter, error) {
	var all stats.ConnectionFilter
	for _, v := range values {
		f, err := stats.ParseFilter(v)
		if err != nil {
			return all, app.Usagef("--filter: %v", err)
		}
		for _, p := range []struct{ to, from *string }{{&all.Address, &f.Address}, {&all.Channel, &f.Channel}, {&all.Kind, &f.Kind}} {
			if *p.from == "" {
				continue
			}
			if *p.to != "" {
				return all, app.Usagef("--filter: the same filter is there twice")
			}
			*p.to = *p.from
		}
	}
	return all, nil
}

// checkTop refuses a number of lines that pushd does not give.
func checkTop(c *cli.Context) (int, error) {
	n := c.Int("top")
	if n < 1 || n > stats.MaxTop {
		return 0, app.Usagef("--top: %d is out of range, 1 to %d are allowed", n, stats.MaxTop)
	}
	return n, nil
}

func topFlag() cli.Flag {
	return &cli.IntFlag{Name: "top", Usage: "how many, `N`", Value: defaultTop}
}

func filterFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "filter", Usage: "`TERMS` that all must pass: kind=KIND, address=IP or IP/BITS, channel=NAME; one or several with spaces between, channel= last (repeatable)"}
}
