package main

import (
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/urfave/cli/v2/altsrc"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/server"
)

const (
	envPrefix = "PUSHD_"
	off       = "off" // as --publish-listen
)

const description = `Every option is also an environment variable (in parentheses) and a key of the
TOML file given by --config, by the option's name without its dashes. An option
wins over the environment, and the environment over the file. Sizes are bytes,
or take KiB, MiB or GiB; durations take ms, s, m or h.`

// newApp builds the command line. Its options fill a server.Options.
func newApp() *cli.App {
	cfg := &config{defaults: server.NewOptions()}
	cfg.flags = settingFlags(cfg.defaults)
	a := app.New("pushd", "hold client connections and push published messages to them")
	app.Share(a)
	a.UsageText = "pushd [options]\npushd check [--json] [options]"
	a.Description = description
	a.Flags = append([]cli.Flag{configFlag()}, cfg.flags...)
	a.Before = cfg.load
	a.Action = func(c *cli.Context) error {
		if c.NArg() > 0 {
			return app.Usagef("unknown argument %q%s", c.Args().First(), meant(c.Args().First(), "check"))
		}
		e, err := cfg.effective(c)
		if err != nil {
			return err
		}
		e.Log = newLogger(c.App.ErrWriter, e.logLevel, e.logFormat)
		return run(c.Context, e.Options)
	}
	a.Commands = []*cli.Command{{
		Name:      "check",
		Usage:     "validate the configuration, and print what is in effect and from where",
		UsageText: "pushd check [--json] [options]",
		Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print the configuration as JSON", DisableDefaultText: true}},
		Action:    func(c *cli.Context) error { return check(c, cfg) },
	}}
	return a
}

func configFlag() cli.Flag {
	return &cli.StringFlag{Name: "config", Usage: "read `FILE`, a TOML file", EnvVars: []string{envPrefix + "CONFIG"}}
}

// settingFlags are the options that can also be set by the environment and the file.
func settingFlags(d server.Options) []cli.Flag {
	return []cli.Flag{
		stringsFlag("listen", d.Listen, "serve clients at `ADDRESS`, as HOST:PORT, :PORT or HOST:8000-8007 (repeatable)"),
		stringFlag("socket", "", "control socket at `PATH`", "the first usable of /run/pushd/pushd.sock, $XDG_RUNTIME_DIR/pushd/pushd.sock, and pushd-UID/pushd.sock under the temporary directory"),
		stringFlag("socket-mode", modeText(d.SocketMode), "permission bits of the control socket, `OCTAL`", ""),
		stringFlag("socket-group", d.SocketGroup, "`GROUP` that owns the control socket", ""),
		stringFlag("publish-listen", d.PublishListen, "take published items over HTTP at `ADDRESS`, or off", ""),
		intFlag("loops", d.Loops, "event loops", "the number of CPUs"),
		intFlag("max-connections", d.MaxConnections, "client connections held at the same time", "the limit on open files less 256"),
		sizeFlag("max-header", int64(d.MaxHeader), "`SIZE` of the longest request head", ""),
		durationFlag("header-timeout", d.HeaderTimeout, "for a whole request head to arrive"),
		durationFlag("idle-timeout", d.IdleTimeout, "between requests of one connection"),
		durationFlag("stream-keep-alive", d.StreamKeepAlive, "after which a quiet stream gets a keep-alive"),
		durationFlag("ws-ping", d.WSPing, "after which a quiet WebSocket gets a ping, whose answer is not waited for"),
		sizeFlag("max-queued", int64(d.MaxQueued), "`SIZE` of what waits for one slow client", ""),
		sizeFlag("queue-memory", d.QueueMemory, "`SIZE` of what waits for all slow clients", "an eighth of the memory"),
		stringFlag("overflow", string(d.Overflow), "what to do to a client over --max-queued: `RULE` is close or drop", ""),
		sizeFlag("max-message", int64(d.MaxMessage), "`SIZE` of the largest message", ""),
		durationFlag("drain-timeout", d.DrainTimeout, "over which a stop spreads the ends of streams"),
		altsrc.NewBoolFlag(&cli.BoolFlag{Name: "reuse-port", EnvVars: env("reuse-port"), DisableDefaultText: true,
			Usage: "share the addresses with another pushd"}),
		stringFlag("log-level", "info", "`LEVEL` is debug, info, warn or error", ""),
		stringFlag("log-format", "text", "`FORMAT` is text or json", ""),
	}
}

// env is the environment variable of a setting: PUSHD_MAX_QUEUED for max-queued.
func env(name string) []string {
	return []string{envPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}
}

func meant(word string, candidates ...string) string {
	if s := app.Suggest(word, candidates); s != "" {
		return " (did you mean " + s + "?)"
	}
	return ""
}
