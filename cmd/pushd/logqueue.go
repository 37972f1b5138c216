package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// maxLogQueue bounds the bytes of lines that wait to be written. Lines above it are left out.
	maxLogQueue = 1 << 20
	// flushTime is how long the end of pushd waits for the last lines to be written.
	flushTime = time.Second
)

// logQueue writes lines to w from a goroutine of its own. Its Write never waits for w: event loops
// log, and a log that nobody reads (a full pipe, a stopped terminal) must not stop them.
type logQueue struct {
	w       io.Writer
	wake    chan struct{} // tells the writer that something waits
	written chan struct{} // closed when the writer has ended

	mu      sync.Mutex
	lines   []byte             // that wait
	leftOut int                // lines since the last that found room
	note    func(n int) []byte // a line that says how many were left out
	ended   bool
}

// newLogQueue returns a logQueue in front of w. Close ends its goroutine.
func newLogQueue(w io.Writer) *logQueue {
	q := &logQueue{w: w, wake: make(chan struct{}, 1), written: make(chan struct{})}
	q.note = func(n int) []byte { return fmt.Appendf(nil, "pushd: %s: %d\n", linesLeftOut, n) }
	go q.run()
	return q
}

// setNote replaces the line that says how many lines were left out.
func (q *logQueue) setNote(note func(n int) []byte) {
	q.mu.Lock()
	q.note = note
	q.mu.Unlock()
}

// Write queues a line, or leaves it out and counts it. It keeps nothing of line.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	switch {
	case q.ended:
	case q.leftOut > 0 || len(q.lines)+len(line) > maxLogQueue: // none overtakes the note
		q.leftOut++
	default:
		q.lines = append(q.lines, line...)
	}
	q.mu.Unlock()
	q.tell()
	return len(line), nil
}

func (q *logQueue) tell() {
	select {
	case q.wake <- struct{}{}:
	default: // it has been told
	}
}

// run writes until the queue is closed and empty. What w does not take is lost, as it always was.
func (q *logQueue) run() {
	defer close(q.written)
	var spare []byte
	for range q.wake {
		for {
			lines, ended := q.take(spare)
			if len(lines) == 0 {
				if ended {
					return
				}
				break
			}
			q.w.Write(lines) //nolint:errcheck // there is no other place to say so
			if spare = lines[:0]; cap(spare) > 64<<10 {
				spare = nil // a burst does not keep its memory for ever
			}
		}
	}
}

// take takes what waits, and the note of what was left out behind it, and gives spare in its place.
func (q *logQueue) take(spare []byte) (lines []byte, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lines, q.lines = q.lines, spare
	if q.leftOut > 0 {
		lines = append(lines, q.note(q.leftOut)...)
		q.leftOut = 0
	}
	return lines, q.ended
}

// Close waits until what waits has been written, for flushTime at most. Later lines are lost.
func (q *logQueue) Close() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.tell()
	late := time.NewTimer(flushTime)
	defer late.Stop()
	select {
	case <-q.written:
	case <-late.C:
	}
}
