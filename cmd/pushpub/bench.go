package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/client"
	"holdfast/pkg/loadgen"
	"holdfast/pkg/version"
	"holdfast/pkg/wire"
)

const benchUsage = `pushpub bench [options]
pushpub -- bench [CONTENT]     (publishes to a channel called bench)`

const benchDescription = `Measures a pushd on this machine: opens connections as its clients do, waits until
all are held, publishes over the control socket, and counts what arrives and when.
The clients come from many loopback addresses and live in as many processes as the
limit on open files demands. It ends by itself; Ctrl-C ends it with what was measured.

Exit status: 0 every connection was held and every message arrived once; 1 not so,
or interrupted; 2 wrong usage; 3 no pushd on the socket.`

// The categories of bench's help text.
const (
	clientOptions  = "Clients"
	messageOptions = "Messages"
)

// workerFlag makes the process one of those that bench starts for its clients.
const workerFlag = "worker"

// benchOptions are those of pushpub bench.
type benchOptions struct {
	load    loadgen.Options
	targets []string
	sockets []string
	timeout time.Duration
	json    bool
}

func benchCommand(s streams) *cli.Command {
	o := &benchOptions{load: loadgen.NewOptions()}
	return &cli.Command{
		Name:        "bench",
		Usage:       "measure a pushd: hold connections, publish to them, report",
		UsageText:   benchUsage,
		Description: benchDescription,
		Flags:       append(append(o.clientFlags(), o.messageFlags()...), o.otherFlags()...),
		Action: func(c *cli.Context) error {
			if c.Bool(workerFlag) {
				return loadgen.Work(s.in, s.out, slog.New(slog.NewTextHandler(s.errs, nil)))
			}
			if err := o.check(c); err != nil {
				return err
			}
			return bench(c.Context, o, s)
		},
	}
}

func (o *benchOptions) clientFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "connections", Aliases: []string{"n"}, Category: clientOptions, Value: o.load.Connections,
			Destination: &o.load.Connections, Usage: "hold `N` connections"},
		&cli.StringFlag{Name: "transport", Category: clientOptions, Value: string(o.load.Transport),
			Usage: "`KIND` of connection: events or stream"},
		&cli.IntFlag{Name: "channels", Category: clientOptions, Value: o.load.Channels, Destination: &o.load.Channels,
			Usage: "spread them over `K` channels, bench-0001 and on, in turns"},
		&cli.Float64Flag{Name: "connect-rate", Category: clientOptions, Destination: &o.load.ConnectRate,
			Usage: "open `N` connections a second (default: as fast as pushd answers)"},
		&cli.StringSliceFlag{Name: "target", Category: clientOptions,
			Usage: "`URL` of pushd, on a loopback address; repeatable, taken in turns (default http://127.0.0.1:7999)"},
	}
}

func (o *benchOptions) messageFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "messages", Category: messageOptions, Value: o.load.Messages, Destination: &o.load.Messages,
			Usage: "publish `M` messages, to the channels in turns; 0: only hold the connections"},
		&cli.Float64Flag{Name: "rate", Category: messageOptions, Value: o.load.Rate, Destination: &o.load.Rate,
			Usage: "publish `N` messages a second; 0: as fast as back-pressure lets"},
		&cli.IntFlag{Name: "size", Category: messageOptions, Value: o.load.Size, Destination: &o.load.Size,
			Usage: "`BYTES` of a message's content"},
	}
}

func (o *benchOptions) otherFlags() []cli.Flag {
	return []cli.Flag{
		socketFlag("repeatable, for several that share the targets"),
		&cli.DurationFlag{Name: "timeout", Category: otherOptions, Value: 5 * time.Second, Destination: &o.timeout,
			Usage: "give up when pushd does not answer for `DURATION`"},
		&cli.DurationFlag{Name: "max-time", Category: otherOptions, Value: o.load.Limit, Destination: &o.load.Limit,
			Usage: "end after `DURATION` with what was measured"},
		&cli.BoolFlag{Name: "json", Category: otherOptions, Destination: &o.json, Usage: "print one JSON object"},
		&cli.BoolFlag{Name: workerFlag, Hidden: true},
	}
}

