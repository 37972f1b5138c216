package sysprep

import (
	"errors"
	"fmt"
	"strings"
)

var tableChecks = []Check{
	{ID: "net.ipv4.tcp_ehash_entries", Group: GroupTables, run: checkEhash, Explain: "" +
		"The number of chains of the table in which the kernel finds the socket of each packet: one for each 128 KiB of memory, " +
		"524,288 at most. With many sockets in a chain every packet costs more. It is set at boot only (thash_entries=); a " +
		"negative number is the table of the host, seen from a network namespace."},
	{ID: "net.netfilter.nf_conntrack_max", Group: GroupTables, run: checkConntrack, Explain: "" +
		"Where firewall rules look at connection states, or addresses are translated, the kernel keeps an entry of 320 to 400 " +
		"bytes for each connection, and drops what comes when the table is full (\"nf_conntrack: table full\"). Entries of " +
		"silent connections stay for five days. Raise it, or exempt pushd's ports with NOTRACK."},
	{ID: "net.netfilter.nf_conntrack_buckets", Group: GroupTables, run: checkConntrackBuckets, Explain: "" +
		"The chains of the connection tracking table. With fewer than half as many as entries, every packet walks a long chain."},
	{ID: "net.ipv4.neigh.default.gc_thresh3", Group: GroupTables, run: checkNeighbours, Explain: "" +
		"The most neighbours (ARP entries) that the kernel keeps: other machines on the same link, not clients behind a router. It " +
		"matters in a laboratory in which thousands of addresses of one subnet connect; then new ones get EHOSTUNREACH."},
}

// ehash is the number of chains of the established sockets' table. In a child network namespace it is that of the
// host, shown as a negative number.
func (h *Host) ehash() (int64, error) {
	s, err := h.sysctlText("net.ipv4.tcp_ehash_entries")
	if err != nil {
		return 0, err
	}
	n, err := parseLimit(strings.TrimPrefix(s, "-"))
	if err != nil {
		return 0, fmt.Errorf("net.ipv4.tcp_ehash_entries cannot be judged: %w", err)
	}
	return n, nil
}

func checkEhash(h *Host, t Target) (Finding, error) {
	n, err := h.ehash()
	if err != nil {
		return Finding{}, err
	}
	f := fine(number(n), "")
	if n > 0 && t.sockets() > 4*n {
		f.Note = fmt.Sprintf("%d sockets in a chain; thash_entries=%d on the kernel's command line, and a reboot, make packets cheaper",
			t.sockets()/n, t.sockets()/2)
	}
	return f, nil
}

func checkConntrack(h *Host, t Target) (Finding, error) {
	const key = "net.netfilter.nf_conntrack_max"
	current, count, err := h.conntrack()
	if err != nil {
		return Finding{}, err
	}
	if current < 0 {
		return fine("off", ""), nil
	}
	f := judgeConntrack(current, count, t)
	if f.Outcome == OK && f.Note != "" && h.countsOwnNetns() {
		return Finding{}, errNotCounted
	}
	return f.withSysctl(h, key, f.Wanted).keptByModule(), nil
}

// errNotCounted says that a count of 0 in a network namespace does not tell about the host's.
var errNotCounted = errors.New("nothing is tracked in this network namespace, and the host, through which its connections may go, is not seen from here")

// countsOwnNetns reports whether the count of tracked connections is that of a child network namespace.
func (h *Host) countsOwnNetns() bool {
	child, _ := h.Netns()
	return child
}

// keptByModule adds to the remedy for good what it takes to survive a boot: systemd sets the keys early, and those of a
// module that is loaded later, as by the first firewall rule, are not there yet.
func (f Finding) keptByModule() Finding {
	if f.Outcome != OK {
		f.FixForGood += "\n# and have the module before that, or boot loses the line:\n" +
			"echo nf_conntrack \\\n  > " + ModulesFile
	}
	return f
}

// conntrack reads the limit and the use of the table; both are -1 where the kernel has none.
func (h *Host) conntrack() (most, count int64, err error) {
	if h.exists("proc/sys/net") && !h.exists("proc/sys/net/netfilter/nf_conntrack_max") {
		return -1, -1, nil
	}
	if most, err = h.sysctl("net.netfilter.nf_conntrack_max"); err != nil {
		return 0, 0, err
	}
	if count, err = h.sysctl("net.netfilter.nf_conntrack_count"); err != nil {
		return 0, 0, err
	}
	return most, count, nil
}

// judgeConntrack fails when connections are tracked and the table is too small for them. When none is, a small table
// is worth a warning: one firewall rule starts the tracking.
func judgeConntrack(current, count int64, t Target) Finding {
	n := t.N // both ends of a connection on one machine are one flow
	want := ceilPercent(n, 125) + 65_536
	f := Finding{Outcome: OK, Current: number(current), Wanted: number(want)}
	f.Formula = fmt.Sprintf("%d*1.25 + 65536 = %d", n, want)
	f.Why = fmt.Sprintf("Every connection has an entry (%d now), and packets of new ones are dropped when the table is full.", count)
	switch {
	case count == 0 && current < want:
		f.Wanted, f.Note = "", fmt.Sprintf("nothing is tracked now; %d if a firewall rule or address translation starts it", want)
	case current < n && count > 0:
		f.Outcome = Fail
	case current < want:
		f.Outcome = Warn
	}
	if count > 0 {
		f.Holds = holds(current, func(n int64) int64 { return n })
	}
	return f
}

func checkConntrackBuckets(h *Host, t Target) (Finding, error) {
	const key = "net.netfilter.nf_conntrack_buckets"
	most, count, err := h.conntrack()
	if err != nil {
		return Finding{}, err
	}
	if most < 0 {
		return fine("off", ""), nil
	}
	current, err := h.sysctl(key)
	if err != nil {
		return Finding{}, err
	}
	want := ceilDiv(ceilPercent(t.N, 125)+65_536, 2)
	switch {
	case count == 0 && current < want && h.countsOwnNetns():
		return Finding{}, errNotCounted
	case count == 0:
		return fine(number(current), ""), nil
	}
	f := atLeast(current, 0, want)
	f.Formula = fmt.Sprintf("(%d*1.25 + 65536)/2 = %d", t.N, want)
	f.Why = "With few chains for many tracked connections, every packet walks a long one."
	return f.withSysctl(h, key, f.Wanted).keptByModule(), nil
}

func checkNeighbours(h *Host, _ Target) (Finding, error) {
	const key = "net.ipv4.neigh.default.gc_thresh3"
	current, err := h.sysctl(key)
	if err != nil {
		return Finding{}, err
	}
	lines, err := h.countLines("proc/net/arp")
	if err != nil {
		return Finding{}, err
	}
	peers := max(0, lines-1) // less the heading
	f := Finding{Outcome: OK, Current: number(current), Wanted: number(peers * 2)}
	f.Formula = fmt.Sprintf("%d neighbours*2 = %s", peers, f.Wanted)
	f.Why = fmt.Sprintf("%d neighbours fill the table, and new ones cannot be reached when it is full.", peers)
	if peers*10 > current*8 {
		f.Outcome = Warn
	} else {
		f.Wanted = ""
	}
	return f.withSysctl(h, key, number(max(current, peers*2))), nil
}
