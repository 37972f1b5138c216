// Package wire is the control protocol of pushd: what its command-line tools say to it over a Unix stream socket.
//
// It knows bytes only. Each side opens with four magic bytes and a hello; after that a frame is a length and one
// msgpack array, whose first element is the type of the message. The hot messages (publish, publish-batch, ack-batch)
// are appended and parsed field by field by the code of this package; the cold ones are a map, handled by the msgpack
// library once the structure of the bytes was checked. docs/protocol.md describes every message.
//
// Sockets, limits on clients and the pace of reading belong to packages client and control.
package wire
