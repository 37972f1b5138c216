package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"holdfast/pkg/client"
	"holdfast/pkg/stats"
	"holdfast/pkg/version"
	"holdfast/pkg/wire"
)

// Bounds of the time between two attempts to reach a pushd that went away.
const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// Windows over which things are judged.
const (
	minute       = time.Minute      // what went wrong within it is on the status line
	latencySpan  = 10 * time.Second // of the quantiles: longer than an interval, so that a p99.9 means something
	sampleEvery  = time.Second      // of the readings kept for them
	sampleMaxAge = minute + 2*sampleEvery
)

// pushd is what the screens ask of one. A *client.Conn is one. Its methods may be called from several goroutines.
type pushd interface {
	Stats(ctx context.Context) (*stats.Snapshot, error)
	Connections(ctx context.Context, q stats.ConnectionQuery) (*stats.ConnectionList, error)
	Channels(ctx context.Context, q stats.ChannelQuery) (*stats.ChannelList, error)
	Routes(ctx context.Context) ([]stats.RouteInfo, error)
	CloseConnections(ctx context.Context, q stats.CloseQuery) (closed int, err error)
	Events(ctx context.Context, filter stats.EventFilter, f func(*stats.EventBatch) error) error
	Close() error
}

// dialer connects to the pushd at path.
type dialer func(ctx context.Context, path string) (pushd, error)

func dialPushd(ctx context.Context, path string) (pushd, error) {
	return client.Dial(ctx, path, client.Options{Program: "pushstat " + version.String(), Role: wire.RoleStats})
}

// sample is a snapshot and when it came.
type sample struct {
	at   time.Time
	snap *stats.Snapshot
}

// node is one pushd as the screens know it. It belongs to the model; what is fetched for it comes back as messages.
type node struct {
	path    string
	conn    pushd     // nil while there is none
	busy    bool      // a snapshot is being fetched
	askedAt time.Time // since when it is

	last    sample   // the latest; its snap is nil before the first
	before  sample   // the one before it, of the same process; snap may be nil
	samples []sample // of the last minute and the same process, at least sampleEvery apart, the oldest first

	why     string    // why it does not answer; "" while it does
	lostAt  time.Time // since when it does not
	backAt  time.Time // when it came back last
	retry   time.Duration
	retryAt time.Time
}

// alive reports whether the last attempt to ask was answered.
func (n *node) alive() bool { return n.why == "" && n.last.snap != nil }

// due reports whether it is time to ask.
func (n *node) due(now time.Time) bool { return !n.busy && (n.conn != nil || !now.Before(n.retryAt)) }

// answered takes a snapshot.
func (n *node) answered(conn pushd, at time.Time, s *stats.Snapshot) {
	n.conn = conn
	if n.why != "" {
		n.backAt = at
	}
	n.why, n.retry = "", 0
	if n.last.snap != nil && !sameProcess(n.last.snap, s) {
		n.last.snap, n.samples = nil, n.samples[:0]
	}
	n.before = n.last
	n.last = sample{at, s}
	if k := len(n.samples); k == 0 || at.Sub(n.samples[k-1].at) >= sampleEvery-sampleEvery/10 {
		n.samples = append(n.samples, n.last)
	}
	old := 0
	for old < len(n.samples)-1 && at.Sub(n.samples[old].at) > sampleMaxAge {
		old++
	}
	n.samples = append(n.samples[:0], n.samples[old:]...)
	n.slim(at)
}

// slim leaves the loops out of samples that only the last minute is judged by: with many loops they are most of a snapshot.
func (n *node) slim(now time.Time) {
	for i := len(n.samples) - 1; i >= 0; i-- {
		s := &n.samples[i]
		if s.snap.Loops == nil || now.Sub(s.at) < latencySpan+2*sampleEvery {
			continue
		}
		small := *s.snap // the whole one may be the base of totals
		small.Loops = nil
		s.snap = &small
	}
}

// failed notes that it did not answer. It will be asked again with back-off.
func (n *node) failed(at time.Time, err error) {
	n.conn = nil
	if n.why == "" {
		n.lostAt, n.retry = at, firstRetry
	}
	n.why = lossReason(err)
	n.retryAt = at.Add(n.retry)
	n.retry = min(2*n.retry, lastRetry)
}

// sameProcess reports whether two snapshots are of one process, so that their counters can be compared.
func sameProcess(before, now *stats.Snapshot) bool {
	return before.PID == now.PID && before.UptimeSeconds <= now.UptimeSeconds
}

// since returns the newest sample that is at least d older than the last one, or else the oldest there is.
func (n *node) since(d time.Duration) sample {
	for i := len(n.samples) - 1; i >= 0; i-- {
		if n.last.at.Sub(n.samples[i].at) >= d-sampleEvery/10 {
			return n.samples[i]
		}
	}
	if len(n.samples) > 0 {
		return n.samples[0]
	}
	return sample{}
}

// lossReason is err in a few words, without what the banner says anyway.
func lossReason(err error) string {
	var gone *client.DialError
	switch {
	case errors.As(err, &gone) && len(gone.Tried) > 0:
		return reasonOf(gone.Tried[0])
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it closed the connection"
	}
	return err.Error()
}

// reasonOf is the end of an attempt's text: what was wrong, without the path.
func reasonOf(a client.Attempt) string {
	switch {
	case errors.Is(a.Err, context.DeadlineExceeded):
		return "no answer in time"
	case a.Owner != "":
		return fmt.Sprintf("%v (the socket belongs to %s, mode %04o)", rootCause(a.Err), a.Owner, a.Mode.Perm())
	}
	return rootCause(a.Err).Error()
}

func rootCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// name is the node as the screens show it.
func (n *node) name(g *glyphs) string {
	if n.path == "" {
		return "pushd"
	}
	return g.clean(n.path)
}
