// Package netloop runs the event loops that hold client connections: it listens, accepts, reads, writes, queues what a
// slow client does not take, and watches deadlines. It knows sockets and bytes, and nothing of what the bytes mean: for
// that each Loop calls one Handler.
//
// A connection is a slot of 32 bytes in its loop, named by a uint32 that is never 0. It has no goroutine, no buffer of
// its own while it is idle, and no runtime timer. It belongs to its loop: everything but New, Post, Listen, ListenAdopted,
// StopListening and Stop is called on the loop's goroutine only, which is the goroutine of every Handler call.
//
// # How a loop waits
//
// easygo's netpoll.Epoll owns the wait. The loop registers its listeners, an eventfd (the mailbox has something), a
// timerfd (a deadline has come) and two inner epoll sets, edge-triggered: one for the connections that are held and only
// listen, one for all others. Each callback takes
// a bounded bite of its work and ends with the end-of-batch step; what is left over makes the loop wake itself, so that
// listeners, mailbox, deadlines and connections take turns (docs/decisions/0001).
package netloop
