package sysprep

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

var evidenceChecks = []Check{
	{ID: "evidence.listen", Group: GroupEvidence, run: checkListenEvidence, Explain: "" +
		"What the kernel counted since boot when queues of listeners were full: ListenOverflows and ListenDrops (handshakes " +
		"dropped), TCPReqQFullDrop and TCPReqQFullDoCookies (half-open ones). More than one in a thousand of the accepted " +
		"connections is a warning: raise net.core.somaxconn, or see why pushd does not accept (sysprep watch)."},
	{ID: "evidence.backlog", Group: GroupEvidence, run: checkBacklog, Explain: "" +
		"The queues of the listeners as they are now, as ss -ltn shows them (Recv-Q of Send-Q). A listener keeps the backlog that it " +
		"was opened with: after raising net.core.somaxconn, pushd has to be restarted. With --pid, --unit or a pushd that answers, " +
		"its own listeners are judged; else the fullest of all."},
	{ID: "evidence.softnet", Group: GroupEvidence, run: checkSoftnetEvidence, Explain: "" +
		"Packets that were dropped because the queue in front of a CPU was full (second column of /proc/net/softnet_stat). More " +
		"than one in 100,000 is a warning: raise net.core.netdev_max_backlog."},
	{ID: "evidence.tcp_memory", Group: GroupEvidence, run: checkTCPMemEvidence, Explain: "" +
		"What TCP has queued now, against net.ipv4.tcp_mem, and what happened since boot: TCPMemoryPressures (the second number " +
		"was reached) and TCPAbortOnMemory (connections were killed at the third)."},
	{ID: "evidence.orphans", Group: GroupEvidence, run: checkOrphanEvidence, Explain: "" +
		"Connections that were closed here and are not yet done, against net.ipv4.tcp_max_orphans."},
	{ID: "evidence.time_wait", Group: GroupEvidence, run: checkTimeWaitEvidence, Explain: "" +
		"Connections in TIME_WAIT now, against net.ipv4.tcp_max_tw_buckets, and how many were forgotten early since boot " +
		"(TCPTimeWaitOverflow): more than one in a thousand of all connections is a warning."},
	{ID: "evidence.files", Group: GroupEvidence, run: checkFilesEvidence, Explain: "" +
		"Open files of the machine now, against fs.file-max."},
	{ID: "evidence.conntrack", Group: GroupEvidence, run: checkConntrackEvidence, Explain: "" +
		"Tracked connections now, against net.netfilter.nf_conntrack_max."},
	{ID: "evidence.paws", Group: GroupEvidence, run: checkPAWSEvidence, Explain: "" +
		"Segments that were rejected since boot because their timestamps were old (PAWSEstab, PAWSActive). Many of them point to " +
		"clients behind one address whose clocks differ, or to an address translator that rewrites timestamps."},
	{ID: "evidence.kernel_log", Group: GroupEvidence, run: checkKernelLog, Explain: "" +
		"What the kernel says in its log when it meets a limit: file-max, TCP out of memory, too many orphans, TIME_WAIT table " +
		"overflow, nf_conntrack full, possible SYN flooding."},
	{ID: "sysctl.drift", Group: GroupEvidence, run: checkDrift, Explain: "" +
		"The settings of /etc/sysctl.conf and the sysctl.d directories against what is in force. A difference means that a value " +
		"was set by hand and is gone at the next boot, or that the kernel refused the line (sysctl --system shows it)."},
}

func checkListenEvidence(h *Host, t Target) (Finding, error) {
	c, err := h.netCounters()
	if err != nil {
		return Finding{}, err
	}
	accepted, err := c.need("Tcp.PassiveOpens")
	if err != nil {
		return Finding{}, err
	}
	// a handshake that meets a full queue counts as an overflow and as a drop
	overflows, err := c.need("TcpExt.ListenOverflows")
	if err != nil {
		return Finding{}, err
	}
	drops, err := c.need("TcpExt.ListenDrops")
	if err != nil {
		return Finding{}, err
	}
	lost := max(overflows, drops) + c["TcpExt.TCPReqQFullDrop"]
	f := Finding{Outcome: OK, Current: fmt.Sprintf("%d lost", lost)}
	if cookies := c["TcpExt.TCPReqQFullDoCookies"]; cookies > 0 {
		f.Note = fmt.Sprintf("%d handshakes were saved by SYN cookies since boot", cookies)
	}
	if lost*1000 <= accepted {
		return f, nil
	}
	f.Outcome, f.Wanted = Warn, "0 lost"
	f.Formula = "more than 1 in 1000 of those accepted is too many"
	f.Why = fmt.Sprintf("Since boot %d handshakes met a full queue (ListenOverflows %d, ListenDrops %d), and %d connections were accepted.",
		lost, overflows, drops, accepted)
	now, forGood := h.raise("net.core.somaxconn", somaxconnWanted(t.rate(), 1), "the queue is long enough: see why the server does not accept")
	return f.withText("sysprep watch  # shows whether it still grows; if so:\n"+now, forGood), nil
}

