package main

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/pkg/grip"
)

// routes reads the settings of backends. The routes file itself is read at the start.
func (r *reader) routes(e *effective) {
	e.Routes = r.c.String("routes")
	e.SkipUnserved = r.c.Bool("skip-unserved-routes")
	e.BackendTimeout = r.duration("backend-timeout", 10*time.Millisecond, 24*time.Hour)
	e.BackendConcurrency = r.number("backend-concurrency", 1, 1<<20)
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

// readBesideConfig reads a file whose name is relative to the configuration file, if there is one.
func (r *reader) readBesideConfig(path string) ([]byte, error) {
	if r.cfg.file != nil && !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(r.cfg.file.path), path)
	}
	return os.ReadFile(path)
}

// keyWarnings are what is doubtful about the keys, for the log.
func (e *effective) keyWarnings() (all []string) {
	if e.SigKey != nil && e.SigKey.Warning() != "" {
		all = append(all, "sig-key: "+e.SigKey.Warning())
	}
	if e.UpstreamKey != nil && e.UpstreamKey.Warning() != "" {
		all = append(all, "upstream-key: "+e.UpstreamKey.Warning())
	}
	return all
}
