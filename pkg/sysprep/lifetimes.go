package sysprep

import (
	"fmt"
	"math/bits"
)

var lifeChecks = []Check{
	{ID: "net.ipv4.tcp_timestamps", Group: GroupLife, run: flagCheck("net.ipv4.tcp_timestamps",
		"Without timestamps round trips are measured badly, tcp_tw_reuse does nothing, and old packets are not told apart."), Explain: "" +
		"Timestamps in every segment let TCP measure round trips, reject old packets (PAWS) and use local ports again " +
		"(tcp_tw_reuse). Turning them off saves 12 bytes of each packet."},
	{ID: "net.ipv4.tcp_tw_recycle", Group: GroupLife, run: checkTWRecycle, Explain: "" +
		"The setting broke clients behind address translation and is gone since Linux 4.12. A line for it in a sysctl.d file " +
		"gives an error at every boot, and shows that the file was copied from an old tuning: look at its other lines too."},
	{ID: "net.ipv4.tcp_tw_reuse", Group: GroupLife, run: checkTWReuse, Explain: "" +
		"Lets an outgoing connection take a local port whose last connection is in TIME_WAIT; it needs timestamps. 1 everywhere, " +
		"2 (the default) over the loopback interface only. It helps load generators and proxies, and does nothing for a server."},
	{ID: "net.ipv4.tcp_max_tw_buckets", Group: GroupLife, run: checkTWBuckets, Explain: "" +
		"The number of closed connections that are kept in TIME_WAIT, 256 bytes each for 60 s, on the side that closed first. " +
		"Beyond it the kernel forgets them at once (\"time wait bucket table overflow\"), and late packets can disturb a new " +
		"connection. The kernel's documentation says never to lower it."},
	{ID: "net.ipv4.tcp_max_orphans", Group: GroupLife, run: checkMaxOrphans, Explain: "" +
		"The number of connections that a program has closed and the kernel still sends the rest for. Beyond it they are reset " +
		"(\"too many orphaned sockets\"): when a server closes very many connections at once, clients lose their last message. " +
		"It belongs to the machine, and a network namespace does not show it."},
	{ID: "net.ipv4.tcp_fin_timeout", Group: GroupLife, run: infoCheck("net.ipv4.tcp_fin_timeout"), Explain: "" +
		"How long a closed connection waits for the other side to close as well (FIN_WAIT_2), not the time of TIME_WAIT, which is " +
		"60 s and fixed. Published tunings lower it for the wrong reason. Nothing has to be done about it."},
	{ID: "net.ipv4.tcp_retries2", Group: GroupLife, run: infoCheck("net.ipv4.tcp_retries2"), Explain: "" +
		"How often data is sent again before a connection is given up: 15 times are at least 924 s, in which a client that is " +
		"gone keeps its connection. It counts for every program; pushd sets TCP_USER_TIMEOUT (60 s) for its own sockets instead."},
	{ID: "net.ipv4.tcp_keepalive_time", Group: GroupLife, run: checkKeepalive, Explain: "" +
		"When the kernel probes a silent connection, of sockets with SO_KEEPALIVE, as pushd's are. Streams and WebSockets get " +
		"pushd's own keep-alives much sooner, and data that is not acknowledged for 60 s ends them; a long poll whose client " +
		"vanished waits for its own end. Nothing has to be done about it."},
	{ID: "net.ipv4.tcp_slow_start_after_idle", Group: GroupLife, run: checkSlowStart, Explain: "" +
		"With 1 a connection that was silent begins slowly again, with ten segments (about 14 KB) in the first round trip. " +
		"Only longer messages gain from 0."},
}

// infoCheck shows a setting about which nothing has to be done.
func infoCheck(key string) func(*Host, Target) (Finding, error) {
	return func(h *Host, _ Target) (Finding, error) {
		current, err := h.sysctl(key)
		if err != nil {
			return Finding{}, err
		}
		return fine(number(current), ""), nil
	}
}

func checkTWRecycle(h *Host, _ Target) (Finding, error) {
	const key = "net.ipv4.tcp_tw_recycle"
	f := Finding{Outcome: OK, Current: "absent", Wanted: "absent", Formula: "no line for it in any file"}
	f.Why = "It is gone since Linux 4.12: the line gives an error at every boot, and before 4.12 it broke clients behind NAT."
	if current, err := h.sysctl(key); err == nil && current != 0 {
		f.Outcome, f.Current, f.Wanted = Fail, number(current), "0"
		return f.withText("sysctl -w net.ipv4.tcp_tw_recycle=0", "delete the line of net.ipv4.tcp_tw_recycle"), nil
	}
	settings, err := h.sysctlFiles()
	if err != nil {
		return Finding{}, err
	}
	for _, s := range settings {
		if s.Key == key && !s.Optional {
			f.Outcome, f.Current = Fail, "set in a file"
			return f.withText("nothing is in force; the line only fails",
				fmt.Sprintf("sed -i '/tcp_tw_recycle/d' \\\n  %s", s.File)), nil
		}
	}
	return f, nil
}