// raise is the commands that set key to want, or other words where that would lower it.
func (h *Host) raise(key string, want int64, enough string) (now, forGood string) {
	if current, err := h.sysctl(key); err == nil && current >= want {
		return enough, enough
	}
	return fmt.Sprintf("sysctl -w %s=%d", key, want), inSysctlFile(key, want)
}

func checkSoftnetEvidence(h *Host, _ Target) (Finding, error) {
	s, err := h.softnet()
	if err != nil {
		return Finding{}, err
	}
	// the counters of packets have 32 bits for each CPU and wrap; those of IP have 64 and are no more than came
	if c, err := h.netCounters(); err == nil {
		s.processed = max(s.processed, c["Ip.InReceives"])
	}
	f := Finding{Outcome: OK, Current: fmt.Sprintf("%d dropped", s.dropped)}
	if s.dropped*100_000 <= s.processed {
		return f, nil
	}
	f.Outcome, f.Wanted = Warn, "0 dropped"
	f.Formula = "more than 1 in 100,000 packets is too many"
	f.Why = fmt.Sprintf("Since boot %d of %d packets met a full queue in front of a CPU.", s.dropped, s.processed)
	now, forGood := h.raise("net.core.netdev_max_backlog", 16_384, "the queue is long enough: packets come faster than a CPU takes them")
	return f.withText("sysprep watch  # shows whether it still grows; if so:\n"+now, forGood), nil
}

func checkTCPMemEvidence(h *Host, _ Target) (Finding, error) {
	s, err := h.sockstat()
	if err != nil {
		return Finding{}, err
	}
	c, err := h.netCounters()
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Outcome: OK, Current: fmt.Sprintf("%d pages", s.pages)}
	if mem, err := h.sysctls("net.ipv4.tcp_mem", 3); err == nil && s.pages > mem[1] {
		f.Outcome, f.Wanted = Warn, fmt.Sprintf("%d pages", mem[1])
		f.Why = fmt.Sprintf("TCP has %d pages queued now; above %d it holds connections back, and at %d it drops.", s.pages, mem[1], mem[2])
	}
	if aborted := c["TcpExt.TCPAbortOnMemory"]; aborted > 0 {
		f.Outcome, f.Wanted = Warn, "0 aborted"
		f.Why = fmt.Sprintf("Since boot %d connections were killed because TCP had no memory left (TCPAbortOnMemory).", aborted)
	}
	f.Formula = "below the second number of tcp_mem, and none killed"
	if f.Outcome == OK {
		if n := c["TcpExt.TCPMemoryPressures"]; n > 0 {
			f.Note = fmt.Sprintf("TCP ran short of memory %d times since boot", n)
		}
		return f, nil
	}
	return f.withText("sysprep explain net.ipv4.tcp_mem; ss -tmn shows who queues", "a higher net.ipv4.tcp_mem, or shorter queues in the servers"), nil
}

// nearFull judges the use of a table of the kernel: above 90% is a warning.
func nearFull(what string, used, most int64) Finding {
	f := Finding{Outcome: OK, Current: fmt.Sprintf("%d of %s", used, number(most))}
	if float64(used) > 0.9*float64(most) {
		f.Outcome, f.Wanted = Warn, fmt.Sprintf("%d at most", most/10*9)
		f.Formula = fmt.Sprintf("0.9*%d = %d", most, most/10*9)
		f.Why = fmt.Sprintf("%d of %d %s are in use now.", used, most, what)
	}
	return f
}

func checkOrphanEvidence(h *Host, _ Target) (Finding, error) {
	s, err := h.sockstat()
	if err != nil {
		return Finding{}, err
	}
	most, err := h.sysctl("net.ipv4.tcp_max_orphans")
	if err != nil {
		return Finding{}, err
	}
	f := nearFull("orphans", s.orphans, most)
	return f.withText(fmt.Sprintf("sysctl -w net.ipv4.tcp_max_orphans=%d", most*2), inSysctlFile("net.ipv4.tcp_max_orphans", most*2)), nil
}

func checkTimeWaitEvidence(h *Host, _ Target) (Finding, error) {
	s, err := h.sockstat()
	if err != nil {
		return Finding{}, err
	}
	most, err := h.sysctl("net.ipv4.tcp_max_tw_buckets")
	if err != nil {
		return Finding{}, err
	}
	f := nearFull("places for TIME_WAIT", s.timeWait, most)
	if c, err := h.netCounters(); err == nil && f.Outcome == OK {
		f = judgeForgotten(f, c["TcpExt.TCPTimeWaitOverflow"], c["Tcp.ActiveOpens"]+c["Tcp.PassiveOpens"])
	}
	more := doubled(most)
	return f.withText(fmt.Sprintf("sysctl -w net.ipv4.tcp_max_tw_buckets=%d", more), inSysctlFile("net.ipv4.tcp_max_tw_buckets", more)), nil
}

