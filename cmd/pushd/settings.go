package main

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/urfave/cli/v2/altsrc"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/control"
	"holdfast/pkg/server"
)

// config is where the settings come from: the options in the cli.Context, and the files.
type config struct {
	defaults server.Options
	flags    []cli.Flag
	file     *configFile  // nil without --config
	pushpin  *pushpinFile // nil without --pushpin-config
}

// load reads the files and lets them fill in what neither an option nor the environment sets.
func (cfg *config) load(c *cli.Context) (err error) {
	if err := unknownVariables(os.Environ(), cfg.flags); err != nil {
		return err
	}
	if path := c.String("pushpin-config"); path != "" {
		if cfg.pushpin, err = readPushpinConfig(path, cfg.flags); err != nil {
			return err
		}
	}
	if path := c.String("config"); path != "" {
		if cfg.file, err = readConfig(path, cfg.flags); err != nil {
			return err
		}
	}
	return altsrc.ApplyInputSourceValues(c, cfg.source(), cfg.flags)
}

// effective is the configuration in effect.
type effective struct {
	server.Options
	historyTTL                                        time.Duration // where a rule does not say
	inherited                                         []string      // addresses for clients that a service manager has opened
	anonymous                                         bool
	strictHost                                        bool
	skipZeroMQ                                        bool
	tokenAudience                                     string
	tokenFile                                         string // of the publish endpoint
	forwardedProto, forwardedFor, forwardedForTrusted string // as they were given

	logLevel  string
	logFormat string
}

// reader takes settings out of a context, and notes what is wrong with them.
type reader struct {
	c     *cli.Context
	cfg   *config
	wrong problems
}

// effective reads and validates all settings. Its error lists everything that is wrong.
func (cfg *config) effective(c *cli.Context) (*effective, error) {
	r := &reader{c: c, cfg: cfg}
	e := &effective{Options: cfg.defaults}
	r.addresses(e)
	r.socket(e)
	const day = 24 * time.Hour
	e.Loops = r.number("loops", 1, server.MaxLoops)
	e.MaxConnections = r.number("max-connections", 1, 1<<30)
	e.MaxHeader = int(r.size("max-header", 256, 1<<20))
	e.HeaderTimeout = r.duration("header-timeout", 10*time.Millisecond, day)
	e.IdleTimeout = r.duration("idle-timeout", 10*time.Millisecond, day)
	e.StreamKeepAlive = r.duration("stream-keep-alive", 100*time.Millisecond, day)
	e.StreamOpening = c.Bool("stream-opening")
	e.WSPing = r.duration("ws-ping", 100*time.Millisecond, day)
	e.MaxQueued = int(r.size("max-queued", 1<<10, 1<<30))
	e.QueueMemory = r.size("queue-memory", 1<<10, 1<<50)
	e.HoldMemory = r.size("hold-memory", 1<<10, 1<<50)
	e.Overflow = server.Overflow(r.choice("overflow", string(server.OverflowClose), string(server.OverflowDrop)))
	e.MaxMessage = int(r.size("max-message", 1<<10, 256<<20))
	e.MaxFrame = server.FrameFor(e.MaxMessage)
	e.DrainTimeout = r.duration("drain-timeout", 0, day)
	e.ReusePort = c.Bool("reuse-port")
	e.MaxSubscriptions = r.number("max-subscriptions", 1, 1000)
	e.MaxChannels = r.number("max-channels", 0, 1<<30)
	e.MaxPerAddress = r.number("max-per-address", 0, 1<<30)
	e.AcceptRate = r.number("accept-rate", 0, 1<<30)
	e.anonymous = c.Bool("anonymous")
	e.strictHost = c.Bool("strict-host")
	r.protocols(e)
	r.routes(e)
	r.zeromq(e)
	r.access(e)
	r.history(e)
	r.monitoring(e)
	e.logLevel = r.choice("log-level", "debug", "info", "warn", "error")
	e.logFormat = r.choice("log-format", "text", "json")
	r.consistent(e)
	return e, r.wrong.err()
}

// consistent notes settings that are allowed alone but not together, or not on this machine.
func (r *reader) consistent(e *effective) {
	if len(r.wrong) > 0 {
		return
	}
	if int64(e.MaxQueued) > e.QueueMemory {
		r.fail("max-queued", "%s is more than all clients may have together, %s (queue-memory)",
			app.FormatSize(int64(e.MaxQueued)), app.FormatSize(e.QueueMemory))
	}
	limit, spare := server.FileLimit(), server.SpareFiles(e.Loops, len(e.Listen))
	if e.MetricsListen != "" {
		spare += server.MetricsFiles
	}
	if e.Routes != "" {
		left := limit / 2
		if r.cfg.sourceOf(r.c, "max-connections").Kind != fromDefault {
			left = limit - spare - e.MaxConnections
		}
		r.backendFiles(e, left)
		spare += e.Backends.Files()
	}
	switch s := r.cfg.sourceOf(r.c, "max-connections"); {
	case s.Kind == fromDefault:
		e.MaxConnections = max(1, limit-spare)
		if e.strictHost { // the open files alone say nothing about what is expected of the host
			r.fail("strict-host", "for how many connections? Give max-connections as well")
		}
	case s.key != "" && e.MaxConnections > limit-spare:
		r.cfg.pushpin.lowerConnections(e, max(1, limit-spare), s)
	}
	if need := e.MaxConnections + spare; need > limit && e.MaxConnections > 1 {
		backends := ""
		if e.Routes != "" {
			backends = fmt.Sprintf(" (%d of them for backends)", e.Backends.Files())
		}
		r.fail("max-connections", "%d connections need %d open files%s, and the limit is %d: raise RLIMIT_NOFILE, or allow at most %d",
			e.MaxConnections, need, backends, limit, max(1, limit-spare))
	}
	r.distinct(e)
}

