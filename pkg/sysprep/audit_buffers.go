package sysprep

import (
	"fmt"
	"strings"
)

// What the rules for buffers reckon with, in bytes.
const (
	minBufferMax   = 212_992 // the kernel's default for rmem_max and wmem_max, until newer ones raised it
	pushdSendBytes = pushdSendBuffer / 2
	oldInitialRmem = 87_380 // the default of the second value of tcp_rmem, until 4.19
)

// tcpMemRule knows that the unit is pages.
func tcpMemRule(a *auditor, s Setting, live string) Judgement {
	v, ok := fields3(s.Value, live)
	if !ok {
		return unreadable(s)
	}
	page := a.h.pageBytes
	perConnection := queuedPages(a.t.msgBytes(), page)
	need := a.t.N * perConnection
	j := Judgement{Better: a.findings[s.Key].Wanted}
	if j.Better == "" || a.findings[s.Key].Outcome == Skip {
		j.Better = live
	}
	limit := fmt.Sprintf("%d pages * %d = %s", v[2], page, gibPages(v[2], page))
	if a.memory > 0 {
		limit += fmt.Sprintf("; this host has %s", gib(a.memory))
	}
	switch {
	case a.memory > 0 && float64(v[2])*float64(page) > float64(a.memory):
		j.Effect, j.Evidence = Harms, limit
		j.Why = "The unit is pages, and this is more than the host's memory: the OOM killer comes before TCP saves any."
		if v[0] == v[2] {
			j.Why += " Three equal values leave no pressure zone either."
		}
	case v[0] == v[2]:
		j.Effect, j.Evidence = Harms, limit
		j.Why = "Three equal values leave no pressure zone: TCP does not begin to save before it drops."
	case a.memory > 0 && float64(v[2])*float64(page) > 0.6*float64(a.memory):
		j.Effect, j.Evidence = Harms, limit
		j.Why = "TCP may fill more than 60% of the memory: the OOM killer may come before TCP saves any."
	case v[2] < need:
		j.Effect, j.Why = Harms, "Less than what a message to everybody queues: connections are reset (out of memory)."
		j.Evidence = fmt.Sprintf("%d < %d connections * %d pages", v[2], a.t.N, perConnection)
		if have, ok := fields3(live, ""); ok && v[2] >= have[2] {
			j.Effect, j.Why = Nothing, "As much as the host has or more, but less than what a message to everybody queues."
		}
	default:
		j.Effect, j.Better = Helps, ""
		j.Why = "Room for a message to everybody, and a zone in which TCP saves before it drops."
		j.Evidence = limit
		if have, ok := fields3(live, ""); ok && have[2] >= need {
			j.Effect, j.Why = Nothing, "What this host has is enough for a message to everybody."
		}
	}
	return j
}

// tcpRmemRule: the values are limits, not reservations, so small ones save nothing and strangle traffic.
func tcpRmemRule(a *auditor, s Setting, live string) Judgement {
	v, ok := fields3(s.Value, live)
	if !ok {
		return unreadable(s)
	}
	j := Judgement{Effect: Harms, Better: higher(s.Key, live, "4096 131072 6291456")}
	switch {
	case v[1] < leastBuffer:
		j.Why = "Buffers are limits, not reservations: an idle socket has none. A window this small makes a request " +
			"with a few KB of cookies take several round trips, and holds a client to window/RTT."
		// as a connection over loopback shows it (TestRemedyOfReceiveBuffers)
		j.Evidence = fmt.Sprintf("first window %d bytes, with the default 65483 (Linux 6.18); %d bytes / 100 ms = %d KB/s",
			v[1]/2, v[1]/2, v[1]/2/100)
	case v[0] < minBuffer:
		j.Why = "Below one page: under memory pressure a socket cannot take a single packet."
		j.Evidence = fmt.Sprintf("%d < %d", v[0], minBuffer)
	case v[2] < v[1]:
		j.Why, j.Evidence = "The maximum is below the initial value, so that windows never grow.", fmt.Sprintf("%d < %d", v[2], v[1])
	case sameNumbers(s.Value, live):
		j = Judgement{Effect: Nothing, Why: "This host has it already.", Evidence: "this host has " + live}
	default:
		j = Judgement{Effect: Nothing, Why: "Limits, not reservations: an idle connection takes the same whatever they are.",
			Evidence: "this host has " + live}
		if v[1] == oldInitialRmem {
			j.Why += " 87380 is the default of kernels before 4.20, a smaller first window than today's."
		}
	}
	return j
}

// tcpWmemRule looks for strangled writers as well as for slow clients that may pin all memory.
func tcpWmemRule(a *auditor, s Setting, live string) Judgement {
	v, ok := fields3(s.Value, live)
	if !ok {
		return unreadable(s)
	}
	j := Judgement{Effect: Harms, Better: higher(s.Key, live, "4096 16384 4194304")}
	if f := a.findings[s.Key]; f.Remedy != nil && f.Remedy.Value != "" {
		j.Better = higher(s.Key, live, f.Remedy.Value)
	}
	pool := a.tcpMemMax() * a.h.pageBytes
	stuck := v[2] / 100 * a.t.N
	switch {
	case v[1] < leastBuffer:
		j.Why = "Buffers are limits, not reservations: an idle socket has none. A few KB of a message fill this, and the rest waits for the next ACK."
		j.Evidence = fmt.Sprintf("a socket starts with %d bytes instead of the kernel's %d", v[1], stockWmem)
	case v[0] < minBuffer:
		j.Why, j.Evidence = "Below one page: under memory pressure a socket can send nothing.", fmt.Sprintf("%d < %d", v[0], minBuffer)
	case v[2] < v[1]:
		j.Why, j.Evidence = "The maximum is below the initial value, so that buffers never grow.", fmt.Sprintf("%d < %d", v[2], v[1])
	case sameNumbers(s.Value, live):
		j = Judgement{Effect: Nothing, Why: "This host has it already.", Evidence: "this host has " + live}
	case pool > 0 && stuck > pool/2:
		j = Judgement{Effect: Nothing, Evidence: fmt.Sprintf("%d * 1%% of %d = %s; half of tcp_mem is %s", v[2], a.t.N, gib(stuck), gib(pool/2)),
			Why: "One stuck client in a hundred could pin half of tcp_mem, as with the default; pushd bounds its own sockets at 256 KiB."}
	default:
		j = Judgement{Effect: Nothing, Why: "Limits, not reservations; pushd sets the send buffer of its own sockets to 256 KiB.",
			Evidence: "this host has " + live}
	}
	return j
}

