// Package server is the composition root of pushd: it joins directory, loops, clients and control, runs them, and takes
// them down in order.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"holdfast/pkg/control"
	"holdfast/pkg/version"
)

const (
	// spareProcs is the number of processors for goroutines beside the loops: with none, control was seen to wait 5 to
	// 25 ms behind a broadcast.
	spareProcs = 2
	// endTime is what is left to do after the drain, at most.
	endTime      = 10 * time.Second
	reclaimEvery = time.Second
	minReclaim   = 1000     // connections whose leaving is worth a collection
	minUnqueued  = 16 << 20 // bytes of queues whose emptying is
)

// Server is a running pushd.
type Server struct {
	opts    Options
	started time.Time
	loops   *loops
	system  system
	addrs   []netip.AddrPort
	publish net.Addr // nil: off
	metrics net.Addr // nil: off

	draining atomic.Bool
	once     sync.Once // of Shutdown

	stop   context.CancelFunc // ends control and what else runs beside the loops
	wg     sync.WaitGroup
	failed chan error // the first that ended too early: see fail
}

// Run serves until ctx ends, then drains the connections over Options.DrainTimeout and returns. An error is about the
// start, or about something that broke later and without which pushd cannot go on.
func Run(ctx context.Context, o Options) error {
	s, err := Start(o)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		s.Shutdown()
		return nil
	case err := <-s.failed:
		s.Shutdown()
		return err
	}
}

// Start starts a pushd, which listens when Start returns. The control socket answers before the first client listener
// opens, so that whoever sees a client listener can publish.
func Start(o Options) (s *Server, err error) {
	runtime.GOMAXPROCS(o.Loops + spareProcs)
	socket, err := controlSocket(o)
	if err != nil {
		return nil, err
	}
	r, err := newRoutes(o)
	if err != nil {
		socket.Close()
		return nil, err
	}
	failed := make(chan error, 1)
	p, err := newLoops(o, r, func(err error) { fail(o.Log, failed, err) })
	if err != nil {
		r.close()
		socket.Close()
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s = &Server{opts: o, started: time.Now(), loops: p, stop: stop, failed: failed}
	ctl := control.New(control.Options{
		Log: o.Log, Publisher: p.dir, Stats: s.Snapshot, Program: "pushd " + version.String(),
		MaxFrame: o.MaxFrame, MaxMessage: o.MaxMessage, Inspector: &inspector{loops: p},
	})
	s.run(func() error { return ctl.Serve(ctx, socket) })
	s.run(func() error { s.reclaim(ctx); return nil })
	s.run(func() error { s.expire(ctx); return nil })
	s.run(func() error { p.pulse.run(ctx, o.beat()); return nil })
	if r != nil {
		r.feed = p.feed
		s.run(func() error { r.run(ctx, o.Reload); return nil })
	}
	if p.gate != nil {
		for range max(1, o.Loops/2) { // loops go first
			s.run(func() error { p.gate.Run(ctx); return nil })
		}
	}
	if err := s.listen(ctx); err != nil {
		s.end()
		return nil, err
	}
	s.pushMetrics(ctx)
	o.Log.Info("pushd started", slog.String("version", version.String()), slog.Any("listen", s.addrs),
		slog.String("socket", o.Socket), slog.String("publish", addrOrOff(s.publish)), slog.String("metrics", addrOrOff(s.metrics)), slog.Int("loops", o.Loops),
		slog.Int("max_connections", o.MaxConnections), slog.Int("max_queued", o.MaxQueued), slog.Int64("queue_memory", o.QueueMemory))
	s.notify("READY=1")
	return s, nil
}

// controlSocket is the listener of the control socket: the one that was handed over, or a new one.
func controlSocket(o Options) (net.Listener, error) {
	if o.SocketFile == nil {
		return control.Listen(o.Socket, o.SocketMode, o.SocketGroup)
	}
	return fileListener(o.SocketFile)
}

// fileListener makes a listener of a socket that was handed over, which then is its own.
func fileListener(f *os.File) (net.Listener, error) {
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("take over listener %s: %w", f.Name(), err)
	}
	if unix, ok := ln.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false) // whoever made it keeps it
	}
	if err := f.Close(); err != nil {
		return nil, errors.Join(fmt.Errorf("take over listener %s: %w", f.Name(), err), ln.Close())
	}
	return ln, nil
}

// listen opens the publish and metrics endpoints and then the client listeners.
func (s *Server) listen(ctx context.Context) error {
	if err := s.listenPublish(ctx); err != nil {
		return err
	}
	if err := s.listenMetrics(ctx); err != nil {
		return err
	}
	for _, f := range s.opts.ListenFiles {
		bound, err := s.loops.adopt(f)
		if err != nil {
			return err
		}
		s.addrs = append(s.addrs, bound)
	}
	for _, addr := range s.opts.Listen {
		bound, err := s.loops.listen(addr)
		if err != nil {
			return err
		}
		s.addrs = append(s.addrs, bound)
	}
	return nil
}

