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
	// maxUndelivered bounds the bytes of items on their way from publishers to loops. Above it
	// publishers wait.
	maxUndelivered = 64 << 20
	drainSteps     = 100
)

// loops holds clients: the event loops, their clients, and the directory between them.
type loops struct {
	opts   Options
	limit  *netloop.Limit
	dir    *hub.Directory
	all    []*netloop.Loop
	counts []*stats.Loop
	feed   *stats.Feed // of what happens to clients
	queue  *netloop.Budget
	gate   *session.Gate // nil: nobody needs a token
	routes *routes       // nil: channels are served directly
	pulse  *pulse
	bound  []bound // client listeners, whose descriptors are the loops'
}

// post is a loop as the directory sees it.
type post struct{ loop *netloop.Loop }

func (p post) Post(d *hub.Delivery) { p.loop.Post(d) }

// newLoops starts the loops. They hold nobody until listen is called. failed is told of a loop that
// cannot go on.
func newLoops(o Options, r *routes, failed func(error)) (*loops, error) {
	ls := &loops{
		opts: o, routes: r, limit: netloop.NewLimit(o.MaxConnections),
		dir: hub.NewDirectory(maxUndelivered), feed: new(stats.Feed),
	}
	ls.dir.SetMaxChannels(o.MaxChannels)
	if r != nil {
		ls.dir.KeepLastIDs()
		ls.dir.Prepare(session.PrepareItem)
		if o.IDCacheTTL > 0 {
			ls.dir.DropRepeats(o.IDCacheTTL)
		}
	}
	if len(o.History) > 0 {
		ls.dir.KeepHistory(hub.HistoryOptions{Rules: o.History, Memory: o.HistoryMemory})
	}
	ls.queue = netloop.NewBudget(o.QueueMemory)
	rate := netloop.NewRate(o.AcceptRate)
	ls.pulse = &pulse{log: o.Log}
	clients := ls.clientOptions()
	var posts []hub.Loop
	for i := range o.Loops {
		counts := new(stats.Loop)
		cfg := netloop.Config{
			Log: o.Log, Stats: counts, Limit: ls.limit, Rate: rate, Queue: ls.queue,
			MaxQueued: o.MaxQueued, Drop: o.Overflow == OverflowDrop, MaxInput: o.MaxHeader,
			Failed: func(err error) { failed(fmt.Errorf("loop %d: %w", i, err)) },
		}
		loop, err := netloop.New(cfg, func(l *netloop.Loop) netloop.Handler {
			return session.New(clients, l, ls.dir, i, counts)
		})
		if err != nil {
			ls.stop()
			return nil, fmt.Errorf("start event loop %d: %w", i, err)
		}
		ls.all, ls.counts = append(ls.all, loop), append(ls.counts, counts)
		posts = append(posts, post{loop})
		ls.pulse.add(loop)
	}
	ls.dir.SetLoops(posts)
	return ls, nil
}

// clientOptions is what the clients of all loops have in common.
func (ls *loops) clientOptions() session.Options {
	o := ls.opts
	clients := session.Options{
		Log: o.Log, MaxHeader: o.MaxHeader, HeaderTimeout: o.HeaderTimeout, IdleTimeout: o.IdleTimeout,
		StreamKeepAlive: o.StreamKeepAlive, WSPing: o.WSPing, MaxMessage: o.MaxMessage,
		MaxChannels: o.MaxSubscriptions, MaxReplay: o.MaxQueued, WSProtocols: o.WSProtocols,
		Trouble: ls.pulse.trouble, StreamOpening: o.StreamOpening,
		Origins: o.AllowOrigin, Trusted: o.TrustedProxies, Connections: ls.limit.Connections,
		Feed: ls.feed,
	}
	if o.MaxPerAddress > 0 {
		clients.Addresses = forwarded.NewPerAddress(o.MaxPerAddress)
	}
	if o.TokenKey != nil {
		ls.gate = session.NewGate(session.GateOptions{
			Key: o.TokenKey, Cookie: o.TokenCookie, Grace: o.TokenGrace, Loops: o.Loops,
		})
		clients.Gate = ls.gate
	}
	if ls.routes != nil {
		clients.Routes, clients.Backend = &ls.routes.table, ls.routes.proxy
		clients.Context = ls.routes.ctx
		clients.Holds = session.NewHoldBudget(o.HoldMemory)
		clients.AcceptRoute, clients.AcceptProto = o.Backends.AcceptRoute, o.Backends.Proto.Accept
	}
	return clients
}

// listen opens one client address for all loops.
func (ls *loops) listen(addr string) (netip.AddrPort, error) {
	fds, at, err := netloop.Bind(addr, len(ls.all), ls.opts.ReusePort)
	if err != nil {
		return at, err
	}
	return at, ls.accept(bound{addr: at, fds: fds})
}

// adopt takes over a client listener that a service manager has opened.
func (ls *loops) adopt(f *os.File) (netip.AddrPort, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("take over listener %s: %w", f.Name(), err)
	}
	fds, at, err := netloop.Adopt(fd, len(ls.all))
	if err != nil {
		unix.Close(fd)
		return at, fmt.Errorf("take over listener %s: %w", f.Name(), err)
	}
	return at, ls.accept(bound{addr: at, fds: fds, adopted: true})
}

// take takes over the sockets of one address that another pushd has detached. The kernel spreads
// the connections over all of them, so that each must have a loop; and each loop is to have one.
func (ls *loops) take(b *bound) (netip.AddrPort, error) {
	if missing := len(ls.all) - len(b.fds); missing > 0 {
		more, _, err := netloop.Bind(b.addr.String(), missing, true)
		if err != nil {
			b.close()
			return b.addr, err
		}
		b.fds = append(b.fds, more...)
	}
	return b.addr, ls.accept(*b)
}

// accept has the loops accept from the sockets of b, and close them in the end.
func (ls *loops) accept(b bound) (err error) {
	listen := (*netloop.Loop).Listen
	if b.adopted {
		listen = (*netloop.Loop).ListenAdopted
	}
	for i, fd := range b.fds {
		err = errors.Join(err, listen(ls.all[i%len(ls.all)], fd))
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", b.addr, err)
	}
	ls.bound = append(ls.bound, b)
	return nil
}

// stopListening closes the listeners.
func (ls *loops) stopListening() {
	for _, l := range ls.all {
		l.StopListening()
	}
}

// drain stops accepting and ends all connections, spread over the drain timeout. It returns early
// when nobody is left.
func (ls *loops) drain() {
	ls.stopListening()
	tick := time.NewTicker(max(ls.opts.DrainTimeout/drainSteps, time.Millisecond))
	defer tick.Stop()
	for left := drainSteps; left > 0 && ls.limit.Connections() > 0; left-- {
		for _, l := range ls.all {
			l.Post(&session.Drain{Left: left})
		}
		<-tick.C
	}
}

// stop ends the loops and whatever they still hold.
func (ls *loops) stop() {
	for _, l := range ls.all {
		if err := l.Stop(); err != nil {
			ls.opts.Log.Error("event loop did not stop in order", slog.Any("err", err))
		}
	}
}

// eventLoops is the loops as a part of pushd. Their connections are drained before they stop.
type eventLoops struct {
	passive
	s *Server
}

func (e *eventLoops) start() (err error) {
	e.s.loops, err = newLoops(e.s.opts, e.s.routes, e.s.fail)
	return err
}

func (e *eventLoops) stop() { e.s.loops.stop() }
