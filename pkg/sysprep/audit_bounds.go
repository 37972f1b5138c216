package sysprep

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// bounds are the numbers that the kernel takes for a setting; it refuses others with EINVAL.
type bounds struct {
	low, high int64
	fields    int // how many numbers it has
}

// The bounds that many settings share. A plain int is not checked for being above zero. Times are seconds that the kernel
// counts in ticks, of which there are at least 100 in a second.
var (
	plainInt   = bounds{math.MinInt32, math.MaxInt32, 1}
	upwardInt  = bounds{0, math.MaxInt32, 1}
	upwardLong = bounds{0, math.MaxInt64, 1}
	byteInt    = bounds{0, math.MaxUint8, 1}
	seconds    = bounds{math.MinInt32 / 100, math.MaxInt32 / 100, 1}
)

// byteKernel is the first in which switches and counts of tries are bytes; they were plain ints before.
var byteKernel = kernelVersion{5, 13}

// kernelBounds are those of the settings that have a rule. The ones below net were tried on Linux 6.18; the others, which
// have one value for the whole machine, are those of its source.
var kernelBounds = map[string]bounds{
	"fs.file-max":                        upwardLong,
	"fs.nr_open":                         {64, math.MaxInt32 &^ 63, 1},
	"fs.epoll.max_user_watches":          upwardLong,
	"kernel.pid_max":                     {301, 4 << 20, 1},
	"kernel.threads-max":                 {1, 0x3fff_ffff, 1},
	"net.core.somaxconn":                 upwardInt,
	"net.core.netdev_max_backlog":        plainInt,
	"net.core.rmem_max":                  {2048, math.MaxInt32, 1}, // the least is a packet and its bookkeeping, of two in wmem_max
	"net.core.wmem_max":                  {4096, math.MaxInt32, 1},
	"net.ipv4.neigh.default.gc_thresh3":  upwardInt,
	"net.ipv4.tcp_abort_on_overflow":     byteInt,
	"net.ipv4.tcp_fack":                  byteInt,
	"net.ipv4.tcp_fin_timeout":           seconds,
	"net.ipv4.tcp_keepalive_intvl":       seconds,
	"net.ipv4.tcp_keepalive_probes":      byteInt,
	"net.ipv4.tcp_keepalive_time":        seconds,
	"net.ipv4.tcp_low_latency":           byteInt,
	"net.ipv4.tcp_max_orphans":           plainInt,
	"net.ipv4.tcp_max_syn_backlog":       plainInt,
	"net.ipv4.tcp_max_tw_buckets":        plainInt,
	"net.ipv4.tcp_mem":                   {0, math.MaxInt64, 3},
	"net.ipv4.tcp_moderate_rcvbuf":       byteInt,
	"net.ipv4.tcp_notsent_lowat":         {0, math.MaxUint32, 1},
	"net.ipv4.tcp_retries2":              byteInt,
	"net.ipv4.tcp_rmem":                  {1, math.MaxInt32, 3},
	"net.ipv4.tcp_sack":                  byteInt,
	"net.ipv4.tcp_slow_start_after_idle": byteInt,
	"net.ipv4.tcp_synack_retries":        byteInt,
	"net.ipv4.tcp_syncookies":            byteInt,
	"net.ipv4.tcp_timestamps":            byteInt,
	"net.ipv4.tcp_tw_recycle":            plainInt,
	"net.ipv4.tcp_tw_reuse":              {0, 2, 1},
	"net.ipv4.tcp_window_scaling":        byteInt,
	"net.ipv4.tcp_wmem":                  {1, math.MaxInt32, 3},
	"net.ipv4.ip_local_port_range":       {1, 65_535, 2},
	"net.netfilter.nf_conntrack_buckets": {1, math.MaxInt32, 1},
	"net.netfilter.nf_conntrack_max":     upwardInt,
	"vm.max_map_count":                   upwardInt,
	"vm.min_free_kbytes":                 upwardInt,
	"vm.overcommit_memory":               {0, 2, 1},
	"vm.swappiness":                      {0, 200, 1},
}

// judgeValue judges what the kernel makes of the value by the rule, unless it refuses it.
func (a *auditor) judgeValue(rule auditRule, s Setting, live string) Judgement {
	b, ok := kernelBounds[s.Key]
	if !ok {
		return rule(a, s, live)
	}
	if v := a.h.kernel(); b == byteInt && v.known() && v.before(byteKernel) {
		b = plainInt
	}
	fields := strings.Fields(s.Value)
	if len(fields) > b.fields {
		fields = fields[:b.fields] // the kernel does not look at the rest
	}
	if len(fields) == 0 {
		return unreadable(s)
	}
	below := false
	for i, f := range fields {
		n, ok := kernelNumber(f)
		switch {
		case !ok:
			return unreadable(s)
		case n < b.low:
			return refusedValue(fmt.Sprintf("%d < %d", n, b.low))
		case n > b.high:
			return refusedValue(fmt.Sprintf("%s > %d", f, b.high))
		}
		below = below || n < 0
		fields[i] = number(n)
	}
	s.Value = strings.Join(fields, " ")
	if below {
		return Judgement{Effect: Harms, Why: "The kernel takes a number below zero here without a check, and what comes of it nobody means.",
			Evidence: s.Value + " < 0; this host has " + live, Better: live}
	}
	return rule(a, s, live)
}

// refusedValue judges a value out of bounds.
func refusedValue(evidence string) Judgement {
	return Judgement{Effect: Harms, Evidence: evidence,
		Why: "The kernel takes no such value (EINVAL), and the setting stays what it was."}
}

// kernelNumber reads a number as the kernel does: decimal, octal after a 0, or hexadecimal after 0x. What is above the
// range of int64 becomes math.MaxInt64, but for numbers beyond any, which it refuses.
func kernelNumber(s string) (int64, bool) {
	digits, negative := strings.CutPrefix(s, "-")
	base := 10
	switch {
	case strings.HasPrefix(digits, "0x"), strings.HasPrefix(digits, "0X"):
		digits, base = digits[2:], 16
	case len(digits) > 1 && digits[0] == '0':
		base = 8
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		return 0, false
	}
	v := int64(min(n, math.MaxInt64))
	if negative {
		v = -v
	}
	return v, true
}
