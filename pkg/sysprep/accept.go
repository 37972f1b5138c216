package sysprep

import (
	"fmt"
	"slices"
)

var acceptChecks = slices.Concat([]Check{somaxconnCheck}, []Check{
	{ID: "net.ipv4.tcp_max_syn_backlog", Group: GroupAccept, run: checkSynBacklog, Explain: "" +
		"The number of half-open handshakes of a listener. With tcp_syncookies=1 the kernel answers beyond it with a cookie " +
		"and refuses nobody, so that the number hardly matters; without them it turns clients away."},
	{ID: "net.ipv4.tcp_syncookies", Group: GroupAccept, run: flagCheck("net.ipv4.tcp_syncookies",
		"Without cookies a burst of handshakes, or a flood of them, fills the queue, and honest clients are refused."), Explain: "" +
		"When the queue of half-open handshakes is full, the kernel answers with a cookie instead of keeping state, so that a " +
		"flood of SYN packets does not shut honest clients out. 2 sends cookies always."},
	{ID: "net.ipv4.tcp_synack_retries", Group: GroupAccept, run: checkSynackRetries, Explain: "" +
		"How often the kernel repeats its half of a handshake: 5 times are 63 s in which a client that is gone takes a place " +
		"in the queue. 3 are enough on a good network. Nothing has to be done about it."},
	{ID: "net.core.netdev_max_backlog", Group: GroupAccept, run: checkNetdevBacklog, Explain: "" +
		"The queue of packets in front of each CPU on the way in from the loopback interface, veth pairs and RPS. When it is " +
		"full packets are dropped, which the second column of /proc/net/softnet_stat counts. A test with both ends on one " +
		"machine needs more than the default of 1000."},
	{ID: "net.ipv4.tcp_migrate_req", Group: GroupAccept, run: checkMigrateReq, Explain: "" +
		"With 1, handshakes that wait in the queue of a listener that closes go to another listener of the same port. It " +
		"matters where several processes share a port with SO_REUSEPORT, or one hands over to the next; without it these " +
		"clients are reset. It came with Linux 5.14."},
})

func checkSynBacklog(h *Host, t Target) (Finding, error) {
	const key = "net.ipv4.tcp_max_syn_backlog"
	current, err := h.sysctl(key)
	if err != nil {
		return Finding{}, err
	}
	if !t.serves() {
		return fine(number(current), ""), nil
	}
	cookies, err := h.sysctl("net.ipv4.tcp_syncookies")
	if err != nil {
		return Finding{}, err
	}
	if cookies != 0 {
		return fine(number(current), ""), nil
	}
	want := somaxconnWanted(t.rate(), h.listeners(t))
	f := atLeast(current, 0, want)
	f.Formula = fmt.Sprintf("the backlog that is wanted = %d", want)
	f.Why = "tcp_syncookies is off, so handshakes beyond this number are dropped."
	return f.withSysctl(h, key, f.Wanted), nil
}

// flagCheck judges a setting that is to be on: 0 is a warning.
func flagCheck(key, why string) func(*Host, Target) (Finding, error) {
	return func(h *Host, _ Target) (Finding, error) {
		current, err := h.sysctl(key)
		if err != nil {
			return Finding{}, err
		}
		f := atLeast(current, 0, 1)
		f.Formula, f.Why = "on = 1", why
		return f.withSysctl(h, key, "1"), nil
	}
}

func checkSynackRetries(h *Host, _ Target) (Finding, error) {
	current, err := h.sysctl("net.ipv4.tcp_synack_retries")
	if err != nil {
		return Finding{}, err
	}
	f := fine(number(current), "")
	if current > 5 {
		f.Note = "3 to 5 frees the places of clients that are gone sooner"
	}
	return f, nil
}

func checkNetdevBacklog(h *Host, t Target) (Finding, error) {
	const key = "net.core.netdev_max_backlog"
	current, err := h.sysctl(key)
	if err != nil {
		return Finding{}, err
	}
	want := int64(1000)
	if t.role() == RoleBoth {
		want = 16_384
	}
	dropped := int64(0)
	if s, err := h.softnet(); err == nil { // its own check says so
		dropped = s.dropped
	}
	return judgeNetdevBacklog(current, want, dropped).withSysctl(h, key, number(want)), nil
}

// judgeNetdevBacklog warns below the kernel's default, and below what is wanted once packets have been dropped.
func judgeNetdevBacklog(current, want, dropped int64) Finding {
	f := Finding{Outcome: OK, Current: number(current), Wanted: number(want)}
	f.Formula = fmt.Sprintf("1000, or 16384 with both ends here = %d", want)
	f.Why = fmt.Sprintf("The queue in front of each CPU is too short for bursts over the loopback interface (%d packets dropped so far).", dropped)
	switch {
	case current >= want:
	case current < 1000 || dropped > 0:
		f.Outcome = Warn
	default:
		f.Wanted, f.Note = "", fmt.Sprintf("no packet was dropped so far; %d if that changes", want)
	}
	return f
}

func checkMigrateReq(h *Host, t Target) (Finding, error) {
	const key = "net.ipv4.tcp_migrate_req"
	current, err := h.sysctl(key)
	if err != nil {
		return Finding{}, err
	}
	if t.workers() == 1 || !t.serves() {
		return fine(number(current), ""), nil
	}
	f := atLeast(current, 0, 1)
	f.Formula = fmt.Sprintf("%d processes on one port = 1", t.workers())
	f.Why = "When one of the processes closes its listener, the clients that wait in its queue are reset."
	return f.withSysctl(h, key, "1"), nil
}
