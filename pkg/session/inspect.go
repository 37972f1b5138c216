package session

import (
	"cmp"
	"context"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"holdfast/pkg/hub"
	"holdfast/pkg/route"
	"holdfast/pkg/stats"
)

// What an operator wants to know or done is a task for each loop. One that looks at all connections does a piece in each
// batch, so that nobody waits for it.

// Bounds of a piece.
const (
	scanSlots   = 1000 // connections looked at
	scanDetails = 50   // connections described
	scanCloses  = 50   // connections closed
	namesInList = 3    // channels of a connection in a list
	namesInFull = 1000 // and of one in full
	idSeparator = "."  // between the parts of a connection's id
	birthBits   = 16   // of an id's last part
)

// inquiry is a task that somebody beside the loops waits for.
type inquiry interface{ run(c *Clients) }

// connectionID names a connection for people: loop, number, and what tells it from all that had the number before.
func (c *Clients) connectionID(id uint32, cl *client) string {
	b := strconv.AppendInt(make([]byte, 0, 32), int64(c.loop), 10)
	b = strconv.AppendUint(append(b, idSeparator...), uint64(id), 10)
	b = strconv.AppendUint(append(b, idSeparator...), cl.stamp(), 36)
	return string(b)
}

func (cl *client) stamp() uint64 { return uint64(cl.opened)<<birthBits | uint64(cl.birth) }

// Name is what a connection's id says.
type Name struct {
	Loop  int
	conn  uint32
	stamp uint64
}

// ParseName reads a connection's id.
func ParseName(s string) (Name, bool) {
	parts := strings.Split(s, idSeparator)
	if len(parts) != 3 {
		return Name{}, false
	}
	loop, err1 := strconv.ParseUint(parts[0], 10, 8)
	conn, err2 := strconv.ParseUint(parts[1], 10, 32)
	stamp, err3 := strconv.ParseUint(parts[2], 36, 64)
	if cmp.Or(err1, err2, err3) != nil {
		return Name{}, false
	}
	return Name{int(loop), uint32(conn), stamp}, true
}

// find returns the connection of that name, nil when it is gone.
func (c *Clients) find(n Name) *client {
	cl := c.table.Find(n.conn)
	if cl == nil || cl.phase == none || cl.stamp() != n.stamp {
		return nil
	}
	return cl
}

// Describe is a task: it describes the connection of a name.
type Describe struct {
	Name  Name
	Done  chan<- struct{}        // has room
	Infos []stats.ConnectionInfo // the answer: one or none
}

func (t *Describe) run(c *Clients) {
	if cl := c.find(t.Name); cl != nil {
		t.Infos = append(t.Infos, c.info(t.Name.conn, cl, namesInFull))
	}
	t.Done <- struct{}{}
}

// CloseNamed is a task: it closes connections by their names.
type CloseNamed struct {
	Names  []Name
	Done   chan<- struct{} // has room
	Closed int             // the answer
}

func (t *CloseNamed) run(c *Clients) {
	n := min(len(t.Names), scanCloses)
	for _, name := range t.Names[:n] {
		if cl := c.find(name); cl != nil {
			c.dismissFor(name.conn, cl, stats.CloseOperator)
			t.Closed++
		}
	}
	if t.Names = t.Names[n:]; len(t.Names) > 0 {
		c.t.Post(t)
		return
	}
	t.Done <- struct{}{}
}

// Scan is a task: it looks at all connections of a loop and describes the first of those that pass the filter, or closes all of
// those.
type Scan struct {
	Context context.Context // ends it early
	Query   stats.ConnectionQuery
	Prefix  netip.Prefix    // of Query.Filter.Address; not valid: any address
	Close   bool            // them, instead
	Done    chan<- struct{} // has room

	// The answer.
	Infos   []stats.ConnectionInfo // in no order
	Matched int
	Total   int

	next  uint32
	first *stats.Top[scored]
	found []scored
	ended bool // all are looked at
}

// scored is a connection and its place in the order: higher ones come first.
type scored struct {
	name  Name
	score int64
}

func (t *Scan) run(c *Clients) {
	if t.Context.Err() != nil {
		t.Done <- struct{}{}
		return
	}
	if t.first == nil {
		t.first = stats.NewTop(max(t.Query.Top, 1), func(a, b *scored) bool { return a.score > b.score })
	}
	if !t.ended {
		if t.scan(c); t.ended {
			t.found = t.first.Take()
		}
		c.t.Post(t)
		return
	}
	n := min(len(t.found), scanDetails)
	for _, f := range t.found[:n] {
		if cl := c.find(f.name); cl != nil { // it may have left since
			t.Infos = append(t.Infos, c.info(f.name.conn, cl, namesInList))
		}
	}
	if t.found = t.found[n:]; len(t.found) > 0 {
		c.t.Post(t)
		return
	}
	t.Done <- struct{}{}
}

