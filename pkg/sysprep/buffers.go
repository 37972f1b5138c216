package sysprep

import (
	"fmt"
	"slices"
)

var bufferChecks = []Check{
	{ID: "net.ipv4.tcp_mem", Group: GroupBuffers, run: checkTCPMem, Explain: "" +
		"The memory for what all TCP sockets have queued, in pages and not in bytes: below the first number nothing is " +
		"restricted, above the second sockets are held back, above the third data and connections are dropped (\"TCP: out of " +
		"memory\" in the kernel's log). A message that waits for its client takes at least a page. Three equal numbers leave " +
		"out the second stage; more than the machine's memory means that the OOM killer comes first. It belongs to the machine, " +
		"and a network namespace does not show it."},
	{ID: "net.ipv4.tcp_rmem", Group: GroupBuffers, run: checkTCPRmem, Explain: "" +
		"The receive buffer of a socket in bytes: least, at the start, and the most that it grows to by itself. They are limits " +
		"and no reservations: an idle socket takes no buffer, so that small numbers save nothing. They make the window small " +
		"instead: with 4096 at the start, a client can send about 2 KB of its request before it has to wait."},
	{ID: "net.ipv4.tcp_wmem", Group: GroupBuffers, run: checkTCPWmem, Explain: "" +
		"The send buffer of a socket in bytes: least, at the start, and the most that it grows to by itself. The last bounds " +
		"what a client that does not read can hold of the kernel's memory; pushd sets 256 KiB for its own connections, so for " +
		"them the last does not count. A small one limits a client to window/round trip: 16 KiB at 100 ms are 160 KB/s."},
	{ID: "net.core.rmem_max", Group: GroupBuffers, run: bufferCapCheck("net.core.rmem_max"), Explain: "" +
		"The most that a program may ask for with SO_RCVBUF. It does not limit what TCP grows to by itself (tcp_rmem does), but " +
		"takes part in the choice of the window scale at the handshake. Lowering it hurts every other program on the host."},
	{ID: "net.core.wmem_max", Group: GroupBuffers, run: bufferCapCheck("net.core.wmem_max"), Explain: "" +
		"The most that a program may ask for with SO_SNDBUF. pushd asks for 256 KiB for a connection and takes what it gets. It " +
		"does not limit what TCP grows to by itself (tcp_wmem does)."},
	{ID: "net.ipv4.tcp_moderate_rcvbuf", Group: GroupBuffers, run: flagCheck("net.ipv4.tcp_moderate_rcvbuf",
		"Without it the receive window of every connection stays at the second number of tcp_rmem."), Explain: "" +
		"With 1 the kernel lets the receive buffer of a connection grow with its traffic; with 0 it stays as it started."},
	{ID: "net.ipv4.tcp_notsent_lowat", Group: GroupBuffers, run: checkNotsentLowat, Explain: "" +
		"A socket counts as writable only below so many bytes that have not been sent yet. The default is no limit. 131072 keeps " +
		"queues in the program, which can reorder and drop them; pushd bounds what it queues for each client itself."},
}

func checkTCPMem(h *Host, t Target) (Finding, error) {
	const key = "net.ipv4.tcp_mem"
	current, err := h.sysctls(key, 3)
	if err != nil {
		return Finding{}, err
	}
	total, err := h.memTotal() // it is the machine's, whatever a control group may have
	if err != nil {
		return Finding{}, err
	}
	f, value := judgeTCPMem(current, total, h.pageBytes, t)
	if limit, file, err := h.memoryLimit(t); err == nil && file != "" && f.Outcome == OK && current[2] > limit/h.pageBytes*60/100 {
		f.Note = fmt.Sprintf("more than the control group may have, %s: that limit comes first", gib(limit))
	}
	if value == nil {
		return f, nil // its remedy is a text, or there is none
	}
	return f.withSysctl(h, key, numbers(value)), nil
}

