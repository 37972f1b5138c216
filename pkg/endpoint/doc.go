// Package endpoint serves the listeners beside the loops: the control socket, the HTTP publish
// endpoint, the metrics endpoint.
//
//   - A Listener goes on accepting until it is closed. An accept that fails, for whatever reason,
//     is tried again after a pause that grows from 5 ms to a second, with at most one warning a
//     second. An endpoint in trouble is no reason to end clients.
//   - HTTP serves HTTP on a Listener within two bounds. Requests is the number of requests in hand;
//     the next ones wait for a place, in the order in which they came, for HTTP.Wait at most, and
//     are then answered 503. Connections is the number of open connections; the next one closes the
//     connection that has been idle for longest, or else the one whose request has been incomplete
//     for longest. So a client that keeps its connection takes nobody's place.
//   - Requests for which HTTP.Free is true (the probes) need no place, and connections are kept for
//     them: of the connections an eighth never has a request in hand or one that waits.
//
// What is answered, and to whom, is for others to say.
package endpoint
