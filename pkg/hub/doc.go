// Package hub knows who is subscribed to what and takes published items to them.
//
// The Directory is one for the daemon and safe for all goroutines: it knows which loops have subscribers of a channel and
// hands items to those loops. Members is one for each loop and belongs to its goroutine: it keeps the lists of
// subscribers and walks them. The hub frames nothing and writes nothing: encoders are registered by number, and a Sink
// takes the encoded bytes. Connections are numbers.
//
// The Directory can keep the newest items of the channels (KeepHistory). Then a connection that comes back to any loop with the id
// of the last item that it has seen gets, from the history and the walks together, exactly what it has missed, or is told
// that this is not certain (Members.Resume).
//
// Every loop sees the items of one channel in the same order. Order across channels is not promised.
package hub
