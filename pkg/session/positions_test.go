package session

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
)

// What a position stands for has been sent before it: a client that is cut in the middle of what it
// gets at first comes back for the rest.
func TestPositionFollowsWhatItStandsFor(t *testing.T) {
	for _, query := range []string{"&last=1", "&last-id=unknown"} {
		f := newRemembering(t, 10)
		f.publish(every("a", "", strings.Repeat("x", 3000)))
		_, c := f.get("/events?channel=a" + query)
		got := content(t, c)
		item, position := strings.Index(got, "data: xxx"), strings.LastIndex(got, "\n\nid: ")
		if item < 0 || position < item || !opened.MatchString(got) {
			t.Errorf("%s: the position comes before the item: %.100q", query, got)
		}
	}
}

// Every answer of a poll of a channel that keeps items names a position.
func TestPollWithoutItemNamesItsPosition(t *testing.T) {
	f := newRemembering(t, 100)
	id, c := f.get("/poll?channel=f")
	f.clients.Due(id)
	answers, _ := responses(t, c.out.String())
	last := answers[0].Header.Get("Last-Event-ID")
	if answers[0].StatusCode != 204 || last == "" {
		t.Fatalf("%q", c.out.String())
	}
	f.publish(every("f", "", "news"))
	_, c = f.request("GET /poll?channel=f&last-id=" + last + host)
	if _, bodies := responses(t, c.out.String()); len(bodies) != 1 || bodies[0] != "news" {
		t.Errorf("the item between two polls: %q", c.out.String())
	}
	for query, want := range map[string]bool{"": true, "&last-id=" + last: false, "&last=1": false} {
		_, c = f.request("HEAD /poll?channel=f" + query + host) // GET might have an item first
		if strings.Contains(c.out.String(), "\r\nLast-Event-ID: ") != want {
			t.Errorf("HEAD with %q: %q", query, c.out.String())
		}
	}
	id, c = newFake(t).get("/poll?channel=f")
	if strings.Contains(c.out.String(), "Last-Event-ID") {
		t.Errorf("connection %d, without a history: %q", id, c.out.String())
	}
}

// A client whose id comes more than once may have had any of these items: it gets what comes after
// the oldest.
func TestRepeatedIDs(t *testing.T) {
	f := newRemembering(t, 100)
	for i, data := range []string{"first", "second", "third", "fourth"} {
		f.publish(
			publish.Item{
				Channel: "a",
				Formats: publish.SSE,
				Event:   publish.Event{Data: data, ID: []string{"7", "7", "7", "8"}[i]},
			},
		)
	}
	_, c := f.request("GET /events?channel=a HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 7\r\n\r\n")
	got := content(t, c)
	for _, data := range []string{"second", "third", "fourth"} {
		if !strings.Contains(got, "data: "+data+"\n") {
			t.Errorf("%s is missing: %q", data, got)
		}
	}
	if strings.Contains(got, "gap") || strings.Contains(got, "first") {
		t.Errorf("%q", got)
	}
	last := aliased.FindStringSubmatch(got) // the second one has an id of its own
	if last == nil {
		t.Fatalf("the second and the third have the id of the first: %q", got)
	}
	_, c = f.get("/events?channel=a&last-id=" + last[1])
	if got := content(t, c); !strings.Contains(got, "third") || strings.Contains(got, "second") {
		t.Errorf("after the second: %q", got)
	}
}

// aliased is the id that the history gives an item.
var aliased = regexp.MustCompile(`id: ([0-9a-z]+-[0-9]+)\n`)

// What was under way together comes again once, not at every return.
func TestSeveralChannelsConverge(t *testing.T) {
	f := newRemembering(t, 10)
	f.get("/events?channel=a&channel=b&channel=c") // its loop takes nothing until all are published
	var items []publish.Item
	for i, channel := range []string{"a", "b", "a", "c", "b", "c", "a"} {
		items = append(items, every(channel, "", fmt.Sprint(channel, i)))
	}
	f.publish(items...)
	_, c := f.get("/events?channel=a&channel=b&channel=c&last=1")
	first := opened.FindStringSubmatch(content(t, c))
	if first == nil {
		t.Fatal("no position")
	}
	last := strings.Replace(first[1], ".", "-", 1) // the id of a6
	for round := range 2 {
		_, c := f.get("/events?channel=a&channel=b&channel=c&last-id=" + last)
		got := content(t, c)
		if n := strings.Count(got, "data: "); round == 0 && n == 0 || round > 0 && n > 0 {
			t.Errorf("return %d brings %d items: %q", round, n, got)
		}
		all := opened.FindAllStringSubmatch(got, -1)
		if round == 0 && len(all) != 1 {
			t.Fatalf("%d positions in %q", len(all), got)
		} else if round == 0 {
			last = all[0][1]
		}
	}
}

