package sysprep

import (
	"fmt"
	"strings"
)

var fileMaxCheck = Check{ID: "fs.file-max", Group: GroupFiles, run: checkFileMax, Explain: "" +
	"The number of open files of the whole machine. A socket is a file; when no more may be opened, every process gets " +
	"ENFILE, and the kernel's log says \"VFS: file-max limit reached\". The kernel's own default is about 100,000 for each " +
	"GiB of memory; systemd since 240 takes the limit away."}

func checkFileMax(h *Host, t Target) (Finding, error) {
	current, err := h.sysctl("fs.file-max")
	if err != nil {
		return Finding{}, err
	}
	f := judgeFileMax(current, h.filesInUse(), t)
	return f.withSysctl(h, "fs.file-max", f.Wanted), nil
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
	for _, f := range fields {
		if _, err := parseLimit(f); err != nil {
			return -1
		}
	}
	n, _ := parseLimit(fields[0]) //nolint:errcheck // just parsed
	return n
}

// judgeFileMax fails below the recommendation.
func judgeFileMax(current, inUse int64, t Target) Finding {
	need := func(n int64) int64 { return ceilPercent(t.with(n).sockets(), 110) + 65_536 }
	f := atLeast(current, need(t.N), need(t.N))
	f.Holds = holds(current, need)
	f.Formula = fmt.Sprintf("%d sockets*1.1 + 65536 = %s", t.sockets(), f.Wanted)
	f.Why = "Each connection is an open file of the host; at the limit every process gets ENFILE"
	if inUse >= 0 {
		f.Why += fmt.Sprintf(" (%d in use now)", inUse)
	}
	f.Why += "."
	return f
}
