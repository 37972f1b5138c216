package sysprep

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// spareBytes is left for everything else on the host.
const spareBytes = 1 << 30

// memoryPercent is the share of the memory that the estimate may fill.
const memoryPercent = 90

var memoryChecks = []Check{
	{ID: "memory", Group: GroupMemory, run: checkMemory, Explain: "" +
		"An idle connection costs about 4 KB of kernel memory (socket, file, inode, directory entry, epoll registration), " +
		"which no process shows as its own, and pushd's own bytes on top. A message to everybody holds at least one more page " +
		"for each connection until its client has taken it. The estimate is the sum, with 1 GiB for everything else, and it " +
		"may fill 90% of the memory: beyond it the kernel ends a process to get memory back, and the largest one is pushd."},
	{ID: "cgroup.memory", Group: GroupMemory, run: checkCgroupMemory, Explain: "" +
		"A control group's limit counts the memory of its processes and the kernel memory that they cause: sockets, files and " +
		"what is queued. The lowest limit of all groups above the process binds. It is held against the same estimate as the " +
		"host's memory; version 1 counts queued data in a limit of its own, so there the estimate is a little high."},
	{ID: "vm.overcommit_memory", Group: GroupMemory, run: checkOvercommit, Explain: "" +
		"With 2 the kernel counts address space as if it were memory. The Go runtime reserves far more of it than it uses, and " +
		"dies when a reservation is refused."},
	{ID: "transparent_hugepage", Group: GroupMemory, run: checkTHP, Explain: "" +
		"With always, the kernel backs a sparse heap with pages of 2 MiB, so that a process has more resident memory than it " +
		"uses, and gives it back later. madvise leaves the choice to the program."},
	{ID: "vm.min_free_kbytes", Group: GroupMemory, run: checkMinFree, Explain: "" +
		"Packets are received where nobody can wait for memory, out of this reserve. A larger one helps when a broadcast to " +
		"very many clients comes back as acknowledgements all at once. 1% of the memory, 1 GiB at most, is plenty."},
	{ID: "vm.swappiness", Group: GroupMemory, run: checkSwappiness, Explain: "" +
		"A loop that waits for a page from disk delays all of its connections. With swap in use, a low value keeps " +
		"pushd's pages in memory; without swap it does not matter."},
	{ID: "vm.max_map_count", Group: GroupMemory, run: checkMaxMapCount, Explain: "" +
		"The number of memory mappings of a process. The Go runtime needs a few for each 64 MiB of heap, pushd a few hundred " +
		"with a million connections: the default is enough, and published advice to raise it does nothing for pushd."},
}

func checkMemory(h *Host, t Target) (Finding, error) {
	total, err := h.memTotal()
	if err != nil {
		return Finding{}, err
	}
	f := judgeMemory(memory{bytes: total, model: h.model(t)}, t)
	if available, ok := h.meminfo("MemAvailable:"); ok && f.Outcome == OK {
		if estimate := h.model(t).estimate(t.N); available < estimate {
			f.Note = fmt.Sprintf("only %s are available now: what else runs here takes more than the 1 GiB reckoned for it",
				gib(available))
		}
	}
	return f, nil
}

func (h *Host) meminfo(name string) (int64, bool) {
	meminfo, err := h.text("proc/meminfo")
	if err != nil {
		return 0, false
	}
	value, _ := field(meminfo, name)
	return parseKB(value)
}

// memTotal is the memory of the machine in bytes.
func (h *Host) memTotal() (int64, error) {
	if _, err := h.text("proc/meminfo"); err != nil {
		return 0, err
	}
	total, ok := h.meminfo("MemTotal:")
	if !ok {
		return 0, errors.New("memory cannot be judged: /proc/meminfo has no usable MemTotal")
	}
	return total, nil
}

