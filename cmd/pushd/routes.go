package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/pkg/grip"
	"holdfast/pkg/route"
	"holdfast/pkg/server"
)

// routes reads the settings of backends. The routes file itself is read at the start.
func (r *reader) routes(e *effective) {
	e.Routes = r.c.String("routes")
	e.SkipUnserved = r.c.Bool("skip-unserved-routes")
	e.BackendTimeout = r.duration("backend-timeout", 10*time.Millisecond, 24*time.Hour)
	e.BackendConcurrency = r.number("backend-concurrency", 1, 1<<20)
	r.backends(e)
	e.SigIssuer = r.c.String("sig-iss")
	if strings.ContainsFunc(e.SigIssuer, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		r.fail("sig-iss", "%q has a control character", e.SigIssuer)
	}
	var err error
	if spec := r.c.String("sig-key"); spec != "" {
		if e.SigKey, err = grip.ParseSigKey(spec, r.readBesideConfig); err != nil {
			r.fail("sig-key", "%v", err)
		}
	}
	if spec := r.c.String("upstream-key"); spec != "" {
		if e.UpstreamKey, err = grip.ParseUpstreamKey(spec, r.readBesideConfig); err != nil {
			r.fail("upstream-key", "%v", err)
		}
	}
	if e.Reload = hangups; e.Routes == "" {
		e.Reload = nil
	}
}

const (
	protoOnly = "proto-only" // as --set-x-forwarded-protocol
	protoBoth = "true"
)

// backends reads the settings of how backends are treated.
func (r *reader) backends(e *effective) {
	b := &e.Backends
	b.Connections = r.number("backend-connections", 2, 1<<20)
	if r.cfg.sourceOf(r.c, "backend-connections").Kind == fromDefault {
		b.Connections = server.BackendConnections(e.BackendConcurrency)
	}
	b.Open = r.number("backend-open", 1, 1<<20)
	b.Idle = r.number("backend-idle", 1, 1<<20)
	b.ConnectTimeout = r.duration("backend-connect-timeout", 10*time.Millisecond, time.Hour)
	b.WaitingMemory = r.size("backend-waiting-memory", 64<<10, 1<<50)
	b.MaxHead = int(r.size("max-backend-head", 1<<10, 16<<20))
	b.MaxHoldBody = int(r.size("max-hold-body", 1, 64<<20))
	b.MaxFilters = r.number("max-filters", 1, 1000)
	e.IDCacheTTL = r.duration("id-cache-ttl", 0, 24*time.Hour)
	b.Debug, b.AutoCORS, b.AcceptRoute = r.c.Bool("debug"), r.c.Bool("auto-cross-origin"), r.c.Bool("accept-pushpin-route")
	if b.CDNLoop = r.c.String("cdn-loop"); strings.ContainsFunc(b.CDNLoop, notInToken) {
		r.fail("cdn-loop", "%q is not a token of CDN-Loop, such as a host name", b.CDNLoop)
	}
	e.forwardedProto = r.choice("set-x-forwarded-protocol", protoOnly, protoBoth, off)
	b.Proto = grip.ParseForwardedProto(e.forwardedProto, r.c.Bool("accept-x-forwarded-protocol"))
	b.For, e.forwardedFor = r.forwardedFor("x-forwarded-for")
	b.ForTrusted, e.forwardedForTrusted = r.forwardedFor("x-forwarded-for-trusted")
}

// minOpen is how many answers may be open at least, however few files clients leave.
const minOpen = 64

// backendFiles makes the connections to backends fit into the open files that clients leave, as far
// as nobody has said how many there are to be, or a pushpin.conf has, whose numbers are bounds.
func (r *reader) backendFiles(e *effective, left int) {
	b := &e.Backends
	chosen := func(name string) bool {
		s := r.cfg.sourceOf(r.c, name)
		return s.Kind != fromDefault && s.key == ""
	}
	if !chosen("backend-connections") && !chosen("backend-concurrency") {
		usual := server.BackendConnections(server.NewOptions().BackendConcurrency)
		b.Connections = min(b.Connections, max(usual, left/2))
		e.BackendConcurrency = min(e.BackendConcurrency, (b.Connections+1)/2)
	}
	if !chosen("backend-open") {
		b.Open = min(b.Open, max(minOpen, left-b.Connections-b.Idle))
	}
}

func (r *reader) forwardedFor(name string) (rule grip.ForwardedFor, text string) {
	text = r.c.String(name)
	rule, err := grip.ParseForwardedFor(text)
	if err != nil {
		r.fail(name, "%v", err)
	}
	return rule, text
}

// notInToken reports whether c has no place in a cdn-id (RFC 8586 section 2), which is a host with or without a port, or a token.
func notInToken(c rune) bool {
	return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/;<=>?@\{}`, c)
}

// readBesideConfig reads a file whose name is relative to the configuration file, if there is one.
func (r *reader) readBesideConfig(path string) ([]byte, error) {
	if r.cfg.file != nil && !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(r.cfg.file.path), path)
	}
	return os.ReadFile(path)
}

// routesError has each of a routes file's mistakes begin with the program's name, as all of its messages do.
func routesError(err error) error {
	var all route.Errors
	if !errors.As(err, &all) {
		return err
	}
	lines := make([]string, len(all))
	for i, p := range all {
		lines[i] = p.Error()
	}
	return errors.New(strings.Join(lines, "\npushd: "))
}

// warnings are what is doubtful about the keys and about backends, for the log.
func (e *effective) warnings() (all []string) {
	if most := (e.Backends.Connections + 1) / 2; e.Routes != "" && most < e.BackendConcurrency {
		all = append(all, fmt.Sprintf("one route gets at most %d of the %d connections to backends (backend-connections), and not the %d of backend-concurrency;"+
			" the limit on open files is %d", most, e.Backends.Connections, e.BackendConcurrency, server.FileLimit()))
	}
	if e.SigKey != nil && e.SigKey.Warning() != "" {
		all = append(all, "sig-key: "+e.SigKey.Warning())
	}
	if e.UpstreamKey != nil && e.UpstreamKey.Warning() != "" {
		all = append(all, "upstream-key: "+e.UpstreamKey.Warning())
	}
	return all
}
