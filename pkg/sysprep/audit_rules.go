package sysprep

import (
	"fmt"
	"strconv"
	"strings"
)

// auditRule judges a line that takes effect. live is what the host has.
type auditRule func(a *auditor, s Setting, live string) Judgement

// auditRules holds the keys that bear on the number of connections.
var auditRules = map[string]auditRule{
	"fs.file-max":                  atLeastRule("Open files of the whole host."),
	"fs.nr_open":                   nrOpenRule,
	"fs.epoll.max_user_watches":    atLeastRule("Epoll registrations of a user."),
	"net.core.somaxconn":           atLeastRule("The longest queue of a listener."),
	"net.core.netdev_max_backlog":  atLeastRule("Packets that wait for a CPU, over loopback and veth."),
	"net.core.rmem_max":            bufferMaxRule,
	"net.core.wmem_max":            bufferMaxRule,
	"net.ipv4.tcp_mem":             tcpMemRule,
	"net.ipv4.tcp_rmem":            tcpRmemRule,
	"net.ipv4.tcp_wmem":            tcpWmemRule,
	"net.ipv4.ip_local_port_range": portRangeRule,
	"net.ipv4.tcp_tw_recycle":      twRecycleRule,
	"net.ipv4.tcp_tw_reuse":        twReuseRule,
	"net.ipv4.tcp_max_tw_buckets":  twBucketsRule,
	"net.ipv4.tcp_max_orphans":     atLeastRule("Sockets that are closed with data left to send; beyond it they are reset."),
	"net.netfilter.nf_conntrack_max": atLeastRule("Flows that the firewall remembers; beyond it " +
		"packets are dropped."),
	"net.netfilter.nf_conntrack_buckets": atLeastRule("The hash table of the flows that the firewall remembers."),
	"net.ipv4.neigh.default.gc_thresh3":  atLeastRule("Neighbours on the link; beyond it new ones are not reached."),
	"kernel.pid_max":                     atLeastRule("Numbers for processes and threads."),
	"kernel.threads-max":                 atLeastRule("Threads of the whole host."),
	"vm.min_free_kbytes":                 atLeastRule("Memory kept for packets that come in."),
	"vm.max_map_count":                   inertRule("pushd needs a few hundred mappings, and any default is enough for that."),
	"vm.swappiness":                      inertRule("It matters only while swap is in use; no count depends on it."),
	"net.ipv4.tcp_max_syn_backlog":       synBacklogRule,
	"net.ipv4.tcp_timestamps":            switchRule("1", "0", "Without timestamps there is no PAWS, a poorer round-trip time, and tcp_tw_reuse does nothing."),
	"net.ipv4.tcp_syncookies":            switchRule("1", "0", "Without syncookies a flood of SYNs shuts everybody out."),
	"net.ipv4.tcp_moderate_rcvbuf":       switchRule("1", "0", "It freezes every receive window at the second value of tcp_rmem."),
	"net.ipv4.tcp_window_scaling":        switchRule("1", "0", "Without window scaling no window exceeds 64 KiB."),
	"net.ipv4.tcp_sack":                  switchRule("1", "0", "Without SACK every loss costs a round trip, or a timeout."),
	"net.ipv4.tcp_abort_on_overflow":     switchRule("0", "1", "It resets clients when a queue is full for a moment, where they would have tried again."),
	"vm.overcommit_memory":               switchRule("0", "2", "Go programs reserve large address ranges, which strict accounting refuses."),
	"net.ipv4.tcp_fin_timeout":           inertRule("It is about orphaned sockets in FIN_WAIT_2, not about TIME_WAIT, which lasts 60 s whatever it says."),
	"net.ipv4.tcp_keepalive_time":        inertRule("It is about sockets with SO_KEEPALIVE; pushd finds dead clients by its own keep-alives first."),
	"net.ipv4.tcp_keepalive_intvl":       inertRule("It is about sockets with SO_KEEPALIVE; pushd finds dead clients by its own keep-alives first."),
	"net.ipv4.tcp_keepalive_probes":      inertRule("It is about sockets with SO_KEEPALIVE; pushd finds dead clients by its own keep-alives first."),
	"net.ipv4.tcp_synack_retries":        inertRule("It is about half-open connections; syncookies take care of too many of them."),
	"net.ipv4.tcp_retries2":              inertRule("pushd sets TCP_USER_TIMEOUT on its sockets, which goes before it."),
	"net.ipv4.tcp_low_latency":           inertRule("The kernel keeps the name and does nothing with it (since Linux 4.14)."),
	"net.ipv4.tcp_fack":                  inertRule("The kernel keeps the name and does nothing with it (since Linux 4.15)."),
	"net.ipv4.tcp_slow_start_after_idle": inertRule("It matters for messages above 10 segments (14 KB) only."),
	"net.ipv4.tcp_notsent_lowat":         inertRule("It bounds what waits unsent in sockets of programs that ask before they write; no count depends on it."),
}

