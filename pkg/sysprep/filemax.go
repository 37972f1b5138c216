package sysprep

import (
	"fmt"
	"strings"
)

var fileMaxCheck = Check{ID: "fs.file-max", Group: GroupFiles, run: checkFileMax}

func checkFileMax(h *Host, t Target) (Finding, error) {
	current, err := h.sysctl("fs.file-max")
	if err != nil {
		return Finding{}, err
	}
	return judgeFileMax(current, h.filesInUse(), t), nil
}

// filesInUse is the number of open files of the whole host, or -1 when it is not shown.
func (h *Host) filesInUse() int64 {
	s, err := h.text("proc/sys/fs/file-nr") // in use, free, highest
	if err != nil {
		return -1
	}
	fields := strings.Fields(s)
	if len(fields) != 3 {
		return -1
	}
	n, err := parseLimit(fields[0])
	if err != nil {
		return -1
	}
	return n
}

// judgeFileMax fails below the recommendation.
func judgeFileMax(current, inUse int64, t Target) Finding {
	need := func(n int64) int64 { return ceilPercent(n, 110) + 65_536 }
	f := atLeast(current, need(t.N), need(t.N))
	f.Holds = holds(current, need)
	f.Formula = fmt.Sprintf("%d*1.1 + 65536 = %s", t.N, f.Wanted)
	f.Why = "Each connection is an open file of the host; at the limit every process gets ENFILE"
	if inUse >= 0 {
		f.Why += fmt.Sprintf(" (%d in use now)", inUse)
	}
	f.Why += "."
	return f.withSysctl("fs.file-max")
}
