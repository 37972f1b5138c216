package loadgen

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/pkg/client"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

// daemon is the pushd that is measured, over its control socket.
type daemon interface {
	Stats(ctx context.Context) (*stats.Snapshot, error)
	Publisher(o client.PublisherOptions) publisher
}

// publisher is what the sender needs of a client.Publisher.
type publisher interface {
	Publish(ctx context.Context, it *publish.Item) (seq uint64, err error)
	Flush(ctx context.Context) error
}

// pushd is the real daemon.
type pushd struct{ *client.Conn }

func (d pushd) Publisher(o client.PublisherOptions) publisher { return d.Conn.Publisher(o) }

// blockedFrom is how long a call of Publish takes at least for it to count as held back. One that is not takes 1 us.
const blockedFrom = 100 * time.Microsecond

// sender publishes the messages of a run.
type sender struct {
	o          *Options
	perChannel []uint32 // subscribers of each channel
	pub        publisher

	published atomic.Int64 // handed over

	began, ended time.Time
	blocks       int           // calls of Publish that were held back
	blocked      time.Duration // of all of them
	behind       time.Duration // the most that a message was late, with a rate

	mu        sync.Mutex // guards what acks say
	accepted  int
	refused   int
	missing   int // deliveries not to be expected because of refusals
	receivers int
	refusal   error // the first of them
}

func newSender(o *Options, d daemon, perChannel []uint32) *sender {
	s := &sender{o: o, perChannel: perChannel}
	s.pub = d.Publisher(client.PublisherOptions{OnAck: s.onAck})
	return s
}

func (s *sender) onAck(seq uint64, a wire.Ack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.Accepted {
		s.accepted++
		s.receivers += a.Receivers
		return
	}
	s.refused++
	s.missing += int(s.perChannel[int((seq-1)%uint64(s.o.Channels))])
	if s.refusal == nil {
		s.refusal = a.Err
	}
}

// run publishes on schedule and waits for the acks. The end of ctx stops it, which is no error.
func (s *sender) run(ctx context.Context) error {
	err := s.publish(ctx)
	if err == nil {
		err = s.pub.Flush(ctx)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

func (s *sender) publish(ctx context.Context) error {
	names := make([]string, s.o.Channels)
	for i := range names {
		names[i] = channel(i)
	}
	var text []byte
	s.began = time.Now()
	defer func() { s.ended = time.Now() }()
	for i := range s.o.Messages {
		if !s.pace(ctx, i) {
			return ctx.Err()
		}
		it := publish.Item{Channel: names[i%s.o.Channels]}
		at := time.Now()
		text = s.o.fill(&it, text, at, uint32(i))
		if _, err := s.pub.Publish(ctx, &it); err != nil {
			return err
		}
		if took := time.Since(at); took >= blockedFrom {
			s.blocks++
			s.blocked += took
		}
		s.published.Add(1)
	}
	return nil
}

// pace waits until message i is due and reports whether the run goes on.
func (s *sender) pace(ctx context.Context, i int) bool {
	if s.o.Rate > 0 {
		due := s.began.Add(time.Duration(float64(i) / s.o.Rate * float64(time.Second)))
		late := time.Since(due)
		if late < 0 {
			return sleep(ctx, -late)
		}
		s.behind = max(s.behind, late)
	}
	return i%256 != 0 || ctx.Err() == nil
}

// sleep waits for d and reports whether ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// expected is the number of deliveries to expect of the messages published so far.
func (s *sender) expected() int {
	n := int(s.published.Load())
	s.mu.Lock()
	defer s.mu.Unlock()
	return deliveries(s.perChannel, n) - s.missing
}

// deliveries is the number of deliveries of n messages that go to the channels in turns.
func deliveries(perChannel []uint32, n int) (sum int) {
	rounds, rest := n/len(perChannel), n%len(perChannel)
	for i, subscribers := range perChannel {
		times := rounds
		if i < rest {
			times++
		}
		sum += times * int(subscribers)
	}
	return sum
}
