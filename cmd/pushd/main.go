// Pushd holds client connections and pushes published messages to them.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/server"
)

// run is the server. Tests put another one in its place.
var run = server.Run

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	handleSignals(cancel)
	os.Exit(pushd(ctx, os.Args, os.Stdout, os.Stderr))
}

// handleSignals makes the first SIGINT or SIGTERM call drain, and the second one end the process at once.
func handleSignals(drain func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE) // a log whose reader left must not end the daemon
	go func() {
		<-signals
		drain()
		s := <-signals
		os.Exit(128 + int(s.(syscall.Signal)))
	}()
}

// pushd runs the command line until ctx ends, and returns the exit code.
func pushd(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	unsetEmpty()
	a := newApp()
	a.Writer, a.ErrWriter = stdout, stderr
	return app.Run(ctx, a, args)
}

// unsetEmpty removes empty PUSHD_ variables, which then count as not set for every kind of option alike.
func unsetEmpty() {
	for _, e := range os.Environ() {
		name, value, _ := strings.Cut(e, "=")
		if value == "" && strings.HasPrefix(name, envPrefix) {
			os.Unsetenv(name)
		}
	}
}
