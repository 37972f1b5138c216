package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"time"

	"holdfast/pkg/stats"
)

const (
	resolveEvery = time.Minute     // for a sink with a name, whose address may change without a word
	dialTimeout  = 2 * time.Second // for the name
	sendTimeout  = time.Second     // for all datagrams of one time
	surely       = 3               // times without an error, after which a sink is there: the kernel tells of a refusal late
)

// PusherOptions is what a Pusher needs. All but Log must be set.
type PusherOptions struct {
	Log      *slog.Logger // nil means silence
	Address  string       // HOST:PORT of the sink, UDP
	Prefix   string       // of every name, without the dot that follows it
	Interval time.Duration
	Snapshot func() stats.Snapshot
}

// Pusher sends statistics to a statsd: gauges as they are, counters by what came since the last time. Nobody needs to be there.
type Pusher struct {
	o      PusherOptions
	log    *slog.Logger
	named  bool // the sink's host is a name
	conn   net.Conn
	dialed time.Time
	failed bool           // it was said that the sink is not there
	clean  int            // times since then at which nothing went wrong
	last   stats.Snapshot // what was sent before
}

// NewPusher returns a Pusher for a pushd that has just started. Run starts it.
func NewPusher(o PusherOptions) *Pusher {
	p := &Pusher{o: o, log: o.Log}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	_, err := netip.ParseAddrPort(o.Address)
	p.named = err != nil
	return p
}

// Run sends at every interval until ctx ends, and then once more.
func (p *Pusher) Run(ctx context.Context) {
	tick := time.NewTicker(p.o.Interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		p.flush(context.WithoutCancel(ctx))
	}
	if p.conn != nil {
		p.conn.Close()
	}
}

// flush sends one snapshot. What cannot be sent is lost, as UDP has it.
func (p *Pusher) flush(ctx context.Context) {
	now := p.o.Snapshot()
	lines := packets{prefix: p.o.Prefix + "."}
	appendSnapshot(&lines, &p.last, &now)
	p.last = now
	err := p.send(ctx, lines.take())
	if err != nil {
		if p.clean = 0; !p.failed {
			p.log.Warn("cannot send to statsd; pushd goes on trying, and says no more about it", slog.String("statsd", p.o.Address), slog.Any("err", err))
		}
		p.failed = true
		return
	}
	if p.clean++; p.failed && p.clean == surely {
		p.log.Info("statsd takes what is sent again", slog.String("statsd", p.o.Address))
		p.failed = false
	}
}

// send sends datagrams. An error that the kernel tells at a write is about an earlier datagram, so that one is written again.
func (p *Pusher) send(ctx context.Context, packets [][]byte) error {
	if err := p.dial(ctx); err != nil {
		return err
	}
	if err := p.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	var refused error
	for _, b := range packets {
		_, err := p.conn.Write(b)
		if err != nil {
			refused = err
			_, err = p.conn.Write(b)
		}
		if err != nil {
			refused = err
		}
	}
	if refused != nil {
		p.dialed = time.Time{} // the name may stand for another address by now
	}
	return refused
}

// dial makes sure that there is a socket to an address that the sink's name stood for a minute ago at most. When the name
// cannot be asked for any more, the old address stays.
func (p *Pusher) dial(ctx context.Context) error {
	fresh := !p.named || time.Since(p.dialed) < resolveEvery
	if p.conn != nil && fresh {
		return nil
	}
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "udp", p.o.Address)
	if err != nil {
		if p.conn != nil {
			return nil
		}
		return err
	}
	if p.conn != nil {
		p.conn.Close()
	}
	p.conn, p.dialed = conn, time.Now()
	return nil
}

var prefixPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// CheckPrefix reports what is wrong with a prefix: statsd gives other characters a meaning, or removes them.
func CheckPrefix(prefix string) error {
	if !prefixPattern.MatchString(prefix) || len(prefix) > 200 {
		return fmt.Errorf("%q is not a prefix, want letters, digits, - and _, in parts joined by dots", prefix)
	}
	return nil
}
