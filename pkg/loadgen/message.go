package loadgen

import (
	"net/netip"

	"holdfast/pkg/stats"
)

// job is the first thing that Run tells a worker: what to open and what to expect.
type job struct {
	Share       share
	Targets     []netip.AddrPort
	Transport   Transport
	Channels    int
	ConnectRate float64 // of this worker; 0: as fast as they are answered
	InFlight    int     // connections being opened at the same time
	Messages    uint32  // that will be published
	TextSize    int     // bytes of a message's text
}

// order is anything that Run tells a worker later: to report everything. The end of the pipe tells it to go.
type order struct{ Collect bool }

// failure is why a connection was not held.
type failure int

const (
	failedConnect failure = iota // no TCP connection
	failedStatus                 // an answer other than 200, or none of HTTP
	failedClosed                 // closed before the opening
	failedTimeout                // no opening in time

	numFailures
)

var failures = [numFailures]string{"connect", "status", "closed", "timeout"}

// tally is what a worker has counted so far. It is what Run hears of while it waits.
type tally struct {
	Opened      int // connections begun
	Held        int // of these, got their opening
	Failed      [numFailures]int
	Problem     string // the first of them, in words
	Settled     bool   // all were begun, and none is under way
	FirstDial   int64  // nanoseconds since 1970
	LastHeld    int64
	Disconnects int // held connections that ended
	Received    int // messages, the duplicates included
	Duplicates  int // messages with the number of the one before on the same connection, or a lower one
	FirstStamp  int64
	LastArrival int64
	Checked     int    // messages read in full
	Broken      int    // connections whose stream was wrong where it was read in full
	Fault       string // the first of these, in words
}

// news is what a worker tells Run.
type news struct {
	Tally      tally
	PerChannel []uint32 // connections held, by channel; once, when the tally is settled
	Result     *result  // once, as the answer to Collect
}

// result is all that a worker has to say at the end.
type result struct {
	Connect  *stats.Histogram // from the call to connect to the opening
	Latency  *stats.Histogram // from publish to receive
	Slowest  []int64          // by message: nanoseconds from publish to the last of its arrivals
	Arrivals []uint32         // by message
}

// add adds the counts of another worker.
func (t *tally) add(o *tally) {
	t.Opened += o.Opened
	t.Held += o.Held
	for i := range t.Failed {
		t.Failed[i] += o.Failed[i]
	}
	t.Settled = t.Settled && o.Settled
	t.FirstDial = earlier(t.FirstDial, o.FirstDial)
	t.LastHeld = max(t.LastHeld, o.LastHeld)
	t.Disconnects += o.Disconnects
	t.Received += o.Received
	t.Duplicates += o.Duplicates
	t.FirstStamp = earlier(t.FirstStamp, o.FirstStamp)
	t.LastArrival = max(t.LastArrival, o.LastArrival)
	t.Checked += o.Checked
	t.Broken += o.Broken
	if t.Problem == "" {
		t.Problem = o.Problem
	}
	if t.Fault == "" {
		t.Fault = o.Fault
	}
}

// earlier is the smaller of two times, of which 0 is none.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
