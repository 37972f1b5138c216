package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"holdfast/pkg/hub"
	"holdfast/pkg/netloop"
	"holdfast/pkg/session"
	"holdfast/pkg/stats"
)

const (
	// maxUndelivered bounds the bytes of items on their way from publishers to loops. Above it publishers wait.
	maxUndelivered = 64 << 20
	maxChannels    = 20 // of one connection
	drainSteps     = 100
)

// plane is the part of pushd that holds clients: the loops, their clients, and the directory between them.
type plane struct {
	opts   Options
	limit  *netloop.Limit
	dir    *hub.Directory
	loops  []*netloop.Loop
	counts []*stats.Loop
}

// post is a loop as the directory sees it.
type post struct{ loop *netloop.Loop }

func (p post) Post(d *hub.Delivery) { p.loop.Post(d) }

// newPlane starts the loops. They hold nobody until listen is called.
func newPlane(o Options) (*plane, error) {
	p := &plane{opts: o, limit: netloop.NewLimit(o.MaxConnections), dir: hub.NewDirectory(maxUndelivered)}
	queue := netloop.NewBudget(o.QueueMemory)
	clients := session.Options{
		MaxHeader: o.MaxHeader, HeaderTimeout: o.HeaderTimeout, IdleTimeout: o.IdleTimeout,
		StreamKeepAlive: o.StreamKeepAlive, WSPing: o.WSPing, MaxMessage: o.MaxMessage, MaxChannels: maxChannels,
	}
	var posts []hub.Loop
	for i := range o.Loops {
		counts := new(stats.Loop)
		cfg := netloop.Config{
			Log: o.Log, Stats: counts, Limit: p.limit, Queue: queue,
			MaxQueued: o.MaxQueued, Drop: o.Overflow == OverflowDrop, MaxInput: o.MaxHeader,
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
	}
	p.dir.SetLoops(posts)
	return p, nil
}

// listen opens one client address for all loops.
func (p *plane) listen(addr string) (netip.AddrPort, error) {
	fds, bound, err := netloop.Bind(addr, len(p.loops), p.opts.ReusePort)
	if err != nil {
		return bound, err
	}
	for i, fd := range fds { // from here on each loop closes its own
		err = errors.Join(err, p.loops[i].Listen(fd))
	}
	if err != nil {
		return bound, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return bound, nil
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
