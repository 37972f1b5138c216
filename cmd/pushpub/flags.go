package main

import (
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
)

const usageText = `pushpub [options] CHANNEL [CONTENT]
pushpub [options] -c CHANNEL [-c CHANNEL ...] [CONTENT]
pushpub [options] -l CHANNEL < LINES
pushpub [options] --jsonl < ITEMS`

const description = `Publishes a message to the connections that pushd holds on CHANNEL.

CONTENT is the text itself, @FILE, or - for standard input, which is also read
when CONTENT is missing and standard input is no terminal. A text gets a newline
for HTTP clients (--no-eol leaves it out); a file and standard input are sent byte
for byte. A line ends with LF, which is not sent; a CR before it is.

Exit status: 0 accepted; 1 refused or failed; 2 wrong usage; 3 no pushd on the
socket; 4 with --require-receivers, when nobody received it.`

// The categories of the help text.
const (
	inputOptions  = "Input"
	itemOptions   = "Message"
	repeatOptions = "Repetition"
	otherOptions  = "Connection and output"
)

// streams is what the program reads and writes.
type streams struct {
	in         io.Reader
	inTerminal bool // standard input is a terminal, so nothing waits there
	out, errs  io.Writer
}

// newApp returns the command line. Subcommands, each with its options in a file of its own, are listed in Commands; a
// channel of such a name is published to after "--" or with -c.
func newApp(s streams) *cli.App {
	a := app.New("pushpub", "publish messages to the clients that pushd holds")
	a.Reader, a.Writer, a.ErrWriter = s.in, s.out, s.errs
	a.UsageText, a.Description = usageText, description
	a.Flags = flags()
	a.Commands = []*cli.Command{benchCommand(s)}
	a.Action = func(c *cli.Context) error {
		o, err := parseOptions(c)
		if err != nil {
			return err
		}
		return run(c.Context, o, s)
	}
	return a
}

func flags() []cli.Flag {
	var all []cli.Flag
	for _, group := range [][]cli.Flag{inputFlags(), itemFlags(), repeatFlags(), otherFlags()} {
		all = append(all, group...)
	}
	return all
}

func inputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "channel", Aliases: []string{"c"}, Category: inputOptions,
			Usage: "publish to `CHANNEL` instead of the first argument; repeatable"},
		&cli.BoolFlag{Name: "lines", Aliases: []string{"l"}, Category: inputOptions,
			Usage: "publish each line of standard input, or of @FILE, as soon as it is read"},
		&cli.BoolFlag{Name: "jsonl", Category: inputOptions,
			Usage: "publish each line as a whole item: JSON with channel and formats"},
		&cli.BoolFlag{Name: "literal", Category: inputOptions,
			Usage: "take CONTENT as it stands, also - and @FILE"},
		&cli.BoolFlag{Name: "escapes", Aliases: []string{"e"}, Category: inputOptions,
			Usage: `replace the escapes of C in the content: \n, \t, \x1b, \033, \u20ac`},
		&cli.BoolFlag{Name: "template", Category: inputOptions,
			Usage: "replace {{now}}, {{unixms}}, {{unixns}} and {{count}} in the content and the ids"},
		&cli.BoolFlag{Name: "allow-empty", Category: inputOptions,
			Usage: "publish an empty message when standard input is empty"},
	}
}

func itemFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "id", Category: itemOptions, Usage: "id of the message"},
		&cli.StringFlag{Name: "prev-id", Category: itemOptions, Usage: "id of the message before it"},
		&cli.StringFlag{Name: "sender", Category: itemOptions, Usage: "meta data sender=`NAME`"},
		&cli.StringSliceFlag{Name: "meta", Aliases: []string{"M"}, Category: itemOptions,
			Usage: "meta data `KEY=VALUE`; repeatable"},
		&cli.StringFlag{Name: "format", Category: itemOptions,
			Usage: "only for these kinds of clients: a `LIST` of response, stream, ws, sse"},
		&cli.IntFlag{Name: "code", Category: itemOptions, Usage: "`STATUS` of an answered long poll (default 200)"},
		&cli.StringSliceFlag{Name: "header", Aliases: []string{"H"}, Category: itemOptions,
			Usage: "header `'NAME: VALUE'` of an answered long poll; repeatable"},
		&cli.StringFlag{Name: "event", Category: itemOptions, Usage: "`TYPE` of the Server-Sent Event"},
		&cli.StringFlag{Name: "sse-id", Category: itemOptions, Usage: "`ID` of the Server-Sent Event, instead of --id"},
		&cli.IntFlag{Name: "retry", Category: itemOptions, Usage: "`MILLISECONDS` until Server-Sent Events clients reconnect"},
		&cli.BoolFlag{Name: "hint", Category: itemOptions, Usage: "publish no content, only that something changed"},
		&cli.BoolFlag{Name: "close", Category: itemOptions, Usage: "publish no content, end streams and WebSockets"},
		&cli.BoolFlag{Name: "patch", Category: itemOptions,
			Usage: "CONTENT is a JSON array that changes the answer of a long poll (RFC 6902)"},
		&cli.BoolFlag{Name: "no-seq", Category: itemOptions, Usage: "deliver at once, without waiting for the message of --prev-id"},
		&cli.BoolFlag{Name: "no-eol", Category: itemOptions, Usage: "add no newline for HTTP clients"},
	}
}

func repeatFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "count", Category: repeatOptions, Usage: "publish the message `N` times"},
		&cli.DurationFlag{Name: "every", Category: repeatOptions,
			Usage: "publish it each `DURATION`, first at once; when pushd goes, reconnect and publish again what it did not answer"},
	}
}

func socketFlag(repeated string) cli.Flag {
	return &cli.StringSliceFlag{Name: "socket", Category: otherOptions,
		Usage: "control socket of pushd, a `PATH` or a pattern such as '/run/pushd/*.sock'; " +
			repeated + " (default $PUSHD_SOCKET, else where pushd puts it)"}
}

func otherFlags() []cli.Flag {
	return []cli.Flag{
		socketFlag("repeatable"),
		&cli.DurationFlag{Name: "timeout", Category: otherOptions, Value: 5 * time.Second,
			Usage: "give up when pushd does not answer for `DURATION`"},
		&cli.BoolFlag{Name: "require-receivers", Category: otherOptions, Usage: "exit with 4 when nobody received it"},
		&cli.BoolFlag{Name: "json", Category: otherOptions, Usage: "print JSON, a line for each channel and socket"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Category: otherOptions, Usage: "print only errors"},
	}
}
