// Package session is the state machine of the clients of one loop: it reads requests, decides what becomes of them, holds
// connections, hands them what is published, and ends them.
//
// Clients is the handler of a loop and belongs to its goroutine, so nothing here locks. A connection is a number; what
// is known of it fits in a record of 12 bytes, and its subscriptions are the hub's. Sockets are out of sight behind
// Transport.
package session
