package session

import (
	"holdfast/pkg/grip"
	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

// kind is how a kind of hold behaves. There is one value for each kind in a loop; what differs from
// connection to connection is in their records, and in tables by the number of the connection. A
// method may end the connection. All run on the loop.
type kind interface {
	// counts is what such connections count as.
	counts() stats.Kind
	// encoder returns what a form of the kind makes of an item, before it is framed; nil where that
	// is decided for each connection: then the kind is an each.
	encoder(f *form) hub.Encoder
	// hand writes b, which holds a number of encoded items, to connections of one form:
	// hub.Sink.Deliver.
	hand(key uint64, conns []uint32, b []byte, items int) (handed, behind int)

	// data takes what the client sends and returns how much of it was used.
	data(id uint32, cl *client, b []byte) (used int)
	// due acts on the connection's deadline.
	due(id uint32, cl *client)
	// end ends a hold because its last item said so, or was its answer.
	end(id uint32, cl *client, why stats.CloseReason)
	// drain ends a hold because pushd is stopping.
	drain(id uint32, cl *client)
	// dismiss ends a hold, and its connection with it, in good order.
	dismiss(id uint32, cl *client, why stats.CloseReason)
	// gone forgets what the kind keeps of a connection that is over or is not held any more.
	gone(id uint32)
	// describe adds to an operator's description what only the kind knows.
	describe(id uint32, info *stats.ConnectionInfo)
}

// each is a kind without an encoder.
type each interface {
	// deliver takes an item to one connection, as it is for that one, and reports whether it got
	// something.
	deliver(id uint32, cl *client, it *publish.Item, match *grip.Match) bool
}

// direct is a kind of hold that pushd serves by itself and that stays open: it begins with what its
// client has missed.
type direct interface {
	// showsIDs reports whether clients see the ids of items.
	showsIDs() bool
	// replays reports whether an item of that effect is for those who come later, too.
	replays(effect hub.Effect) bool
	// appendOpening appends what such a hold begins with, behind its head.
	appendOpening(dst []byte, f *form) []byte
	// appendNotice appends what pushd itself tells the client, appendPosition what the client is to
	// come back with if nothing else comes.
	appendNotice(dst []byte, f *form, n notice) []byte
	appendPosition(dst []byte, f *form, position string) []byte
}

// hand is that of most kinds: what is encoded goes to all connections as it is.
func (c *Clients) hand(key uint64, conns []uint32, b []byte, items int) (handed, behind int) {
	written, behind, leftOut := c.t.SendShared(key, conns, b)
	c.stats.Delivered.Add(uint64(written * items))
	if leftOut > 0 {
		c.stats.Dropped[stats.DropQueueFull].Add(uint64(leftOut * items))
	}
	return written, behind
}