// judgeTCPMem fails when the numbers let TCP take what the host does not have, and warns when a message to everybody
// does not fit. value is what to raise it to, nil when raising is not the remedy.
func judgeTCPMem(current []int64, total, pageBytes int64, t Target) (f Finding, value []int64) {
	pages := product(t.N, queuedPages(t.msgBytes(), pageBytes))
	memory := total / pageBytes
	most := memory * 40 / 100
	want := min(most, max(current[2], ceilPercent(pages, 125)))
	wanted := []int64{want / 2, want * 2 / 3, want}

	f = Finding{Outcome: OK, Current: numbers(current), Wanted: numbers(wanted)}
	f.Formula = fmt.Sprintf("min(0.40*%d pages of memory, max(%d, 1.25*%d pages queued)) = %d", memory, current[2], pages, want)
	f.Why = "Counted in pages: a message that waits for its client takes one or more, and beyond the last number TCP drops."
	lower := func(why string) (Finding, []int64) {
		f.Outcome, f.Why = Fail, why
		return f.withText(fmt.Sprintf("sysctl -w net.ipv4.tcp_mem='%s'\n# lower than now, so sysprep fix leaves it to you", f.Wanted),
			fmt.Sprintf("net.ipv4.tcp_mem = %s\nin the file that sets it now (sysprep check --only sysctl.drift)", f.Wanted)), nil
	}
	switch {
	case current[2] > memory:
		return lower(fmt.Sprintf("It is counted in pages: this is %s, more than there is; was it meant in bytes?", gibPages(current[2], pageBytes)))
	case current[2] > memory*60/100:
		return lower(fmt.Sprintf("TCP may take %s of %s, and the OOM killer comes before TCP holds back.",
			gibPages(current[2], pageBytes), gib(total)))
	case current[0] == current[1] && current[1] == current[2]:
		f.Outcome = Fail
		f.Why = "Three equal numbers leave TCP no stage in which it holds back before it drops."
		if wanted[0] >= current[0] && wanted[1] >= current[1] && wanted[2] > current[2] {
			return f, wanted
		}
		return lower(f.Why)
	case current[2] >= pages:
		f.Wanted = numbers(raised(current, []int64{0, 0, pages}))
		f.Formula = fmt.Sprintf("%d connections * %d queued pages = %d", t.N, queuedPages(t.msgBytes(), pageBytes), pages)
		return f, nil
	case current[2] >= most:
		f.Outcome = Warn
		return f.withText("no setting helps: more would take the memory of everything else",
			fmt.Sprintf("give this host %s of memory, or send shorter messages", gib(product(ceilPercent(ceilPercent(pages, 125), 250), pageBytes)))), nil
	}
	f.Outcome = Warn
	return f, raised(current, wanted)
}

// gibPages prints a number of pages in GiB; a count of bytes that was taken for pages may not fit an integer.
func gibPages(pages, pageBytes int64) string {
	return fmt.Sprintf("%.1f GiB", float64(pages)*float64(pageBytes)/(1<<30))
}

// raised is the higher of both, number by number.
func raised(current, wanted []int64) []int64 {
	v := slices.Clone(wanted)
	for i := range v {
		v[i] = max(v[i], current[i])
	}
	return v
}

// The buffers of a socket that the kernel starts with, in bytes.
const (
	minBuffer     = 4096
	stockRmem     = 131_072
	stockWmem     = 16_384
	leastBuffer   = 16_384 // at the start, below which requests and messages take several round trips
	stockRmemMax  = 6_291_456
	stockWmemMax  = 4_194_304
	leastAutoTune = 65_536
)

// autoTuneMax is the most that one of n sockets should grow to: 1% of them that are stuck then hold at most half of
// what TCP may have. Where tcp_mem is not visible, it is the kernel's default.
func (h *Host) autoTuneMax(t Target, stock int64) int64 {
	mem, err := h.sysctls("net.ipv4.tcp_mem", 3)
	if err != nil || mem[2] > 1<<40 {
		return stock
	}
	return min(max(50*mem[2]*h.pageBytes/t.N, leastAutoTune), stock)
}

func checkTCPRmem(h *Host, t Target) (Finding, error) {
	const key = "net.ipv4.tcp_rmem"
	current, err := h.sysctls(key, 3)
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Outcome: OK, Current: numbers(current), Wanted: numbers([]int64{minBuffer, leastBuffer, leastBuffer})}
	f.Formula = fmt.Sprintf("at least %d, %d at the start, and no less in the end = %s", minBuffer, leastBuffer, f.Wanted)
	f.Why = "Buffers are limits and no reservations: small ones save no idle memory, but clients send their requests in small bites."
	if current[0] >= minBuffer && current[1] >= leastBuffer && current[2] >= current[1] {
		if h.hugeRmem(current[2], t) {
			f.Note = "connections that send much may together want more than tcp_mem gives; the kernel then holds them back"
		}
		return f, nil
	}
	f.Outcome = Warn
	value := raised(current, []int64{minBuffer, stockRmem, max(stockRmem, h.autoTuneMax(t, stockRmemMax))})
	f.Wanted = numbers(value)
	f.Formula = fmt.Sprintf("the kernel's own, up to clamp(50*tcp_mem/N) at the end = %s", f.Wanted)
	return f.withSysctl(h, key, f.Wanted), nil
}

