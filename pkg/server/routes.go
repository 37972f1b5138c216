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
	"time"

	"holdfast/pkg/proxy"
	"holdfast/pkg/route"
	"holdfast/pkg/stats"
)

// routes is the routes file as it is in effect, and the backend side that serves it.
type routes struct {
	log     *slog.Logger
	table   atomic.Pointer[route.Table]
	proxy   *proxy.Proxy
	watcher *route.Watcher
	bad     atomic.Uint64 // times that the file was bad when read again
	feed    *stats.Feed   // is told of reloads

	ctx context.Context // of all exchanges
	end context.CancelFunc
}

// newRoutes reads the routes file; nil without one.
func newRoutes(o Options) (*routes, error) {
	if o.Routes == "" {
		return nil, nil
	}
	r := &routes{log: o.Log}
	dir := filepath.Dir(o.Routes)
	r.watcher = route.NewWatcher(o.Routes, proxy.RouteOptions(dir, o.SkipUnserved), r.changed)
	table, err := r.watcher.Load()
	if err != nil {
		return nil, err
	}
	r.take(table)
	r.ctx, r.end = context.WithCancel(context.Background())
	b := o.Backends
	r.proxy = proxy.New(proxy.Options{
		Log: o.Log, Dir: dir, SigKey: o.SigKey, SigIss: o.SigIssuer, UpstreamKey: o.UpstreamKey,
		Concurrency: o.BackendConcurrency, Total: b.Connections, MaxIdle: b.Idle, MaxOpen: b.Open, MaxWaitingBytes: b.WaitingMemory,
		Timeout: o.BackendTimeout, ConnectTimeout: b.ConnectTimeout,
		MaxResponseHead: b.MaxHead, MaxHoldBody: b.MaxHoldBody, MaxFilters: b.MaxFilters,
		Debug: b.Debug, AutoCORS: b.AutoCORS, DropRoute: b.AcceptRoute, CDNLoop: b.CDNLoop,
		Proto: b.Proto, For: b.For, ForTrusted: b.ForTrusted,
	})
	o.Log.Info("routes read", slog.Int("routes", len(table.Routes())), slog.Int("backend_concurrency", o.BackendConcurrency),
		slog.Int("backend_open", b.Open), slog.Int("backend_files", b.Files()))
	return r, nil
}

// CheckRoutes reads a routes file as a start would, and returns what is doubtful about it, or the error that would stop the start.
func CheckRoutes(path string, skipUnserved bool) (warnings []string, err error) {
	t, err := route.NewWatcher(path, proxy.RouteOptions(filepath.Dir(path), skipUnserved), nil).Load()
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
		r.bad.Add(1)
		var all route.Errors
		if errors.As(err, &all) && len(all) > 1 {
			err = fmt.Errorf("%w (and %d more)", all[0], len(all)-1)
		}
		r.log.Error("the routes file has changed and is bad: the old routes stay", slog.String("err", strings.ReplaceAll(err.Error(), "\n", "; ")))
		r.tell("the file is bad: the old routes stay")
		return
	}
	r.take(t)
	r.proxy.Reload(t)
	r.log.Info("routes read", slog.Int("routes", len(t.Routes())))
	r.tell(fmt.Sprintf("%d routes read", len(t.Routes())))
}

// tell tells those who listen to events of a reload.
func (r *routes) tell(result string) {
	r.feed.Add([]stats.Event{{UnixMS: time.Now().UnixMilli(), Type: stats.EventReload, Loop: -1, Reason: result}}, 0)
}

// backends returns the totals of all routes; nil without a routes file.
func (r *routes) backends() *stats.Backends {
	if r == nil {
		return nil
	}
	s := r.proxy.Stats().Snapshot()
	s.ReloadFailures = r.bad.Load()
	return s
}

// infos returns the figures of the routes in effect; nil without a routes file.
func (r *routes) infos() []stats.RouteInfo {
	if r == nil {
		return nil
	}
	return r.proxy.Routes(r.table.Load())
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
	r.end() // an exchange may wait for a client who does not read
	r.proxy.Close()
}

// routesFile reads the routes for the loops.
type routesFile struct {
	passive
	s *Server
}

func (f *routesFile) start() (err error) {
	f.s.routes, err = newRoutes(f.s.opts)
	return err
}

// backends follows the routes file, and in the end ends what backends are asked.
type backends struct {
	*task
	s *Server
}

func (s *Server) newBackends() *backends {
	return &backends{s.task("backends", func(ctx context.Context) error {
		s.routes.run(ctx, s.opts.Reload)
		return nil
	}), s}
}

func (b *backends) start() error {
	b.s.routes.feed = b.s.loops.feed
	return b.task.start()
}

func (b *backends) stop() {
	b.task.stop()
	b.s.routes.close()
}
