package session

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
)

// newRemembering returns a fake whose channels keep n items.
func newRemembering(t *testing.T, n int) *fakeTransport {
	t.Helper()
	f := newFake(t)
	f.dir.KeepHistory(hub.HistoryOptions{Rules: []hub.HistoryRule{{Pattern: "*", Items: n, TTL: time.Minute}}, Memory: 1 << 20})
	return f
}

// every is an item that every kind of client gets.
func every(channel, id, content string) publish.Item {
	return publish.Item{
		Channel: channel, ID: id, Formats: publish.HTTPStream | publish.HTTPResponse | publish.WSMessage,
		Stream: publish.Stream{Content: content}, Response: publish.Response{Body: content}, Message: publish.Message{Content: content},
	}
}

// body is what follows the head and the opening, chunks undone, without positions.
func body(t *testing.T, c *fakeConn) string {
	t.Helper()
	return opened.ReplaceAllString(content(t, c), "")
}

// content is what follows the head and the opening, chunks undone.
func content(t *testing.T, c *fakeConn) string {
	t.Helper()
	_, rest, ok := strings.Cut(c.out.String(), "\r\n\r\n")
	if !ok {
		t.Fatalf("no head in %q", c.out.String())
	}
	if !strings.Contains(c.out.String(), "Transfer-Encoding: chunked") {
		return rest
	}
	var all strings.Builder
	for rest != "" {
		var size int
		line, after, _ := strings.Cut(rest, "\r\n")
		if _, err := fmt.Sscanf(line, "%x", &size); err != nil || len(after) < size+2 {
			t.Fatalf("bad chunk in %q", c.out.String())
		}
		all.WriteString(after[:size])
		rest = after[size+2:]
	}
	text := all.String()
	if _, events, ok := strings.Cut(text, "retry: "); ok {
		_, text, _ = strings.Cut(events, "\n\n")
	}
	return text
}

// opened is a position alone.
var opened = regexp.MustCompile(`id: ([0-9a-z]+\.[0-9]+)\n\n`)

