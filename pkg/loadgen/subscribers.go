package loadgen

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"holdfast/pkg/http1"
	"holdfast/pkg/netloop"
	"holdfast/pkg/stats"
)

const (
	openTimeout = 15 * time.Second // from the call to connect to the opening
	dialBurst   = 8                // connections begun in one batch
	maxHead     = 8 << 10          // bytes of a response head
	newsEvery   = 50 * time.Millisecond
)

// phase is where a subscriber stands.
type phase uint8

const (
	over      phase = iota // there is none of this number, or its end is counted
	dialing                // no connection yet
	inHead                 // waits for the head of the response
	inOpening              // waits for the opening of the body
	held
)

// subscriber is one connection.
type subscriber struct {
	dialed  time.Duration // since subscribers.start
	index   uint32        // among all connections of the run
	next    uint32        // lowest number that the next message may have
	phase   phase
	chunked bool // the body has the chunked transfer coding
}

// subscribers is the connections of one worker. It is the handler of the loop that carries them.
type subscribers struct {
	job     job
	loop    *netloop.Loop
	opening []byte
	start   time.Time // of the opening of connections; zero before

	subs     []subscriber // by the loop's number
	inFlight int
	sample   uint32 // the connection that checker reads; 0 before there is one
	checker  *checker
	res      http1.Response
	buf      []byte // scratch: the request; the body's opening

	tally
	result
	perChannel []uint32
	told       bool // that the tally is settled
	lastNews   time.Time
	news       chan news // room for one, which is replaced by what is newer
	results    chan news // room for one
	closing    bool      // nothing is counted any more
}

// The tasks of subscribers' loop.
type (
	beginTask   struct{} // open the connections
	tickTask    struct{} // time has passed
	collectTask struct{} // count no more, and send everything to results
	closeTask   struct{} // count no more
)

// maxChecked is the number of messages that are read in full on the sample. That costs as much as all else that a
// message does here, so at a million messages a second it would be what is measured.
const maxChecked = 100_000

// maxTracked is the number of messages whose last arrival is kept, for the time that a fan-out takes.
const maxTracked = 1 << 20

func newSubscribers(j job, l *netloop.Loop) *subscribers {
	tracked := min(j.Messages, maxTracked)
	return &subscribers{
		job: j, loop: l, opening: []byte(j.Transport.opening()),
		news: make(chan news, 1), results: make(chan news, 1),
		perChannel: make([]uint32, j.Channels),
		result: result{
			Connect: stats.NewHistogram(), Latency: stats.NewHistogram(),
			Slowest: make([]int64, tracked), Arrivals: make([]uint32, tracked),
		},
	}
}

// BatchEnd opens the next connections. Each that is held or fails makes room for one.
func (s *subscribers) BatchEnd() (more bool) {
	if s.start.IsZero() || s.closing {
		return false
	}
	for burst := 0; s.Opened < s.allowed() && s.inFlight < s.job.InFlight; burst++ {
		if burst == dialBurst {
			return true
		}
		s.dial(s.job.Share.First + s.Opened)
	}
	if s.Settled = s.Opened == s.job.Share.Count && s.inFlight == 0; s.Settled && !s.told {
		s.told = true
		s.tell(s.perChannel) // which changes no more
	}
	return false
}

// allowed is the number of connections that may have been begun by now.
func (s *subscribers) allowed() int {
	n := s.job.Share.Count
	if r := s.job.ConnectRate; r > 0 {
		n = int(min(float64(n), 1+r*time.Since(s.start).Seconds()))
	}
	return n
}

// dial begins connection number index of the run.
func (s *subscribers) dial(index int) {
	s.Opened++
	began := time.Now()
	s.FirstDial = earlier(s.FirstDial, began.UnixNano())
	c, err := s.loop.Dial(s.target(index), netip.AddrPortFrom(source(index), 0))
	if err != nil {
		s.count(failedConnect, err.Error())
		return
	}
	for int(c) >= len(s.subs) {
		s.subs = append(s.subs, subscriber{})
	}
	s.subs[c] = subscriber{dialed: began.Sub(s.start), index: uint32(index), phase: dialing}
	s.inFlight++
	s.loop.Arm(c, openTimeout)
	s.request(c, index)
}

func (s *subscribers) target(index int) netip.AddrPort {
	return s.job.Targets[index%len(s.job.Targets)]
}

// request sends the request of connection c. It does not wait for the connection to stand: on a loopback address it mostly
// does, and pushd then finds the request when it accepts.
func (s *subscribers) request(c uint32, index int) {
	s.buf = append(append(s.buf[:0], "GET /"...), s.job.Transport...)
	s.buf = append(append(s.buf, s.job.Transport.query()...), "channel="...)
	s.buf = appendChannel(s.buf, index%s.job.Channels)
	s.buf = s.target(index).AppendTo(append(s.buf, " HTTP/1.1\r\nHost: "...))
	s.buf = append(s.buf, "\r\nAccept: text/event-stream\r\n\r\n"...)
	s.loop.Send(c, s.buf)
}

// Open tells that a connection stands; its request is on its way already.
func (s *subscribers) Open(c uint32, _ bool) { s.subs[c].phase = inHead }

// DialFailed notes why; Gone counts it.
func (s *subscribers) DialFailed(c uint32, err error) {
	s.fail(c, failedConnect, fmt.Sprintf("connect to %s: %v", s.target(int(s.subs[c].index)), err))
}

