// Package ws speaks the WebSocket protocol (RFC 6455) as bytes, for an event loop that gets them in pieces of any size.
// Handshake judges the opening request and AppendUpgrade answers it; Reader takes the frames of the peer apart; the
// Append functions write frames.
//
// A Reader never reads, waits or allocates, and it keeps sixteen bytes for a connection, whatever the peer sends:
// messages leave it in pieces as they arrive. What breaks the protocol is found at the earliest byte that shows it, and
// the verdict does not depend on where the bytes were split.
//
// No extension is negotiated, so there is no compression. Sockets, HTTP heads, timeouts and the closing handshake's
// order of events are left to the callers.
package ws
