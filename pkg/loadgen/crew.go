package loadgen

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// stopGrace is how long a worker may take to close its connections.
const stopGrace = 20 * time.Second

// crew is the workers of a run, as Run sees them.
type crew struct {
	members []*member
	changed chan struct{} // room for one: a member said something
	wg      sync.WaitGroup
}

// member is one worker and what it has said.
type member struct {
	in     io.WriteCloser
	out    io.Reader
	orders *gob.Encoder
	wait   func() error // for its end, after in is closed
	kill   func()       // nil for a goroutine

	mu     sync.Mutex
	last   news
	result *result
	err    error // why nothing more comes
}

// startCrew starts a worker for each share and gives it its job. When that fails no worker is left.
func startCrew(o *Options, shares []share) (*crew, error) {
	c := &crew{changed: make(chan struct{}, 1)}
	for _, s := range shares {
		m, err := startMember(o.Worker)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start worker: %w", err), c.stop())
		}
		c.members = append(c.members, m)
		c.wg.Go(func() { c.listen(m) })
		err = m.orders.Encode(&job{
			Share: s, Targets: o.Targets, Transport: o.Transport, Channels: o.Channels,
			ConnectRate: o.ConnectRate * float64(s.Count) / float64(o.Connections),
			InFlight:    max(1, maxInFlight/len(shares)),
			Messages:    uint32(o.Messages), TextSize: o.textSize(),
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start worker: %w", err), c.stop())
		}
	}
	return c, nil
}

// startMember starts one worker: a process, or without a command a goroutine.
func startMember(command func() *exec.Cmd) (*member, error) {
	if command == nil {
		return localMember(), nil
	}
	cmd := command()
	// A group of its own, so that Ctrl-C reaches only the process that sums up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m := &member{in: in, out: out, orders: gob.NewEncoder(in), wait: cmd.Wait}
	m.kill = func() { cmd.Process.Kill() } //nolint:errcheck // it may have ended
	return m, nil
}

func localMember() *member {
	ordersOut, ordersIn := io.Pipe()
	newsOut, newsIn := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Work(ordersOut, newsIn, slog.New(slog.DiscardHandler))
		ordersOut.CloseWithError(io.ErrClosedPipe)
		newsIn.Close()
		ended <- err
	}()
	return &member{in: ordersIn, out: newsOut, orders: gob.NewEncoder(ordersIn), wait: func() error { return <-ended }}
}

// listen keeps what a worker says until it ends.
func (c *crew) listen(m *member) {
	in := gob.NewDecoder(m.out)
	for {
		var n news
		err := in.Decode(&n)
		m.mu.Lock()
		if err != nil {
			m.err = fmt.Errorf("a worker ended: %w", err)
		} else {
			m.hear(n)
		}
		m.mu.Unlock()
		select {
		case c.changed <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// hear keeps one piece of news. After the result, which is the last word, older counts may still be on their way.
func (m *member) hear(n news) {
	if n.PerChannel == nil {
		n.PerChannel = m.last.PerChannel
	}
	switch {
	case n.Result != nil:
		m.last, m.result = n, n.Result
	case m.result == nil:
		m.last = n
	default:
		m.last.PerChannel = n.PerChannel
	}
}

// tally adds up what all have said so far. The error is that of a worker that ended.
func (c *crew) tally() (sum tally, err error) {
	sum.Settled = true
	for _, m := range c.members {
		m.mu.Lock()
		sum.add(&m.last.Tally)
		err = errors.Join(err, m.err)
		m.mu.Unlock()
	}
	return sum, err
}

// perChannel adds up the connections held on each channel.
func (c *crew) perChannel(channels int) []uint32 {
	sum := make([]uint32, channels)
	for _, m := range c.members {
		m.mu.Lock()
		for i, n := range m.last.PerChannel {
			sum[i] += n
		}
		m.mu.Unlock()
	}
	return sum
}

// collect asks all for everything, and waits for it.
func (c *crew) collect(ctx context.Context) ([]*result, error) {
	for _, m := range c.members {
		if err := m.orders.Encode(&order{Collect: true}); err != nil {
			return nil, fmt.Errorf("collect results: %w", err)
		}
	}
	for {
		if all := c.results(); all != nil {
			return all, nil
		}
		if _, err := c.tally(); err != nil {
			return nil, fmt.Errorf("collect results: %w", err)
		}
		select {
		case <-c.changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("collect results: %w", ctx.Err())
		}
	}
}

// results is what all have answered to collect, nil while one is missing.
func (c *crew) results() []*result {
	var all []*result
	for _, m := range c.members {
		m.mu.Lock()
		r := m.result
		m.mu.Unlock()
		if r == nil {
			return nil
		}
		all = append(all, r)
	}
	return all
}

// stop ends the workers and waits for them, those that hang for no longer than stopGrace.
func (c *crew) stop() error {
	for _, m := range c.members {
		m.in.Close()
		if m.kill != nil {
			defer time.AfterFunc(stopGrace, m.kill).Stop()
		}
	}
	c.wg.Wait() // until the workers have closed their output
	var err error
	for _, m := range c.members {
		err = errors.Join(err, m.wait())
	}
	return err
}
