// Pushd holds client connections and pushes published messages to them.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/server"
)

// run is the server. Tests put another one in its place.
var run = server.Run

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	handleSignals(cancel)
	stderr := newLogQueue(os.Stderr)
	code := pushd(ctx, os.Args, os.Stdout, stderr)
	stderr.Close()
	os.Exit(code)
}

// sameSignal is the time within which a second signal is the first one again: supervisors and terminals often signal a
// process and its group, and the process gets both.
const sameSignal = 500 * time.Millisecond

// hangups tells of a SIGHUP.
var hangups = make(chan struct{}, 1)

// handleSignals makes the first SIGINT or SIGTERM call drain, and the second one end the process at once. SIGHUP has the routes
// file read again, if there is one; a terminal that goes away is no reason to drop clients.
func handleSignals(drain func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE) // a log whose reader left must not end the daemon
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		for range hup {
			select {
			case hangups <- struct{}{}:
			default: // one is enough
			}
		}
	}()
	go func() {
		<-signals
		drain()
		first := time.Now()
		for s := range signals {
			if time.Since(first) > sameSignal {
				os.Exit(128 + int(s.(syscall.Signal)))
			}
		}
	}()
}

// pushd runs the command line until ctx ends, and returns the exit code.
func pushd(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	unsetEmpty()
	a := newApp()
	a.Writer, a.ErrWriter = stdout, stderr
	return app.Run(ctx, a, args)
}

// mustHaveValue are the settings that protect something: given as empty, they are a mistake and not a wish to go without.
var mustHaveValue = []string{"token-key", "publish-token-file"}

// unsetEmpty removes empty PUSHD_ variables, which then count as not set for every kind of option alike.
func unsetEmpty() {
	for _, e := range os.Environ() {
		name, value, _ := strings.Cut(e, "=")
		protects := slices.ContainsFunc(mustHaveValue, func(setting string) bool { return env(setting)[0] == name })
		if value == "" && strings.HasPrefix(name, envPrefix) && !protects {
			os.Unsetenv(name)
		}
	}
}