// judgeForgotten warns when more than one in a thousand connections since boot left TIME_WAIT too early.
func judgeForgotten(f Finding, forgotten, opened int64) Finding {
	switch {
	case forgotten == 0:
	case forgotten <= opened/1000:
		f.Note = fmt.Sprintf("%d were forgotten early since boot", forgotten)
	default:
		f.Outcome, f.Current, f.Wanted = Warn, fmt.Sprintf("%d forgotten", forgotten), "0 forgotten"
		f.Formula = "more than 1 in 1000 of all connections is too many"
		f.Why = fmt.Sprintf("Since boot %d of %d connections left TIME_WAIT early because it was full (TCPTimeWaitOverflow).", forgotten, opened)
	}
	return f
}

func checkFilesEvidence(h *Host, _ Target) (Finding, error) {
	used := h.filesInUse()
	if used < 0 {
		if _, err := h.text("proc/sys/fs/file-nr"); err != nil {
			return Finding{}, err
		}
		return Finding{}, errors.New("/proc/sys/fs/file-nr cannot be judged: it is not three numbers")
	}
	most, err := h.sysctl("fs.file-max")
	if err != nil {
		return Finding{}, err
	}
	f := nearFull("files", used, most)
	return f.withText(fmt.Sprintf("sysctl -w fs.file-max=%d", doubled(most)), inSysctlFile("fs.file-max", doubled(most))), nil
}

// doubled is twice n, as far as that goes.
func doubled(n int64) int64 {
	if n > math.MaxInt64/2 {
		return math.MaxInt64
	}
	return 2 * n
}

func checkConntrackEvidence(h *Host, _ Target) (Finding, error) {
	most, count, err := h.conntrack()
	if err != nil {
		return Finding{}, err
	}
	if most < 0 {
		return fine("off", ""), nil
	}
	f := nearFull("entries", count, most)
	return f.withText(fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d", most*2), inSysctlFile("net.netfilter.nf_conntrack_max", most*2)), nil
}

func checkPAWSEvidence(h *Host, _ Target) (Finding, error) {
	c, err := h.netCounters()
	if err != nil {
		return Finding{}, err
	}
	established, err := c.need("TcpExt.PAWSEstab")
	if err != nil {
		return Finding{}, err
	}
	segments, err := c.need("Tcp.InSegs")
	if err != nil {
		return Finding{}, err
	}
	rejected := established + c["TcpExt.PAWSActive"]
	f := Finding{Outcome: OK, Current: fmt.Sprintf("%d rejected", rejected)}
	if rejected*1000 <= segments {
		return f, nil
	}
	f.Outcome, f.Wanted, f.Formula = Warn, "0 rejected", "more than 1 in 1000 segments is too many"
	f.Why = fmt.Sprintf("Since boot %d of %d segments came with old timestamps, as through an address translator that rewrites them.", rejected, segments)
	return f.withText("nothing to set here; see which clients: nstat -az | grep PAWS", "find the translator; tcp_timestamps=0 is no remedy"), nil
}

// logSigns are what the kernel says when it meets a limit, and the check that has the remedy.
var logSigns = []struct{ text, id string }{
	{"VFS: file-max limit", "fs.file-max"},
	{"TCP: out of memory", "net.ipv4.tcp_mem"},
	{"too many orphaned sockets", "net.ipv4.tcp_max_orphans"},
	{"time wait bucket table overflow", "net.ipv4.tcp_max_tw_buckets"},
	{"nf_conntrack: table full", "net.netfilter.nf_conntrack_max"},
	{"possible SYN flooding", "net.core.somaxconn"},
	{"neighbour: arp_cache: neighbor table overflow", "net.ipv4.neigh.default.gc_thresh3"},
}

// countSigns is the number of messages about limits in a kernel's log.
func countSigns(log string) int {
	n := 0
	for _, sign := range logSigns {
		n += strings.Count(log, sign.text)
	}
	return n
}

func checkKernelLog(h *Host, _ Target) (Finding, error) {
	log, err := h.kernelLog()
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Outcome: OK, Current: "nothing"}
	seen := map[string]bool{}
	var what, ids []string
	for _, sign := range logSigns {
		if n := strings.Count(log, sign.text); n > 0 && !seen[sign.id] {
			seen[sign.id] = true
			what, ids = append(what, fmt.Sprintf("%q (%d)", sign.text, n)), append(ids, "sysprep explain "+sign.id)
		}
	}
	if len(what) == 0 {
		return f, nil
	}
	f.Outcome, f.Current, f.Wanted = Warn, number(int64(len(what))), "nothing"
	f.Why = "The kernel's log has " + strings.Join(what, ", ") + "."
	f.Formula = "messages about limits = nothing"
	return f.withText(strings.Join(ids, "\n"), "the checks of the same names have the remedies"), nil
}
