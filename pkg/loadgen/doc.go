// Package loadgen measures a pushd: it opens subscribers, publishes to them and counts what arrives, and when.
//
// The subscribers are connections of netloop loops in worker processes, as many as the limit on open files demands; Work
// is what such a process does. The process that calls Run publishes over the control socket, tells the workers what to do
// over pipes (gob values) and adds up what they counted. Every published message carries one stamp of CLOCK_REALTIME and
// its number, which the subscribers find in the raw bytes without decoding them. One connection of each worker is read
// in full besides, transfer coding and event stream, so that a broken stream does not pass for a fast one.
//
// It loads loopback addresses only.
package loadgen
