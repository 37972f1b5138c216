package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/nearest"
	"holdfast/pkg/pushpinconf"
)

func pushpinConfigFlag() cli.Flag {
	return &cli.StringFlag{Name: "pushpin-config", Usage: "read `FILE`, a pushpin.conf, for what is set nowhere else",
		EnvVars: []string{envPrefix + "PUSHPIN_CONFIG"}}
}

// pushpinFile is a pushpin.conf that was read.
type pushpinFile struct {
	path     string
	values   map[any]any // for altsrc
	settings map[string]pushpinconf.Setting
	notes    *pushpinconf.Config
	lowered  []any // facts for the log about a client_maxconn that was too much
}

// readPushpinConfig reads the file at path. Its error lists everything that is wrong with it, each with its line.
func readPushpinConfig(path string, flags []cli.Flag) (*pushpinFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, app.Usagef("--pushpin-config: %w", err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the directory of %s: %w", path, err)
	}
	f := &pushpinFile{path: path, values: make(map[any]any), settings: make(map[string]pushpinconf.Setting)}
	var wrong problems
	if f.notes, err = pushpinconf.Parse(filepath.Dir(abs), text, nearest.Name); err != nil {
		var all pushpinconf.Errors
		if !errors.As(err, &all) {
			return nil, err
		}
		for _, p := range all {
			wrong.add("%s: %s", position(path, p.Line), p.Text)
		}
		return nil, wrong.err()
	}
	byName := make(map[string]cli.Flag)
	for _, fl := range flags {
		byName[fl.Names()[0]] = fl
	}
	for _, s := range f.notes.Settings {
		value, err := tomlValue(byName[s.Option], s.Value)
		if err != nil {
			wrong.add("%s: %s: %v", position(path, s.Line), s.Name, err)
		}
		f.values[s.Option], f.settings[s.Option] = value, s
	}
	return f, wrong.err()
}

// lowerConnections makes do with the open files that there are: client_maxconn is a bound, and the one of the packaged file is
// above what many hosts allow.
func (f *pushpinFile) lowerConnections(e *effective, most int, s source) {
	f.lowered = []any{slog.Int("line", s.Line), slog.Int("asked", e.MaxConnections), slog.Int("served", most)}
	e.MaxConnections = most
}

// zeromq refuses ZeroMQ sockets of a pushpin.conf: a publisher that uses one cannot see that its
// messages are lost.
func (r *reader) zeromq(e *effective) {
	e.skipZeroMQ = r.c.Bool("skip-zeromq")
	f := r.cfg.pushpin
	if f == nil || len(f.notes.ZeroMQ) == 0 || e.skipZeroMQ {
		return
	}
	for _, n := range f.notes.ZeroMQ {
		r.wrong.add("%s: %s: pushd has no ZeroMQ: %s", position(f.path, n.Line), n.Name, n.Advice)
	}
	r.wrong.add("%s: publish over HTTP (push_in_http_port) or with pushpub, and remove these lines;"+
		" or start without these sockets (--skip-zeromq)", f.path)
}

// log says what of the file has no effect. f may be nil.
func (f *pushpinFile) log(l *slog.Logger) {
	if f == nil {
		return
	}
	file := slog.String("file", f.path)
	if f.lowered != nil {
		l.With(f.lowered...).Warn("client_maxconn is more than the limit on open files allows: raise RLIMIT_NOFILE", file)
	}
	if len(f.notes.ZeroMQ) > 0 {
		names := make([]string, len(f.notes.ZeroMQ))
		for i, n := range f.notes.ZeroMQ {
			names[i] = n.Name
		}
		l.Warn("the file has ZeroMQ sockets, which are not opened: messages published to them are lost", file, slog.Any("settings", names))
	}
	if len(f.notes.Unserved) > 0 {
		l.Warn("the file has settings that are not served", file, slog.Any("settings", texts("", f.notes.Unserved).value))
	}
	if len(f.notes.Tuning) > 0 {
		l.Info("the file has settings without a meaning here", file, slog.Any("settings", f.notes.Tuning))
	}
}
