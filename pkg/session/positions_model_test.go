package session

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
)

// The rule of docs/clients.md: whatever position a client holds, coming back with it yields
// everything kept after what it has received, or a gap; and it converges.
//
// The model publishes to several channels, cuts the connections of clients of all four kinds at any
// byte of what they were sent, restarts pushd, and has the clients come back with whatever they
// hold by then. It knows of each client what it is owed, and fails when something that is owed
// never comes and no gap was told.

const (
	modelTTL    = 10 * time.Second
	modelHeader = " HTTP/1.1\r\nHost: x\r\n"
	modelSocket = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)

// modelKind is one of the four kinds of clients.
type modelKind struct {
	path  string
	shows func(it *publish.Item) bool
	read  func(out string) []arrival
}

var modelKinds = []modelKind{
	{"/events", func(it *publish.Item) bool {
		return it.Has(publish.SSE) || it.For(publish.HTTPStream, false) == publish.Content
	},
		func(out string) []arrival { return readStreamed(out, readEvents) }},
	{
		"/stream",
		func(it *publish.Item) bool { return it.For(publish.HTTPStream, false) == publish.Content },
		func(out string) []arrival { return readStreamed(out, readRaw) },
	},
	{
		"/ws",
		func(it *publish.Item) bool { return it.For(publish.WSMessage, false) == publish.Content },
		readFrames,
	},
	{
		"/poll",
		func(it *publish.Item) bool { return it.For(publish.HTTPResponse, false) == publish.Content },
		readPolls,
	},
}

// modelClient outlives its connections.
type modelClient struct {
	kind     *modelKind
	channels []string
	last     string       // what it comes back with; "": it holds nothing
	seen     map[int]bool // items that it has got since base
	owed     map[int]bool // items before base that it is owed all the same: a cut took them
	base     int          // it is owed every item from this one on

	loop  int // of its connection
	id    uint32
	conn  *fakeConn // nil: it is away
	began int       // how many items there were when it connected
	taken int       // arrivals that it has taken
	gaps  int
}

type positions struct {
	t       *testing.T
	rnd     *rand.Rand
	ample   bool // nothing is dropped: there are no gaps but after a restart
	unique  bool // no id comes twice
	rules   []hub.HistoryRule
	dir     *hub.Directory
	loops   []*fakeTransport
	items   []publish.Item
	epoch   int
	clients []*modelClient
	told    int // gaps
}

// start begins a pushd with nothing kept.
func (p *positions) start() {
	p.epoch++
	p.dir, p.loops = hub.NewDirectory(1<<20), nil
	var posts []hub.Loop
	for range 2 {
		f := &fakeTransport{
			t:        p.t,
			dir:      p.dir,
			stats:    new(stats.Loop),
			conns:    map[uint32]*fakeConn{},
			verdicts: make(chan any, 1),
			local:    netip.MustParseAddr("192.0.2.1"),
			peer:     netip.MustParseAddr("198.51.100.7"),
		}
		p.loops = append(p.loops, f)
		posts = append(posts, fakePost{f})
	}
	p.dir.SetLoops(posts)
	p.dir.KeepHistory(hub.HistoryOptions{Rules: p.rules, Memory: 1 << 20})
	o := testOptions
	if p.ample {
		o.MaxReplay = 1 << 20
	}
	for i, f := range p.loops {
		f.clients = New(o, f, p.dir, i, f.stats)
	}
}

// someID is an id as publishers give them: none, a new one, or one that came before.
func (p *positions) someID(n int) string {
	switch p.rnd.IntN(4) {
	case 0:
		return ""
	case 1:
		if !p.unique { // after a restart nothing is known of the ids before
			return fmt.Sprint("e", p.epoch, "r", p.rnd.IntN(3))
		}
	case 2:
		return "ü" + strconv.Itoa(n) // no value of a header field
	}
	return "k" + strconv.Itoa(n)
}

// publish publishes some item.
func (p *positions) publish() {
	n := len(p.items)
	it := publish.Item{
		Channel: string(rune('a' + p.rnd.IntN(3))),
		ID:      p.someID(n),
		Formats: publish.Format(1 + p.rnd.IntN(15)),
	}
	if p.rnd.IntN(8) == 0 {
		it.Message.ContentFilters, it.Response.ContentFilters = []string{
			"skip-self",
		}, []string{
			"skip-self",
		}
	}
	if it.Has(publish.SSE) && p.rnd.IntN(4) == 0 {
		it.Event.ID = p.someID(n)
	}
	if it.Has(publish.HTTPStream) && p.rnd.IntN(10) == 0 {
		it.Stream.Action = publish.Hint
	}
	p.put(it)
}

