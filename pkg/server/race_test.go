//go:build race

package server

// raced says that the race detector runs, whose memory is its own.
const raced = true
