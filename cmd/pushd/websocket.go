package main

import (
	"slices"

	"holdfast/pkg/ws"
)

// maxProtocols bounds --ws-protocol: each handshake is compared with all of them.
const maxProtocols = 32

// protocols reads the subprotocols of WebSockets.
func (r *reader) protocols(e *effective) {
	e.WSProtocols = list(r.c.StringSlice("ws-protocol"))
	if n := len(e.WSProtocols); n > maxProtocols {
		r.fail("ws-protocol", "%d names, at most %d are allowed", n, maxProtocols)
		return
	}
	for i, name := range e.WSProtocols {
		switch {
		case !ws.ValidProtocol(name):
			r.fail("ws-protocol", "%q is not the name of a subprotocol", name)
		case slices.Contains(e.WSProtocols[:i], name):
			r.fail("ws-protocol", "%q is there twice", name)
		}
	}
}
