// Package http1 reads and writes HTTP/1.x messages (RFC 9110, RFC 9112) as bytes, for an event loop that gets them in
// pieces of any size. Request and Response parse heads, ChunkReader the chunked transfer coding, NextParam and
// AppendUnescaped a query; the Append functions write what an answer consists of.
//
// A parser never reads, waits or allocates: it is given all bytes that have arrived and answers with ErrShort, with an
// *Error that says which status to answer and why, or with the number of bytes it used. What can be judged before the
// head is whole is judged at once, so that garbage gets its answer while the peer still waits, and the verdict does not
// depend on where the bytes were split.
//
// Where RFC 9112 leaves a choice that has been used for request smuggling, the package refuses: repeated or conflicting
// lengths, obsolete line folding, space before a colon, bare CR. A bare LF ends a line of a head, as RFC 9112 2.2 allows,
// but not a line of a chunked body.
//
// Sockets, clocks, routing and the meaning of fields other than those that frame a message are left to the callers.
package http1
