package hub

import (
	"fmt"
	"testing"
	"time"
	"unsafe"

	"holdfast/pkg/publish"
)

// newLastIDs returns a Directory of one loop that keeps last ids in mind.
func newLastIDs() (*Directory, *Members) {
	dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain}, func(int) Sink { return noSink{} })
	dir.KeepLastIDs()
	return dir, loops[0].members
}

func publishID(t *testing.T, dir *Directory, channel, id string) {
	t.Helper()
	publishAll(t, dir, publish.Item{Channel: channel, ID: id, Formats: publish.HTTPStream})
}

func lastID(t *testing.T, dir *Directory, channel string) string {
	t.Helper()
	id, known := dir.LastID(channel)
	if known != (id != "") {
		t.Errorf("LastID = %q, %v", id, known)
	}
	return id
}

// A client that asks again and again, alone, is not there between two questions.
func TestLastIDOutlastsTheSubscribers(t *testing.T) {
	dir, m := newLastIDs()
	item := func(id string) { publishID(t, dir, "a", id) }
	poll := func(want string) {
		t.Helper()
		subs, _ := m.Join(1, []byte("a"), 0, 0)
		if got := lastID(t, dir, "a"); got != want {
			t.Errorf("last id %q, want %q", got, want)
		}
		m.Leave(subs)
	}
	item("0")
	poll("") // before it nobody asked
	item("1")
	poll("1")
	poll("1")
	item("2")
	item("3")
	poll("3")
	item("")
	poll("")

	subs, _ := m.Join(1, []byte("b"), 0, 0)
	publishID(t, dir, "b", "1")
	m.Leave(subs)
	m.Join(1, []byte("b"), 0, 0)
	if got := lastID(t, dir, "b"); got != "" {
		t.Errorf("nobody asked for it, and it is %q", got)
	}
}

func TestForgottenLastIDStaysForgotten(t *testing.T) {
	dir, m := newLastIDs()
	subs, _ := m.Join(1, []byte("a"), 0, 0)
	publishID(t, dir, "a", "1")
	if got := lastID(t, dir, "a"); got != "1" {
		t.Fatalf("last id %q", got)
	}
	dir.ForgetLastID("a")
	m.Leave(subs)
	m.Join(1, []byte("a"), 0, 0)
	if got := lastID(t, dir, "a"); got != "" {
		t.Errorf("last id %q", got)
	}
}

func TestLingeringTimeAndNumber(t *testing.T) {
	start := time.Now()
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	one := func(id string) *string { return &id }
	var l lingering
	l.put("a", one("1"), at(0))
	l.put("b", nil, at(50))
	l.update("a", "2", at(55))
	l.update("b", "3", at(59))
	l.update("c", "4", at(59))
	if got := l.take("a", at(60)); got == nil || *got != "2" {
		t.Errorf("a after 60 s: %v", got)
	}
	if got := l.take("a", at(60)); got != nil {
		t.Errorf("a twice: %q", *got)
	}
	if got := l.take("c", at(60)); got != nil {
		t.Errorf("c, which never had a subscriber: %q", *got)
	}
	l.put("d", one("5"), at(90))
	if got := l.take("b", at(110)); got == nil || *got != "3" {
		t.Errorf("b after 60 s: %v", got)
	}
	if l.turn(at(149)); l.now == nil && l.old == nil {
		t.Error("d is forgotten after 59 s")
	}
	if l.turn(at(270)); l.now != nil || l.old != nil {
		t.Errorf("%d and %d are kept", len(l.now), len(l.old))
	}
	for i := range maxLingering {
		l.put(fmt.Sprint(i), nil, at(300))
	}
	if n := len(l.now) + len(l.old); n > maxLingering/numShards {
		t.Errorf("%d are kept in a shard", n)
	}
	if last := l.take(fmt.Sprint(maxLingering-1), at(301)); last == nil {
		t.Error("the newest is forgotten")
	}
}

// What comes from a publisher aliases its buffer.
func TestLastIDIsACopy(t *testing.T) {
	dir, m := newLastIDs()
	subs, _ := m.Join(1, []byte("a"), 0, 0)
	lastID(t, dir, "a")
	m.Leave(subs)
	buf := []byte("7")
	publishID(t, dir, "a", unsafe.String(&buf[0], 1))
	buf[0] = '8'
	m.Join(1, []byte("a"), 0, 0)
	if got := lastID(t, dir, "a"); got != "7" {
		t.Errorf("last id %q", got)
	}
}

// The id outlasts its pollers also when somebody who does not ask for it comes and goes in between: a stream of the same channel, say.
func TestLastIDOutlastsAPassingSubscriber(t *testing.T) {
	dir, m := newLastIDs()
	subs, _ := m.Join(1, []byte("a"), 0, 0) // a poll
	lastID(t, dir, "a")
	publishID(t, dir, "a", "5")
	m.Leave(subs)

	subs, _ = m.Join(2, []byte("a"), 0, 0) // a stream comes and goes
	m.Leave(subs)
	publishID(t, dir, "a", "6") // while the backend thinks about the poll's next request

	m.Join(1, []byte("a"), 0, 0)
	if got := lastID(t, dir, "a"); got != "6" {
		t.Errorf("last id %q, want 6", got)
	}
}

// A later one does not make the earlier ones last.
func TestLingeringTwiceAsLongAtMost(t *testing.T) {
	start := time.Now()
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	var l lingering
	l.put("a", new(string), at(0))
	l.turn(at(60))
	l.put("b", new(string), at(119))
	l.turn(at(120))
	if got := l.take("a", at(120)); got != nil {
		t.Error("a is known after 120 s")
	}
	if got := l.take("b", at(179)); got == nil {
		t.Error("b is not known after 60 s")
	}
}