// distinct notes an address that is to serve two purposes.
func (r *reader) distinct(e *effective) {
	same := func(a, b string) bool { return a == b && a != "" && !strings.HasSuffix(a, ":0") }
	for _, own := range [][2]string{{"publish-listen", e.PublishListen}, {"metrics-listen", e.MetricsListen}} {
		if slices.ContainsFunc(e.Listen, func(l string) bool { return same(l, own[1]) }) {
			r.fail(own[0], "%s is an address of listen too", own[1])
		}
	}
	if same(e.PublishListen, e.MetricsListen) {
		r.fail("metrics-listen", "%s is the address of publish-listen too", e.MetricsListen)
	}
}

// fail notes that the setting called name is wrong, naming it the way it was set.
func (r *reader) fail(name, format string, args ...any) {
	s := r.cfg.sourceOf(r.c, name)
	label := "--" + name
	switch s.Kind {
	case fromEnvironment:
		label = "$" + s.Env
	case fromFile:
		label = position(s.File, s.Line) + ": " + cmp.Or(s.key, name)
	}
	r.wrong.add("%s: %s", label, fmt.Sprintf(format, args...))
}

func (r *reader) number(name string, lowest, highest int) int {
	n := r.c.Int(name)
	if n < lowest || n > highest {
		r.fail(name, "%d is out of range, %d to %d are allowed", n, lowest, highest)
	}
	return n
}

func (r *reader) size(name string, lowest, highest int64) int64 {
	n := int64(*r.c.Generic(name).(*app.Size))
	if n < lowest || n > highest {
		r.fail(name, "%s is out of range, %s to %s are allowed", app.FormatSize(n), app.FormatSize(lowest), app.FormatSize(highest))
	}
	return n
}

func (r *reader) duration(name string, lowest, highest time.Duration) time.Duration {
	d := r.c.Duration(name)
	if d < lowest || d > highest {
		r.fail(name, "%s is out of range, %s to %s are allowed", durationText(d), durationText(lowest), durationText(highest))
	}
	return d
}

func (r *reader) choice(name string, allowed ...string) string {
	s := r.c.String(name)
	if !slices.Contains(allowed, s) {
		last := len(allowed) - 1
		r.fail(name, "%q is not allowed, want %s or %s", s, strings.Join(allowed[:last], ", "), allowed[last])
	}
	return s
}

func (r *reader) addresses(e *effective) {
	var err error
	if e.Listen, err = expandListen(r.c.StringSlice("listen")); err != nil {
		r.fail("listen", "%v", err)
	}
	e.PublishListen = r.c.String("publish-listen")
	if e.PublishListen == off {
		e.PublishListen = ""
		return
	}
	switch _, ports, err := splitAddress(e.PublishListen); {
	case err != nil:
		r.fail("publish-listen", "%v; or off", err)
	case ports.first != ports.last:
		r.fail("publish-listen", "%q is not an address of one port; or off", e.PublishListen)
	case !loopback(e.PublishListen) && r.c.String("publish-token-file") == "":
		r.fail("publish-listen", "%q is not a loopback address: that needs --publish-token-file, or anybody could publish", e.PublishListen)
	}
}

// loopback reports whether only this machine can reach addr.
func loopback(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (r *reader) socket(e *effective) {
	path := r.c.String("socket")
	if path == "" {
		path = defaultSocket()
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	e.Socket = abs
	if err := control.CheckPath(path); err != nil {
		r.fail("socket", "%v", err)
	}
	mode, err := strconv.ParseUint(r.c.String("socket-mode"), 8, 32)
	if err != nil || mode > 0o777 || mode&0o600 != 0o600 {
		r.fail("socket-mode", "%q is not allowed, want octal permission bits from 0600 to 0777 that let the owner read and write",
			r.c.String("socket-mode"))
	}
	e.SocketMode = os.FileMode(mode)
	e.SocketGroup = r.c.String("socket-group")
	if e.SocketGroup == "" {
		return
	}
	if _, err := user.LookupGroup(e.SocketGroup); err != nil {
		r.fail("socket-group", "there is no group %q", e.SocketGroup)
	}
}

func modeText(m os.FileMode) string { return fmt.Sprintf("%04o", m.Perm()) }

// The kinds of source of a setting.
const (
	fromFlag        = "flag"
	fromEnvironment = "environment"
	fromFile        = "file"
	fromDefault     = "default"
)

// source says where a setting comes from.
type source struct {
	Kind string `json:"source"`
	Env  string `json:"variable,omitempty"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	key  string // the setting of a pushpin.conf
}

// sourceOf says where the setting called name comes from.
func (cfg *config) sourceOf(c *cli.Context, name string) source {
	if app.Given(c, name) {
		return source{Kind: fromFlag}
	}
	variable := env(name)[0]
	if _, ok := os.LookupEnv(variable); ok {
		return source{Kind: fromEnvironment, Env: variable}
	}
	if cfg.file != nil {
		if line, ok := cfg.file.lines[name]; ok {
			return source{Kind: fromFile, File: cfg.file.path, Line: line}
		}
	}
	if cfg.pushpin != nil {
		if s, ok := cfg.pushpin.settings[name]; ok {
			return source{Kind: fromFile, File: cfg.pushpin.path, Line: s.Line, key: s.Name}
		}
	}
	return source{Kind: fromDefault}
}

// String is the source as the table of `pushd check` shows it.
func (s source) String() string {
	switch s.Kind {
	case fromEnvironment:
		return s.Kind + " " + s.Env
	case fromFile:
		return s.Kind + " " + position(s.File, s.Line)
	}
	return s.Kind
}
