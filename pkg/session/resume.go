package session

import (
	"encoding/json"

	"holdfast/pkg/hub"
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
func (c *Clients) appendKept(dst []byte, f formID, r hub.Resumed) []byte {
	defer c.forgetKept()
	gap, k := r.Gap, c.forms.at(f).direct
	var starts []int
	var block []byte
	for _, it := range c.kept {
		b, effect := c.encode[f](block, it)
		if len(b) == len(block) || !k.replays(effect) {
			continue
		}
		starts = append(starts, len(block))
		block = b
	}
	for len(starts) > 0 && len(block)-starts[0] > c.opts.MaxReplay {
		starts, gap = starts[1:], gap || c.query.from.LastID != nil // what last asks for may be less
	}
	if gap {
		dst = k.appendNotice(dst, c.forms.at(f), notice{gapEvent, string(c.query.from.LastID)})
	}
	if len(starts) > 0 {
		c.stats.Delivered.Add(uint64(len(starts)))
		dst = append(dst, block[starts[0]:]...)
	}
	resumes := k.showsIDs() || c.query.from.LastID != nil
	if tell := r.Tell || gap || r.Unnamed && !k.showsIDs(); tell && r.Kept && resumes {
		dst = k.appendPosition(dst, c.forms.at(f), string(c.members.AppendPosition(nil, r.Had)))
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

// text is the notice as JSON.
func (n notice) text() string {
	data, err := json.Marshal(n)
	if err != nil { // strings always marshal
		panic(err)
	}
	return string(data)
}
