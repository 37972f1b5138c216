// Package hub knows who is subscribed to what and takes published items to them.
//
// The Directory is one for the daemon and safe for all goroutines: it knows which loops have subscribers of a channel and
// hands items to those loops. Members is one for each loop and belongs to its goroutine: it keeps the lists of
// subscribers and walks them. The hub frames nothing and writes nothing: encoders are registered by number, and a Sink
// takes the encoded bytes. Connections are numbers.
//
// Every loop sees the items of one channel in the same order. Order across channels is not promised.
package hub
