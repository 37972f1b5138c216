package sysprep

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// capSysResource is the number of CAP_SYS_RESOURCE, which lets a process raise its own hard limits.
const capSysResource = 24

// process is what /proc/self/status tells about the process that checks. The zero value knows nothing and may nothing.
type process struct {
	root        bool // its effective user id is 0
	sysResource bool // it has CAP_SYS_RESOURCE
	cpus        int  // CPUs that it may run on; 0 when not known
}

// process reads what it can; a missing file leaves the zero value.
func (h *Host) process() process {
	status, err := h.text("proc/self/status")
	if err != nil {
		return process{}
	}
	return parseStatus(status)
}

func parseStatus(status string) process {
	var p process
	if uids, ok := field(status, "Uid:"); ok { // real, effective, saved, file system
		if f := strings.Fields(uids); len(f) == 4 {
			p.root = f[1] == "0"
		}
	}
	if caps, ok := field(status, "CapEff:"); ok {
		if bits, err := strconv.ParseUint(caps, 16, 64); err == nil {
			p.sysResource = bits>>capSysResource&1 == 1
		}
	}
	if list, ok := field(status, "Cpus_allowed_list:"); ok {
		p.cpus = countList(list)
	}
	return p
}

// countList counts the members of a list such as "0-3,8", or returns 0 when it is none.
func countList(list string) int {
	total := 0
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		first, err1 := strconv.ParseUint(low, 10, 16)
		last, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || last < first {
			return 0
		}
		total += int(last-first) + 1
	}
	return total
}

// rlimit is one line of /proc/PID/limits; math.MaxInt64 stands for unlimited.
type rlimit struct {
	soft, hard int64
}

// procDir is the directory of the target's process, below the root.
func (t Target) procDir() string {
	if t.PID == 0 {
		return "proc/self"
	}
	return "proc/" + strconv.Itoa(t.PID)
}

// HasProcess reports whether there is a process with the number.
func (h *Host) HasProcess(pid int) bool { return h.exists("proc/" + strconv.Itoa(pid)) }

// openFiles reads RLIMIT_NOFILE of a process. In the one that checks, Go has raised the soft limit to the hard one by
// then, as it has in pushd; another process's limits show both as they are.
func (h *Host) openFiles(t Target) (rlimit, error) {
	limits, err := h.text(t.procDir() + "/limits")
	if err != nil {
		return rlimit{}, err
	}
	return parseOpenFiles(limits)
}

func parseOpenFiles(limits string) (rlimit, error) {
	rest, ok := field(limits, "Max open files ")
	values := strings.Fields(rest)
	if !ok || len(values) < 2 {
		return rlimit{}, errors.New("RLIMIT_NOFILE cannot be judged: the limits have no line for open files")
	}
	soft, err := parseLimit(values[0])
	if err != nil {
		return rlimit{}, fmt.Errorf("RLIMIT_NOFILE cannot be judged: soft limit %w", err)
	}
	hard, err := parseLimit(values[1])
	if err != nil {
		return rlimit{}, fmt.Errorf("RLIMIT_NOFILE cannot be judged: hard limit %w", err)
	}
	return rlimit{soft: soft, hard: hard}, nil
}