// give publishes an item for all kinds, with an id that begins so: "" for none; "same" is the whole
// of one.
func (p *positions) give(channel, id string) {
	if id != "" && id != "same" {
		id += strconv.Itoa(len(p.items))
	}
	p.put(
		publish.Item{
			Channel: channel,
			ID:      id,
			Formats: publish.HTTPResponse | publish.HTTPStream | publish.WSMessage,
		},
	)
}

// put publishes the item, with its number and its id as the content.
func (p *positions) put(it publish.Item) {
	text := strconv.Itoa(len(p.items))
	noted := text + "|" + it.ID // streams and WebSockets know an id by what their items say
	if !publish.FieldSafe(it.ID) {
		noted = text
	}
	it.Stream.Content, it.Message.Content, it.Response.Body, it.Event.Data = noted+"\n", noted, text, text
	p.items = append(p.items, it)
	b := &hub.Batch{Deliveries: make([]hub.Delivery, 1), Done: func(*hub.Batch) {}}
	b.Deliveries[0].Item = it
	if err := p.dir.Publish(context.Background(), b); err != nil {
		p.t.Fatal(err)
	}
}

// deliver has a loop take so many of what was posted to it, and hand it out.
func (p *positions) deliver(f *fakeTransport, n int) {
	n = min(n, len(f.posted))
	for _, d := range f.posted[:n] {
		f.clients.Task(d)
	}
	f.posted = f.posted[n:]
	for f.clients.BatchEnd() {
	}
}

func (p *positions) settleLoops() {
	for _, f := range p.loops {
		p.deliver(f, len(f.posted))
	}
}

func (p *positions) settle() {
	p.settleLoops()
	for _, c := range p.clients {
		p.take(c, -1)
	}
}

// connect has the client come back to a loop with what it holds.
func (p *positions) connect(c *modelClient) {
	query := ""
	if c.last == "" && p.rnd.IntN(3) == 0 {
		query = "&last=" + strconv.Itoa(1+p.rnd.IntN(3))
	}
	p.open(c, query)
}

// open has the client connect to a loop. query is more of its target.
func (p *positions) open(c *modelClient, query string) {
	c.loop, c.taken = p.rnd.IntN(len(p.loops)), 0
	c.id, c.conn = p.loops[c.loop].accept(false)
	p.ask(c, query)
}

// ask sends the client's request.
func (p *positions) ask(c *modelClient, query string) {
	c.began = len(p.items)
	target, field := c.kind.path+"?channel="+strings.Join(c.channels, "&channel=")+query, ""
	switch {
	case c.last == "":
		c.base, c.seen, c.owed = len(p.items), map[int]bool{}, map[int]bool{}
	case p.rnd.IntN(2) == 0:
		field = "Last-Event-ID: " + c.last + "\r\n"
	default:
		target += "&last-id=" + url.QueryEscape(c.last)
	}
	if c.kind.path == "/ws" {
		field += modelSocket
	}
	p.loops[c.loop].write(c.id, "GET "+target+modelHeader+field+"\r\n")
}

// take has the client read the first so many bytes of what it was sent, -1 for all.
func (p *positions) take(c *modelClient, bytes int) {
	if c.conn == nil {
		return
	}
	out := c.conn.out.String()
	if bytes >= 0 {
		out = out[:bytes]
	}
	sent, all := c.kind.read(c.conn.out.String()), c.kind.read(out)
	for ; c.taken < len(all); c.taken++ {
		p.arrive(c, all[c.taken], sent[c.taken:])
	}
}

// arrive is one thing that comes to the client. sent is it and what was sent after it: of that a
// cut may take any part.
func (p *positions) arrive(c *modelClient, a arrival, sent []arrival) {
	if a.gap {
		if p.ample && p.epoch == 1 && !slices.Contains(c.channels, "c") &&
			(p.unique || c.kind.path == "/events" || c.kind.path == "/poll") {
			p.t.Fatalf("%s of %v is told a gap, and everything is kept", c.kind.path, c.channels)
		}
		p.told++
		c.gaps++
		c.base, c.seen = c.began, map[int]bool{}
		c.owed = map[int]bool{}
		c.owe(sent) // what comes with the gap
	}
	if a.item >= 0 {
		if c.seen[a.item] && len(c.channels) == 1 && p.unique &&
			(c.kind.path == "/events" || c.kind.path == "/poll") {
			p.t.Fatalf("%s of %v gets item %d twice", c.kind.path, c.channels, a.item)
		}
		if c.last == "" && a.item < c.base { // the beginning of what last=N gives: the rest is owed
			c.owe(sent)
		}
		c.seen[a.item] = true
	}
	if a.last != "" {
		c.last = a.last
	}
}