func checkTWReuse(h *Host, t Target) (Finding, error) {
	current, err := h.sysctl("net.ipv4.tcp_tw_reuse")
	if err != nil {
		return Finding{}, err
	}
	f := fine(number(current), "")
	if t.role() == RoleLoadgen && current != 1 {
		f.Note = "1 lets this load generator use its ports again sooner"
	}
	return f, nil
}

// timeWaitSeconds is how long a closed connection stays, and timeWaitBytes what it costs.
const timeWaitSeconds = 60

func checkTWBuckets(h *Host, t Target) (Finding, error) {
	const key = "net.ipv4.tcp_max_tw_buckets"
	current, err := h.sysctl(key)
	if err != nil {
		return Finding{}, err
	}
	ehash, err := h.ehash()
	if err != nil { // kernels before 6.1 do not show it
		ehash = h.likelyEhash()
	}
	f := judgeTWBuckets(current, ehash, t)
	return f.withSysctl(h, key, f.Wanted), nil
}

// likelyEhash is the size that the kernel gives its table of sockets unless told: an entry for each 128 KiB of memory, up
// to a power of 2. It is 0 when the memory is not shown.
func (h *Host) likelyEhash() int64 {
	total, err := h.memTotal()
	if err != nil {
		return 0
	}
	const most = 524_288
	return min(int64(1)<<bits.Len64(uint64(max(1, total>>17)-1)), most)
}

// judgeTWBuckets warns below the kernel's default, and for a side that closes first below what waits during the peak.
func judgeTWBuckets(current, ehash int64, t Target) Finding {
	stock, waiting := ehash/2, t.rate()*timeWaitSeconds
	if ehash == 0 {
		stock = 4096 // of the smallest machines
	}
	want := stock
	if t.opens() {
		want = max(stock, min(waiting, t.sockets()))
	}
	f := atLeast(current, 0, want)
	f.Formula = fmt.Sprintf("max(the default of %d, %d closes/s*%d s where this side closes first) = %d", stock, t.rate(), timeWaitSeconds, want)
	f.Why = "Beyond it the kernel forgets closed connections at once, and late packets can disturb new ones; never lower it."
	if f.Outcome == OK && current < waiting && t.serves() {
		f.Note = fmt.Sprintf("clients close first as a rule; if pushd did, %d a second for %d s would wait", t.rate(), timeWaitSeconds)
	}
	return f
}

func checkMaxOrphans(h *Host, t Target) (Finding, error) {
	const key = "net.ipv4.tcp_max_orphans"
	current, err := h.sysctl(key)
	if err != nil {
		return Finding{}, err
	}
	usable, err := h.usable(t)
	if err != nil {
		return Finding{}, err
	}
	return judgeMaxOrphans(current, usable, t).withSysctl(h, key, number(max(current, t.N/4))), nil
}

// judgeMaxOrphans warns below an eighth of the connections, unless so many orphans would take a quarter of the memory.
func judgeMaxOrphans(current, usable int64, t Target) Finding {
	want := t.N / 4
	f := Finding{Outcome: OK, Current: number(current), Wanted: number(want)}
	f.Formula = fmt.Sprintf("%d/4 = %d", t.N, want)
	f.Why = "When very many connections are closed at once, those beyond it are reset and lose their last message."
	switch {
	case current >= want:
	case want > usable/4/(64<<10):
		f.Wanted, f.Note = "", fmt.Sprintf("%d would let a mass disconnect end in order, but could take a quarter of the memory", want)
	case current < t.N/8:
		f.Outcome = Warn
	default:
		f.Wanted = ""
	}
	return f
}

func checkKeepalive(h *Host, t Target) (Finding, error) {
	current, err := h.sysctl("net.ipv4.tcp_keepalive_time")
	if err != nil {
		return Finding{}, err
	}
	f := fine(number(current), "")
	if current > 0 && t.N/current > 1000 {
		f.Note = fmt.Sprintf("%d probes a second, when all connections are silent", t.N/current)
	}
	return f, nil
}

func checkSlowStart(h *Host, t Target) (Finding, error) {
	current, err := h.sysctl("net.ipv4.tcp_slow_start_after_idle")
	if err != nil {
		return Finding{}, err
	}
	const firstRound = 10 * 1460 // ten segments
	f := fine(number(current), "")
	if current != 0 && t.msgBytes() > firstRound {
		f.Note = fmt.Sprintf("0 would send messages of %d bytes in fewer round trips", t.msgBytes())
	}
	return f, nil
}