// scan looks at the next piece of the connections.
func (t *Scan) scan(c *Clients) {
	f := &t.Query.Filter
	local := uint32(0)
	if f.Channel != "" {
		if local = c.members.Local(f.Channel); local == 0 {
			t.Total = c.table.Len()
			t.ended = true
			return
		}
	}
	slots, closes := 0, 0
	for id, cl := range c.table.From(t.next) {
		if slots++; slots > scanSlots || closes == scanCloses {
			t.next = id
			return
		}
		if cl.phase == none {
			continue
		}
		t.Total++
		if f.Kind != "" && c.kind(cl).String() != f.Kind || local != 0 && !c.members.Subscribed(cl.subs, local) {
			continue
		}
		if t.Prefix.IsValid() {
			if addr, _ := c.clientAddress(id); !t.Prefix.Contains(addr.Addr()) {
				continue
			}
		}
		t.Matched++
		if t.Close {
			closes++
			c.dismissFor(id, cl, stats.CloseOperator)
			continue
		}
		t.first.Add(scored{Name{c.loop, id, cl.stamp()}, c.score(id, cl, t.Query.By)})
	}
	t.ended = true
}

func (c *Clients) score(id uint32, cl *client, by string) int64 {
	switch by {
	case stats.ByAge:
		return -int64(cl.stamp())
	case stats.ByNewest:
		return int64(cl.stamp())
	case stats.ByQuiet:
		return int64(c.t.Quiet(id))
	case stats.BySubscriptions:
		return int64(c.members.Subscriptions(cl.subs))
	}
	return int64(c.t.Queued(id))
}

// info describes a connection, with at most names of its channels.
func (c *Clients) info(id uint32, cl *client, names int) stats.ConnectionInfo {
	addr, proxy := c.clientAddress(id)
	info := stats.ConnectionInfo{
		ID: c.connectionID(id, cl), Loop: c.loop, Kind: c.kind(cl).String(), State: phases[cl.phase],
		Address: stats.AddressText(addr), Proxy: stats.AddressText(proxy),
		AgeSeconds:   float64(max(0, time.Now().Unix()-int64(cl.opened))),
		QuietSeconds: c.t.Quiet(id).Seconds(), QueuedBytes: c.t.Queued(id),
		Subscriptions: c.members.Subscriptions(cl.subs), Channels: c.members.Names(nil, cl.subs, names),
	}
	if p := c.proxied.Find(id); p != nil && p.x != nil {
		if rt, ok := p.x.Route.(*route.Route); ok {
			info.Route = rt.ID
		}
	}
	if cl.phase == held {
		c.form(cl).kind.describe(id, &info)
	}
	return info
}

var phases = [...]string{
	fresh: "new", reading: "request", ending: "request", asking: "token", proxying: "backend",
	idle: "idle", held: "held",
}

// dismissFor ends a connection in good order, whatever it does: one that is held as at the shutdown, and one with a request under way
// is told to come back.
func (c *Clients) dismissFor(id uint32, cl *client, why stats.CloseReason) {
	switch cl.phase {
	case fresh, idle:
		c.t.Close(id, why)
		return
	case proxying:
		if p := c.proxied.At(id); p.is(answerBegun) {
			c.breakOff(id, p, why)
			return
		}
		fallthrough
	case reading, ending, asking:
		c.dismiss(id, 503, "the connection was closed by an operator", retryField(), why)
		return
	}
	c.form(cl).kind.dismiss(id, cl, why)
}

// CountSubscribers is a task: it counts the subscribers that channels have in the loop.
type CountSubscribers struct {
	Channels []hub.Listed    // not changed
	Done     chan<- struct{} // has room
	Counts   []int           // the answer, of the same length; added to
}

func (t *CountSubscribers) run(c *Clients) {
	c.members.Count(t.Channels, t.Counts)
	t.Done <- struct{}{}
}

// Measure is a task: it has the deliveries of single channels counted until its StopMeasure.
type Measure struct {
	Done  chan<- struct{} // has room
	Meter *hub.Meter      // the loop's until StopMeasure is done
}

func (t *Measure) run(c *Clients) {
	t.Meter = c.members.StartMeter()
	t.Done <- struct{}{}
}

// StopMeasure is a task, posted behind its Measure.
type StopMeasure struct {
	Measure *Measure
	Done    chan<- struct{} // has room
}

func (t *StopMeasure) run(c *Clients) {
	c.members.StopMeter(t.Measure.Meter)
	t.Done <- struct{}{}
}
