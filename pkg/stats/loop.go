package stats

import "sync/atomic"

// Kind is what a connection is doing now.
type Kind uint8

// The kinds of connection. HTTP is the zero value: a connection starts with it and is not held.
const (
	HTTP   Kind = iota // reading a request, answering, or idle between requests
	Stream             // held as a raw HTTP stream
	Events             // held as Server-Sent Events
	Poll               // held as a long poll
	WS                 // held as a WebSocket

	numKinds
)

// CloseReason says why a connection ended.
type CloseReason uint8

// The reasons for the end of a connection.
const (
	CloseClient      CloseReason = iota // the client closed or reset it
	CloseDone                           // answered, and closed as HTTP says
	CloseTimeoutHead                    // the head of a request did not arrive in time
	CloseTimeoutIdle                    // no request came in time
	CloseBadRequest                     // answered an unacceptable request, then closed
	CloseErrorRead                      // reading failed
	CloseErrorWrite                     // writing failed
	CloseSlow                           // its queue was full and the overflow rule is close
	CloseMemory                         // its queue was among the longest when the memory for queues ran out
	CloseAction                         // an item's close action, or a held response that ended
	CloseOverload                       // above a limit of pushd or of the system: answered 503, or not at all
	CloseExpired                        // its token has expired
	CloseBackend                        // its backend's answer broke off
	CloseDrain                          // pushd is stopping
	CloseOperator                       // somebody asked for it on the control socket

	numCloseReasons
)

var closeReasons = [numCloseReasons]string{
	CloseClient:      "client",
	CloseDone:        "done",
	CloseTimeoutHead: "timeout-head",
	CloseTimeoutIdle: "timeout-idle",
	CloseBadRequest:  "bad-request",
	CloseErrorRead:   "error-read",
	CloseErrorWrite:  "error-write",
	CloseSlow:        "slow",
	CloseMemory:      "queue-memory",
	CloseAction:      "close-action",
	CloseOverload:    "overload",
	CloseExpired:     "token-expired",
	CloseBackend:     "backend",
	CloseDrain:       "drain",
	CloseOperator:    "operator",
}

// String returns the reason's key in Snapshot.Closed.
func (r CloseReason) String() string {
	if r >= numCloseReasons {
		return "unknown"
	}
	return closeReasons[r]
}

// DropReason says why an item was not delivered to one subscription.
type DropReason uint8

// The reasons for not delivering an item to a subscription.
const (
	DropQueueFull     DropReason = iota // the connection's queue was full, and the overflow rule is drop
	DropFiltered                        // a filter of the subscription kept it out
	DropSubscriptions                   // no item: a backend's subscription beyond --max-subscriptions

	numDropReasons
)

var dropReasons = [numDropReasons]string{
	DropQueueFull:     "queue-full",
	DropFiltered:      "filtered",
	DropSubscriptions: "subscriptions",
}

// String returns the reason's key in Snapshot.Dropped.
func (r DropReason) String() string {
	if r >= numDropReasons {
		return "unknown"
	}
	return dropReasons[r]
}

// cacheLine is large enough that neighbours which begin and end on one never share a line, also where the processor
// fetches lines in pairs.
const cacheLine = 128

// Loop is the counters of one event loop. They take 5 KB. Only its loop adds to them; anybody may read them. They are padded so that
// loops side by side in memory do not slow each other down.
type Loop struct {
	_ [cacheLine]byte

	Connections   [numKinds]atomic.Int64         // gauge, open connections by Kind
	Accepted      atomic.Uint64                  // connections accepted
	Closed        [numCloseReasons]atomic.Uint64 // connections ended by CloseReason
	Subscriptions atomic.Int64                   // gauge
	Delivered     atomic.Uint64                  // items written or queued, one for each subscription
	Dropped       [numDropReasons]atomic.Uint64  // items not delivered by DropReason, one for each subscription
	Queued        atomic.Int64                   // gauge, bytes held for slow clients
	BytesOut      atomic.Uint64                  // bytes written to clients
	Batches       atomic.Uint64                  // batches of events handled
	Walks         atomic.Uint64                  // walks over a channel's subscribers, finished
	Latency       Timing                         // of each delivery: from the item's arrival to the write
	Walk          Timing                         // of each walk
	Lag           Timing                         // of each batch

	_ [cacheLine]byte
}

// Move counts a connection that was from and is now to.
func (l *Loop) Move(from, to Kind) {
	if from != to {
		l.Connections[from].Add(-1)
		l.Connections[to].Add(1)
	}
}

// Sum adds up the loops. It fills everything that loops count; Channels, Published and what concerns the process are
// left to the caller. Counters of one loop are read one after another while it runs, so two of them may be an event
// apart.
func Sum(loops []*Loop) Snapshot {
	s := Snapshot{Closed: make(map[string]uint64), Dropped: make(map[string]uint64), Loops: make([]LoopSnapshot, 0, len(loops))}
	for _, l := range loops {
		ls := LoopSnapshot{
			Accepted:      l.Accepted.Load(),
			Subscriptions: int(l.Subscriptions.Load()),
			Delivered:     l.Delivered.Load(),
			BytesOut:      l.BytesOut.Load(),
			QueuedBytes:   l.Queued.Load(),
			Batches:       l.Batches.Load(),
			Walks:         l.Walks.Load(),
			Latency:       l.Latency.Durations(),
			Lag:           l.Lag.Durations(),
		}
		ls.Kinds = l.kinds()
		ls.Connections = ls.Kinds.Total
		s.Connections.add(ls.Kinds)
		for r := range l.Closed {
			addNonZero(s.Closed, CloseReason(r).String(), l.Closed[r].Load())
		}
		for r := range l.Dropped {
			addNonZero(s.Dropped, DropReason(r).String(), l.Dropped[r].Load())
		}
		s.Accepted += ls.Accepted
		s.Subscriptions += ls.Subscriptions
		s.Delivered += ls.Delivered
		s.BytesOut += ls.BytesOut
		s.QueuedBytes += ls.QueuedBytes
		s.Latency.Merge(ls.Latency)
		s.Lag.Merge(ls.Lag)
		s.Walk.Merge(l.Walk.Durations())
		s.Loops = append(s.Loops, ls)
	}
	return s
}

// kinds returns the connections of l.
func (l *Loop) kinds() Connections {
	n := func(k Kind) int { return int(l.Connections[k].Load()) }
	c := Connections{HTTP: n(HTTP), Stream: n(Stream), Events: n(Events), Poll: n(Poll), WS: n(WS)}
	c.Total = c.HTTP + c.Stream + c.Events + c.Poll + c.WS
	return c
}

func (c *Connections) add(o Connections) {
	c.Total += o.Total
	c.HTTP += o.HTTP
	c.Stream += o.Stream
	c.Events += o.Events
	c.Poll += o.Poll
	c.WS += o.WS
}

// addNonZero leaves out reasons that never happened, so that a snapshot stays short.
func addNonZero(m map[string]uint64, key string, n uint64) {
	if n != 0 {
		m[key] += n
	}
}
