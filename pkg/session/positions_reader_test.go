package session

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// What a client of the position model makes of the bytes that it got. Each reader stops where the
// bytes end: what is not whole has not arrived.

// arrival is one thing that a client got: an item, or the news of a gap, or a position alone.
type arrival struct {
	item int    // its number; -1: none
	gap  bool   // something is missing before it
	last string // what the client comes back with from now on; "": as before
}

// readStreamed reads the response of a held GET: its head, then the chunks.
func readStreamed(out string, read func(text string) []arrival) []arrival {
	head, rest, ok := strings.Cut(out, "\r\n\r\n")
	if !ok || !strings.HasPrefix(head, "HTTP/1.1 200") {
		return nil
	}
	var text strings.Builder
	for {
		line, after, ok := strings.Cut(rest, "\r\n")
		if !ok {
			break
		}
		size, err := strconv.ParseInt(line, 16, 32)
		if err != nil || size == 0 {
			break
		}
		text.WriteString(after[:min(int(size), len(after))])
		if len(after) < int(size)+2 {
			break
		}
		rest = after[size+2:]
	}
	return read(text.String())
}

// readEvents reads Server-Sent Events (WHATWG HTML 9.2.6): a block with only an id sets the last
// event id as well.
func readEvents(text string) (all []arrival) {
	for {
		block, rest, ok := strings.Cut(text, "\n\n")
		if !ok {
			return all
		}
		text = rest
		a := arrival{item: -1}
		kind := ""
		for line := range strings.SplitSeq(block, "\n") {
			name, value, _ := strings.Cut(line, ":")
			value = strings.TrimPrefix(value, " ")
			switch name {
			case "id":
				a.last = value
			case "event":
				kind = value
			case "data":
				a.item = number(value)
			}
		}
		a.gap = kind == gapEvent
		all = append(all, a)
	}
}

// number returns an item's number, -1 when the text is no item.
func number(text string) int {
	n, _, _ := strings.Cut(text, "|")
	i, err := strconv.Atoi(n)
	if err != nil {
		return -1
	}
	return i
}

// notes returns the arrival of what one message says: an item with its id, if it has one, or a
// notice.
func notes(text string) arrival {
	var n notice
	if json.Unmarshal([]byte(text), &n) == nil && n.Event == gapEvent {
		return arrival{item: -1, gap: true}
	} else if n.Event == positionEvent {
		return arrival{item: -1, last: n.LastID}
	}
	_, id, _ := strings.Cut(text, "|")
	return arrival{item: number(text), last: id}
}

// readRaw reads a raw stream: items that end with a newline, and notices that look like events.
func readRaw(text string) (all []arrival) {
	for text != "" {
		end, event := "\n", strings.HasPrefix(text, "event: ")
		if event {
			end = "\n\n"
		}
		part, rest, ok := strings.Cut(text, end)
		if !ok {
			return all
		}
		text = rest
		switch {
		case event:
			_, data, _ := strings.Cut(part, "data: ")
			all = append(all, notes(data))
		case part != "" && part != ":":
			all = append(all, notes(part))
		}
	}
	return all
}

// readFrames reads the messages of a WebSocket.
func readFrames(out string) (all []arrival) {
	head, rest, ok := strings.Cut(out, "\r\n\r\n")
	if !ok || !strings.HasPrefix(head, "HTTP/1.1 101") {
		return nil
	}
	for len(rest) >= 2 {
		n, at := int(rest[1]), 2
		if n == 126 {
			if len(rest) < 4 {
				return all
			}
			n, at = int(rest[2])<<8|int(rest[3]), 4
		}
		if len(rest) < at+n {
			return all
		}
		if rest[0] == 0x81 {
			all = append(all, notes(rest[at:at+n]))
		}
		rest = rest[at+n:]
	}
	return all
}

// readPolls reads the answers of polls.
func readPolls(out string) (all []arrival) {
	r := bufio.NewReader(strings.NewReader(out))
	for {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return all
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return all
		}
		a := arrival{
			item: -1,
			gap:  res.Header.Get(gapName) == "true",
			last: res.Header.Get(lastIDName),
		}
		if res.StatusCode == 200 {
			a.item = number(string(body))
		}
		all = append(all, a)
	}
}
