package sysprep

import (
	"math"
	"strconv"
	"strings"
)

// mostLoops is the number of loops that pushd has at most.
const mostLoops = 64

// listeners is the number of listening sockets for each address of pushd: one for each of its loops.
func (h *Host) listeners(t Target) int64 {
	if t.Pushd != nil && t.Pushd.Loops > 0 {
		return int64(t.Pushd.Loops) * t.workers()
	}
	return h.loops(t) * t.workers()
}

// loops is the number of loops that a pushd in the target's place has unless told: as many as the CPUs that the Go
// runtime uses, which are those that it may run on, or the quota of its control groups when that is lower.
func (h *Host) loops(t Target) int64 {
	cpus := int64(max(1, h.processOf(t).cpus))
	if quota, ok := h.cpuQuota(t); ok {
		cpus = min(cpus, max(2, quota)) // the runtime takes no fewer than two for a quota
	}
	return min(cpus, mostLoops)
}

// processOf is what the status of the target's process tells, or that of the one that checks where it is hidden.
func (h *Host) processOf(t Target) process {
	status, err := h.text(t.procDir() + "/status")
	if err != nil {
		return h.process()
	}
	return parseStatus(status)
}

// cpuQuota is the lowest quota of the control groups that the process is in, in CPUs, rounded up as the Go runtime
// does. ok is false when none of them shows one.
func (h *Host) cpuQuota(t Target) (cpus int64, ok bool) {
	groups, err := h.text(t.procDir() + "/cgroup")
	if err != nil {
		return 0, false
	}
	for _, name := range limitFiles(groups, cpuController) {
		quota, err := h.text(name)
		if err != nil {
			continue
		}
		if base, isV1 := strings.CutSuffix(name, "cpu.cfs_quota_us"); isV1 {
			period, err := h.text(base + "cpu.cfs_period_us")
			if err != nil {
				continue
			}
			quota += " " + period
		}
		if n, found := parseQuota(quota); found && (!ok || n < cpus) {
			cpus, ok = n, true
		}
	}
	return cpus, ok
}

// parseQuota reads microseconds in a period, as "150000 100000" of cpu.max; "max" and -1 are no quota.
func parseQuota(s string) (cpus int64, ok bool) {
	f := strings.Fields(s)
	if len(f) != 2 {
		return 0, false
	}
	quota, err1 := strconv.ParseInt(f[0], 10, 64)
	period, err2 := strconv.ParseInt(f[1], 10, 64)
	if err1 != nil || err2 != nil || quota <= 0 || period <= 0 || quota > math.MaxInt64/2 {
		return 0, false
	}
	return ceilDiv(quota, period), true
}
