package stats

import "maps"

// Add adds what another pushd says: a channel that both have counts twice, uptime is that of the older, and what the kernel says is of
// the host and not added up. The sum has no PID.
func (t *Snapshot) Add(s *Snapshot) {
	first := len(t.Loops) == 0
	t.Connections.add(s.Connections)
	t.Accepted += s.Accepted
	AddCounts(&t.Closed, s.Closed)
	t.Channels += s.Channels
	t.Subscriptions += s.Subscriptions
	t.Published += s.Published
	t.Delivered += s.Delivered
	AddCounts(&t.Dropped, s.Dropped)
	t.QueuedBytes += s.QueuedBytes
	t.BytesOut += s.BytesOut
	t.RSSBytes += s.RSSBytes
	t.RSSAnonBytes += s.RSSAnonBytes
	t.CPUSeconds += s.CPUSeconds
	t.Latency.Merge(s.Latency)
	t.Walk.Merge(s.Walk)
	t.Lag.Merge(s.Lag)
	t.HeapBytes += s.HeapBytes
	t.HeapGoalBytes += s.HeapGoalBytes
	t.GC.Cycles += s.GC.Cycles
	t.GC.Pauses.Merge(s.GC.Pauses)
	t.Kernel.join(s.Kernel)
	t.Limits.MaxConnections += s.Limits.MaxConnections
	t.Limits.MaxQueued = max(t.Limits.MaxQueued, s.Limits.MaxQueued)
	t.Limits.QueueMemory += s.Limits.QueueMemory
	t.FDs.Used += s.FDs.Used
	t.FDs.Limit += s.FDs.Limit
	t.UptimeSeconds = max(t.UptimeSeconds, s.UptimeSeconds)
	t.Goroutines += s.Goroutines
	if first || t.Version == s.Version {
		t.Version = s.Version
	} else {
		t.Version = "several"
	}
	t.PID = 0
	t.Loops = append(t.Loops, s.Loops...)
	if s.Backends != nil {
		if t.Backends == nil {
			t.Backends = new(Backends)
		}
		t.Backends.add(s.Backends)
	}
}

func (t *Backends) add(s *Backends) {
	t.Requests += s.Requests
	t.Holds += s.Holds
	AddCounts(&t.Errors, s.Errors)
	t.Retries += s.Retries
	t.Failovers += s.Failovers
	t.Gone += s.Gone
	t.InFlight += s.InFlight
	t.Waiting += s.Waiting
	t.Connections += s.Connections
	t.ReloadFailures += s.ReloadFailures
}

// join takes what another pushd, most likely on the same host, says of its kernel.
func (t *Kernel) join(s Kernel) {
	*t = Kernel{
		TCPMemBytes: max(t.TCPMemBytes, s.TCPMemBytes), TCPMemPressure: max(t.TCPMemPressure, s.TCPMemPressure),
		TCPMemLimit: max(t.TCPMemLimit, s.TCPMemLimit), TCPSockets: max(t.TCPSockets, s.TCPSockets),
		TCPOrphans: max(t.TCPOrphans, s.TCPOrphans), TCPTimeWait: max(t.TCPTimeWait, s.TCPTimeWait),
		ListenOverflows: max(t.ListenOverflows, s.ListenOverflows), ListenDrops: max(t.ListenDrops, s.ListenDrops),
	}
}

// Since returns s with its totals counted from before, an earlier snapshot of the same pushd. Those of the loops and of backends, and what
// the kernel says, are as they were.
func (s Snapshot) Since(before *Snapshot) Snapshot {
	s.Accepted = Growth(before.Accepted, s.Accepted)
	s.Closed = Grown(before.Closed, s.Closed)
	s.Published = Growth(before.Published, s.Published)
	s.Delivered = Growth(before.Delivered, s.Delivered)
	s.Dropped = Grown(before.Dropped, s.Dropped)
	s.BytesOut = Growth(before.BytesOut, s.BytesOut)
	s.CPUSeconds = max(0, s.CPUSeconds-before.CPUSeconds)
	s.Latency, s.Walk, s.Lag = s.Latency.Since(before.Latency), s.Walk.Since(before.Walk), s.Lag.Since(before.Lag)
	s.GC.Cycles = Growth(before.GC.Cycles, s.GC.Cycles)
	s.GC.Pauses = s.GC.Pauses.Since(before.GC.Pauses)
	return s
}

// Growth is by how much a counter grew, and never below 0: counters read one after another may be an event apart.
func Growth(before, now uint64) uint64 {
	if now < before {
		return 0
	}
	return now - before
}

// Grown is by how much each counter grew, of those that did.
func Grown(before, now map[string]uint64) map[string]uint64 {
	out := make(map[string]uint64, len(now))
	for k, v := range now {
		if n := Growth(before[k], v); n > 0 {
			out[k] = n
		}
	}
	return out
}

// AddCounts adds counters to others; a nil map is made.
func AddCounts(to *map[string]uint64, from map[string]uint64) {
	if *to == nil {
		*to = make(map[string]uint64, len(from))
	}
	for k, v := range from {
		(*to)[k] += v
	}
}

// Total adds up counters.
func Total(counts map[string]uint64) uint64 {
	var n uint64
	for v := range maps.Values(counts) {
		n += v
	}
	return n
}