// usable is the memory in bytes that the target may fill: the machine's, or the lowest limit of a control group. A limit
// that cannot be read is left out; its own check says so.
func (h *Host) usable(t Target) (int64, error) {
	total, err := h.memTotal()
	if err != nil {
		return 0, err
	}
	if limit, file, err := h.memoryLimit(t); err == nil && file != "" {
		total = min(total, limit)
	}
	return total, nil
}

func checkCgroupMemory(h *Host, t Target) (Finding, error) {
	if t.Unit != "" && t.PID == 0 {
		return h.checkUnitMemory(t)
	}
	if _, err := h.text(t.procDir() + "/cgroup"); err != nil {
		return Finding{}, err
	}
	limit, file, err := h.memoryLimit(t)
	if err != nil {
		return Finding{}, err
	}
	total, totalErr := h.memTotal()
	f := fine("unlimited", "")
	if file != "" && (totalErr != nil || limit < total) {
		f = judgeMemory(memory{bytes: limit, hostBytes: total, cgroupFile: file, unit: t.Unit, model: h.model(t)}, t)
	}
	if f.Outcome != OK {
		return f, nil
	}
	if slower, ok := h.throttled(t, limit, file); ok {
		slower.Holds = f.Holds
		return slower, nil
	}
	return f, nil
}

// checkUnitMemory judges the limit of a unit that has no process yet.
func (h *Host) checkUnitMemory(t Target) (Finding, error) {
	s, err := h.unitProperty(t, "MemoryMax")
	if err != nil {
		return Finding{}, err
	}
	limit, err := parseUnitLimit("MemoryMax", s)
	if err != nil {
		return Finding{}, err
	}
	if limit == math.MaxInt64 {
		return fine("unlimited", ""), nil
	}
	total, err := h.memTotal()
	if err != nil {
		return Finding{}, err
	}
	return judgeMemory(memory{bytes: limit, hostBytes: total, cgroupFile: "MemoryMax", unit: t.Unit, model: h.model(t)}, t), nil
}

// throttled warns of a memory.high that is below the estimate, where the hard limit is not.
func (h *Host) throttled(t Target, limit int64, limitFile string) (Finding, bool) {
	high, file, err := h.groupLimit(t, memoryThrottle)
	estimate := h.model(t).estimate(t.N)
	if err != nil || file == "" || high >= estimate || limitFile != "" && limit <= high {
		return Finding{}, false
	}
	f := Finding{Outcome: Warn, Current: number(high), Wanted: number(estimate), Unit: UnitBytes}
	f.Formula = fmt.Sprintf("%s = %d", h.model(t).formula(t.N), estimate)
	f.Why = "Above memory.high the kernel slows pushd down for everybody instead of making it smaller."
	return f.withText(fmt.Sprintf("echo max \\\n  > %s", file), "take MemoryHigh= out of the unit; MemoryMax= is the limit"), true
}

// memory is what was read of a bound on memory.
type memory struct {
	bytes      int64  // the bound
	cgroupFile string // the file that sets it; "" when it is the machine's memory
	hostBytes  int64  // of a control group: what the machine has
	unit       string // whose control group it is; "" when that is not known
	model      Model
}

