package session

import (
	"encoding/json"

	"holdfast/pkg/http1"
	"holdfast/pkg/hub"
	"holdfast/pkg/sse"
	"holdfast/pkg/stats"
	"holdfast/pkg/ws"
)

// Fields of a poll's answer.
const (
	lastIDName = "Last-Event-ID" // id of its item, for the next poll's last-id
	gapName    = "Event-Gap"     // true: something between last-id and this is missing
	gapField   = gapName + ": true\r\n"
)

// gapEvent is the type of the event that tells a client that it has missed something which is not there any more.
const gapEvent = "gap"

// appendKept appends what a connection of the form f has missed: c.kept, at most MaxReplay bytes of it, the newest. It says so
// first when that is not all.
func (c *Clients) appendKept(dst []byte, f form, gap bool) []byte {
	defer c.forgetKept()
	var starts []int
	var block []byte
	for _, it := range c.kept {
		b, effect := c.encode[f](block, it)
		if len(b) == len(block) || effect == hub.End && f == webSocket { // an end was for those who were there
			continue
		}
		starts = append(starts, len(block))
		block = b
	}
	for len(starts) > 0 && len(block)-starts[0] > c.opts.MaxReplay {
		starts, gap = starts[1:], gap || c.query.from.LastID != nil // what last asks for may be less
	}
	if gap {
		dst = c.appendGap(dst, f)
	}
	if len(starts) == 0 {
		return dst
	}
	c.stats.Delivered.Add(uint64(len(starts)))
	return append(dst, block[starts[0]:]...)
}

// maxKept is the number of items for which room is kept between two that resume.
const maxKept = 1024

// forgetKept lets go of what a connection has missed.
func (c *Clients) forgetKept() {
	clear(c.kept)
	if c.kept = c.kept[:0]; cap(c.kept) > maxKept {
		c.kept = nil
	}
}

// appendGap appends the news of a gap as the form has it: an event of that type, or a text message; a raw stream gets the
// same event.
func (c *Clients) appendGap(dst []byte, f form) []byte {
	data, err := json.Marshal(struct {
		Event  string `json:"event"`
		LastID string `json:"last-id"`
	}{gapEvent, string(c.query.from.LastID)})
	if err != nil { // strings always marshal
		panic(err)
	}
	if c.forms[f].kind == stats.WS {
		return ws.AppendFrame(dst, ws.Text, data)
	}
	c.event = sse.AppendEvent(c.event[:0], sse.Event{Event: gapEvent, Data: string(data)})
	if c.forms[f].chunked {
		return http1.AppendChunk(dst, c.event)
	}
	return append(dst, c.event...)
}