// gone is a key that kernels no longer have.
type gone struct {
	effect     Effect
	since, why string
	better     string
}

var goneKeys = map[string]gone{
	"net.ipv4.tcp_tw_recycle": {effect: Harms, since: "removed in Linux 4.12", better: "delete the line",
		why: "sysctl reports an error and ends with exit status 1, and scripts that stop there never set the rest."},
	"net.ipv4.ip_conntrack_max": {effect: Nothing, since: "the old name", better: "net.netfilter.nf_conntrack_max",
		why: "It has another name now."},
	"net.ipv4.netfilter.ip_conntrack_max": {effect: Nothing, since: "the old name", better: "net.netfilter.nf_conntrack_max",
		why: "It has another name now."},
	"net.nf_conntrack_max": {effect: Nothing, since: "exists while the module nf_conntrack is loaded", better: "net.netfilter.nf_conntrack_max",
		why: "No connections are tracked here, or it has another name now."},
}

// stock is the value that the kernel starts with, or 0 where that is not known. systemd raises fs.file-max and
// fs.nr_open by itself, which does not count here.
func (a *auditor) stock(key string) int64 {
	switch key {
	case "fs.file-max":
		return a.memory / 1024 / 10 // files_maxfiles_init: a tenth of the memory at 1 KiB for a file
	case "fs.nr_open":
		return stockNrOpen
	case "fs.epoll.max_user_watches":
		return a.memory / 25 / 184 // eventpoll_init: 4% of the memory at 184 bytes, on 64 bits
	case "net.core.somaxconn":
		if v := a.h.kernel(); v.known() && v.before(kernelVersion{5, 4}) {
			return 128
		}
		return 4096
	case "net.core.netdev_max_backlog":
		return 1000
	case "net.core.rmem_max", "net.core.wmem_max":
		return 212_992
	case "net.ipv4.tcp_max_tw_buckets", "net.ipv4.tcp_max_orphans":
		n, err := a.h.ehash() // since Linux 6.1
		if err != nil {
			n = a.h.likelyEhash()
		}
		return n / 2
	}
	return 0
}

// wanted is what the check of the same name asks for, or 0 when it could not be made or asks for nothing.
func (a *auditor) wanted(key string) int64 {
	f, ok := a.findings[key]
	if !ok || f.Outcome == Skip {
		return 0
	}
	n, err := parseLimit(f.Wanted)
	if err != nil {
		return 0
	}
	return n
}

// unreadable judges a value that the kernel would not take for a number.
func unreadable(s Setting) Judgement {
	return Judgement{Effect: Harms, Why: "The kernel takes no such value (EINVAL), and the setting stays what it was.",
		Evidence: fmt.Sprintf("%.40q", s.Value)}
}

