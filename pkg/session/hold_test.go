package session

import (
	"strings"
	"testing"
	"time"

	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

// A client fails a text message that is not UTF-8 (RFC 6455 section 8.1).
func TestTextMessageIsUTF8(t *testing.T) {
	for _, tt := range []struct {
		m    publish.Message
		want string
	}{
		{publish.Message{Content: "a\xff"}, "\x81\x04a\ufffd"},
		{publish.Message{Content: "\ufffdé"}, "\x81\x05\ufffdé"},
		{publish.Message{Type: publish.Binary, Content: "a\xff"}, "\x82\x02a\xff"},
		{publish.Message{Type: publish.Ping, Content: "\xff"}, "\x89\x01\xff"},
	} {
		got, effect := appendMessage(nil, &publish.Item{Formats: publish.WSMessage, Message: tt.m})
		if string(got) != tt.want || effect != hub.Deliver {
			t.Errorf("appendMessage of %+v = %q, %v, want %q", tt.m, got, effect, tt.want)
		}
	}
}

func TestEncoders(t *testing.T) {
	sse := func(e publish.Event) publish.Item {
		return publish.Item{Channel: "a", ID: "7", Formats: publish.SSE, Event: e}
	}
	both := stream("for the stream\n")
	both.Formats |= publish.SSE
	both.Event = publish.Event{Data: "for the events"}
	withID := stream("x\n")
	withID.ID = "7"
	hint := stream("x")
	hint.Stream.Action = publish.Hint
	lastWords := closeItem("")
	lastWords.Formats |= publish.SSE
	lastWords.Event = publish.Event{Data: "bye"}
	hinted := hint
	hinted.Formats |= publish.SSE
	hinted.Event = publish.Event{Data: "look"}

	tests := []struct {
		name           string
		it             publish.Item
		events, stream string
		eventsEffect   hub.Effect
		streamEffect   hub.Effect
	}{
		{"stream content", stream("hello"), "data: hello\n\n", "hello", hub.Deliver, hub.Deliver},
		{"one trailing newline is dropped", stream("hello\n\n"), "data: hello\ndata: \n\n", "hello\n\n", hub.Deliver, hub.Deliver},
		{"lines", stream("a\nb\r\nc\rd"), "data: a\ndata: b\ndata: c\ndata: d\n\n", "a\nb\r\nc\rd", hub.Deliver, hub.Deliver},
		{"a stream that frames itself", stream("event: x\ndata: y\n\n"), "data: event: x\ndata: data: y\ndata: \n\n", "event: x\ndata: y\n\n", hub.Deliver, hub.Deliver},
		{"empty content", stream(""), "data: \n\n", "", hub.Deliver, hub.Deliver},
		{"the item's id", withID, "id: 7\ndata: x\n\n", "x\n", hub.Deliver, hub.Deliver},
		{"sse", sse(publish.Event{Event: "e", Data: "d\n", Retry: 1500}), "event: e\nid: 7\nretry: 1500\ndata: d\ndata: \n\n", "", hub.Deliver, hub.Nothing},
		{"sse with its own id", sse(publish.Event{ID: "8", Data: "d"}), "id: 8\ndata: d\n\n", "", hub.Deliver, hub.Nothing},
		{"sse that is empty", sse(publish.Event{}), "id: 7\ndata: \n\n", "", hub.Deliver, hub.Nothing},
		{"bytes that are no text", stream("a\xffb\xe2\x82\n"), "data: a\ufffdb\ufffd\ufffd\n\n", "a\xffb\xe2\x82\n", hub.Deliver, hub.Deliver},
		{"a bad byte before a line end", stream("\xe2\r\nb"), "data: \ufffd\ndata: b\n\n", "\xe2\r\nb", hub.Deliver, hub.Deliver},
		{"sse that is no text", sse(publish.Event{Data: "\xff"}), "id: 7\ndata: \ufffd\n\n", "", hub.Deliver, hub.Nothing},
		{"each its own", both, "data: for the events\n\n", "for the stream\n", hub.Deliver, hub.Deliver},
		{"close", closeItem(""), "", "", hub.End, hub.End},
		{"close has no content", closeItem("never"), "", "", hub.End, hub.End},
		{"close with an event", lastWords, "data: bye\n\n", "", hub.End, hub.End},
		{"hint", hint, "", "", hub.Nothing, hub.Nothing},
		{"hint with an event", hinted, "data: look\n\n", "", hub.Deliver, hub.Nothing},
		{"another's format", publish.Item{Channel: "a", ID: "7", Formats: publish.WSMessage}, "", "", hub.Nothing, hub.Nothing},
	}
	f := newFake(t)
	encoders := f.clients.encoders()
	if len(encoders) != len(f.clients.forms.all) {
		t.Fatalf("%d encoders, want %d", len(encoders), len(f.clients.forms.all))
	}
	chunked := func(s string) string {
		if s == "" {
			return ""
		}
		return strings.ToLower(hex(len(s))) + "\r\n" + s + "\r\n"
	}
	for _, tt := range tests {
		for fm, want := range map[formID]struct {
			text   string
			effect hub.Effect
		}{
			f.clients.forms.events.plain:   {tt.events, tt.eventsEffect},
			f.clients.forms.events.chunked: {chunked(tt.events), tt.eventsEffect},
			f.clients.forms.stream.plain:   {tt.stream, tt.streamEffect},
			f.clients.forms.stream.chunked: {chunked(tt.stream), tt.streamEffect},
		} {
			got, effect := encoders[fm]([]byte("before"), &tt.it)
			if string(got) != "before"+want.text || effect != want.effect {
				t.Errorf("%s, form %d: %q, %d, want %q, %d", tt.name, fm, got, effect, "before"+want.text, want.effect)
			}
		}
	}
}

func hex(n int) string {
	const digits = "0123456789abcdef"
	if n < 16 {
		return digits[n : n+1]
	}
	return hex(n/16) + digits[n%16:n%16+1]
}

// A held connection gets what is published, framed for it, and is ended by a close action.
func TestDeliveryAndEnd(t *testing.T) {
	f := newFake(t)
	_, chunked := f.get("/stream?channel=a")
	_, plain := f.request("GET /stream?channel=a HTTP/1.0\r\n\r\n")
	_, events := f.get("/events?channel=a&channel=b")
	_, other := f.get("/events?channel=b")
	for _, c := range []*fakeConn{chunked, plain, events, other} {
		c.out.Reset()
	}
	if got := f.publish(stream("x"), stream("y")); got[0] != 3 || got[1] != 3 {
		t.Errorf("receivers = %v, want 3 each", got)
	}
	if n := f.stats.Delivered.Load(); n != 6 {
		t.Errorf("delivered %d, want 6", n)
	}
	if got := f.publish(stream("z"), closeItem(""), stream("too late")); got[0] != 3 || got[1] != 3 || got[2] != 0 {
		t.Errorf("receivers = %v, want 3, 3, 0", got)
	}
	for _, tt := range []struct {
		name string
		c    *fakeConn
		want string
		over bool
	}{
		{"chunked", chunked, "1\r\nx\r\n1\r\ny\r\n1\r\nz\r\n0\r\n\r\n", true},
		{"plain", plain, "xyz", true},
		{"events", events, "9\r\ndata: x\n\n\r\n9\r\ndata: y\n\n\r\n9\r\ndata: z\n\n\r\n0\r\n\r\n", true},
		{"other", other, "", false},
	} {
		if got := tt.c.out.String(); got != tt.want || tt.c.over != tt.over {
			t.Errorf("%s: %q, over=%v, want %q, %v", tt.name, got, tt.c.over, tt.want, tt.over)
		}
		if tt.over && (!tt.c.finish || tt.c.why != stats.CloseAction) {
			t.Errorf("%s: finish=%v, why=%v, want an orderly end by action", tt.name, tt.c.finish, tt.c.why)
		}
	}
	if http, ev, st := f.stats.Connections[stats.HTTP].Load(), f.stats.Connections[stats.Events].Load(), f.stats.Connections[stats.Stream].Load(); http != 0 || ev != 1 || st != 0 {
		t.Errorf("connections = %d http, %d events, %d stream; want 0, 1, 0", http, ev, st)
	}
}

// A walk may find all its connections closed, and then be told to end them: even their records' page is gone by then.
func TestEndOfConnectionsThatTheWriteClosed(t *testing.T) {
	for _, conns := range []int{1, 600} { // one page of records, and two
		f := newFake(t)
		var all []*fakeConn
		for range conns {
			_, c := f.get("/stream?channel=a")
			c.broken = true
			all = append(all, c)
		}
		if got := f.publish(stream("last words"), closeItem("")); got[0] != 0 {
			t.Errorf("receivers = %v, want 0 of the content", got)
		}
		for i, c := range all {
			if !c.over || c.why != stats.CloseErrorWrite {
				t.Fatalf("connection %d of %d: over=%v, why=%v", i, conns, c.over, c.why)
			}
		}
	}
}

func TestItemsThatDoNotFitAreCounted(t *testing.T) {
	f := newFake(t)
	_, c := f.get("/stream?channel=a")
	f.get("/stream?channel=a")
	c.full = true
	c.out.Reset()
	if got := f.publish(stream("x"), stream("y")); got[0] != 1 || got[1] != 1 {
		t.Errorf("receivers = %v, want 1 each", got)
	}
	if n := f.stats.Dropped[stats.DropQueueFull].Load(); n != 2 {
		t.Errorf("dropped %d, want 2", n)
	}
	if c.out.String() != "" || c.over {
		t.Errorf("the full connection got %q, over=%v", c.out.String(), c.over)
	}
}

// A poll gets its answer even when its client has not taken those before, and its neighbours get theirs.
func TestPollsAreNeverLeftOut(t *testing.T) {
	f := newFake(t)
	var conns []*fakeConn
	for i := range 3 {
		_, c := f.get("/poll?channel=a")
		c.full = i == 1
		c.behind = c.full
		conns = append(conns, c)
	}
	if got := f.publish(every("a", "", "news")); got[0] != 3 {
		t.Errorf("receivers = %v, want 3", got)
	}
	for i, c := range conns {
		if all, bodies := responses(t, c.out.String()); len(all) != 1 || bodies[0] != "news" {
			t.Errorf("poll %d got %q", i, c.out.String())
		}
	}
	if n := f.stats.Delivered.Load(); n != 3 {
		t.Errorf("delivered %d, want 3", n)
	}
}

func TestTimeouts(t *testing.T) {
	t.Run("nothing arrived", func(t *testing.T) {
		f := newFake(t)
		id, c := f.accept(false)
		if c.armed != testOptions.HeaderTimeout {
			t.Errorf("deadline = %v, want %v", c.armed, testOptions.HeaderTimeout)
		}
		f.clients.Due(id)
		if c.out.String() != "" || !c.over || c.why != stats.CloseTimeoutHead {
			t.Errorf("%q, over=%v, why=%v; want a silent end", c.out.String(), c.over, c.why)
		}
	})
	t.Run("half a head", func(t *testing.T) {
		f := newFake(t)
		id, c := f.accept(false)
		c.armed = 0
		f.write(id, "GET /ev")
		f.write(id, "ents")
		if c.armed != 0 {
			t.Errorf("the clock of the head was set again, to %v", c.armed)
		}
		f.clients.Due(id)
		want := text("408 Request Timeout", closes, "the request head did not arrive in 10s")
		if got := steady(c.out.String()); got != want || !c.finish || c.why != stats.CloseTimeoutHead {
			t.Errorf("%q, finish=%v, why=%v; want\n%q", got, c.finish, c.why, want)
		}
	})
	t.Run("idle", func(t *testing.T) {
		f := newFake(t)
		id, c := f.request("GET /" + host)
		if c.armed != testOptions.IdleTimeout {
			t.Errorf("deadline = %v, want %v", c.armed, testOptions.IdleTimeout)
		}
		c.out.Reset()
		f.clients.Due(id)
		if c.out.String() != "" || !c.over || c.why != stats.CloseTimeoutIdle {
			t.Errorf("%q, over=%v, why=%v; want a silent end", c.out.String(), c.over, c.why)
		}
	})
	t.Run("half a second head", func(t *testing.T) {
		f := newFake(t)
		id, c := f.request("GET /" + host + "GET ")
		if c.armed != testOptions.HeaderTimeout {
			t.Errorf("deadline = %v, want %v", c.armed, testOptions.HeaderTimeout)
		}
		c.armed = 0
		f.write(id, "/")
		if c.armed != 0 {
			t.Errorf("the clock of the head was set again, to %v", c.armed)
		}
		f.clients.Due(id)
		if all, _ := responses(t, c.out.String()); len(all) != 2 || all[1].StatusCode != 408 {
			t.Errorf("answers %q, want 404 and 408", c.out.String())
		}
	})
}

func TestKeepAlive(t *testing.T) {
	for target, comment := range map[string]string{"/stream?channel=a": "3\r\n:\n\n\r\n", "/events?channel=a": "3\r\n:\n\n\r\n"} {
		f := newFake(t)
		id, c := f.get(target)
		const most = 55 * time.Second
		if c.armed > most || c.armed <= most-time.Second {
			t.Errorf("deadline = %v, want a little under %v", c.armed, most)
		}
		c.out.Reset()
		c.quiet = 20 * time.Second // something was written meanwhile
		f.clients.Due(id)
		if c.out.String() != "" || c.armed != most-20*time.Second {
			t.Errorf("wrote %q, deadline = %v; want nothing and %v", c.out.String(), c.armed, most-20*time.Second)
		}
		c.quiet, c.armed = most-time.Second, 0
		f.clients.Due(id)
		if c.out.String() != comment || c.armed > most || c.armed <= most-time.Second {
			t.Errorf("wrote %q, deadline = %v; want %q and a little under %v", c.out.String(), c.armed, comment, most)
		}
		c.quiet, c.broken = most, true
		f.clients.Due(id)
		if !c.over {
			t.Error("a keep-alive that finds the connection closed leaves it open")
		}
	}
	f := newFake(t)
	id, c := f.request("GET /stream?channel=a HTTP/1.0\r\n\r\n")
	c.out.Reset()
	c.quiet = time.Hour
	f.clients.Due(id)
	if c.out.String() != ":\n\n" {
		t.Errorf("HTTP/1.0: wrote %q, want the comment without a chunk", c.out.String())
	}
}

// The keep-alives of connections opened together do not come together.
func TestKeepAlivesAreSpread(t *testing.T) {
	f := newFake(t)
	seen := map[time.Duration]bool{}
	for range 100 {
		_, c := f.get("/stream?channel=a")
		seen[c.armed.Round(50*time.Millisecond)] = true
	}
	if len(seen) < 10 {
		t.Errorf("100 deadlines fall in %d ticks, want them spread over 20", len(seen))
	}
}

func TestDrain(t *testing.T) {
	f := newFake(t)
	const streams, steps = 1000, 10
	_, idleConn := f.request("GET /" + host)
	freshID, freshConn := f.accept(false)
	lateID, lateConn := f.accept(false)
	readingID, readingConn := f.request("GET /stream?channel=a HTTP/1.1\r\n")
	var all []*fakeConn
	for range streams {
		_, c := f.get("/stream?channel=a")
		c.out.Reset()
		all = append(all, c)
	}
	done := func() (n int) {
		for _, c := range all {
			if c.over {
				n++
			}
		}
		return n
	}
	for left := steps; left > 0; left-- {
		before := done()
		f.clients.Task(&Drain{Left: left})
		n := done() - before
		if share := (streams-before+left-1)/left + 2; n > max(share, minDrain) {
			t.Errorf("step with %d left ended %d streams, want at most %d", left, n, max(share, minDrain))
		}
		if left == steps {
			if !idleConn.over || idleConn.why != stats.CloseDrain {
				t.Errorf("the idle connection: over=%v, why=%v; want it closed at once", idleConn.over, idleConn.why)
			}
			// A client that was accepted a moment ago may have sent its request already, and is not to be reset.
			if freshConn.over || freshConn.armed > 2*time.Second {
				t.Errorf("the new connection: over=%v, deadline=%v; want a moment of grace", freshConn.over, freshConn.armed)
			}
			f.write(freshID, "GET /stream?channel=a"+host)
			f.write(readingID, "Host: x\r\n\r\n")
			f.clients.Due(lateID)
		}
	}
	if n := done(); n != streams {
		t.Errorf("%d of %d streams ended in %d steps", n, streams, steps)
	}
	for i, c := range all {
		if c.out.String() != "0\r\n\r\n" || !c.finish || c.why != stats.CloseDrain {
			t.Fatalf("stream %d: %q, finish=%v, why=%v; want the final chunk and an orderly end", i, c.out.String(), c.finish, c.why)
		}
	}
	for _, c := range []*fakeConn{freshConn, readingConn} {
		res, _ := responses(t, c.out.String())
		if len(res) != 1 || res[0].StatusCode != 503 || res[0].Header.Get("Retry-After") == "" || !res[0].Close || !c.finish {
			t.Errorf("a request during the shutdown: %q, finish=%v; want 503 with Retry-After and the end", c.out.String(), c.finish)
		}
	}
	if !lateConn.over {
		t.Error("the new connection that asked nothing is open")
	}
	if n := f.clients.table.Len(); n != 0 {
		t.Errorf("%d records are left, want none", n)
	}
	if f.dir.Channels() != 0 || f.stats.Subscriptions.Load() != 0 {
		t.Errorf("%d channels and %d subscriptions are left, want none", f.dir.Channels(), f.stats.Subscriptions.Load())
	}
}

// A few connections do not take the whole time.
func TestDrainOfAFewIsOneStep(t *testing.T) {
	f := newFake(t)
	for range minDrain {
		f.get("/events?channel=a")
	}
	f.clients.Task(&Drain{Left: 100})
	if n := f.clients.table.Len(); n != 0 {
		t.Errorf("%d connections are left after one step, want none", n)
	}
}
