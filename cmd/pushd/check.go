package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/server"
	"holdfast/pkg/token"
)

// setting is one line of the effective configuration.
type setting struct {
	name  string
	value any    // as JSON
	text  string // as the table shows it
}

// check validates the configuration and prints it with the source of each value.
func check(c *cli.Context, cfg *config) error {
	if c.NArg() > 0 {
		return app.Usagef("unknown argument %q", c.Args().First())
	}
	e, err := cfg.effective(c)
	if err != nil {
		return err
	}
	settings := e.settings()
	if c.Bool("json") {
		err = printJSON(c, cfg, settings)
	} else {
		err = printTable(c.App.Writer, c, cfg, settings)
	}
	if err != nil {
		return err
	}
	cfg.pushpin.log(newLogger(c.App.ErrWriter, e.logLevel, e.logFormat))
	for _, w := range e.warnings() {
		fmt.Fprintf(c.App.ErrWriter, "pushd: warning: %s\n", app.Printable(w))
	}
	if e.Routes != "" {
		warnings, err := server.CheckRoutes(e.Routes, e.SkipUnserved)
		for _, w := range warnings {
			fmt.Fprintf(c.App.ErrWriter, "pushd: warning: %s\n", app.Printable(w))
		}
		if err != nil {
			return routesError(err)
		}
	}
	if err := e.admission(); err != nil {
		return err
	}
	return socketDirUsable(e.Socket)
}

// settings lists the configuration in the order of the options.
func (e *effective) settings() []setting {
	return []setting{
		{"listen", e.Listen, strings.Join(e.Listen, " ")},
		text("socket", e.Socket),
		text("socket-mode", modeText(e.SocketMode)),
		text("socket-group", e.SocketGroup),
		text("publish-listen", cmp.Or(e.PublishListen, off)),
		number("loops", e.Loops),
		number("max-connections", e.MaxConnections),
		text("routes", e.Routes),
		flagged("skip-unserved-routes", e.SkipUnserved),
		flagged("skip-zeromq", e.skipZeroMQ),
		text("backend-timeout", durationText(e.BackendTimeout)),
		text("backend-connect-timeout", durationText(e.Backends.ConnectTimeout)),
		number("backend-concurrency", e.BackendConcurrency),
		number("backend-connections", e.Backends.Connections),
		number("backend-open", e.Backends.Open),
		number("backend-idle", e.Backends.Idle),
		size("backend-waiting-memory", e.Backends.WaitingMemory),
		size("max-backend-head", int64(e.Backends.MaxHead)),
		size("max-hold-body", int64(e.Backends.MaxHoldBody)),
		number("max-filters", e.Backends.MaxFilters),
		text("id-cache-ttl", durationText(e.IDCacheTTL)),
		text("sig-key", set(e.SigKey != nil)),
		text("sig-iss", e.SigIssuer),
		text("upstream-key", set(e.UpstreamKey != nil)),
		text("set-x-forwarded-protocol", e.forwardedProto),
		flagged("accept-x-forwarded-protocol", e.Backends.Proto.Accept),
		text("x-forwarded-for", e.forwardedFor),
		text("x-forwarded-for-trusted", e.forwardedForTrusted),
		text("cdn-loop", e.Backends.CDNLoop),
		flagged("accept-pushpin-route", e.Backends.AcceptRoute),
		flagged("auto-cross-origin", e.Backends.AutoCORS),
		flagged("debug", e.Backends.Debug),
		number("max-subscriptions", e.MaxSubscriptions),
		number("max-channels", e.MaxChannels),
		number("max-per-address", e.MaxPerAddress),
		number("accept-rate", e.AcceptRate),
		texts("trusted-proxies", e.TrustedProxies),
		flagged("anonymous", e.anonymous),
		text("token-key", keyText(e.TokenKey)),
		text("token-audience", e.tokenAudience),
		text("token-cookie", e.TokenCookie),
		text("token-grace", durationText(e.TokenGrace)),
		texts("allow-origin", e.AllowOrigin.List()),
		text("publish-token-file", e.tokenFile),
		texts("publish-host", e.PublishHosts),
		texts("history", historyTexts(e.History)),
		text("history-ttl", durationText(e.historyTTL)),
		size("history-memory", e.HistoryMemory),
		size("max-header", int64(e.MaxHeader)),
		text("header-timeout", durationText(e.HeaderTimeout)),
		text("idle-timeout", durationText(e.IdleTimeout)),
		text("stream-keep-alive", durationText(e.StreamKeepAlive)),
		flagged("stream-opening", e.StreamOpening),
		text("ws-ping", durationText(e.WSPing)),
		texts("ws-protocol", e.WSProtocols),
		size("max-queued", int64(e.MaxQueued)),
		size("queue-memory", e.QueueMemory),
		size("hold-memory", e.HoldMemory),
		text("overflow", string(e.Overflow)),
		size("max-message", int64(e.MaxMessage)),
		text("drain-timeout", durationText(e.DrainTimeout)),
		text("metrics-listen", cmp.Or(e.MetricsListen, off)),
		text("statsd", e.Statsd),
		text("statsd-interval", durationText(e.StatsdInterval)),
		text("statsd-prefix", e.StatsdPrefix),
		flagged("reuse-port", e.ReusePort),
		flagged("strict-host", e.strictHost),
		text("log-level", e.logLevel),
		text("log-format", e.logFormat),
	}
}

func text(name, value string) setting       { return setting{name, value, value} }
func flagged(name string, on bool) setting  { return setting{name, on, strconv.FormatBool(on)} }
func number(name string, value int) setting { return setting{name, value, strconv.Itoa(value)} }
func size(name string, bytes int64) setting { return setting{name, bytes, app.FormatSize(bytes)} }

func texts[T any](name string, values []T) setting {
	all := []string{}
	for _, v := range values {
		all = append(all, fmt.Sprint(v))
	}
	return setting{name, all, strings.Join(all, " ")}
}

// set says of a secret that there is one.
func set(given bool) string {
	if given {
		return "set"
	}
	return ""
}

// keyText is what may be shown of a key: the algorithm.
func keyText(k *token.Key) string {
	if k == nil {
		return ""
	}
	return "for " + k.Algorithm()
}

// printTable prints the settings as lines of name, value and source.
func printTable(w io.Writer, c *cli.Context, cfg *config, settings []setting) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, s := range settings {
		shown := app.Printable(s.text)
		if shown == "" {
			shown = "-"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", s.name, shown, app.Printable(cfg.sourceOf(c, s.name).String()))
	}
	return tw.Flush()
}

// printJSON prints one object: by name, the value and where it comes from. Sizes are bytes.
func printJSON(c *cli.Context, cfg *config, settings []setting) error {
	type entry struct {
		Value any `json:"value"`
		source
	}
	all := make(map[string]entry, len(settings))
	for _, s := range settings {
		all[s.name] = entry{s.value, cfg.sourceOf(c, s.name)}
	}
	enc := json.NewEncoder(c.App.Writer)
	enc.SetIndent("", "  ")
	return enc.Encode(all)
}
