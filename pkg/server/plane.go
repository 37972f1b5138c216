package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"holdfast/pkg/forwarded"
	"holdfast/pkg/hub"
	"holdfast/pkg/netloop"
	"holdfast/pkg/session"
	"holdfast/pkg/stats"

	"golang.org/x/sys/unix"
)

const (
	// maxUndelivered bounds the bytes of items on their way from publishers to loops. Above it publishers wait.
	maxUndelivered = 64 << 20
	drainSteps     = 100
)

// plane is the part of pushd that holds clients: the loops, their clients, and the directory between them.
type plane struct {
	opts   Options
	limit  *netloop.Limit
	dir    *hub.Directory
	loops  []*netloop.Loop
	counts []*stats.Loop
	feed   *stats.Feed // of what happens to clients
	queue  *netloop.Budget
	gate   *session.Gate // nil: nobody needs a token
	routes *routes       // nil: channels are served directly
	pulse  *pulse
}

// post is a loop as the directory sees it.
type post struct{ loop *netloop.Loop }

func (p post) Post(d *hub.Delivery) { p.loop.Post(d) }

// newPlane starts the loops. They hold nobody until listen is called. failed is told of a loop that
// cannot go on.
func newPlane(o Options, r *routes, failed func(error)) (*plane, error) {
	p := &plane{opts: o, routes: r, limit: netloop.NewLimit(o.MaxConnections), dir: hub.NewDirectory(maxUndelivered), feed: new(stats.Feed)}
	p.dir.SetMaxChannels(o.MaxChannels)
	if r != nil {
		p.dir.KeepLastIDs()
		p.dir.Prepare(session.PrepareItem)
		if o.IDCacheTTL > 0 {
			p.dir.DropRepeats(o.IDCacheTTL)
		}
	}
	if len(o.History) > 0 {
		p.dir.KeepHistory(hub.HistoryOptions{Rules: o.History, Memory: o.HistoryMemory})
	}
	p.queue = netloop.NewBudget(o.QueueMemory)
	rate := netloop.NewRate(o.AcceptRate)
	p.pulse = &pulse{log: o.Log}
	clients := p.clientOptions()
	var posts []hub.Loop
	for i := range o.Loops {
		counts := new(stats.Loop)
		cfg := netloop.Config{
			Log: o.Log, Stats: counts, Limit: p.limit, Rate: rate, Queue: p.queue,
			MaxQueued: o.MaxQueued, Drop: o.Overflow == OverflowDrop, MaxInput: o.MaxHeader,
			Failed: func(err error) { failed(fmt.Errorf("loop %d: %w", i, err)) },
		}
		loop, err := netloop.New(cfg, func(l *netloop.Loop) netloop.Handler {
			return session.New(clients, l, p.dir, i, counts)
		})
		if err != nil {
			p.stop()
			return nil, fmt.Errorf("start event loop %d: %w", i, err)
		}
		p.loops, p.counts = append(p.loops, loop), append(p.counts, counts)
		posts = append(posts, post{loop})
		p.pulse.add(loop)
	}
	p.dir.SetLoops(posts)
	return p, nil
}

// clientOptions is what the clients of all loops have in common.
func (p *plane) clientOptions() session.Options {
	o := p.opts
	clients := session.Options{
		Log: o.Log, MaxHeader: o.MaxHeader, HeaderTimeout: o.HeaderTimeout, IdleTimeout: o.IdleTimeout,
		StreamKeepAlive: o.StreamKeepAlive, WSPing: o.WSPing, MaxMessage: o.MaxMessage,
		MaxChannels: o.MaxSubscriptions, MaxReplay: o.MaxQueued, WSProtocols: o.WSProtocols,
		Trouble: p.pulse.trouble, StreamOpening: o.StreamOpening,
		Origins: o.AllowOrigin, Trusted: o.TrustedProxies, Connections: p.limit.Connections, Feed: p.feed,
	}
	if o.MaxPerAddress > 0 {
		clients.Addresses = forwarded.NewPerAddress(o.MaxPerAddress)
	}
	if o.TokenKey != nil {
		p.gate = session.NewGate(session.GateOptions{Key: o.TokenKey, Cookie: o.TokenCookie, Grace: o.TokenGrace, Loops: o.Loops})
		clients.Gate = p.gate
	}
	if p.routes != nil {
		clients.Routes, clients.Backend, clients.Context = &p.routes.table, p.routes.proxy, p.routes.ctx
		clients.Holds = session.NewHoldBudget(o.HoldMemory)
		clients.AcceptRoute, clients.AcceptProto = o.Backends.AcceptRoute, o.Backends.Proto.Accept
	}
	return clients
}

// listen opens one client address for all loops.
func (p *plane) listen(addr string) (netip.AddrPort, error) {
	fds, bound, err := netloop.Bind(addr, len(p.loops), p.opts.ReusePort)
	if err != nil {
		return bound, err
	}
	return bound, p.accept((*netloop.Loop).Listen, fds, bound)
}

// adopt takes over a client listener that a service manager has opened.
func (p *plane) adopt(f *os.File) (netip.AddrPort, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("take over listener %s: %w", f.Name(), err)
	}
	fds, bound, err := netloop.Adopt(fd, len(p.loops))
	if err != nil {
		unix.Close(fd)
		return bound, fmt.Errorf("take over listener %s: %w", f.Name(), err)
	}
	return bound, p.accept((*netloop.Loop).ListenAdopted, fds, bound)
}

// accept has each loop accept from one of fds, and close it in the end.
func (p *plane) accept(listen func(*netloop.Loop, int) error, fds []int, bound netip.AddrPort) (err error) {
	for i, fd := range fds {
		err = errors.Join(err, listen(p.loops[i], fd))
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", bound, err)
	}
	return nil
}

// drain stops accepting and ends all connections, spread over the drain timeout. It returns early when nobody is left.
func (p *plane) drain() {
	for _, l := range p.loops {
		l.StopListening()
	}
	tick := time.NewTicker(max(p.opts.DrainTimeout/drainSteps, time.Millisecond))
	defer tick.Stop()
	for left := drainSteps; left > 0 && p.limit.Connections() > 0; left-- {
		for _, l := range p.loops {
			l.Post(&session.Drain{Left: left})
		}
		<-tick.C
	}
}

// stop ends the loops and whatever they still hold.
func (p *plane) stop() {
	for _, l := range p.loops {
		if err := l.Stop(); err != nil {
			p.opts.Log.Error("event loop did not stop in order", slog.Any("err", err))
		}
	}
}
