package sysprep

import (
	"fmt"
	"math"
	"strings"
)

var nofileCheck = Check{ID: "rlimit.nofile", Group: GroupFiles, run: checkNofile}

func checkNofile(h *Host, t Target) (Finding, error) {
	limit, err := h.openFiles()
	if err != nil {
		return Finding{}, err
	}
	nrOpen, err := h.sysctl("fs.nr_open")
	if err != nil { // its own check says so
		nrOpen = math.MaxInt64
	}
	return judgeNofile(limit, nrOpen, h.process(), t), nil
}

// judgeNofile fails when the hard limit is too low and the process may not raise it. A soft limit alone is a warning:
// pushd raises it to the hard one. nrOpen bounds what the remedies can set.
func judgeNofile(limit rlimit, nrOpen int64, p process, t Target) Finding {
	want := fdsNeeded(t.N)
	f := Finding{Outcome: OK, Current: number(limit.soft), Wanted: number(want), Holds: holds(limit.hard, fdsNeeded)}
	f.Formula = fmt.Sprintf("%d*1.02 + 1024 = %d", t.N, want)
	f.Why = "Each connection is an open file of pushd; at the limit accept fails with EMFILE and clients are turned away."
	if limit.soft != limit.hard {
		f.Current = fmt.Sprintf("%s soft, %s hard", number(limit.soft), number(limit.hard))
	}
	switch {
	case limit.hard < want && !p.sysResource:
		f.Outcome = Fail
	case limit.hard < want:
		f.Outcome = Warn
		f.Why = "pushd lives with the hard limit that it is started with; this user may raise it before that."
	case limit.soft < want:
		f.Outcome = Warn
		f.Why = "pushd raises its soft limit to the hard one by itself, other programs that you start here may not."
	default:
		return f
	}
	f.FixNow, f.FixForGood = nofileRemedies(want, limit, p)
	if nrOpen < want {
		f.FixNow = fmt.Sprintf("sysctl -w fs.nr_open=%d  # first, or EPERM\n", nrOpenWanted(t.N)) + f.FixNow
	}
	return f
}

// nofileRemedies tells apart who may raise the limit: this process, root from outside of it, or only what started the
// container. The hard limit is never lowered with the soft one.
func nofileRemedies(want int64, limit rlimit, p process) (now, forGood string) {
	value, option := number(want), "-n"
	if limit.hard >= want {
		option = "-Sn"
		value += ":" + strings.Replace(number(limit.hard), "unlimited", "infinity", 1)
	}
	forGood = fmt.Sprintf("mkdir -p /etc/systemd/system/pushd.service.d\n"+
		"printf '[Service]\\nLimitNOFILE=%s\\n' \\\n"+
		"  > /etc/systemd/system/pushd.service.d/90-nofile.conf\n"+
		"systemctl daemon-reload && systemctl restart pushd", value)
	switch {
	case limit.hard >= want || p.sysResource:
		return fmt.Sprintf("ulimit %s %d  # then start pushd from this shell", option, want), forGood
	case p.root:
		return fmt.Sprintf("not from in here: root lacks CAP_SYS_RESOURCE; start this\n"+
				"container or session with more, such as\n"+
				"docker run --ulimit nofile=%d:%d", want, want),
			fmt.Sprintf("where the host starts it, set LimitNOFILE=%d,\n"+
				"or the nofile ulimit of the container", want)
	}
	return fmt.Sprintf("# CAP_SYS_RESOURCE is missing here: with the help of root\n"+
		"sudo prlimit --pid $$ --nofile=%d:%d\n"+
		"# then start pushd from this shell", want, want), forGood
}