// hugeRmem reports whether 1% of the connections, grown to the full, would take ten times what TCP may have.
func (h *Host) hugeRmem(most int64, t Target) bool {
	mem, err := h.sysctls("net.ipv4.tcp_mem", 3)
	return err == nil && float64(t.N)*float64(most)/100 > 10*float64(mem[2])*float64(h.pageBytes)
}

func checkTCPWmem(h *Host, t Target) (Finding, error) {
	const key = "net.ipv4.tcp_wmem"
	current, err := h.sysctls(key, 3)
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Outcome: OK, Current: numbers(current), Wanted: numbers([]int64{minBuffer, leastBuffer, leastBuffer})}
	f.Formula = fmt.Sprintf("at least %d, %d at the start, and no less in the end = %s", minBuffer, leastBuffer, f.Wanted)
	f.Why = "Buffers are limits and no reservations: small ones save no idle memory, but every client gets its messages in small bites."
	if current[1] < leastBuffer || current[0] < minBuffer || current[2] < current[1] {
		f.Outcome = Warn
		value := raised(current, []int64{minBuffer, stockWmem, h.autoTuneMax(t, stockWmemMax)})
		f.Wanted = numbers(value)
		f.Formula = fmt.Sprintf("the kernel's own, up to clamp(50*tcp_mem/N) at the end = %s", f.Wanted)
		return f.withSysctl(h, key, f.Wanted), nil
	}
	mem, err := h.sysctls("net.ipv4.tcp_mem", 3)
	if err != nil {
		f.Note = "tcp_mem is not visible, so what stuck clients may hold was not reckoned"
		return f, nil
	}
	return judgeStuck(f, current, mem[2], h.pageBytes, t), nil
}

// pushdSendBuffer is what pushd sets for each of its connections, as the kernel counts it.
const pushdSendBuffer = 512 << 10

// judgeStuck notes what 1% of the clients can pin when they do not read, where that is more than half of what TCP may
// have. pushd bounds each connection with SO_SNDBUF, which tcp_wmem does not touch, so there is nothing to set.
func judgeStuck(f Finding, current []int64, tcpMax, pageBytes int64, t Target) Finding {
	stuck, bound := ceilPercent(t.N, 1), min(current[2], pushdSendBuffer)
	budget := float64(tcpMax) * float64(pageBytes) / 2
	switch {
	case !t.serves():
	case float64(stuck)*float64(bound) > budget:
		f.Note = fmt.Sprintf("%d clients (1%%) that do not read can hold %d KiB each, more than half of what tcp_mem gives; "+
			"a higher tcp_mem leaves room for the others", stuck, bound>>10)
	case float64(stuck)*float64(current[2]) > budget:
		f.Note = "pushd bounds its connections to 512 KiB; other servers here would let clients that do not read hold more"
	}
	return f
}

// bufferCapCheck judges rmem_max or wmem_max: below the default of older kernels is a warning.
func bufferCapCheck(key string) func(*Host, Target) (Finding, error) {
	return func(h *Host, _ Target) (Finding, error) {
		const stock = 212_992
		current, err := h.sysctl(key)
		if err != nil {
			return Finding{}, err
		}
		f := atLeast(current, 0, stock)
		f.Formula = fmt.Sprintf("the kernel's default = %d", stock)
		f.Why = "It cuts the buffers that programs ask for, on the whole host, and saves no memory of idle connections."
		return f.withSysctl(h, key, f.Wanted), nil
	}
}

func checkNotsentLowat(h *Host, _ Target) (Finding, error) {
	current, err := h.sysctl("net.ipv4.tcp_notsent_lowat")
	if err != nil {
		return Finding{}, err
	}
	s := number(current)
	if current == 1<<32-1 {
		s = "unlimited"
	}
	return fine(s, ""), nil
}