// atLeastRule judges a number of which more is better, by what the check of the same name wants.
func atLeastRule(what string) auditRule {
	return func(a *auditor, s Setting, live string) Judgement {
		value, err := parseLimit(s.Value)
		if err != nil {
			return unreadable(s)
		}
		have, err := parseLimit(live)
		if err != nil {
			return Judgement{Effect: Unjudged, Why: "What this host has could not be read.", Evidence: fmt.Sprintf("%.40q", live)}
		}
		return a.judgeAtLeast(s.Key, what, value, have)
	}
}

// judgeAtLeast compares a value with what the target wants, what the host has, and what the kernel starts with.
func (a *auditor) judgeAtLeast(key, what string, value, have int64) Judgement {
	want, stock := a.wanted(key), a.stock(key)
	j := Judgement{Evidence: "this host has " + number(have)}
	if stock > 0 && stock != have {
		j.Evidence += fmt.Sprintf(", the kernel's default is %d", stock)
	}
	if want > 0 {
		j.Evidence += fmt.Sprintf("; the target wants %s", a.formula(key, want))
	}
	lowers := value < have || value < stock
	if value < want || lowers && want == 0 {
		j.Better = strconv.FormatInt(max(want, have), 10) // to be written, where no unlimited is taken
	}
	switch {
	case value < want && lowers, want == 0 && value < stock:
		j.Effect, j.Why = Harms, what+" It lowers the limit below what is needed."
		if want == 0 {
			j.Why = what + " It is below the kernel's own default."
		}
	case value < want && value > have:
		j.Effect, j.Why = Helps, what+" Higher than here, but not enough for the target."
	case value < want:
		j.Effect, j.Why = Nothing, what+" It is what the host has, and not enough for the target."
	case want == 0 && lowers:
		j.Effect, j.Why = Nothing, what+" It lowers what the host has; nothing is known here that needs more."
	case want == 0:
		j.Effect, j.Why = Nothing, what+" Nothing is known here that needs more than the host has."
	case lowers:
		j.Effect, j.Why = Nothing, what+" It lowers the limit, to what is still enough."
	case stock > 0 && stock >= want, stock == 0 && have >= want && have == value:
		j.Effect, j.Why = Nothing, what+" The kernel's default is enough for the target."
		if stock == 0 {
			j.Why = what + " This host has it already."
		}
	default:
		j.Effect, j.Why = Helps, what+" Enough for the target."
	}
	return j
}

// formula is how the check comes to what it wants, or just the value.
func (a *auditor) formula(key string, want int64) string {
	if f := a.findings[key].Formula; f != "" {
		return f
	}
	return number(want)
}

// twBucketsRule: the kernel's documentation says never to lower it, so that less than the host has is too little whatever
// the target wants.
func twBucketsRule(a *auditor, s Setting, live string) Judgement {
	const what = "Sockets in TIME_WAIT; beyond it they are dropped early, and the kernel's documentation says never to lower it."
	j := atLeastRule(what)(a, s, live)
	value, err := parseLimit(s.Value)
	have, err2 := parseLimit(live)
	if err != nil || err2 != nil || j.Effect == Harms || value >= have {
		return j
	}
	j.Effect, j.Better = Harms, number(max(have, a.wanted(s.Key), a.stock(s.Key)))
	j.Why = what + " It lowers what the host has."
	return j
}

// nrOpenRule knows that other units count on the kernel's default.
func nrOpenRule(a *auditor, s Setting, live string) Judgement {
	value, err := parseLimit(s.Value)
	if err == nil && value < stockNrOpen {
		return Judgement{Effect: Harms, Better: number(max(stockNrOpen, a.wanted(s.Key), liveNumber(live))),
			Why:      "Below the kernel's default: units that ask for as many files as that, as container daemons do, no longer start.",
			Evidence: fmt.Sprintf("%d < %d", value, stockNrOpen)}
	}
	return atLeastRule("The highest RLIMIT_NOFILE that a process may have.")(a, s, live)
}

