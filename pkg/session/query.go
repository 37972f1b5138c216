package session

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"holdfast/pkg/http1"
	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
)

// maxLatest bounds the parameter last. A channel keeps as many items as its rule says.
const maxLatest = 10_000

// query is what the parameters of a request say. Its slices are good as long as the request in hand.
type query struct {
	channels [][]byte
	timeout  []byte // of a poll, in seconds
	token    []byte
	opening  bool   // a raw stream begins with an event
	lastID   []byte // the parameter last-id; nil without one
	eventID  []byte // the parameter lastEventId
	from     hub.From
}

var errNoChannel = errors.New("missing parameter: channel")

// parseQuery reads the parameters of the request in hand. channel and topic mean the same.
//
// The id of what the client saw last may come three times, and the newest counts: the field
// Last-Event-ID, which clients send when they come back; else the parameter lastEventId, which
// those add that cannot set fields; else last-id, which a page wrote into its URL. Of a repeated
// parameter the last one counts. An empty one says nothing.
func (c *Clients) parseQuery() error {
	c.query = query{channels: c.query.channels[:0], opening: c.opts.StreamOpening}
	c.text = c.text[:0]
	for rest := c.req.Query; len(rest) > 0; {
		var key, value []byte
		key, value, rest = http1.NextParam(rest)
		if err := c.parameter(c.parameterName(key), value); err != nil {
			return fmt.Errorf("bad parameter %s: %w", key, err)
		}
	}
	if c.fixed != nil {
		c.query.channels = append(c.query.channels[:0], c.fixed...)
	}
	if len(c.query.channels) == 0 {
		return errNoChannel
	}
	c.query.from.Bytes = c.opts.MaxReplay
	c.query.from.LastID = c.query.lastID
	if len(c.query.eventID) > 0 {
		c.query.from.LastID = c.query.eventID
	}
	if id, ok := c.req.Field("Last-Event-ID"); ok && len(id) > 0 {
		c.query.from.LastID = id
	}
	return nil
}

// parameterName is the name of the parameter that key means, "" for one that is not known here.
// lastEventId and last-id have many spellings: case, "-" and "_" do not count in them.
func (c *Clients) parameterName(key []byte) string {
	start := len(c.text)
	if bytes.ContainsAny(key, "%+") {
		text, err := http1.AppendUnescaped(c.text, key)
		if err != nil {
			return ""
		}
		c.text, key = text[:start], text[start:] // the value may take its place
	}
	for _, name := range [...]string{"channel", "topic", "last", "timeout", "token", "opening"} {
		if string(key) == name {
			return name
		}
	}
	var plain [len("lasteventid")]byte
	n := 0
	for _, b := range key {
		switch {
		case b == '-' || b == '_':
			continue
		case n == len(plain):
			return ""
		case 'A' <= b && b <= 'Z':
			b += 'a' - 'A'
		}
		plain[n] = b
		n++
	}
	switch string(plain[:n]) {
	case "lasteventid":
		return "lastEventId"
	case "lastid":
		return "last-id"
	}
	return ""
}

// parameter takes one parameter.
func (c *Clients) parameter(name string, raw []byte) error {
	if name == "" {
		return nil
	}
	start := len(c.text)
	text, err := http1.AppendUnescaped(c.text, raw)
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "http1: "))
	}
	c.text = text
	value := text[start:]
	switch name {
	case "channel", "topic":
		return c.channel(value)
	case "last":
		n, err := strconv.ParseUint(string(value), 10, 32)
		if err != nil || n < 1 || n > maxLatest {
			return fmt.Errorf("a number from 1 to %d is allowed", maxLatest)
		}
		c.query.from.Latest = int(n)
	case "last-id":
		if len(value) > 0 { // a page that has none yet may send it empty
			c.query.lastID = value
		}
	case "lastEventId":
		if len(value) > 0 {
			c.query.eventID = value
		}
	case "opening":
		switch string(value) {
		case "0", "1":
			c.query.opening = value[0] == '1'
		default:
			return errors.New("0 or 1 is allowed")
		}
	case "timeout":
		c.query.timeout = value
	case "token":
		c.query.token = value
	}
	return nil
}

func (c *Clients) channel(name []byte) error {
	if err := publish.CheckChannel(name); err != nil {
		return err
	}
	if len(c.query.channels) == c.opts.MaxChannels {
		return fmt.Errorf("too many channels: at most %d for one connection", c.opts.MaxChannels)
	}
	c.query.channels = append(c.query.channels, name)
	return nil
}

// The time that a poll is held, in seconds.
const (
	defaultPollSeconds = 55
	maxPollSeconds     = 300
)

var errPollTimeout = errors.New("bad parameter timeout: a number of seconds from 1 to 300 is allowed")

// pollTimeout is the request's timeout parameter, or the default.
func (c *Clients) pollTimeout() (time.Duration, error) {
	seconds := uint64(defaultPollSeconds)
	if value := c.query.timeout; value != nil {
		var err error
		if seconds, err = strconv.ParseUint(string(value), 10, 16); err != nil || seconds < 1 || seconds > maxPollSeconds {
			return 0, errPollTimeout
		}
	}
	return time.Duration(seconds) * time.Second, nil
}
