package main

import (
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/publish"
)

// mode is what a message is made of.
type mode int

const (
	oneMessage mode = iota // the whole content
	eachLine               // a line
	eachItem               // a line of JSON
)

// options is what the command line asks for, checked as far as that goes without reading any content.
type options struct {
	mode     mode
	channels []string // none with eachItem
	content  source
	escapes  bool
	template bool
	message  message

	count int           // 0: once, or without end when every is set
	every time.Duration // 0: at once

	sockets          []string // paths and patterns; none: where pushd puts it
	timeout          time.Duration
	requireReceivers bool
	json             bool
	quiet            bool
}

// repeated reports whether the message goes out more than once, by --count or --every.
func (o *options) repeated() bool { return o.count > 0 || o.every > 0 }

// Options that have no meaning beside others, by the name of the other.
var conflicts = []struct {
	name    string
	without []string
}{
	{"jsonl", []string{"lines", "channel", "literal", "escapes", "template", "allow-empty", "id", "prev-id", "sender", "meta", "format",
		"code", "header", "event", "sse-id", "retry", "hint", "close", "patch", "no-seq", "no-eol", "count", "every"}},
	{"lines", []string{"literal", "allow-empty", "hint", "close", "count", "every"}},
	{"hint", []string{"close", "patch", "event", "sse-id", "retry", "code", "header"}},
	{"close", []string{"patch", "event", "sse-id", "retry", "code", "header"}},
	{"patch", []string{"event", "sse-id", "retry"}},
}

// parseOptions reads the options and arguments of c. Every error is one of usage.
func parseOptions(c *cli.Context) (*options, error) {
	for _, x := range conflicts {
		for _, other := range x.without {
			if c.Bool(x.name) && app.Given(c, other) {
				return nil, app.Usagef("--%s cannot be used with --%s", other, x.name)
			}
		}
	}
	o := &options{
		channels: c.StringSlice("channel"),
		escapes:  c.Bool("escapes"),
		template: c.Bool("template"),
		count:    c.Int("count"),
		every:    c.Duration("every"),

		sockets:          c.StringSlice("socket"),
		timeout:          c.Duration("timeout"),
		requireReceivers: c.Bool("require-receivers"),
		json:             c.Bool("json"),
		quiet:            c.Bool("quiet"),
	}
	switch {
	case c.Bool("jsonl"):
		o.mode = eachItem
	case c.Bool("lines"):
		o.mode = eachLine
	}
	if err := o.checkNumbers(c); err != nil {
		return nil, err
	}
	if err := o.message.parse(c); err != nil {
		return nil, err
	}
	return o, o.parseArguments(c)
}

func (o *options) checkNumbers(c *cli.Context) error {
	switch {
	case app.Given(c, "count") && o.count < 1:
		return app.Usagef("--count: %d is less than 1", o.count)
	case app.Given(c, "every") && o.every <= 0:
		return app.Usagef("--every: %v is not a time to wait", o.every)
	case o.timeout <= 0:
		return app.Usagef("--timeout: %v is not a time to wait", o.timeout)
	case slices.Contains(o.sockets, ""):
		return app.Usagef("--socket: the path is empty")
	}
	return nil
}

// parseArguments reads CHANNEL, unless -c or --jsonl stand for it, and CONTENT.
func (o *options) parseArguments(c *cli.Context) error {
	args := c.Args().Slice()
	if o.mode != eachItem && len(o.channels) == 0 {
		if len(args) == 0 {
			return app.Usagef("no channel given")
		}
		o.channels, args = args[:1], args[1:]
	}
	for i, name := range o.channels {
		if err := publish.CheckChannel(name); err != nil {
			return app.Usagef("%v", err)
		}
		if slices.Contains(o.channels[:i], name) {
			return app.Usagef("channel %q is given twice", name)
		}
	}
	if len(args) > 1 {
		return app.Usagef("surplus argument %q; CONTENT with spaces needs quotes", args[1])
	}
	o.content = source{allowEmpty: c.Bool("allow-empty"), escapes: o.escapes}
	switch {
	case o.message.action != publish.Send:
		o.content.kind = noContent // as pushpin-publish does, whatever CONTENT says
	case len(args) == 0:
		o.content.kind = fromInput
		o.content.implied = true
	default:
		o.content.parse(args[0], c.Bool("literal"))
	}
	if o.mode != oneMessage && o.content.kind == fromArgument {
		return app.Usagef("surplus argument %q: lines come from standard input or @FILE", args[0])
	}
	if o.content.kind == fromFile && o.content.value == "" {
		return app.Usagef("@ needs the name of a file (--literal publishes the @ itself)")
	}
	return nil
}

// formatNames are the values of --format: short ones, and those of GRIP.
var formatNames = map[string]publish.Format{
	"response": publish.HTTPResponse, "http-response": publish.HTTPResponse,
	"stream": publish.HTTPStream, "http-stream": publish.HTTPStream,
	"ws": publish.WSMessage, "ws-message": publish.WSMessage,
	"sse": publish.SSE,
}

// parseFormats reads the list of --format.
func parseFormats(list string) (publish.Format, error) {
	var formats publish.Format
	for name := range strings.SplitSeq(list, ",") {
		f, ok := formatNames[strings.TrimSpace(name)]
		if !ok {
			return 0, app.Usagef("--format: %q is not a format: want response, stream, ws, sse", name)
		}
		formats |= f
	}
	return formats, nil
}
