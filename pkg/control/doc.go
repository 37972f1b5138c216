// Package control is where publishers and operators meet pushd: the server of the control socket, and the HTTP publish
// endpoint.
//
// It reads requests, checks items, hands them to a Publisher in batches, and answers when their fate is known. Who gets
// an item is the Publisher's matter (hub); the bytes are those of package wire.
package control
