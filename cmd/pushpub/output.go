package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"

	"holdfast/cmd/internal/app"
)

// reporter tells what went wrong, a line each on standard error, and remembers the exit code. Its methods may be called
// from any goroutine.
type reporter struct {
	w io.Writer

	mu   sync.Mutex
	code int // of the first problem
}

// notice says something that does not make the run fail.
func (r *reporter) notice(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.print(fmt.Sprintf(format, args...))
}

// problem says what failed.
func (r *reporter) problem(code int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.code == app.OK {
		r.code = code
	}
	r.print(err.Error())
}

func (r *reporter) print(text string) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = app.Printable(line)
	}
	// There is nobody to tell when standard error is gone.
	fmt.Fprintf(r.w, "pushpub: %s\n", strings.Join(lines, "\n")) //nolint:errcheck // see above
}

// result is the exit code as an error that prints nothing more, nil when all is well.
func (r *reporter) result() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.code == app.OK {
		return nil
	}
	return app.Exit(r.code, nil)
}

// publishedJSON is what --json prints for a message on one channel of one pushd.
type publishedJSON struct {
	Channel   string  `json:"channel"`
	ID        *string `json:"id"`
	Receivers int     `json:"receivers"`
	Socket    string  `json:"socket,omitempty"` // only with several sockets
}

// summaryJSON is what is printed behind the last of many lines.
type summaryJSON struct {
	Published int    `json:"published"` // items accepted
	Receivers int    `json:"receivers"`
	Refused   int    `json:"refused"`          // lines, and items of lines, that were not accepted
	Socket    string `json:"socket,omitempty"` // only with several sockets
}

// writeJSON prints v on a line.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// writePublished prints how many connections a message went to.
func writePublished(w io.Writer, receivers int) error {
	noun := "connections"
	if receivers == 1 {
		noun = "connection"
	}
	_, err := fmt.Fprintf(w, "published to %d %s\n", receivers, noun)
	return err
}
