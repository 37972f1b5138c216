package sysprep

import "fmt"

// stockNrOpen is the kernel's own default: units such as container daemons count on it.
const stockNrOpen = 1_048_576

var nrOpenCheck = Check{ID: "fs.nr_open", Group: GroupFiles, run: checkNrOpen}

func checkNrOpen(h *Host, t Target) (Finding, error) {
	current, err := h.sysctl("fs.nr_open")
	if err != nil {
		return Finding{}, err
	}
	return judgeNrOpen(current, t), nil
}

// judgeNrOpen fails below the RLIMIT_NOFILE that is needed, and warns below the recommendation.
func judgeNrOpen(current int64, t Target) Finding {
	f := atLeast(current, fdsNeeded(t.N), nrOpenWanted(t.N))
	f.Holds = holds(current, fdsNeeded)
	f.Formula = fmt.Sprintf("max(%d, %d*1.1 + 4096) = %s", stockNrOpen, t.N, f.Wanted)
	f.Why = "No process may have a higher RLIMIT_NOFILE than this; setting one fails with EPERM, for root as well."
	return f.withSysctl("fs.nr_open")
}

// nrOpenWanted is the recommended fs.nr_open for n connections.
func nrOpenWanted(n int64) int64 {
	return max(stockNrOpen, ceilPercent(n, 110)+4096)
}