// tcpMemMax is the third value of tcp_mem in pages: the tuning's, else the host's, else 0.
func (a *auditor) tcpMemMax() int64 {
	const key = "net.ipv4.tcp_mem"
	live, _ := a.h.sysctlText(key) //nolint:errcheck // "" makes it 0
	value, _ := a.value(key)
	if value == "" {
		value = live
	}
	v, ok := fields3(value, live)
	if !ok {
		return 0
	}
	return v[2]
}

// bufferMaxRule: the maxima bound what programs ask for with SO_RCVBUF and SO_SNDBUF, nothing else.
func bufferMaxRule(a *auditor, s Setting, live string) Judgement {
	value, err := parseLimit(s.Value)
	if err != nil {
		return unreadable(s)
	}
	have, err := parseLimit(live)
	if err != nil {
		return Judgement{Effect: Unjudged, Why: "What this host has could not be read.", Evidence: fmt.Sprintf("%.40q", live)}
	}
	j := Judgement{Evidence: fmt.Sprintf("this host has %d; pushd asks for an SO_SNDBUF of %d", have, pushdSendBytes)}
	send := s.Key == "net.core.wmem_max"
	if !send {
		j.Evidence = fmt.Sprintf("this host has %d, the kernel's default is %d or more", have, minBufferMax)
	}
	switch {
	case value < minBufferMax:
		j.Effect, j.Better = Harms, number(max(have, minBufferMax))
		j.Why = "No bound for TCP's own tuning, but it shrinks what programs ask for on the whole host: DNS, QUIC, monitoring"
		if send {
			j.Why += ", and pushd's own send buffers"
		}
		j.Why += "."
	case send && value < pushdSendBytes:
		j.Effect, j.Better, j.Why = Nothing, number(max(have, pushdSendBytes)), "The kernel's default or above it; pushd's send buffers are cut to it."
	case value <= have:
		j.Effect, j.Why = Nothing, "This host has as much, or more."
	case send:
		j.Effect, j.Why = Helps, "pushd gets the send buffers that it asks for."
		if have >= pushdSendBytes {
			j.Effect, j.Why = Nothing, "What this host has is enough for pushd, and TCP's own tuning does not look at it."
		}
	default:
		j.Effect, j.Why = Nothing, "pushd asks for no receive buffer, and TCP's own tuning does not look at it."
	}
	return j
}

// portRangeRule: the range is for connections that the host opens; the kernel refuses one that reaches the ports of
// root.
func portRangeRule(a *auditor, s Setting, live string) Judgement {
	f := strings.Fields(s.Value)
	if have := strings.Fields(live); len(f) == 1 && len(have) == 2 {
		f = append(f, have[1]) // as the kernel does
	}
	if len(f) != 2 {
		return unreadable(s)
	}
	low, err1 := parseLimit(f[0])
	high, err2 := parseLimit(f[1])
	if err1 != nil || err2 != nil || low > high || high > 65_535 || low < 1 {
		return unreadable(s)
	}
	first, err := a.h.sysctl("net.ipv4.ip_unprivileged_port_start")
	if err != nil {
		first = 1024
	}
	ports := high - low + 1
	need := ceilDiv(ceilPercent(a.t.N, 105), a.t.tuples())
	j := Judgement{Evidence: fmt.Sprintf("%d - %d + 1 = %d ports; this host has %s", high, low, ports, live)}
	switch {
	case low < first:
		j.Effect, j.Better = Harms, higher(s.Key, live, fmt.Sprintf("%d %d", first, high))
		j.Why = "The kernel refuses it (EINVAL), and the range stays what it was."
		j.Evidence = fmt.Sprintf("%d < %d (net.ipv4.ip_unprivileged_port_start); this host keeps %s", low, first, live)
	case !a.t.opens():
		j.Effect, j.Why = Nothing, "It is about connections that this host opens; those of clients need no port of their own."
	case ports < need:
		j.Effect, j.Why = Helps, "More ports, but not enough for the target with the addresses given."
		j.Evidence += fmt.Sprintf("; %d connections over %d address pairs need %d", a.t.N, a.t.tuples(), need)
		if have, ok := parseRange(live); ok && ports < have {
			j.Effect, j.Why = Harms, "Fewer ports than the host has, and not enough for the target."
		}
	default:
		j.Effect, j.Why = Helps, "Enough ports for the target. Put ports on which programs listen into ip_local_reserved_ports."
	}
	return j
}

// parseRange is the number of ports of a range.
func parseRange(s string) (int64, bool) {
	f := strings.Fields(s)
	if len(f) != 2 {
		return 0, false
	}
	low, err1 := parseLimit(f[0])
	high, err2 := parseLimit(f[1])
	return high - low + 1, err1 == nil && err2 == nil
}

func sameNumbers(a, b string) bool {
	return strings.Join(strings.Fields(a), " ") == strings.Join(strings.Fields(b), " ")
}
