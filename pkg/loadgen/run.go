package loadgen

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/pkg/client"
	"holdfast/pkg/stats"
)

const (
	heldPause     = time.Second     // before the memory of the held connections is read, for pushd to come to rest
	quietEnough   = 3 * time.Second // without a delivery, after which those that are missing are lost
	progressEvery = 200 * time.Millisecond
	lastWords     = 10 * time.Second // for results and statistics, when the time is up
)

// Stage is what a run is doing.
type Stage string

// The stages of a run, in their order.
const (
	Connecting Stage = "connecting"
	Publishing Stage = "publishing"
	Waiting    Stage = "waiting" // for the last deliveries
)

// Progress is where a run stands.
type Progress struct {
	Stage       Stage
	Connections int // to be held
	Held        int
	Failed      int
	Messages    int // to be published
	Published   int
	Expected    int // deliveries of what is published
	Received    int
	Disconnects int
}

// run is one run.
type run struct {
	o    *Options
	d    daemon
	crew *crew
	send *sender // nil before publishing

	before, held, after *stats.Snapshot
	lastProgress        time.Time
}

// Run measures the pushd at the other end of conns, one or several that share the targets: it opens
// the connections, waits until all are held, publishes to every pushd, waits for the last delivery
// and reports. When ctx or the time limit ends it reports what was measured until then. An error
// means that there is no report. It returns when all connections are closed and the workers gone.
func Run(ctx context.Context, conns []*client.Conn, o Options) (*Report, error) {
	all := make(group, len(conns))
	for i, conn := range conns {
		if most := conn.Server().MaxMessage; most > 0 && o.Size > most {
			return nil, fmt.Errorf("size: %d is more than the %d bytes that pushd allows", o.Size, most)
		}
		all[i] = pushd{conn}
	}
	return measure(ctx, all, o)
}

func measure(ctx context.Context, d daemon, o Options) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	files, err := fileLimit()
	if err != nil {
		return nil, err
	}
	shares, err := plan(o.Connections, files)
	if err != nil {
		return nil, err
	}
	if len(shares) > 1 && o.Worker == nil {
		return nil, fmt.Errorf("connections: %d are more than one process may have open", o.Connections)
	}
	r := &run{o: &o, d: d}
	if r.before, err = d.Stats(ctx); err != nil {
		return nil, fmt.Errorf("read statistics: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, o.Limit)
	defer cancel()
	if r.crew, err = startCrew(&o, shares); err != nil {
		return nil, err
	}
	report, err := r.work(limited)
	if stopped := r.crew.stop(); err == nil && stopped != nil {
		err = fmt.Errorf("end workers: %w", stopped)
	}
	if err != nil {
		return nil, err
	}
	report.Interrupted = ctx.Err() != nil
	report.TimedOut = !report.Interrupted && limited.Err() != nil
	return report, nil
}

// work goes through the stages and sums up.
func (r *run) work(ctx context.Context) (*Report, error) {
	if err := r.stages(ctx); err != nil && ctx.Err() == nil {
		return nil, err
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	var err error
	if r.after, err = r.d.Stats(late); err != nil {
		return nil, fmt.Errorf("read statistics: %w", err)
	}
	results, err := r.crew.collect(late)
	if err != nil {
		return nil, err
	}
	counts, _ := r.crew.tally()
	return r.report(counts, results), nil
}

func (r *run) stages(ctx context.Context) error {
	counts, err := r.connect(ctx)
	if err != nil {
		return err
	}
	if counts.Held == 0 {
		return fmt.Errorf("none of %d connections was held: %s", r.o.Connections, counts.Problem)
	}
	if !sleep(ctx, heldPause) {
		return ctx.Err()
	}
	if r.held, err = r.d.Stats(ctx); err != nil {
		return fmt.Errorf("read statistics: %w", err)
	}
	if r.o.Messages == 0 {
		return nil
	}
	r.send = newSender(r.o, r.d, r.crew.perChannel(r.o.Channels))
	if err := r.publish(ctx); err != nil {
		return err
	}
	return r.awaitLast(ctx)
}

// connect waits until every connection is held or has failed.
func (r *run) connect(ctx context.Context) (tally, error) {
	for {
		counts, err := r.crew.tally()
		if err != nil || counts.Settled {
			return counts, err
		}
		r.progress(Connecting, &counts)
		if err := r.news(ctx); err != nil {
			return counts, err
		}
	}
}

// publish sends all messages while it watches the workers.
func (r *run) publish(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.send.run(ctx) }()
	for {
		counts, err := r.crew.tally()
		if err != nil {
			cancel()
			return errors.Join(err, <-done)
		}
		r.progress(Publishing, &counts)
		select {
		case err := <-done:
			return err
		case <-r.crew.changed:
		}
	}
}

// awaitLast waits until all that is expected has come, or nothing comes any more.
func (r *run) awaitLast(ctx context.Context) error {
	var received int
	last := time.Now()
	for {
		counts, err := r.crew.tally()
		if err != nil || counts.Received-counts.Duplicates >= r.send.expected() {
			return err
		}
		if counts.Received != received {
			received, last = counts.Received, time.Now()
		}
		if time.Since(last) >= quietEnough {
			return nil
		}
		r.progress(Waiting, &counts)
		if err := r.news(ctx); err != nil {
			return err
		}
	}
}

// news waits for some. Workers have some several times a second.
func (r *run) news(ctx context.Context) error {
	select {
	case <-r.crew.changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *run) progress(s Stage, counts *tally) {
	now := time.Now()
	if r.o.Progress == nil || now.Sub(r.lastProgress) < progressEvery {
		return
	}
	r.lastProgress = now
	p := Progress{
		Stage: s, Connections: r.o.Connections, Held: counts.Held, Messages: r.o.Messages,
		Received: counts.Received, Disconnects: counts.Disconnects,
	}
	for _, n := range counts.Failed {
		p.Failed += n
	}
	if r.send != nil {
		p.Published, p.Expected = int(r.send.published.Load()), r.send.expected()
	}
	r.o.Progress(p)
}
