package session

import (
	"time"

	"holdfast/pkg/grip"
	"holdfast/pkg/http1"
	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

// gripStreams are the streams that a backend holds.
type gripStreams struct{ streaming }

func (gripStreams) counts() stats.Kind          { return stats.Stream }
func (gripStreams) encoder(*form) hub.Encoder   { return appendStream }
func (g gripStreams) due(id uint32, cl *client) { g.gripKeepAlive(id, cl) }
func (g gripStreams) gone(id uint32)            { g.dropGrip(id) }

// gripFilteredStreams are those whose items pass filters first: what each gets is decided for it
// alone.
type gripFilteredStreams struct{ gripStreams }

func (gripFilteredStreams) encoder(*form) hub.Encoder { return nil }

func (g gripFilteredStreams) describe(id uint32, info *stats.ConnectionInfo) {
	info.Route = g.grips.At(id).more.route.ID
}

// deliver sends the stream what the item has for it, if its filters let that pass.
func (g gripFilteredStreams) deliver(
	id uint32,
	cl *client,
	it *publish.Item,
	match *grip.Match,
) bool {
	if more := g.grips.At(id).more; !g.passes(cl, more, more.channel(it.Channel), it, match) {
		return false
	}
	b, effect := appendStream(g.event[:0], it)
	g.event = b
	sent := true
	if len(b) > 0 {
		g.out = appendFramed(g.out[:0], b, g.form(cl).chunked)
		g.ownKey++
		n, _, _ := g.t.SendShared(g.ownKey, []uint32{id}, g.out)
		sent = n == 1
		if !sent && g.alive(id) {
			g.stats.Dropped[stats.DropQueueFull].Add(1)
		}
	}
	if effect == hub.End && g.alive(id) {
		g.endStream(id, cl, stats.CloseAction)
	}
	return sent && effect != hub.Nothing
}

// armGrip waits for the next keep-alive of a stream.
func (c *Clients) armGrip(id uint32, keep *gripKeep) {
	if keep != nil {
		c.t.Arm(id, spread(keep.every))
	}
}

// gripKeepAlive writes what the backend wants a quiet stream to get.
func (c *Clients) gripKeepAlive(id uint32, cl *client) {
	keep := c.grips.At(id).keep
	if keep == nil { // a deadline of before the hold
		return
	}
	if quiet := c.t.Quiet(
		id,
	); keep.mode == grip.Idle &&
		quiet < keep.every-min(time.Second, keep.every/2) {
		c.t.Arm(id, keep.every-quiet)
		return
	}
	c.armGrip(id, keep)
	c.out = append(c.out[:0], keep.data...)
	if c.form(cl).chunked {
		c.event = http1.AppendChunk(c.event[:0], c.out)
		c.t.Send(id, c.event)
		return
	}
	c.t.Send(id, c.out)
}