// judgeMemory holds the estimate for an all-out broadcast against 90% of the bound.
func judgeMemory(m memory, t Target) Finding {
	usable := m.bytes / 100 * memoryPercent
	estimate := m.model.estimate(t.N)
	want := product(ceilDiv(estimate, memoryPercent), 100)

	f := Finding{Outcome: OK, Current: number(m.bytes), Wanted: number(want), Unit: UnitBytes, Holds: holds(usable, m.model.estimate)}
	f.Formula = fmt.Sprintf("(%s) / 0.%d = %d", m.model.formula(t.N), memoryPercent, want)
	f.Why = "Sockets live in kernel memory, and a broadcast to all holds another page for each; " +
		"beyond the memory the OOM killer ends pushd."
	if estimate <= usable {
		return f
	}
	f.Outcome = Fail
	switch {
	case m.cgroupFile == "" || want > m.hostBytes:
		return f.withText(fmt.Sprintf("no setting helps; hold at most %d connections here", *f.Holds),
			fmt.Sprintf("give this host %s of memory", gib(want)))
	case m.unit != "":
		f.FixNow = fmt.Sprintf("systemctl set-property --runtime %s \\\n  MemoryMax=%d", m.unit, want)
		return f.withDirective(m.unit, "MemoryMax", number(want), number(m.bytes))
	case isTopGroup(m.cgroupFile): // on the host the same group has another path
		return f.withText(fmt.Sprintf("# on the host:\ndocker update --memory %d CONTAINER", want),
			fmt.Sprintf("set the memory limit of the container to %d", want))
	}
	return f.withText(fmt.Sprintf("echo %d \\\n  > %s", want, m.cgroupFile),
		fmt.Sprintf("set MemoryMax=%d in the unit,\nor the memory limit of the container to that", want))
}

// gib prints a number of bytes in GiB.
func gib(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }

func checkOvercommit(h *Host, _ Target) (Finding, error) {
	current, err := h.sysctl("vm.overcommit_memory")
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Outcome: OK, Current: number(current), Wanted: "0 or 1", Formula: "anything but 2",
		Why: "Go reserves far more addresses than it uses; with 2 the kernel refuses that, and pushd dies."}
	if current == 2 {
		f.Outcome = Warn
	}
	return f.withText("sysctl -w vm.overcommit_memory=0", "vm.overcommit_memory = 0 in the file that sets it to 2"), nil
}

func checkTHP(h *Host, _ Target) (Finding, error) {
	const file = "sys/kernel/mm/transparent_hugepage/enabled"
	s, err := h.text(file)
	if err != nil {
		return Finding{}, err
	}
	_, rest, found := strings.Cut(s, "[") // always [madvise] never
	chosen, _, closed := strings.Cut(rest, "]")
	if !found || !closed {
		return Finding{}, fmt.Errorf("transparent_hugepage cannot be judged: %.40q has no choice in brackets", s)
	}
	f := Finding{Outcome: OK, Current: chosen, Wanted: "madvise", Formula: "madvise or never", Why: "With always, huge pages make the resident memory of " +
		"a sparse heap larger than its use."}
	if chosen == "always" {
		f.Outcome = Warn
	}
	return f.withText("echo madvise > /"+file, "transparent_hugepage=madvise on the kernel's command line"), nil
}

func checkMinFree(h *Host, t Target) (Finding, error) {
	current, err := h.sysctl("vm.min_free_kbytes")
	if err != nil {
		return Finding{}, err
	}
	total, err := h.memTotal()
	if err != nil {
		return Finding{}, err
	}
	f := fine(number(current), "")
	if advised := min(total/100, 1<<30) >> 10; current < advised && t.N >= 100_000 {
		f.Note = fmt.Sprintf("%d would leave more for bursts of packets", advised)
	}
	return f, nil
}

func checkSwappiness(h *Host, _ Target) (Finding, error) {
	current, err := h.sysctl("vm.swappiness")
	if err != nil {
		return Finding{}, err
	}
	f := fine(number(current), "")
	if swap, ok := h.meminfo("SwapTotal:"); ok && current > 10 { // none is "0 kB", which is no size
		f.Note = fmt.Sprintf("10 at most keeps pushd in memory; there are %s of swap", gib(swap))
	}
	return f, nil
}

func checkMaxMapCount(h *Host, _ Target) (Finding, error) {
	current, err := h.sysctl("vm.max_map_count")
	if err != nil {
		return Finding{}, err
	}
	const stock = 65_530
	f := fine(number(current), "")
	if current < stock {
		f.Note = fmt.Sprintf("the kernel's default is %d; a heap of very many gigabytes may want it", stock)
	}
	return f, nil
}
