//go:build !race

package server

// raced says that the race detector does not run.
const raced = false
