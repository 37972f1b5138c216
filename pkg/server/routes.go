package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"holdfast/pkg/grip"
	"holdfast/pkg/proxy"
	"holdfast/pkg/route"
)

// routes is the routes file as it is in effect, and the backend side that serves it.
type routes struct {
	log     *slog.Logger
	table   atomic.Pointer[route.Table]
	proxy   *proxy.Proxy
	watcher *route.Watcher

	ctx context.Context // of all exchanges
	end context.CancelFunc
}

// newRoutes reads the routes file; nil without one.
func newRoutes(o Options) (*routes, error) {
	if o.Routes == "" {
		return nil, nil
	}
	r := &routes{log: o.Log}
	r.watcher = route.NewWatcher(o.Routes, route.Options{SkipUnserved: o.SkipUnserved}, r.changed)
	table, err := r.watcher.Load()
	if err != nil {
		return nil, err
	}
	r.take(table)
	r.ctx, r.end = context.WithCancel(context.Background())
	r.proxy = proxy.New(proxy.Options{
		Log: o.Log, Concurrency: o.BackendConcurrency, Timeout: o.BackendTimeout, MaxIdle: idleBackends, Dir: filepath.Dir(o.Routes),
		Proto: grip.ParseForwardedProto("proto-only", false), SigKey: o.SigKey, SigIss: o.SigIssuer, UpstreamKey: o.UpstreamKey,
	})
	return r, nil
}

// CheckRoutes reads a routes file as a start would, and returns what is doubtful about it, or the error that would stop the start.
func CheckRoutes(path string, skipUnserved bool) (warnings []string, err error) {
	t, err := route.NewWatcher(path, route.Options{SkipUnserved: skipUnserved}, nil).Load()
	if err != nil {
		return nil, err
	}
	for _, w := range t.Warnings() {
		warnings = append(warnings, w.Error())
	}
	return warnings, nil
}

// take puts a table in effect. Connections that are held keep their route.
func (r *routes) take(t *route.Table) {
	for _, w := range t.Warnings() {
		r.log.Warn("routes file", slog.String("warning", w.Error()))
	}
	r.table.Store(t)
}

// changed takes what the watcher has read; a bad file leaves the old table in effect.
func (r *routes) changed(t *route.Table, err error) {
	if err != nil {
		var all route.Errors
		if errors.As(err, &all) && len(all) > 1 {
			err = fmt.Errorf("%w (and %d more)", all[0], len(all)-1)
		}
		r.log.Error("the routes file has changed and is bad: the old routes stay", slog.String("err", strings.ReplaceAll(err.Error(), "\n", "; ")))
		return
	}
	r.take(t)
	r.proxy.Reload()
	r.log.Info("routes read", slog.Int("routes", len(t.Routes())))
}

// run watches the file until ctx ends.
func (r *routes) run(ctx context.Context, reload <-chan struct{}) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-reload:
				r.watcher.Reload()
			}
		}
	})
	r.watcher.Run(ctx)
}

// close ends what backends are asked.
func (r *routes) close() {
	if r != nil {
		r.end() // an exchange may wait for a client who does not read
		r.proxy.Close()
	}
}