func (s *Server) listenPublish(ctx context.Context) (err error) {
	var ln net.Listener
	switch o := s.opts; {
	case o.PublishFile != nil:
		ln, err = fileListener(o.PublishFile)
	case o.PublishListen != "":
		ln, err = net.Listen("tcp", o.PublishListen)
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the publish endpoint: %w", s.notShared(err, "publish-listen"))
	}
	names := slices.Clone(s.opts.PublishHosts)
	if host, _, err := net.SplitHostPort(s.opts.PublishListen); err == nil {
		names = append(names, host)
	}
	h := control.NewHTTP(control.HTTPOptions{
		Log: s.opts.Log, Publisher: s.loops.dir, Names: names, Token: s.opts.PublishToken, Draining: s.draining.Load,
		Trouble: s.loops.pulse.trouble, MaxBody: s.opts.MaxFrame, MaxMessage: s.opts.MaxMessage,
	})
	s.publish = ln.Addr()
	s.run(func() error { return h.Serve(ctx, ln) })
	return nil
}

// notShared explains an address in use to somebody who shares addresses. Two publish or metrics endpoints on one address
// would each get some of the requests: a part of the clients would miss each item, and figures would jump.
func (s *Server) notShared(err error, option string) error {
	if !s.opts.ReusePort || !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	return fmt.Errorf("%w: --reuse-port shares the addresses of clients only; give this pushd its own --%s, or off",
		err, option)
}

// addrOrOff is the address of an endpoint, "off" when there is none.
func addrOrOff(a net.Addr) string {
	if a == nil {
		return "off"
	}
	return a.String()
}

// Addrs returns the addresses on which clients are accepted.
func (s *Server) Addrs() []netip.AddrPort { return s.addrs }

// Shutdown stops accepting, drains the connections and ends everything. It returns when nothing is left; a second call does nothing
// more.
func (s *Server) Shutdown() { s.once.Do(s.shutdown) }

func (s *Server) shutdown() {
	log := s.opts.Log
	s.draining.Store(true)
	s.notify(fmt.Sprintf("STOPPING=1\nEXTEND_TIMEOUT_USEC=%d", (s.opts.DrainTimeout + endTime).Microseconds()))
	log.Info("pushd is stopping", slog.Int("connections", s.loops.limit.Connections()), slog.String("drain_timeout", s.opts.DrainTimeout.String()))
	s.loops.drain()
	s.end()
	log.Info("pushd stopped", slog.String("uptime", time.Since(s.started).Round(time.Millisecond).String()))
}

// notify tells the service manager how pushd is, if there is one.
func (s *Server) notify(state string) {
	if s.opts.Manager == nil {
		return
	}
	if err := s.opts.Manager.Notify(state); err != nil {
		s.opts.Log.Warn("cannot tell the service manager", slog.String("state", state), slog.Any("err", err))
	}
}

// end takes down what Start has made: control first, so that nobody publishes to loops that are gone.
func (s *Server) end() {
	s.stop()
	s.wg.Wait()
	s.loops.routes.close()
	s.loops.stop()
}

// run runs f beside the loops, until s.stop.
func (s *Server) run(f func() error) {
	s.wg.Go(func() {
		if err := f(); err != nil {
			fail(s.opts.Log, s.failed, err)
		}
	})
}

// fail notes that a part ended without which pushd cannot go on. The first is the reason that Run
// returns; however many follow, none of them waits.
func fail(log *slog.Logger, failed chan<- error, err error) {
	select {
	case failed <- err:
	default:
		log.Error("another part of pushd failed", slog.Any("err", err))
	}
}

// expire drops what channels have kept for long enough.
func (s *Server) expire(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.loops.dir.Expire(now)
		}
	}
}

// reclaim gives memory back to the system after many connections have left, or much that waited for slow ones has gone: once, when
// the number has fallen to three quarters of its peak or less and has stopped falling. The collector would keep it for a next time
// that may never come.
func (s *Server) reclaim(ctx context.Context) {
	tick := time.NewTicker(reclaimEvery)
	defer tick.Stop()
	var connections, queued tide
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ebb := connections.out(int64(s.loops.limit.Connections()), int64(s.loops.limit.Peak()), minReclaim)
		now, peak := s.loops.queue.Used()
		if queued.out(now, peak, minUnqueued) || ebb {
			debug.FreeOSMemory()
		}
	}
}

// tide follows a number that rises and falls.
type tide struct{ peak, last int64 }

// out reports that the number, now and at its highest since the last call, has gone far down, by least or more, and stopped.
func (t *tide) out(now, highest, least int64) bool {
	t.peak = max(t.peak, highest, now)
	stopped := now >= t.last
	t.last = now
	if now > t.peak*3/4 || !stopped || t.peak-now < least {
		return false
	}
	t.peak = now
	return true
}