// check completes the options. Every error is one of usage.
func (o *benchOptions) check(c *cli.Context) error {
	switch {
	case c.NArg() > 0:
		return app.Usagef("unexpected argument %q (a channel called bench is published to with: pushpub -- bench ...)", c.Args().First())
	case o.timeout <= 0:
		return app.Usagef("--timeout: %v is not a time to wait", o.timeout)
	}
	o.sockets = c.StringSlice("socket")
	o.load.Transport = loadgen.Transport(c.String("transport"))
	o.targets = c.StringSlice("target")
	if len(o.targets) == 0 {
		o.targets = []string{"http://127.0.0.1:7999"}
	}
	for _, s := range o.targets {
		t, err := loadgen.ParseTarget(s)
		if err != nil {
			return app.Usagef("--target: %v", err)
		}
		o.load.Targets = append(o.load.Targets, t)
	}
	if err := o.load.Check(); err != nil {
		return app.Usagef("--%v", err)
	}
	return nil
}

// bench measures and prints the report.
func bench(ctx context.Context, o *benchOptions, s streams) error {
	conns, err := benchDial(ctx, o)
	for _, conn := range conns {
		defer conn.Close() //nolint:errcheck // everything was acknowledged, or is lost anyway
	}
	if err != nil {
		return err
	}
	o.load.Worker = func() *exec.Cmd {
		cmd := exec.Command("/proc/self/exe", "bench", "--"+workerFlag)
		cmd.Stderr = s.errs
		return cmd
	}
	line := newProgressLine(s.errs)
	o.load.Progress = line.show
	report, err := loadgen.Run(ctx, conns, o.load)
	line.clear()
	if err != nil {
		return err
	}
	if o.json {
		err = writeJSON(s.out, report)
	} else {
		err = writeBenchReport(s.out, report)
	}
	switch {
	case err != nil:
		return err
	case report.Interrupted:
		return errors.New("interrupted: the figures are those until then")
	}
	return report.Err()
}

// benchDial connects to every pushd. Without one of them the messages to its clients would count as
// lost.
func benchDial(ctx context.Context, o *benchOptions) (conns []*client.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	targets, err := findTargets(o.sockets)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		conn, err := client.Dial(ctx, t.path, client.Options{Program: "pushpub " + version.String(), Role: wire.RoleControl})
		switch {
		case err != nil && isNotThere(err):
			return conns, app.Exit(app.NotThere, err)
		case err != nil:
			return conns, t.label(err)
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

// progressLine is a line of a terminal that is written over and over.
type progressLine struct {
	w     io.Writer // nil when there is no terminal
	shown bool
}

func newProgressLine(w io.Writer) *progressLine {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &progressLine{w: w}
	}
	return &progressLine{}
}

const clearLine = "\r\x1b[K"

func (l *progressLine) show(p loadgen.Progress) {
	if l.w == nil {
		return
	}
	l.shown = true
	fmt.Fprint(l.w, clearLine+progressText(p)) //nolint:errcheck // it is only for show
}

func (l *progressLine) clear() {
	if l.shown {
		fmt.Fprint(l.w, clearLine) //nolint:errcheck // it is only for show
	}
}

// progressText is where a run stands, in less than a line.
func progressText(p loadgen.Progress) string {
	text := fmt.Sprintf("%s: %s of %s held", p.Stage, thousands(p.Held), thousands(p.Connections))
	if p.Failed > 0 {
		text += fmt.Sprintf(", %s failed", thousands(p.Failed))
	}
	if p.Stage != loadgen.Connecting {
		text += fmt.Sprintf("; %s of %s published, %s of %s received", thousands(p.Published), thousands(p.Messages),
			thousands(p.Received), thousands(p.Expected))
	}
	if p.Disconnects > 0 {
		text += fmt.Sprintf("; %s gone", thousands(p.Disconnects))
	}
	return text
}
