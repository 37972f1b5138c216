// Package proxy is the backend side of exchanges: it sends the requests that loops took from clients to the targets of their
// routes, and what those answer back to the loops, as it is or as the hold that it asks for.
//
// An exchange has a goroutine while it is at a backend, of which each route has a bounded number; it waits without one. The
// connections are those of net/http's Transport. Everything that a backend can do wrong becomes an answer of section 1.9 of
// the GRIP reference, a counter, and a line of the log.
//
// When net/http repeats a request: the connection was an idle one, no byte of an answer came, and either nothing of the
// request was written or its method is GET, HEAD, OPTIONS or TRACE, or here also PUT or DELETE, or it has an Idempotency-Key;
// and its body, if it has one, can be read from the start again, as exchange.MaxKept says. A new connection is its last try.
//
// Nothing bounds how long an answer may take once it has begun, nor how long an exchange waits for its turn, but the client's
// patience.
package proxy
