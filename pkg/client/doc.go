// Package client talks to a pushd over its control socket: it publishes items and reads statistics.
//
// Dial finds the socket and says hello. Conn.Publish publishes a few items and waits; a Publisher publishes many, with
// a window of items under way. Stats and Watch read snapshots. The protocol itself is package wire.
package client
