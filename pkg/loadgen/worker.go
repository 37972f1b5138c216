package loadgen

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"holdfast/pkg/netloop"
	"holdfast/pkg/stats"
)

// paceTick is how often connections are begun when they have a rate.
const paceTick = 2 * time.Millisecond

// Work is a worker: it reads its job and orders from r, opens the subscribers, and writes what it counts to w, until r
// ends. It returns when the subscribers are closed.
func Work(r io.Reader, w io.Writer, log *slog.Logger) error {
	orders := gob.NewDecoder(r)
	var j job
	if err := orders.Decode(&j); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	subs, loop, err := startLoop(j, log)
	if err != nil {
		return err
	}
	done := make(chan error, 1) // the reader's last word
	go func() { done <- readOrders(orders, loop) }()

	err = report(gob.NewEncoder(w), subs, loop, done)
	loop.Post(&closeTask{})
	return errors.Join(err, loop.Stop())
}

// startLoop makes the loop of a worker and begins to open its connections.
func startLoop(j job, log *slog.Logger) (*subscribers, *netloop.Loop, error) {
	const inputs = 1 << 10 // the opening, or the front of a marker
	var subs *subscribers
	cfg := netloop.Config{
		Log:       log,
		Stats:     new(stats.Loop),
		Limit:     netloop.NewLimit(j.Share.Count),
		Queue:     netloop.NewBudget(1 << 20),
		MaxQueued: 64 << 10,
		MaxInput:  maxHead + inputs,
	}
	loop, err := netloop.New(cfg, func(l *netloop.Loop) netloop.Handler {
		subs = newSubscribers(j, l)
		return subs
	})
	if err != nil {
		return nil, nil, fmt.Errorf("start event loop: %w", err)
	}
	loop.Post(&beginTask{})
	return subs, loop, nil
}

// readOrders passes orders on to the loop until there are no more.
func readOrders(orders *gob.Decoder, loop *netloop.Loop) error {
	for {
		var o order
		err := orders.Decode(&o)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read order: %w", err)
		case o.Collect:
			loop.Post(&collectTask{})
		}
	}
}

// report writes the news of the loop until the orders end.
func report(out *gob.Encoder, subs *subscribers, loop *netloop.Loop, done <-chan error) error {
	every := newsEvery
	if subs.job.ConnectRate > 0 {
		every = paceTick
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		var n news
		select {
		case err := <-done:
			return err
		case <-tick.C:
			loop.Post(&tickTask{})
			continue
		case n = <-subs.results:
		case n = <-subs.news:
		}
		if n.Tally.Settled {
			tick.Reset(newsEvery)
		}
		if err := out.Encode(&n); err != nil {
			return errors.Join(fmt.Errorf("write news: %w", err), <-done) // whoever does not read has left, so orders end
		}
	}
}
