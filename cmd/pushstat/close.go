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
	"holdfast/pkg/client"
	"holdfast/pkg/stats"
)

func closeCommand() *cli.Command {
	return &cli.Command{
		Name:      "close",
		Usage:     "close connections in good order",
		UsageText: "pushstat close CONNECTION... [--yes]\npushstat close --channel NAME [--yes]",
		Description: `Held connections end as at the end of pushd: streams with their last chunk,
WebSockets with a close frame 1001, polls with an answer. Most clients come
back. It prints how many were closed, and fails when there was none.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "channel", Usage: "close all that are subscribed to `NAME`"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask", DisableDefaultText: true},
		},
		Action: closeConnections,
	}
}

func closeConnections(c *cli.Context) error {
	l, err := newLister(c)
	if err != nil {
		return err
	}
	q := stats.CloseQuery{IDs: c.Args().Slice(), Channel: c.String("channel")}
	switch {
	case len(q.IDs) == 0 && q.Channel == "":
		return app.Usagef("which connections? name some, or a --channel")
	case len(q.IDs) > 0 && q.Channel != "":
		return app.Usagef("either connections or --channel, not both")
	case len(q.IDs) > stats.MaxTop:
		return app.Usagef("%d connections, at most %d at a time", len(q.IDs), stats.MaxTop)
	case len(q.IDs) > 0 && l.o.several():
		return app.Usagef("the ids are those of one pushd: name its --socket")
	}
	if !c.Bool("yes") {
		if err := l.confirm(c, q); err != nil {
			return err
		}
	}
	answers, missing := askAll(c.Context, l.o, func(ctx context.Context, conn *client.Conn) (int, error) {
		return conn.CloseConnections(ctx, q)
	})
	if len(answers) == 0 {
		return missing
	}
	closed := 0
	for _, a := range answers {
		closed += a.value
	}
	if l.o.json {
		_, err = fmt.Fprintf(l.out, "{\"closed\":%d}\n", closed)
	} else {
		_, err = fmt.Fprintf(l.out, "closed %d\n", closed)
	}
	if err == nil && missing == nil && closed == 0 {
		return errors.New("there was no such connection")
	}
	return errors.Join(err, missing)
}

// confirm asks whoever sits at the terminal.
func (l *lister) confirm(c *cli.Context, q stats.CloseQuery) error {
	in, ok := c.App.Reader.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return app.Usagef("nobody is there to be asked: give --yes")
	}
	what := "connection " + strings.Join(q.IDs, ", ")
	switch {
	case q.Channel != "":
		n, err := l.countSubscribed(c.Context, q.Channel)
		if err != nil {
			return err
		}
		switch what = fmt.Sprintf("%d connections, all that are subscribed to %s", n, q.Channel); n {
		case 0:
			return fmt.Errorf("nobody is subscribed to %s", q.Channel)
		case 1:
			what = "the one connection that is subscribed to " + q.Channel
		}
	case len(q.IDs) > 1:
		what = fmt.Sprintf("%d connections", len(q.IDs))
	default:
		if err := l.inFull(c.Context, q.IDs); err != nil {
			return err
		}
	}
	return askYes(c.Context, in, c.App.ErrWriter, "close "+app.Printable(what)+"?")
}

func (l *lister) countSubscribed(ctx context.Context, channel string) (int, error) {
	answers, missing := askAll(ctx, l.o, func(ctx context.Context, conn *client.Conn) (*stats.ConnectionList, error) {
		return conn.Connections(ctx, stats.ConnectionQuery{Top: 1, Filter: stats.ConnectionFilter{Channel: channel}})
	})
	n := 0
	for _, a := range answers {
		n += a.value.Matched
	}
	return n, missing
}

// askYes asks a question and returns an error unless the answer is yes. When ctx ends first the reading goes on: the process is
// about to end.
func askYes(ctx context.Context, in io.Reader, out io.Writer, question string) error {
	fmt.Fprintf(out, "%s [y/N] ", question)
	type reply struct {
		line string
		err  error
	}
	read := make(chan reply, 1)
	go func() {
		line, err := bufio.NewReader(in).ReadString('\n')
		read <- reply{line, err}
	}()
	var r reply
	select {
	case r = <-read:
	case <-ctx.Done():
		fmt.Fprintln(out)
		return ctx.Err()
	}
	if r.err != nil && r.err != io.EOF {
		return fmt.Errorf("read the answer: %w", r.err)
	}
	switch strings.ToLower(strings.TrimSpace(r.line)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was closed")
}
