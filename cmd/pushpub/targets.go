package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/client"
	"holdfast/pkg/publish"
	"holdfast/pkg/version"
	"holdfast/pkg/wire"
)

// Pauses between attempts to reach a pushd that has gone.
const (
	firstBackOff = 100 * time.Millisecond
	lastBackOff  = 5 * time.Second
)

// target is one pushd.
type target struct {
	path  string // "" means where pushd puts it
	named bool   // there are several, so that messages name theirs
	conn  *client.Conn
}

// label is err with the socket's path in front when there are several.
func (t *target) label(err error) error {
	if !t.named {
		return err
	}
	return fmt.Errorf("%s: %w", t.path, err)
}

// socket is the path for JSON: "" unless there are several.
func (t *target) socket() string {
	if !t.named {
		return ""
	}
	return t.path
}

// findTargets expands the patterns among the sockets.
func findTargets(sockets []string) ([]*target, error) {
	if len(sockets) == 0 {
		return []*target{{}}, nil
	}
	var paths []string
	for _, s := range sockets {
		found := []string{s}
		if strings.ContainsAny(s, "*?[") {
			var err error
			if found, err = filepath.Glob(s); err != nil {
				return nil, app.Usagef("--socket: %q: %v", s, err)
			}
			if len(found) == 0 {
				return nil, app.Exit(app.NotThere, fmt.Errorf("no socket matches %q", s))
			}
		}
		for _, path := range found {
			if !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	targets := make([]*target, len(paths))
	for i, path := range paths {
		targets[i] = &target{path: path, named: len(paths) > 1}
	}
	return targets, nil
}

// dialAll connects to the targets at the same time and returns those that answered. The others are reported.
func dialAll(ctx context.Context, targets []*target, timeout time.Duration, rep *reporter) []*target {
	errs := make([]error, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() { errs[i] = t.dial(ctx, timeout) })
	}
	wg.Wait()
	var up []*target
	for i, err := range errs {
		switch {
		case err == nil:
			up = append(up, targets[i])
		case isNotThere(err):
			rep.problem(app.NotThere, err) // names the path
		default:
			rep.problem(app.Failed, err)
		}
	}
	return up
}

// dial connects once.
func (t *target) dial(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := client.Dial(ctx, t.path, client.Options{Program: "pushpub " + version.String(), Role: wire.RolePublish})
	if err != nil {
		return err
	}
	t.conn = conn
	return nil
}

// redial connects as often as it takes, more and more rarely, until ctx ends.
func (t *target) redial(ctx context.Context, timeout time.Duration) error {
	for pause := firstBackOff; ; pause = min(2*pause, lastBackOff) {
		jitter := rand.N(pause / 2) // so that not everybody comes back at the same moment
		select {
		case <-time.After(pause - pause/4 + jitter):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := t.dial(ctx, timeout); err == nil {
			return nil
		}
	}
}

// close ends the connection, if there is one.
func (t *target) close() {
	if t.conn != nil {
		t.conn.Close() //nolint:errcheck // everything was acknowledged, or is lost anyway
		t.conn = nil
	}
}

// publish publishes items and waits for the acks. Once begun it goes on when ctx ends, for the messages are under way.
func (t *target) publish(ctx context.Context, timeout time.Duration, items []publish.Item) ([]wire.Ack, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	acks, err := t.conn.Publish(ctx, items)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("pushd did not answer within %v", timeout)
	}
	return acks, err
}

func isNotThere(err error) bool {
	_, ok := errors.AsType[*client.DialError](err)
	return ok
}
