// Package server is the composition root of pushd: it joins directory, loops, clients and control, runs them, and takes
// them down in order.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/pkg/version"
)

const (
	// spareProcs is the number of processors for goroutines beside the loops: with none, control was seen to wait 5 to
	// 25 ms behind a broadcast.
	spareProcs = 2
	// endTime is what is left to do after the drain, at most.
	endTime = 10 * time.Second
)

// Server is a running pushd.
type Server struct {
	opts    Options
	started time.Time
	parts   parts
	routes  *routes // nil: channels are served directly
	loops   *loops
	system  system
	addrs   []netip.AddrPort
	publish net.Addr // nil: off
	metrics net.Addr // nil: off

	draining atomic.Bool
	once     sync.Once  // of Shutdown
	failed   chan error // the first that ended too early: see fail
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
func Start(o Options) (*Server, error) {
	runtime.GOMAXPROCS(o.Loops + spareProcs)
	s := newServer(o)
	if err := s.parts.start(); err != nil {
		return nil, err
	}
	o.Log.Info("pushd started", slog.String("version", version.String()), slog.Any("listen", s.addrs),
		slog.String("socket", o.Socket), slog.String("publish", addrOrOff(s.publish)), slog.String("metrics", addrOrOff(s.metrics)), slog.Int("loops", o.Loops),
		slog.Int("max_connections", o.MaxConnections), slog.Int("max_queued", o.MaxQueued), slog.Int64("queue_memory", o.QueueMemory))
	s.notify("READY=1")
	return s, nil
}

// newServer puts the parts of a pushd in their order. A part finds those before it at work from its
// start to its stop. So the loops take what inputs publish until the last input has stopped, and
// clients can connect only when everything else is there.
func newServer(o Options) *Server {
	s := &Server{opts: o, started: time.Now(), failed: make(chan error, 1)}
	k := &socket{passive: "control socket", s: s}
	add := func(p ...part) { s.parts.all = append(s.parts.all, p...) }
	add(k)
	if o.Routes != "" {
		add(&routesFile{"routes", s})
	}
	add(&eventLoops{"loops", s})
	if o.Routes != "" {
		add(s.newBackends())
	}
	add(s.housekeeping(), s.inputs(k), &listeners{passive: "listeners", s: s})
	if o.Statsd != "" { // a start that fails sends nothing
		add(s.task("statsd", s.pushMetrics))
	}
	add(&drain{"drain", s})
	return s
}

// housekeeping is what runs beside the loops, and has nothing in hand.
func (s *Server) housekeeping() *together {
	all := []part{
		s.task("reclaim", s.reclaim),
		s.task("expire", s.expire),
		s.task("pulse", func(ctx context.Context) error {
			s.loops.pulse.run(ctx, s.opts.beat())
			return nil
		}),
	}
	if s.opts.TokenKey != nil {
		gate := s.task("gate", func(ctx context.Context) error {
			s.loops.gate.Run(ctx)
			return nil
		})
		gate.goroutines = s.opts.Loops / 2 // loops go first
		all = append(all, gate)
	}
	return &together{"housekeeping", parts{all: all}}
}

// inputs is what listens for others than clients.
func (s *Server) inputs(k *socket) *together {
	all := []part{s.controlInput(k)}
	if o := s.opts; o.PublishFile != nil || o.PublishListen != "" {
		all = append(all, s.publishInput())
	}
	if o := s.opts; o.MetricsFile != nil || o.MetricsListen != "" {
		all = append(all, s.metricsInput())
	}
	return &together{"inputs", parts{all: all}}
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
	log.Info("pushd is stopping", slog.Int("connections", s.loops.limit.Connections()),
		slog.String("drain_timeout", s.opts.DrainTimeout.String()))
	s.parts.stop()
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

// fail notes that a part ended without which pushd cannot go on. The first is the reason that Run
// returns; however many follow, none of them waits.
func (s *Server) fail(err error) {
	select {
	case s.failed <- err:
	default:
		s.opts.Log.Error("another part of pushd failed", slog.Any("err", err))
	}
}

// expire drops what channels have kept for long enough.
func (s *Server) expire(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			s.loops.dir.Expire(now)
		}
	}
}
