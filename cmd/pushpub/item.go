package main

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/feed"
	"holdfast/pkg/publish"
)

// message is what the options say about every item, apart from its channel and content.
type message struct {
	formats publish.Format
	action  publish.Action // Send, Hint or Close
	patch   bool           // the content is a body patch
	noEOL   bool           // texts get no newline for HTTP

	id, prevID string
	meta       map[string]string
	noSeq      bool

	code    int
	headers []publish.Header

	event, eventID string
	retry          int // milliseconds
}

// parse reads the options of the message.
func (m *message) parse(c *cli.Context) error {
	*m = message{
		patch:   c.Bool("patch"),
		noEOL:   c.Bool("no-eol"),
		id:      c.String("id"),
		prevID:  c.String("prev-id"),
		noSeq:   c.Bool("no-seq"),
		code:    c.Int("code"),
		event:   c.String("event"),
		eventID: c.String("sse-id"),
		retry:   c.Int("retry"),
	}
	switch {
	case app.Given(c, "code") && (m.code < 200 || m.code > 599):
		return app.Usagef("--code: %d is not between 200 and 599", m.code)
	case app.Given(c, "retry") && m.retry < 1:
		return app.Usagef("--retry: %d is not a number of milliseconds", m.retry)
	case c.Bool("hint"):
		m.action = publish.Hint
	case c.Bool("close"):
		m.action = publish.Close
	}
	if err := m.parseMeta(c.StringSlice("meta"), c.String("sender")); err != nil {
		return err
	}
	if err := m.parseHeaders(c.StringSlice("header")); err != nil {
		return err
	}
	return m.parseFormats(c)
}

// parseMeta reads KEY=VALUE pairs; --sender is one of them.
func (m *message) parseMeta(pairs []string, sender string) error {
	if sender != "" {
		pairs = append(pairs, "sender="+sender)
	}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return app.Usagef("--meta: %q is not KEY=VALUE", pair)
		}
		if m.meta == nil {
			m.meta = make(map[string]string)
		}
		m.meta[key] = value
	}
	return nil
}

func (m *message) parseHeaders(lines []string) error {
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return app.Usagef("--header: %q is not 'NAME: VALUE'", line)
		}
		m.headers = append(m.headers, publish.Header{Name: name, Value: strings.TrimSpace(value)})
	}
	probe := publish.Item{Channel: "probe", Formats: publish.HTTPResponse, Response: publish.Response{Headers: m.headers}}
	if err := probe.Check(); err != nil {
		return app.Usagef("--header: %v", err)
	}
	return nil
}

// parseFormats says which formats the items have: those that the action knows, with sse only when asked for, limited by
// --format. An option for a format that is left out would be lost, so it is refused.
func (m *message) parseFormats(c *cli.Context) error {
	possible := publish.HTTPResponse | publish.HTTPStream | publish.WSMessage | publish.SSE
	switch {
	case m.patch:
		possible = publish.HTTPResponse
	case m.action == publish.Hint:
		possible = publish.HTTPResponse | publish.HTTPStream | publish.WSMessage
	case m.action == publish.Close:
		possible = publish.HTTPStream | publish.WSMessage
	}
	events := app.Given(c, "event") || app.Given(c, "sse-id") || app.Given(c, "retry")
	m.formats = possible
	if !events {
		m.formats &^= publish.SSE
	}
	if app.Given(c, "format") {
		list := c.String("format")
		formats, err := parseFormats(list)
		if err != nil {
			return err
		}
		if formats&^possible != 0 {
			return app.Usagef("--format: %q has formats that --hint, --close or --patch do not have", list)
		}
		m.formats = formats
	}
	if events && m.formats&publish.SSE == 0 {
		return app.Usagef("--event, --sse-id and --retry need the format sse, which --format leaves out")
	}
	if m.formats&publish.HTTPResponse == 0 && (app.Given(c, "code") || app.Given(c, "header")) {
		return app.Usagef("--code and --header need the format response, which --format leaves out")
	}
	return nil
}

// text is the content of one message.
type text struct {
	plain string
	http  string // the same with the newline that HTTP clients get
}

// newText gives content the newline for HTTP clients, unless it goes out byte for byte. The two share their memory.
func newText(content []byte, asItIs bool) text {
	if asItIs {
		s := string(content)
		return text{s, s}
	}
	var b strings.Builder
	b.Grow(len(content) + 1)
	b.Write(content)
	b.WriteByte('\n')
	s := b.String()
	return text{s[:len(content)], s}
}

// item makes one item.
func (m *message) item(channel string, t text) publish.Item {
	it := publish.Item{
		Channel: channel, ID: m.id, PrevID: m.prevID,
		Formats: m.formats,
		Meta:    m.meta,
		NoSeq:   m.noSeq,
	}
	if it.Has(publish.HTTPResponse) {
		it.Response = publish.Response{Action: m.action, Code: m.code, Headers: m.headers}
		if m.patch {
			it.Response.BodyPatch = strings.TrimPrefix(t.plain, "\ufeff") // JSON may have a byte order mark
		} else {
			it.Response.Body = t.http
		}
	}
	if it.Has(publish.HTTPStream) {
		it.Stream = publish.Stream{Action: m.action, Content: t.http}
	}
	if it.Has(publish.WSMessage) {
		it.Message = publish.Message{Action: m.action, Content: t.plain}
		if !utf8.ValidString(t.plain) {
			it.Message.Type = publish.Binary // a text message must be UTF-8
		}
	}
	if it.Has(publish.SSE) {
		it.Event = publish.Event{Event: m.event, ID: m.eventID, Data: t.plain, Retry: m.retry}
	}
	return it
}

// expand returns m with the templates of its ids filled in.
func (m message) expand(now time.Time, count int) message {
	m.id = feed.Expand(m.id, now, count)
	m.prevID = feed.Expand(m.prevID, now, count)
	m.eventID = feed.Expand(m.eventID, now, count)
	return m
}

// items appends to dst what content makes for every channel, as message number count.
func (o *options) items(dst []publish.Item, content []byte, asItIs bool, now time.Time, count int) []publish.Item {
	m := &o.message
	if o.template {
		content = []byte(feed.Expand(string(content), now, count))
		expanded := m.expand(now, count)
		m = &expanded
	}
	t := newText(content, asItIs || m.noEOL)
	for _, channel := range o.channels {
		dst = append(dst, m.item(channel, t))
	}
	return dst
}