// Data reads a response: its head, its opening, then messages for good.
func (s *subscribers) Data(c uint32, b []byte, seen int) (used int) {
	sub := &s.subs[c]
	if sub.phase == inHead {
		n, ok := s.head(c, b, seen)
		if !ok {
			return n
		}
		used, seen = n, n // all that was seen before was head
	}
	if c == s.sample && s.checker != nil && !s.closing {
		s.check(b[max(used, seen):])
	}
	if sub.phase == inOpening {
		if !s.opened(sub, b[used:]) {
			return used // an opening is short: all of it comes again with the rest
		}
		s.hold(c, sub)
	}
	return used + s.receive(sub, b[used:])
}

// head reads the head of a response and reports whether a body follows that shall be read.
func (s *subscribers) head(c uint32, b []byte, seen int) (used int, ok bool) {
	n, err := s.res.Parse(b, seen, http1.Limits{MaxHead: maxHead})
	switch {
	case err == http1.ErrShort:
		return 0, false
	case err != nil:
		s.fail(c, failedStatus, fmt.Sprintf("answer: %v", err))
	case s.res.Status != 200:
		line, _, _ := bytes.Cut(bytes.TrimSpace(b[n:]), []byte("\n"))
		s.fail(c, failedStatus, fmt.Sprintf("answer %d: %.200s", s.res.Status, line))
	default:
		s.subs[c].phase, s.subs[c].chunked = inOpening, s.res.Chunked
		if s.sample == 0 {
			s.sample, s.checker = c, newChecker(s.res.Chunked, s.job.TextSize)
		}
		return n, true
	}
	s.loop.Close(c, stats.CloseDone)
	return len(b), false
}

// opened reports whether b, the body so far, holds the opening.
func (s *subscribers) opened(sub *subscriber, b []byte) bool {
	if !sub.chunked {
		return bytes.Contains(b, s.opening)
	}
	var chunks http1.ChunkReader
	s.buf = s.buf[:0]
	for {
		data, n, err := chunks.Next(b)
		if err != nil { // the end of b, or of the body, which Gone tells; or bad coding, which the sample tells
			return bytes.Contains(s.buf, s.opening)
		}
		s.buf = append(s.buf, data...)
		b = b[n:]
	}
}

func (s *subscribers) hold(c uint32, sub *subscriber) {
	now := time.Now()
	sub.phase = held
	s.loop.Disarm(c)
	s.Connect.Record(now.Sub(s.start) - sub.dialed)
	s.LastHeld = now.UnixNano()
	s.Held++
	s.inFlight--
	s.perChannel[int(sub.index)%s.job.Channels]++
}

// receive counts the messages in b and returns how many bytes are done with. They are found in the bytes as they come, in
// chunks; that a marker is not cut in two by the coding is pushd's way and checked on the sample.
func (s *subscribers) receive(sub *subscriber, b []byte) (used int) {
	var now int64
	for used < len(b) {
		m, n, ok := nextMarker(b[used:])
		used += n
		if !ok {
			break
		}
		if now == 0 {
			now = time.Now().UnixNano()
		}
		s.arrived(sub, m, now)
	}
	return used
}

func (s *subscribers) arrived(sub *subscriber, m marker, now int64) {
	if s.closing || m.number >= s.job.Messages {
		return // too late, or not of this run
	}
	s.Received++
	s.FirstStamp = earlier(s.FirstStamp, m.at)
	s.LastArrival = now
	if m.number < sub.next {
		s.Duplicates++
		return
	}
	sub.next = m.number + 1
	took := max(0, now-m.at)
	s.Latency.Record(time.Duration(took))
	if int(m.number) < len(s.Slowest) {
		s.Slowest[m.number] = took
		s.Arrivals[m.number]++
	}
}

// check reads b in full on the sample connection.
func (s *subscribers) check(b []byte) {
	n, err := s.checker.take(b)
	s.Checked += n
	if err != nil {
		s.Broken++
		s.Fault = err.Error()
	}
	if err != nil || s.Checked >= maxChecked {
		s.checker = nil
	}
}

// Gone counts the end of a connection: a failure before it was held, then a disconnect.
func (s *subscribers) Gone(c uint32) {
	switch s.subs[c].phase {
	case over:
	case held:
		if !s.closing {
			s.Disconnects++
		}
		s.subs[c].phase = over
	default:
		s.fail(c, failedClosed, "closed before the opening of the response")
	}
}

// Drained is of no use here: a request is sent once.
func (s *subscribers) Drained(uint32) {}

// Due ends a connection that has waited too long to be held.
func (s *subscribers) Due(c uint32) {
	s.fail(c, failedTimeout, fmt.Sprintf("no answer within %v", openTimeout))
	s.loop.Close(c, stats.CloseTimeoutHead)
}

// fail counts a connection that is not held, before its Gone.
func (s *subscribers) fail(c uint32, why failure, problem string) {
	s.subs[c].phase = over
	s.inFlight--
	s.count(why, problem)
}

func (s *subscribers) count(why failure, problem string) {
	s.Failed[why]++
	if s.Problem == "" {
		s.Problem = problem
	}
}

// Task takes the orders of Work.
func (s *subscribers) Task(t netloop.Task) {
	switch t.(type) {
	case *beginTask:
		s.start = time.Now()
	case *tickTask:
		if now := time.Now(); now.Sub(s.lastNews) >= newsEvery {
			s.lastNews = now
			s.tell(nil)
		}
	case *collectTask:
		s.closing = true
		s.results <- news{Tally: s.tally, Result: &s.result}
	case *closeTask:
		s.closing = true
	}
}

// tell puts the counts where Work finds them, in place of older ones.
func (s *subscribers) tell(perChannel []uint32) {
	n := news{Tally: s.tally, PerChannel: perChannel}
	select {
	case old := <-s.news: // only this goroutine writes, so there is room now
		if n.PerChannel == nil {
			n.PerChannel = old.PerChannel
		}
	default:
	}
	s.news <- n
}
