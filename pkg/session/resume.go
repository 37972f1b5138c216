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

// positionEvent is the type of the event that tells the client of a raw stream or a WebSocket what
// to come back with.
const positionEvent = "position"

// appendKept appends what a connection of the form f has missed: c.kept, at most MaxReplay bytes of
// it, the newest. It says so first when that is not all, and last, where the ids of these items do
// not say it, up to where it has had everything now.
func (c *Clients) appendKept(dst []byte, f form, r hub.Resumed) []byte {
	defer c.forgetKept()
	gap, events := r.Gap, c.forms[f].kind == stats.Events
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
	if len(starts) > 0 {
		c.stats.Delivered.Add(uint64(len(starts)))
		dst = append(dst, block[starts[0]:]...)
	}
	resumes := events || c.query.from.LastID != nil
	if tell := r.Tell || gap || r.Unnamed && !events; tell && r.Kept && resumes {
		dst = c.appendPosition(dst, f, r.Had)
	}
	return dst
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

// notice is what pushd itself tells the client of a stream or a WebSocket.
type notice struct {
	Event  string `json:"event"`
	LastID string `json:"last-id"`
}

// appendGap appends the news of a gap.
func (c *Clients) appendGap(dst []byte, f form) []byte {
	return c.appendNotice(dst, f, notice{gapEvent, string(c.query.from.LastID)})
}

// appendPosition appends what the client is to come back with if nothing else comes. On Server-Sent
// Events that is an id without data, which is no event to the page (WHATWG HTML 9.2.6).
func (c *Clients) appendPosition(dst []byte, f form, had uint64) []byte {
	position := string(c.members.AppendPosition(nil, had))
	if c.forms[f].kind != stats.Events {
		return c.appendNotice(dst, f, notice{positionEvent, position})
	}
	c.event = sse.AppendID(c.event[:0], position)
	return c.appendChunk(dst, f)
}

// appendNotice appends a notice as the form has it: a text message, or an event of that type; a raw
// stream gets the same event.
func (c *Clients) appendNotice(dst []byte, f form, n notice) []byte {
	data, err := json.Marshal(n)
	if err != nil { // strings always marshal
		panic(err)
	}
	if c.forms[f].kind == stats.WS {
		return ws.AppendFrame(dst, ws.Text, data)
	}
	c.event = sse.AppendEvent(c.event[:0], sse.Event{Event: n.Event, Data: string(data)})
	return c.appendChunk(dst, f)
}

// appendChunk appends c.event as the form frames it.
func (c *Clients) appendChunk(dst []byte, f form) []byte {
	if c.forms[f].chunked {
		return http1.AppendChunk(dst, c.event)
	}
	return append(dst, c.event...)
}
