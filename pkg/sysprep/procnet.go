package sysprep

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// counters are the kernel's counters of a /proc/net/netstat or snmp: "TcpExt.ListenDrops".
type counters map[string]int64

// netCounters reads the counters of TCP since boot.
func (h *Host) netCounters() (counters, error) {
	c := make(counters)
	for _, name := range []string{"proc/net/netstat", "proc/net/snmp"} {
		s, err := h.text(name)
		if err != nil {
			return nil, err
		}
		if err := parseCounters(c, s); err != nil {
			return nil, fmt.Errorf("/%s cannot be judged: %w", name, err)
		}
	}
	return c, nil
}

// parseCounters adds pairs of lines: names, and their values.
func parseCounters(c counters, s string) error {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines)%2 != 0 {
		return errors.New("its lines are no pairs")
	}
	for i := 0; i < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if len(names) == 0 || len(names) != len(values) || names[0] != values[0] {
			return fmt.Errorf("%.40q and the line below it do not belong together", lines[i])
		}
		for j := 1; j < len(names); j++ {
			n, err := strconv.ParseInt(values[j], 10, 64)
			if err != nil {
				continue // one of its counters may be larger than fits; its use then says that it is missing
			}
			c[strings.TrimSuffix(names[0], ":")+"."+names[j]] = n
		}
	}
	return nil
}

// need returns a counter; kernels differ in which they have.
func (c counters) need(name string) (int64, error) {
	n, ok := c[name]
	if !ok {
		return 0, fmt.Errorf("this kernel does not count %s", name)
	}
	return n, nil
}

// sockstat is what /proc/net/sockstat tells of TCP.
type sockstat struct {
	inUse, orphans, timeWait, allocated, pages int64
}

func (h *Host) sockstat() (sockstat, error) {
	s, err := h.text("proc/net/sockstat")
	if err != nil {
		return sockstat{}, err
	}
	return parseSockstat(s)
}

func parseSockstat(s string) (sockstat, error) {
	line, ok := field(s, "TCP:")
	fields := strings.Fields(line)
	if !ok || len(fields)%2 != 0 {
		return sockstat{}, errors.New("/proc/net/sockstat cannot be judged: it has no line for TCP")
	}
	values := make(map[string]int64)
	for i := 0; i < len(fields); i += 2 {
		n, err := strconv.ParseInt(fields[i+1], 10, 64)
		if err != nil {
			return sockstat{}, fmt.Errorf("/proc/net/sockstat cannot be judged: %.40q is no number", fields[i+1])
		}
		values[fields[i]] = max(0, n)
	}
	for _, name := range []string{"inuse", "orphan", "tw", "alloc", "mem"} {
		if _, ok := values[name]; !ok {
			return sockstat{}, fmt.Errorf("/proc/net/sockstat cannot be judged: it does not show %s", name)
		}
	}
	return sockstat{values["inuse"], values["orphan"], values["tw"], values["alloc"], values["mem"]}, nil
}

// softnet is the sum over the CPUs of a /proc/net/softnet_stat.
type softnet struct{ processed, dropped, squeezed int64 }

func (h *Host) softnet() (softnet, error) {
	s, err := h.text("proc/net/softnet_stat")
	if err != nil {
		return softnet{}, err
	}
	return parseSoftnet(s)
}

func parseSoftnet(s string) (softnet, error) {
	var sum softnet
	lines := 0
	for line := range strings.Lines(s) {
		f := strings.Fields(line)
		if len(f) < 3 {
			return softnet{}, errors.New("/proc/net/softnet_stat cannot be judged: a line of it is too short")
		}
		for i, to := range []*int64{&sum.processed, &sum.dropped, &sum.squeezed} {
			n, err := strconv.ParseUint(f[i], 16, 32)
			if err != nil {
				return softnet{}, fmt.Errorf("/proc/net/softnet_stat cannot be judged: %.40q is no number", f[i])
			}
			*to += int64(n)
		}
		lines++
	}
	if lines == 0 {
		return softnet{}, errors.New("/proc/net/softnet_stat cannot be judged: it is empty")
	}
	return sum, nil
}