// liveNumber is what the host has, or 0 when that is no number.
func liveNumber(live string) int64 {
	n, err := parseLimit(live)
	if err != nil {
		return 0
	}
	return n
}

// switchRule judges a setting with one good value and one bad one.
func switchRule(good, bad, harm string) auditRule {
	return func(_ *auditor, s Setting, live string) Judgement {
		j := Judgement{Evidence: fmt.Sprintf("this host has %s, the kernel's default is %s", live, good)}
		switch s.Value {
		case bad:
			j.Effect, j.Why, j.Better = Harms, harm, good
		case good:
			j.Effect, j.Why = Nothing, "It is the kernel's default."
			if live != good {
				j.Effect, j.Why = Helps, "Brings back the kernel's default."
			}
		default:
			j.Effect, j.Why = Unjudged, "Neither the kernel's default nor known to do harm."
		}
		return j
	}
}

// inertRule judges a setting that does nothing for the number of connections.
func inertRule(why string) auditRule {
	return func(_ *auditor, _ Setting, live string) Judgement {
		return Judgement{Effect: Nothing, Why: why, Evidence: "this host has " + live}
	}
}

// twRecycleRule is for kernels that still have it.
func twRecycleRule(_ *auditor, s Setting, _ string) Judgement {
	if s.Value == "0" {
		return Judgement{Effect: Nothing, Why: "It is the kernel's default.", Evidence: goneKeys[s.Key].since}
	}
	return Judgement{Effect: Harms, Why: "Of clients behind one NAT address only one gets through; newer kernels do not have it.",
		Evidence: goneKeys[s.Key].since, Better: "delete the line"}
}

// twReuseRule: it is about outgoing connections, and needs timestamps.
func twReuseRule(a *auditor, s Setting, live string) Judgement {
	j := Judgement{Effect: Nothing, Evidence: "this host has " + live}
	stamps, line := a.value("net.ipv4.tcp_timestamps")
	switch {
	case s.Value == "1" && stamps == "0":
		j.Why, j.Evidence = "It needs timestamps, which the tuning itself turns off.", fmt.Sprintf("line %d: net.ipv4.tcp_timestamps = 0", line)
	case !a.t.opens():
		j.Why = "It is about connections that this host opens; a server accepts them."
	case s.Value == "1":
		j.Effect, j.Why = Helps, "A load generator gets its ports back from TIME_WAIT after a second."
	default:
		j.Why = "It is the kernel's default, or off."
	}
	return j
}

// synBacklogRule: the kernel looks at it only without syncookies.
func synBacklogRule(a *auditor, s Setting, live string) Judgement {
	cookies, line := a.value("net.ipv4.tcp_syncookies")
	where := fmt.Sprintf("line %d: net.ipv4.tcp_syncookies = %s", line, cookies)
	if cookies == "" {
		cookies, _ = a.h.sysctlText("net.ipv4.tcp_syncookies") //nolint:errcheck // "" is not "0"
		where = "this host has net.ipv4.tcp_syncookies = " + cookies
	}
	if cookies != "0" {
		return Judgement{Effect: Nothing, Why: "The kernel looks at it only while syncookies are off.", Evidence: where}
	}
	as := *a // half-open connections may be as many as wait to be accepted, whatever the check says while cookies are on
	as.findings = map[string]Finding{s.Key: a.findings["net.core.somaxconn"]}
	return atLeastRule("Half-open connections of a listener.")(&as, s, live)
}

// fields3 reads three numbers as the kernel does. Where the tuning has fewer, the kernel keeps the rest of live.
func fields3(value, live string) (v [3]int64, ok bool) {
	have, given := strings.Fields(live), strings.Fields(value)
	if len(given) == 0 || len(given) > 3 {
		return v, false
	}
	for i := range v {
		text := ""
		switch {
		case i < len(given):
			text = given[i]
		case i < len(have):
			text = have[i]
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return v, false
		}
		v[i] = n
	}
	return v, true
}
