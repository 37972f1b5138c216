package sysprep

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var portChecks = []Check{
	{ID: "net.ipv4.ip_local_port_range", Group: GroupPorts, run: checkPortRange, Explain: "" +
		"The local ports of outgoing connections. It has no effect on what a server accepts. A load generator can open so many " +
		"connections from each of its addresses to each address and port of the server; then connect fails with EADDRNOTAVAIL. " +
		"The widest range is 1024 to 65535: the kernel refuses an end below ip_unprivileged_port_start with EINVAL, and keeps what " +
		"was set before."},
	{ID: "net.ipv4.ip_local_reserved_ports", Group: GroupPorts, run: checkReservedPorts, Explain: "" +
		"Ports in the local range that outgoing connections leave free. A wide range takes in the ports on which pushd and others " +
		"listen: a connection that sits there at the wrong moment makes a restart fail with EADDRINUSE. List them here."},
}

// The widest range that is advised: ports of the system are below it, whether or not this kernel keeps them for root.
const (
	lowestPort  = 1024
	highestPort = 65_535
)

// lowestLocal is where the widest range begins. The kernel refuses one that begins below ip_unprivileged_port_start.
func (h *Host) lowestLocal() int64 {
	first, err := h.sysctl("net.ipv4.ip_unprivileged_port_start")
	if err != nil || first > highestPort { // kernels before 4.11 have 1024
		return lowestPort
	}
	return max(lowestPort, first)
}

func (h *Host) portRange() (low, high int64, err error) {
	v, err := h.sysctls("net.ipv4.ip_local_port_range", 2)
	if err != nil {
		return 0, 0, err
	}
	if v[0] > v[1] || v[1] > highestPort {
		return 0, 0, errors.New("net.ipv4.ip_local_port_range cannot be judged: it is no range of ports")
	}
	return v[0], v[1], nil
}

func checkPortRange(h *Host, t Target) (Finding, error) {
	low, high, err := h.portRange()
	if err != nil {
		return Finding{}, err
	}
	if !t.opens() {
		return fine(fmt.Sprintf("%d %d", low, high), ""), nil
	}
	reserved, _ := h.reservedPorts(low, high) //nolint:errcheck // its own check says so
	lowest := min(low, h.lowestLocal())
	f := judgePortRange(low, high, reserved, lowest, t)
	if f.Remedy != nil {
		return f, nil
	}
	return f.withSysctl(h, "net.ipv4.ip_local_port_range", fmt.Sprintf("%d %d", lowest, highestPort)), nil
}

// judgePortRange fails when the ports times the pairs of addresses are fewer than the connections. The widest range begins
// at lowest.
func judgePortRange(low, high, reserved, lowest int64, t Target) Finding {
	ports := max(0, high-low+1-reserved)
	widest := highestPort - lowest + 1
	need := func(n int64) int64 { return ceilPercent(n, 105) }
	room := product(ports, t.tuples())
	f := Finding{Outcome: OK, Current: fmt.Sprintf("%d %d", low, high), Holds: holds(room, need)}
	f.Formula = fmt.Sprintf("(%d - %d + 1 - %d reserved)*%d addresses and ports = %d, for %d*1.05 = %d",
		high, low, reserved, t.tuples(), room, t.N, need(t.N))
	f.Why = "A load generator has one local port for each connection to one address and port; then connect fails with EADDRNOTAVAIL."
	if room >= need(t.N) {
		f.Wanted = f.Current
		return f
	}
	f.Outcome = Fail
	if room >= t.N {
		f.Outcome = Warn
	}
	f.Wanted = fmt.Sprintf("%d %d", lowest, highestPort)
	missing := ceilDiv(need(t.N), max(1, widest-reserved))
	if missing > t.tuples() {
		f.Wanted = fmt.Sprintf("%d %d, %d times", lowest, highestPort, missing)
		text := fmt.Sprintf("use %d source addresses (--sources), or as many addresses\nor ports of the server; 127.0.0.0/8 has plenty of both\n", missing)
		return f.withText(text+fmt.Sprintf("sysctl -w net.ipv4.ip_local_port_range='%d %d'", lowest, highestPort),
			fmt.Sprintf("the same, and\nnet.ipv4.ip_local_port_range = %d %d\nin %s", lowest, highestPort, SysctlFile))
	}
	return f
}

// reservedPorts counts the ports of the range that are reserved.
func (h *Host) reservedPorts(low, high int64) (int64, error) {
	s, err := h.text(sysctlPath(reservedPortsKey))
	if err != nil {
		return 0, err
	}
	return countPorts(s, low, high)
}

