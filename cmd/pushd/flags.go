package main

import (
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/nearest"
	"holdfast/pkg/server"
)

const (
	envPrefix = "PUSHD_"
	off       = "off" // as --publish-listen and --metrics-listen

	defaultHistoryTTL = 5 * time.Minute
)

const description = `Every option is also an environment variable (in parentheses) and a key of the
TOML file given by --config, by the option's name without its dashes. An option
wins over the environment, the environment over the file, and all of them over
the file given by --pushpin-config. Sizes are bytes, or take KiB, MiB or GiB;
durations take ms, s, m or h.`

// newApp builds the command line. Its options fill a server.Options.
func newApp() *cli.App {
	cfg := &config{defaults: server.NewOptions()}
	cfg.flags = settingFlags(cfg.defaults)
	a := app.New("pushd", "hold client connections and push published messages to them")
	app.Share(a)
	app.HelpCommands(a)
	a.UsageText = "pushd [options]\npushd check [--json] [options]"
	a.Description = description
	a.Flags = append([]cli.Flag{configFlag(), pushpinConfigFlag()}, cfg.flags...)
	a.Before = cfg.load
	a.Action = func(c *cli.Context) error {
		if c.NArg() > 0 {
			return app.Usagef("unknown argument %q%s", c.Args().First(), meant(c.Args().First(), "check"))
		}
		e, err := cfg.effective(c)
		if err != nil {
			return err
		}
		if err := e.inherit(func(name string) bool { return cfg.sourceOf(c, name).Kind != fromDefault }); err != nil {
			return err
		}
		if err := e.admission(); err != nil {
			return err
		}
		e.Manager = systemd{}
		e.Log = newLogger(c.App.ErrWriter, e.logLevel, e.logFormat)
		redirectLog(e.Log)
		for _, w := range e.warnings() {
			e.Log.Warn(w)
		}
		cfg.pushpin.log(e.Log)
		if err := checkHost(e.Options, "/", cfg.sourceOf(c, "max-connections").Kind != fromDefault, e.strictHost); err != nil {
			return err
		}
		return routesError(run(c.Context, e.Options))
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
		intFlag("max-connections", d.MaxConnections, "client connections held at the same time", "the limit on open files less 512"),
		stringFlag("routes", "", "serve by the routes in `FILE`, as Pushpin's; without it channels are served directly", ""),
		boolFlag("skip-unserved-routes", "leave out routes that ask for what is not served"),
		boolFlag("skip-zeromq", "start without the ZeroMQ sockets of --pushpin-config; messages published to them are lost"),
		durationFlag("backend-timeout", d.BackendTimeout, "in which a request has to get its turn, and then a backend has to go on with it"),
		durationFlag("backend-connect-timeout", d.Backends.ConnectTimeout, "for a connection to a backend, and for its TLS handshake"),
		intFlag("backend-concurrency", d.BackendConcurrency, "requests of one route at its backends at the same time; more wait", ""),
		intFlag("backend-connections", d.Backends.Connections, "connections to all backends in use, of which one route gets half at most", "twice --backend-concurrency, at most a quarter of the open files"),
		intFlag("backend-open", d.Backends.Open, "answers of backends that go on after their head has passed; more get 503",
			"10,000, at most an eighth of the open files and of the memory"),
		intFlag("backend-idle", d.Backends.Idle, "idle connections to backends that are kept", "256"),
		sizeFlag("backend-waiting-memory", d.Backends.WaitingMemory, "`SIZE` of the requests that wait for a backend; more get 503", ""),
		sizeFlag("max-backend-head", int64(d.Backends.MaxHead), "`SIZE` of the longest head of a backend's answer", ""),
		sizeFlag("max-hold-body", int64(d.Backends.MaxHoldBody), "`SIZE` of the longest body of a request that is held, and of an answer with GRIP instructions", ""),
		intFlag("max-filters", d.Backends.MaxFilters, "filters that a backend may name for a channel", ""),
		durationFlag("id-cache-ttl", d.IDCacheTTL, "for which the id of an item is remembered, so that it is delivered once; 0s for never"),
		stringFlag("sig-key", "", "sign what backends get (Grip-Sig) with `KEY`: a secret, base64:SECRET or file:PATH", ""),
		stringFlag("sig-iss", d.SigIssuer, "issuer `NAME` in these signatures", ""),
		stringFlag("upstream-key", "", "trust GRIP proxies in front that sign with `KEY`", ""),
		stringFlag("set-x-forwarded-protocol", protoOnly, "tell backends in X-Forwarded-Proto that a client came by TLS: `RULE` is proto-only, true (X-Forwarded-Protocol as well) or off, which passes on the client's", ""),
		boolFlag("accept-x-forwarded-protocol", "believe every client's X-Forwarded-Proto; --trusted-proxies does it for some"),
		stringFlag("x-forwarded-for", "", "change X-Forwarded-For for backends: `RULE` is truncate:N, append, or both with a comma; without one it passes on", ""),
		stringFlag("x-forwarded-for-trusted", "", "the same `RULE` for clients that --upstream-key trusts", ""),
		stringFlag("cdn-loop", "", "add `TOKEN` to CDN-Loop for backends", ""),
		boolFlag("accept-pushpin-route", "let the field Pushpin-Route of a request name the id of its route"),
		boolFlag("auto-cross-origin", "add the fields of CORS that backends leave out, on all routes (as aco)"),
		boolFlag("debug", "have error answers say their cause, on all routes"),
		intFlag("max-subscriptions", d.MaxSubscriptions, "channels of one connection", ""),
		intFlag("max-channels", d.MaxChannels, "channels with subscribers, 0 for no limit", "no limit"),
		intFlag("max-per-address", d.MaxPerAddress, "connections from one client address (IPv6: from one /64), 0 for no limit", "no limit"),
		intFlag("accept-rate", d.AcceptRate, "connections accepted in a second, 0 for no limit; more wait to be accepted", "no limit"),
		stringsFlag("trusted-proxies", nil, "believe peers in `CIDR` about their clients' addresses, by X-Forwarded-For and the PROXY protocol (repeatable)"),
		boolFlag("anonymous", "serve everybody on addresses that are not loopback"),
		stringFlag("token-key", "", "serve those with a JSON Web Token by `KEY`: an HS256 secret or PEM, file:PATH of either, or base64:SECRET", ""),
		stringFlag("token-audience", "", "`NAME` that a token must have among its aud", ""),
		stringFlag("token-cookie", d.TokenCookie, "cookie `NAME` that may hold a token", ""),
		durationFlag("token-grace", d.TokenGrace, "for clocks that differ, and until a connection with an expired token is closed"),
		stringsFlag("allow-origin", nil, "let web pages of `ORIGIN` connect, as https://example.com, or * for all (repeatable)"),
		stringFlag("publish-token-file", "", "have publishers over HTTP show the token in `FILE`", ""),
		stringsFlag("publish-host", nil, "accept `NAME` as the publish endpoint's Host (repeatable)"),
		stringsFlag("history", nil, "keep items for clients that come back, as `[PATTERN=]N[:TIME]`: the newest N of each channel, of channels called PATTERN or PREFIX* (repeatable)"),
		durationFlag("history-ttl", defaultHistoryTTL, "for which an item is kept, where --history does not say"),
		sizeFlag("history-memory", d.HistoryMemory, "`SIZE` of what all channels keep", ""),
		sizeFlag("max-header", int64(d.MaxHeader), "`SIZE` of the longest request head", ""),
		durationFlag("header-timeout", d.HeaderTimeout, "for a whole request head to arrive"),
		durationFlag("idle-timeout", d.IdleTimeout, "between requests of one connection"),
		durationFlag("stream-keep-alive", d.StreamKeepAlive, "after which a quiet stream gets a keep-alive"),
		boolFlag("stream-opening", "begin raw streams with the event \"stream open\", as load clients may expect; a request says it by opening=1 or 0"),
		durationFlag("ws-ping", d.WSPing, "after which a quiet WebSocket gets a ping, whose answer is not waited for"),
		stringsFlag("ws-protocol", nil, "serve the WebSocket subprotocol `NAME`, the preferred one first; without any the first that a client offers is chosen (repeatable)"),
		sizeFlag("max-queued", int64(d.MaxQueued), "`SIZE` of what waits for one slow client", ""),
		sizeFlag("queue-memory", d.QueueMemory, "`SIZE` of what waits for all slow clients", "an eighth of the memory"),
		sizeFlag("hold-memory", d.HoldMemory, "`SIZE` of all requests that backends hold for a response", "an eighth of the memory"),
		stringFlag("overflow", string(d.Overflow), "what to do to a client over --max-queued: `RULE` is close or drop", ""),
		sizeFlag("max-message", int64(d.MaxMessage), "`SIZE` of the largest message", ""),
		durationFlag("drain-timeout", d.DrainTimeout, "over which a stop spreads the ends of streams"),
		stringFlag("metrics-listen", off, "serve metrics to Prometheus, /health and /ready at `ADDRESS`, or off", ""),
		stringFlag("statsd", "", "send metrics to the statsd at `HOST:PORT`, by UDP", ""),
		durationFlag("statsd-interval", d.StatsdInterval, "between two sendings to statsd"),
		stringFlag("statsd-prefix", d.StatsdPrefix, "`NAME` before all names sent to statsd", ""),
		boolFlag("reuse-port", "share the addresses of clients with another pushd, which has a socket and a publish endpoint of its own"),
		boolFlag("strict-host", "refuse to start on a host that cannot hold --max-connections, which has to be given then (see sysprep check)"),
		stringFlag("log-level", "info", "`LEVEL` is debug, info, warn or error", ""),
		stringFlag("log-format", "text", "`FORMAT` is text or json", ""),
	}
}

// env is the environment variable of a setting: PUSHD_MAX_QUEUED for max-queued.
func env(name string) []string {
	return []string{envPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}
}

func meant(word string, candidates ...string) string {
	if s := nearest.Name(word, candidates); s != "" {
		return " (did you mean " + s + "?)"
	}
	return ""
}
