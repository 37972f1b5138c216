package loadgen

import (
	"context"
	"sync"

	"holdfast/pkg/client"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

// group is several daemons that share the targets, and so the subscribers of each channel.
type group []daemon

// Stats adds up what a run looks at.
func (g group) Stats(ctx context.Context) (*stats.Snapshot, error) {
	var sum stats.Snapshot
	for _, d := range g {
		s, err := d.Stats(ctx)
		if err != nil {
			return nil, err
		}
		sum.RSSAnonBytes += s.RSSAnonBytes
		sum.CPUSeconds += s.CPUSeconds
		sum.Accepted += s.Accepted
	}
	return &sum, nil
}

// Publisher publishes each item to every daemon, and hands on one ack when all have come.
func (g group) Publisher(o client.PublisherOptions) publisher {
	if len(g) == 1 {
		return g[0].Publisher(o)
	}
	p := &groupPublisher{onAck: o.OnAck, waiting: make(map[uint64]*groupAck)}
	o.OnAck = p.ack
	for _, d := range g {
		p.all = append(p.all, d.Publisher(o))
	}
	return p
}

// groupPublisher numbers its items as each of its publishers does: all of them get all items, in
// one order.
type groupPublisher struct {
	all   []publisher
	onAck func(seq uint64, a wire.Ack)

	mu      sync.Mutex // guards waiting and what is in it
	waiting map[uint64]*groupAck
}

// groupAck is what the acks so far say of one item: refused by one is refused.
type groupAck struct {
	sum   wire.Ack
	count int
}

func (p *groupPublisher) Publish(ctx context.Context, it *publish.Item) (seq uint64, err error) {
	for _, pub := range p.all {
		if seq, err = pub.Publish(ctx, it); err != nil {
			return seq, err
		}
	}
	return seq, nil
}

func (p *groupPublisher) Flush(ctx context.Context) error {
	for _, pub := range p.all {
		if err := pub.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *groupPublisher) ack(seq uint64, a wire.Ack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.waiting[seq]
	if g == nil {
		g = &groupAck{sum: wire.Ack{Accepted: true}}
		p.waiting[seq] = g
	}
	g.count++
	g.sum.Receivers += a.Receivers
	if !a.Accepted && g.sum.Accepted {
		g.sum.Accepted, g.sum.Err = false, a.Err
	}
	if g.count == len(p.all) {
		delete(p.waiting, seq)
		p.onAck(seq, g.sum)
	}
}