// owe notes that the client is owed these.
func (c *modelClient) owe(sent []arrival) {
	for _, a := range sent {
		if a.item >= 0 {
			c.owed[a.item] = true
		}
	}
}

// cut ends the client's connection somewhere in what it was not seen to have taken yet.
func (p *positions) cut(c *modelClient) {
	out := c.conn.out.Len()
	at := p.rnd.IntN(out + 1)
	switch p.rnd.IntN(3) {
	case 0:
		at = out
	case 1: // in what came last
		at = max(at, out-p.rnd.IntN(300))
	}
	p.take(c, at)
	if !c.conn.over {
		p.loops[c.loop].clients.Gone(c.id)
		c.conn.over = true
	}
	c.conn = nil
}

// due fires the deadline of a client's connection: for a poll, that nothing has come.
func (p *positions) due(c *modelClient) {
	if c.kind.path == "/poll" && c.conn.held {
		p.loops[c.loop].clients.Due(c.id)
	}
}

// again has a client that polls take its answer and ask once more over the same connection.
func (p *positions) again(c *modelClient) {
	if c.kind.path == "/poll" && !c.conn.held && !c.conn.over {
		p.take(c, -1)
		p.ask(c, "")
	}
}

func (p *positions) restart() {
	for _, c := range p.clients {
		if c.conn != nil {
			p.cut(c)
		}
	}
	p.start()
}

func (p *positions) step() {
	c := p.clients[p.rnd.IntN(len(p.clients))]
	switch n := p.rnd.IntN(100); {
	case n < 30:
		p.publish()
	case n < 50:
		p.deliver(p.loops[p.rnd.IntN(len(p.loops))], 1+p.rnd.IntN(8))
	case c.conn == nil:
		p.connect(c)
	case n < 70:
		p.cut(c)
	case n < 80:
		p.due(c)
	case n < 92:
		p.again(c)
	case n < 94:
		time.Sleep(time.Duration(p.rnd.Int64N(int64(modelTTL / 3))))
		p.dir.Expire(time.Now())
	case n < 95 && p.rnd.IntN(3) == 0:
		p.restart()
	default:
		p.settle()
		p.check()
	}
}

// check fails when a client that is there, and has all that was sent to it, lacks something that it
// is owed.
func (p *positions) check() {
	for _, c := range p.clients {
		if c.conn == nil || c.kind.path == "/poll" && !c.conn.held {
			continue
		}
		p.due(c) // a poll is told of a gap when it is answered
		p.take(c, -1)
		for i := range p.items {
			it := &p.items[i]
			owed := i >= c.base || c.owed[i]
			if owed && !c.seen[i] && slices.Contains(c.channels, it.Channel) && c.kind.shows(it) {
				p.t.Fatalf(
					"%s of %v, which holds %q, never got item %d of %s (id %q), and was told no gap",
					c.kind.path,
					c.channels,
					c.last,
					i,
					it.Channel,
					it.ID,
				)
			}
		}
	}
}

// converge has everybody come back in silence, until nothing comes any more. What a channel keeps
// is at most so much.
func (p *positions) converge() {
	p.settle()
	for _, c := range p.clients {
		for round := 0; ; round++ {
			if c.conn != nil {
				p.loops[c.loop].clients.Gone(c.id)
				c.conn.over, c.conn = true, nil
			}
			held, gaps := c.last, c.gaps
			p.connect(c)
			p.due(c)
			all := c.kind.read(c.conn.out.String())
			p.take(c, -1)
			items := slices.ContainsFunc(all, func(a arrival) bool { return a.item >= 0 })
			if held == "" && c.last == "" ||
				slices.Contains(c.channels, "c") &&
					gaps > 0 { // it has nothing to come back with, or c keeps nothing
				break
			}
			if held != "" && !items && c.gaps == gaps {
				break
			}
			if round > len(p.items)+5 {
				p.t.Fatalf(
					"%s of %v does not come to rest: from %q it gets %v",
					c.kind.path,
					c.channels,
					held,
					all,
				)
			}
		}
	}
	p.check()
}
