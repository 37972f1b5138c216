package sysprep

import (
	"errors"
	"fmt"
)

// What a connection takes of the kernel, in bytes: the sum of the slab objects of an idle TCP socket, and of its
// registration in an epoll set.
const (
	socketBytes = 4000
	epollBytes  = 144
)

// spareBytes is left for everything else on the host.
const spareBytes = 1 << 30

// memoryPercent is the share of the memory that the estimate may fill.
const memoryPercent = 90

var memoryCheck = Check{ID: "memory", Group: GroupMemory, run: checkMemory}

func checkMemory(h *Host, t Target) (Finding, error) {
	meminfo, err := h.text("proc/meminfo")
	if err != nil {
		return Finding{}, err
	}
	value, _ := field(meminfo, "MemTotal:")
	total, ok := parseKB(value)
	if !ok {
		return Finding{}, errors.New("memory cannot be judged: /proc/meminfo has no usable MemTotal")
	}
	limit, file, err := h.memoryLimit()
	if err != nil {
		return Finding{}, err
	}
	m := memory{bytes: total, hostBytes: total, pageBytes: h.pageBytes}
	if file != "" && limit < total {
		m.bytes, m.cgroupFile = limit, file
	}
	return judgeMemory(m, t), nil
}

// memory is what was read of the host's memory.
type memory struct {
	bytes      int64  // what the process may use
	hostBytes  int64  // what the host has
	cgroupFile string // the file that limits it below the host's memory; "" when none does
	pageBytes  int64
}

// judgeMemory holds the estimate for an all-out broadcast against 90% of the memory.
func judgeMemory(m memory, t Target) Finding {
	perConnection := socketBytes + epollBytes + userBytes + queuedPages*m.pageBytes
	need := func(n int64) int64 { return n*perConnection + spareBytes }
	usable := m.bytes / 100 * memoryPercent
	estimate := need(t.N)
	want := ceilDiv(estimate, memoryPercent) * 100

	f := Finding{Outcome: OK, Current: number(m.bytes), Wanted: number(want), Unit: UnitBytes, Holds: holds(usable, need)}
	f.Formula = fmt.Sprintf("(%d*(%d socket + %d epoll + %d user + %d*%d queued) + %d) / 0.%d = %d",
		t.N, socketBytes, epollBytes, userBytes, queuedPages, m.pageBytes, spareBytes, memoryPercent, want)
	f.Why = "Sockets live in kernel memory, and a broadcast to all holds another page for each; " +
		"beyond the memory the OOM killer ends pushd."
	if estimate <= usable {
		return f
	}
	f.Outcome = Fail
	if m.cgroupFile != "" && want <= m.hostBytes {
		f.FixNow = fmt.Sprintf("echo %d \\\n  > %s", want, m.cgroupFile)
		if isTopGroup(m.cgroupFile) { // on the host the same group has another path
			f.FixNow = fmt.Sprintf("# on the host:\ndocker update --memory %d CONTAINER", want)
		}
		f.FixForGood = fmt.Sprintf("set MemoryMax=%d in the unit,\nor the memory limit of the container to that", want)
		return f
	}
	f.FixNow = fmt.Sprintf("no setting helps; hold at most %d connections here", *f.Holds)
	f.FixForGood = fmt.Sprintf("give this host %.1f GiB of memory", float64(want)/(1<<30))
	return f
}

// ceilDiv is a/b rounded up.
func ceilDiv(a, b int64) int64 {
	return (a + b - 1) / b
}