// An id that is no value of a header field is replaced by one with which a client can come back.
func TestIDsThatNoFieldCarries(t *testing.T) {
	for _, id := range []string{"ü", "a ", " a"} {
		f := newRemembering(t, 10)
		_, events := f.get("/events?channel=a")
		_, poll := f.get("/poll?channel=a")
		f.publish(every("a", id, "x"))
		got := aliased.FindStringSubmatch(content(t, events))
		if got == nil || !strings.HasSuffix(got[1], "-1") {
			t.Errorf("id %q: events got %q", id, content(t, events))
		}
		answers, _ := responses(t, poll.out.String())
		if last := answers[0].Header.Get("Last-Event-ID"); !strings.HasSuffix(last, "-1") {
			t.Errorf("id %q: poll got %q", id, poll.out.String())
		}
		f = newFake(t)
		_, poll = f.get("/poll?channel=a")
		f.publish(every("a", id, "x"))
		if strings.Contains(poll.out.String(), "Last-Event-ID") {
			t.Errorf("id %q without a history: %q", id, poll.out.String())
		}
	}
}

// Content with filters is for nobody here, on each kind of connection, live and from the history.
func TestFilteredContentIsForNobody(t *testing.T) {
	secret := every("a", "", "secret")
	filters := []string{"skip-self"}
	secret.Stream.ContentFilters, secret.Response.ContentFilters, secret.Message.ContentFilters = filters, filters, filters
	for _, target := range []string{"/events?channel=a", "/stream?channel=a", "/poll?channel=a", "/ws?channel=a"} {
		f := newRemembering(t, 10)
		head := "GET " + target
		tail := " HTTP/1.1\r\nHost: x\r\n" + modelSocket + "\r\n"
		if !strings.HasPrefix(target, "/ws") {
			tail = " HTTP/1.1\r\nHost: x\r\n\r\n"
		}
		_, live := f.request(head + tail)
		if n := f.publish(secret); n[0] != 0 {
			t.Errorf("%s: %d receivers", target, n[0])
		}
		_, kept := f.request(head + "&last=1" + tail)
		for name, c := range map[string]*fakeConn{"live": live, "kept": kept} {
			if !c.held || strings.Contains(c.out.String(), "secret") {
				t.Errorf("%s %s: %q", name, target, c.out.String())
			}
		}
		if _, items, _ := f.dir.History(); items != 0 {
			t.Errorf("%s: %d items are kept", target, items)
		}
	}
}

// A poll that is answered and comes back while others are being answered gets nothing twice,
// whatever these others are.
func TestPollsThatComeBackDuringAWalk(t *testing.T) {
	f := newFake(t)
	f.get("/poll?channel=a&last-id=nosuch")
	var polls []uint32
	for range 300 {
		id, _ := f.get("/poll?channel=a")
		polls = append(polls, id)
	}
	receivers := -1
	b := &hub.Batch{
		Deliveries: make([]hub.Delivery, 1),
		Done:       func(b *hub.Batch) { receivers = b.Deliveries[0].Receivers() },
	}
	b.Deliveries[0].Item = every("a", "n0", "x")
	if err := f.dir.Publish(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	f.clients.Task(f.posted[0])
	f.posted = nil
	for more := true; more; {
		more = f.clients.BatchEnd()
		for _, id := range polls {
			if c := f.conns[id]; !c.held && !c.over {
				f.write(id, "GET /poll?channel=a&last-id=n0"+host)
			}
		}
	}
	for _, id := range polls {
		if c := f.conns[id]; !c.held {
			t.Fatalf("connection %d got the item twice: %q", id, c.out.String())
		}
	}
	if receivers != len(polls)+1 {
		t.Errorf("%d receivers of %d polls", receivers, len(polls)+1)
	}
	if n := f.publish(every("a", "n1", "y")); n[0] != len(polls) {
		t.Errorf("the next item has %d receivers, want %d", n[0], len(polls))
	}
}
