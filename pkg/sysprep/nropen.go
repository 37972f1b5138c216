package sysprep

import "fmt"

// stockNrOpen is the kernel's own default: units such as container daemons count on it.
const stockNrOpen = 1_048_576

var nrOpenCheck = Check{ID: "fs.nr_open", Group: GroupFiles, run: checkNrOpen, Explain: "" +
	"The ceiling for RLIMIT_NOFILE of any process. It has to be raised before the limit itself: setting a higher one fails " +
	"with EPERM, for root as well, and systemd cuts LimitNOFILE to it. Values below the kernel's default of 1,048,576, as some " +
	"published tunings have them, can stop other units from starting."}

func checkNrOpen(h *Host, t Target) (Finding, error) {
	current, err := h.sysctl("fs.nr_open")
	if err != nil {
		return Finding{}, err
	}
	return judgeNrOpen(current, t).withSysctl(h, "fs.nr_open", number(nrOpenWanted(t.perProcess()))), nil
}

// judgeNrOpen fails below the RLIMIT_NOFILE that is needed, and warns below the recommendation.
func judgeNrOpen(current int64, t Target) Finding {
	n := t.perProcess()
	f := atLeast(current, fdsNeeded(n), nrOpenWanted(n))
	f.Holds = holds(current, func(n int64) int64 { return fdsNeeded(t.with(n).perProcess()) })
	f.Formula = fmt.Sprintf("max(%d, %s*1.1 + 4096) = %s", stockNrOpen, t.perProcessFormula(), f.Wanted)
	f.Why = "No process may have a higher RLIMIT_NOFILE than this; setting one fails with EPERM, for root as well."
	return f
}

// nrOpenWanted is the recommended fs.nr_open for n connections in a process.
func nrOpenWanted(n int64) int64 {
	return max(stockNrOpen, ceilPercent(n, 110)+4096)
}