// countPorts counts those of a list such as "5561,7999-8003" that lie in the range.
func countPorts(list string, low, high int64) (int64, error) {
	set, err := parsePorts(list)
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for port := max(0, low); port <= min(high, highestPort); port++ {
		if set[port] {
			total++
		}
	}
	return total, nil
}

// reservedPortsKey is the setting that lists ports.
const reservedPortsKey = "net.ipv4.ip_local_reserved_ports"

// ports is a set of them.
type ports [highestPort + 1]bool

// parsePorts reads a list such as "5561,7999-8003".
func parsePorts(list string) (*ports, error) {
	set := new(ports)
	if list == "" {
		return set, nil
	}
	var begins [highestPort + 2]int // of ranges at each port, less those that end before it
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err1 := parseLimit(first)
		to, err2 := parseLimit(last)
		if err1 != nil || err2 != nil || from > to || to > highestPort {
			return nil, fmt.Errorf("%s cannot be judged: %.40q is no list of ports", reservedPortsKey, list)
		}
		begins[from]++
		begins[to+1]--
	}
	// in one walk, however many ranges lie over each other
	depth := 0
	for port := range set {
		depth += begins[port]
		set[port] = depth > 0
	}
	return set, nil
}

func checkReservedPorts(h *Host, t Target) (Finding, error) {
	low, high, err := h.portRange()
	if err != nil {
		return Finding{}, err
	}
	n, err := h.reservedPorts(low, high)
	if err != nil {
		return Finding{}, err
	}
	f := fine(fmt.Sprintf("%d ports", n), "")
	if !t.serves() {
		return f, nil
	}
	if t.opens() { // the range will be as wide as its own check asks for
		if r, err := checkPortRange(h, t); err == nil && r.Outcome != OK {
			low, high = min(low, h.lowestLocal()), highestPort
		}
	}
	list, err := h.text(sysctlPath(reservedPortsKey))
	if err != nil {
		return Finding{}, err
	}
	open, err := h.unreserved(list, low, high, t)
	switch {
	case err != nil || len(open) == 0:
		return f, err
	case !t.opens(): // few connections go out
		f.Note = fmt.Sprintf("outgoing connections may take pushd's ports: the range begins at port %d, "+
			"and %s is not reserved", low, portList(open))
		return f, nil
	}
	wanted, _ := unitePorts(list, portList(open)) // both were read before
	f = Finding{Outcome: Warn, Current: namedPorts(list), Wanted: namedPorts(wanted)}
	f.Formula = fmt.Sprintf("pushd's ports from %d to %d = %s", low, high, portList(open))
	f.Why = "A connection of the load generator may sit on a port of pushd when pushd starts again, " +
		"which then fails with EADDRINUSE."
	return f.withSysctl(h, reservedPortsKey, wanted), nil
}

// pushdPorts are those on which pushd listens when it is not told otherwise: for clients, and for
// publishers.
var pushdPorts = []int{5561, 7999}

// unreserved lists the ports of pushd that outgoing connections may take: those of its listeners
// where they can be seen, else those that it has by default.
func (h *Host) unreserved(list string, low, high int64, t Target) ([]int, error) {
	reserved, err := parsePorts(list)
	if err != nil {
		return nil, err
	}
	own := pushdPorts
	if all, err := h.backlogs(); err == nil && t.PID != 0 {
		if listeners, err := h.listenersOf(t.PID, all); err == nil {
			own = nil
			for _, l := range listeners {
				own = append(own, l.port)
			}
		}
	}
	var out []int
	for _, port := range own {
		inside := int64(port) >= low && int64(port) <= high
		if inside && !reserved[port] && !slices.Contains(out, port) {
			out = append(out, port)
		}
	}
	slices.Sort(out)
	return out, nil
}

// portList writes ports as the setting has them.
func portList(list []int) string {
	out := make([]string, len(list))
	for i, port := range list {
		out[i] = strconv.Itoa(port)
	}
	return strings.Join(out, ",")
}

// namedPorts is a list of ports for a reader, who might take a single one for a number.
func namedPorts(list string) string {
	switch {
	case list == "":
		return "none"
	case isDigits(list):
		return "port " + list
	}
	return list
}

// unitePorts is the list of all ports that are in one of two lists, as the kernel writes it.
func unitePorts(a, b string) (string, bool) {
	x, err1 := parsePorts(a)
	y, err2 := parsePorts(b)
	if err1 != nil || err2 != nil {
		return b, false
	}
	var out []string
	for port := 0; port <= highestPort; port++ {
		first := port
		for port <= highestPort && (x[port] || y[port]) {
			port++
		}
		switch last := port - 1; {
		case last < first:
		case last == first:
			out = append(out, strconv.Itoa(first))
		default:
			out = append(out, fmt.Sprintf("%d-%d", first, last))
		}
	}
	return strings.Join(out, ","), true
}
