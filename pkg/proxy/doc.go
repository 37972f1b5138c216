// Package proxy is the backend side of exchanges: it sends the requests that loops took from clients to the targets of their
// routes, and what those answer back to the loops, as it is or as the hold that it asks for.
//
// An exchange has a goroutine while it is at a backend, of which each route has a bounded number; it waits without one. The
// connections are those of net/http's Transport. Everything that a backend can do wrong becomes an answer of section 1.9 of
// the GRIP reference, a counter, and a line of the log.
//
// A request is sent once more, on a new connection, when the one it went to was kept from an earlier request and was closed without a
// byte of an answer; and either nothing of the request was written, or its method is GET, HEAD, OPTIONS, TRACE, PUT or DELETE, or it has
// an Idempotency-Key; and its body, if it has one, can be read from the start again, as exchange.MaxKept says. So a backend sees a
// request at most twice. net/http would try all of its idle connections, which attempt.setBody keeps it from.
//
// Nothing bounds how long an answer may take once it has begun, nor how long an exchange waits for its turn, but the client's
// patience.
package proxy