func TestResume(t *testing.T) {
	field := func(id string) string { return " HTTP/1.1\r\nHost: x\r\nLast-Event-ID: " + id + "\r\n\r\n" }
	const upgrade = " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	event := func(id, data string) string { return "id: " + id + "\ndata: " + data + "\n\n" }
	gap := func(id string) string { return "event: gap\ndata: {\"event\":\"gap\",\"last-id\":\"" + id + "\"}\n\n" }
	const at = `{"event":"position","last-id":"E.5"}`
	const position = "event: position\ndata: " + at + "\n\n"
	epoch := regexp.MustCompile(`[0-9a-z]+\.5`)
	for name, tt := range map[string]struct{ request, want string }{
		"field":                 {"GET /events?channel=a" + field("i2"), event("i3", "c") + event("i4", "d")},
		"parameter":             {"GET /events?channel=a&last-id=i3" + host, event("i4", "d")},
		"field over parameter":  {"GET /events?channel=a&last-id=i1" + field("i3"), event("i4", "d")},
		"the newest":            {"GET /events?channel=a" + field("i4"), ""},
		"dropped just now":      {"GET /events?channel=a" + field("i1"), event("i2", "b") + event("i3", "c") + event("i4", "d")},
		"dropped before":        {"GET /events?channel=a" + field("i0"), gap("i0") + event("i2", "b") + event("i3", "c") + event("i4", "d")},
		"another epoch":         {"GET /events?channel=a" + field("zzzz-17"), gap("zzzz-17") + event("i2", "b") + event("i3", "c") + event("i4", "d")},
		"quotes":                {"GET /events?channel=a" + field(`"<\`), gap(`\"\u003c\\`) + event("i2", "b") + event("i3", "c") + event("i4", "d")},
		"no history there":      {"GET /events?channel=never" + field("i2"), gap("i2")},
		"latest":                {"GET /events?channel=a&last=1" + host, event("i4", "d")},
		"latest two":            {"GET /events?channel=a&last=2" + host, event("i3", "c") + event("i4", "d")},
		"latest after resume":   {"GET /events?channel=a&last=1" + field("i2"), event("i3", "c") + event("i4", "d")},
		"latest of nothing":     {"GET /events?channel=never&last=1" + host, ""},
		"event-source-polyfill": {"GET /events?channel=a&lastEventId=i3" + host, event("i4", "d")},
		"Mercure":               {"GET /events?topic=a&channel=a&lastEventID=i3" + host, event("i4", "d")},
		"older Mercure":         {"GET /events?topic=a&channel=a&Last-Event-ID=i3" + host, event("i4", "d")},
		"nchan":                 {"GET /events?channel=a&last_event_id=i3" + host, event("i4", "d")},
		"last_event-id":         {"GET /events?channel=a&last_event-id=i3" + host, event("i4", "d")},
		"LAST_ID":               {"GET /events?channel=a&LAST_ID=i3" + host, event("i4", "d")},
		"escaped key":           {"GET /events?ch%61nnel=b&channel=a&last%2Did=i3" + host, event("i4", "d")},
		"not a name of it":      {"GET /events?channel=a&lastEventIds=i3&lastEvent=i3&xlast-id=i3&last%=i3" + host, ""},
		"the page's last-id is older than the client's lastEventId, before it": {
			"GET /events?channel=a&last-id=i1&lastEventId=i3" + host, event("i4", "d")},
		"the page's last-id is older than the client's lastEventId, behind it": {
			"GET /events?channel=a&lastEventId=i3&last-id=i1" + host, event("i4", "d")},
		"field over lastEventId": {"GET /events?channel=a&lastEventId=i1" + field("i3"), event("i4", "d")},
		"of two the last":        {"GET /events?channel=a&lastEventId=i1&last_event_id=i3" + host, event("i4", "d")},
		"an empty one is none":   {"GET /events?channel=a&last-id=i3&lastEventId=" + host, event("i4", "d")},
		"empty id":               {"GET /events?channel=a&last-id=" + host, ""},
		"stream":                 {"GET /stream?channel=a&last-id=i2 HTTP/1.0\r\n\r\n", "cd"},
		"stream with a gap":      {"GET /stream?channel=a&last-id=x HTTP/1.0\r\n\r\n", gap("x") + "bcd" + position},
		"WebSocket":              {"GET /ws?channel=a&last-id=i2" + upgrade, "\x81\x01c\x81\x01d"},
		"WebSocket with a gap":   {"GET /ws?channel=a&last-id=x" + upgrade, "\x81\x1d" + `{"event":"gap","last-id":"x"}` + "\x81\x01b\x81\x01c\x81\x01d\x81\x24" + at},
	} {
		f := newRemembering(t, 3)
		for i, s := range []string{"z", "a", "b", "c", "d"} {
			f.publish(every("a", fmt.Sprint("i", i), s))
		}
		_, c := f.request(tt.request)
		if !c.held {
			t.Errorf("%s: not held: %q", name, c.out.String())
			continue
		}
		got := epoch.ReplaceAllString(body(t, c), "E.5")
		if i := strings.Index(got, at); i > 0 && got[i-2] == 0x81 { // a frame's length is that of the whole
			got = got[:i-1] + string(rune(len(at))) + got[i:]
		}
		if got != tt.want {
			t.Errorf("%s:\n%q\nwant\n%q", name, got, tt.want)
		}
		c.out.Reset()
		if f.publish(every("a", "i5", "e")); strings.Contains(tt.request, "channel=a") != strings.Contains(c.out.String(), "e") {
			t.Errorf("%s: after the resume %q", name, c.out.String())
		}
	}
	f := newFake(t)
	for _, last := range []string{"0", "-1", "x", "", "10001", "1e3"} {
		_, c := f.request("GET /events?channel=a&last=" + last + host)
		if !strings.HasPrefix(c.out.String(), "HTTP/1.1 400") {
			t.Errorf("last=%s: %q", last, c.out.String())
		}
	}
}

// A client whose connection breaks before anything has come knows where it stood.
func TestResumeAfterNothing(t *testing.T) {
	for name, query := range map[string]string{"first": "a", "gap": "a&last-id=unknown", "another channel": "b&channel=a"} {
		f := newRemembering(t, 10)
		if name != "gap" {
			f.publish(every("a", "", "before"))
		}
		id, c := f.get("/events?channel=" + query)
		at := opened.FindStringSubmatch(c.out.String())
		if at == nil {
			t.Fatalf("%s: no position in %q", name, c.out.String())
		}
		f.clients.Gone(id)
		f.publish(every("a", "i1", "x"), every("a", "i2", "y"))
		_, c = f.request("GET /events?channel=a HTTP/1.1\r\nHost: x\r\nLast-Event-ID: " + at[1] + "\r\n\r\n")
		if got, want := body(t, c), "id: i1\ndata: x\n\nid: i2\ndata: y\n\n"; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if opened.MatchString(c.out.String()) {
			t.Errorf("%s: the position of a client that has a later one is set back: %q", name, c.out.String())
		}
	}
	if _, c := newFake(t).get("/events?channel=a"); opened.MatchString(c.out.String()) {
		t.Errorf("without a history: %q", c.out.String())
	}
}

// A client that polls with the id of its last answer gets every item, one at a time.
func TestPollResumes(t *testing.T) {
	f := newRemembering(t, 3)
	for i := range 3 {
		f.publish(every("a", "", fmt.Sprint("m", i)))
	}
	last := ""
	poll := func(want string, gap bool) {
		t.Helper()
		_, c := f.request("GET /poll?channel=a&last-id=" + last + host)
		all, bodies := responses(t, c.out.String())
		if len(all) != 1 || bodies[0] != want || (all[0].Header.Get("Event-Gap") == "true") != gap {
			t.Fatalf("after %q: %q, want %q, gap %v", last, c.out.String(), want, gap)
		}
		last = all[0].Header.Get("Last-Event-ID")
	}
	last = "unknown"
	poll("m0", true)
	poll("m1", false)
	poll("m2", false)
	_, c := f.get("/poll?channel=a&last-id=" + last)
	f.publish(every("a", "", "m3"))
	if _, bodies := responses(t, c.out.String()); len(bodies) != 1 || bodies[0] != "m3" {
		t.Errorf("held poll: %q", c.out.String())
	}
	for i := 4; i < 9; i++ {
		f.publish(every("a", "", fmt.Sprint("m", i)))
	}
	poll("m6", true)
	poll("m7", false)

	// What has no answer for a poll is passed over. A poll that has missed something waits like any other, and is told then.
	f.publish(publish.Item{Channel: "b", ID: "s1", Formats: publish.HTTPStream, Stream: publish.Stream{Content: "x"}})
	f.get("/poll?channel=b&last-id=s1")
	for _, target := range []string{"/poll?channel=b&last-id=s0", "/poll?channel=never&last-id=s0"} {
		id, c := f.get(target)
		f.clients.Due(id)
		if all, _ := responses(t, c.out.String()); len(all) != 1 || all[0].StatusCode != 204 || all[0].Header.Get("Event-Gap") != "true" {
			t.Errorf("%s: %q", target, c.out.String())
		}
	}
	_, missed := f.get("/poll?channel=b&last-id=s0")
	_, fresh := f.get("/poll?channel=b")
	f.publish(every("b", "s2", "news"))
	for c, gap := range map[*fakeConn]string{missed: "true", fresh: ""} {
		if all, bodies := responses(t, c.out.String()); len(all) != 1 || bodies[0] != "news" || all[0].Header.Get("Event-Gap") != gap {
			t.Errorf("gap %q: %q", gap, c.out.String())
		}
	}
}

// Items of several channels come one at a time, each of them, whatever was under way together.
func TestPollOfSeveralChannelsGetsOn(t *testing.T) {
	f := newRemembering(t, 10)
	f.get("/events?channel=a")
	f.publish(every("a", "", "m1"), every("b", "", "m2"))
	f.publish(every("a", "own", "m3"))
	last, got := "none", ""
	for range 8 {
		_, c := f.request("GET /poll?channel=a&channel=b&last-id=" + last + host)
		if c.held {
			break
		}
		all, bodies := responses(t, c.out.String())
		if gap := all[0].Header.Get("Event-Gap"); (gap == "true") != (last == "none") {
			t.Errorf("after %s: gap %q", last, gap)
		}
		got += bodies[0] + " "
		last = all[0].Header.Get("Last-Event-ID")
	}
	if got != "m1 m2 m3 " {
		t.Errorf("polls got %s", got)
	}
	_, c := f.request("GET /poll?channel=a&last=1" + host)
	if _, bodies := responses(t, c.out.String()); len(bodies) != 1 || bodies[0] != "m3" {
		t.Errorf("last=1: %q", c.out.String())
	}
}

// What resumed connections have got is not held on to.
func TestReplayIsLetGo(t *testing.T) {
	f := newRemembering(t, 5000)
	for i := range 5000 {
		f.publish(stream(fmt.Sprint(i)))
	}
	f.clients.opts.MaxReplay = 1 << 20
	for _, target := range []string{"/poll?channel=a&last-id=unknown", "/events?channel=a&last-id=unknown", "/ws?channel=a&last-id=unknown"} {
		f.request("GET " + target + " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		for _, it := range f.clients.kept[:cap(f.clients.kept)] {
			if it != nil {
				t.Fatalf("%s: an item is kept alive", target)
			}
		}
		if cap(f.clients.kept) > maxKept {
			t.Errorf("%s: room for %d items is kept", target, cap(f.clients.kept))
		}
	}
}

// An event that ended its stream is an event to those who come back.
func TestEventWithCloseIsResumed(t *testing.T) {
	f := newRemembering(t, 10)
	last := closeItem("")
	last.ID, last.Formats, last.Event = "i2", last.Formats|publish.SSE, publish.Event{Data: "bye"}
	f.publish(every("a", "i1", "x"), last, every("a", "i3", "y"))
	_, c := f.get("/events?channel=a&last-id=i1")
	if got := body(t, c); got != "id: i2\ndata: bye\n\nid: i3\ndata: y\n\n" {
		t.Errorf("%q", got)
	}
}

// What is kept may be far more than a connection may have queued: it gets the newest, and knows.
func TestReplayIsBounded(t *testing.T) {
	f := newRemembering(t, 100)
	for i := range 100 {
		f.publish(every("a", fmt.Sprint("i", i), strings.Repeat("\n", 100)))
	}
	_, c := f.get("/events?channel=a&last-id=i0")
	got := body(t, c)
	if len(got) > testOptions.MaxReplay+200 || !strings.HasPrefix(got, "event: gap\n") || !strings.Contains(got, "id: i99\n") || strings.Contains(got, "id: i80\n") {
		t.Errorf("%d bytes, %.100q", len(got), got)
	}
	_, c = f.get("/events?channel=a&last=100")
	if got := body(t, c); len(got) > testOptions.MaxReplay || strings.Contains(got, "event: gap") || !strings.Contains(got, "id: i99\n") {
		t.Errorf("last=100: %d bytes, %.100q", len(got), got)
	}
}

// A connection gets all of its channels or none, and is told.
func TestTooManyChannels(t *testing.T) {
	f := newFake(t)
	f.dir.SetMaxChannels(2)
	f.get("/events?channel=a")
	id, c := f.request("GET /events?channel=a&channel=b&channel=c" + host)
	if !strings.HasPrefix(c.out.String(), "HTTP/1.1 503 Service Unavailable\r\n") || !strings.Contains(c.out.String(), "Retry-After: ") {
		t.Errorf("%q", c.out.String())
	}
	if n := f.dir.Channels(); n != 1 {
		t.Errorf("%d channels are left, want 1", n)
	}
	f.write(id, "GET /poll?channel=b"+host)
	if !c.held {
		t.Errorf("the next request is not held: %q", c.out.String())
	}
}
