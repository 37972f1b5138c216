// Package sse writes and reads text/event-stream, the format of Server-Sent Events (WHATWG HTML 9.2), as bytes.
//
// The Append functions write whole blocks, each with the empty line that ends it, so blocks can be concatenated in any
// order. Decoder follows the standard's parsing rules for a stream that arrives in pieces of any size; the load
// generator and the tests use it. Connections, reconnecting and the HTTP around the stream are left to the callers.
package sse
