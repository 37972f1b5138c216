// Command pushpub publishes messages to the clients that pushd holds, from shell scripts and pipes, over pushd's control
// socket. The items are those of package publish; this is the command line, what is read, and what is printed.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"holdfast/cmd/internal/app"
)

func main() {
	// A reader that leaves (pushpub ... | head -1) must not kill us with messages under way: the write fails instead.
	signal.Ignore(syscall.SIGPIPE)
	s := streams{
		in:         os.Stdin,
		inTerminal: term.IsTerminal(int(os.Stdin.Fd())),
		out:        os.Stdout,
		errs:       os.Stderr,
	}
	os.Exit(app.Main(newApp(s), os.Args))
}
