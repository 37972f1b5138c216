package sysprep

import (
	"fmt"
	"math"
	"strings"
)

var fileChecks = []Check{nrOpenCheck, nofileCheck, fileMaxCheck}

var nofileCheck = Check{ID: "rlimit.nofile", Group: GroupFiles, run: checkNofile, Explain: "" +
	"The number of open files of one process. Its hard limit is given at the start: by LimitNOFILE= of a systemd unit, by the " +
	"ulimits of a container, by limits.conf for a login (and for nothing else). A process may raise its soft limit to the hard " +
	"one, and pushd does; the hard one takes CAP_SYS_RESOURCE. At the limit accept fails with EMFILE. With --pid or --unit the " +
	"limit is that of the process, else that of this shell."}

func checkNofile(h *Host, t Target) (Finding, error) {
	if t.Unit != "" && t.PID == 0 {
		return Finding{}, fmt.Errorf("%.80q has no process to look at; systemd.LimitNOFILE is what it starts with", t.Unit)
	}
	limit, err := h.openFiles(t)
	if err != nil {
		return Finding{}, err
	}
	nrOpen, err := h.sysctl("fs.nr_open")
	if err != nil { // its own check says so
		nrOpen = math.MaxInt64
	}
	f := judgeNofile(limit, nrOpen, h.process(), t)
	if h.live && !h.hasSystemd() && strings.Contains(f.FixForGood, "systemctl") {
		f.FixForGood = fmt.Sprintf("no systemd runs here: ulimit -n %s where pushd is started,\nor the same in what supervises it", f.Wanted)
	}
	if f.Outcome != OK {
		f.Remedy = &Remedy{Kind: RemedySystemd, Key: "LimitNOFILE", Value: nofileDirective(t, limit), Before: f.Current, Scope: ScopeHost, Restart: true}
		if !t.serves() {
			f.Remedy = &Remedy{Kind: RemedyText} // a load generator has no unit
		}
	}
	return f, nil
}

// nofileDirective is the value of LimitNOFILE=: one number, or a soft and a hard limit where the hard one is higher.
func nofileDirective(t Target, limit rlimit) string {
	want := fdsNeeded(t.perProcess())
	if limit.hard <= want {
		return number(want)
	}
	return fmt.Sprintf("%d:%s", max(want, limit.soft), strings.Replace(number(limit.hard), "unlimited", "infinity", 1))
}

// perProcessFormula writes out the number of connections of one process.
func (t Target) perProcessFormula() string {
	if t.workers() == 1 {
		return number(t.N)
	}
	return fmt.Sprintf("ceil(%d/%d)", t.N, t.workers())
}

// judgeNofile fails when the hard limit is too low and the process may not raise it. A soft limit alone is a warning:
// pushd raises it to the hard one. nrOpen bounds what the remedies can set.
func judgeNofile(limit rlimit, nrOpen int64, p process, t Target) Finding {
	want := fdsNeeded(t.perProcess())
	f := Finding{Outcome: OK, Current: number(limit.soft), Wanted: number(want)}
	f.Holds = holds(limit.hard, func(n int64) int64 { return fdsNeeded(t.with(n).perProcess()) })
	f.Formula = fmt.Sprintf("%s*1.02 + 1024 = %d", t.perProcessFormula(), want)
	f.Why = "Each connection is an open file of its process; at the limit accept fails with EMFILE and clients are turned away."
	if limit.soft != limit.hard {
		f.Current = fmt.Sprintf("%s soft, %s hard", number(limit.soft), number(limit.hard))
	}
	switch {
	case limit.hard < want && (!p.sysResource || t.PID != 0): // the one that is judged has started already
		f.Outcome = Fail
	case limit.hard < want:
		f.Outcome = Warn
		f.Why = "A process lives with the hard limit that it is started with; this user may raise it before that."
	case limit.soft < want:
		f.Outcome = Warn
		f.Why = "pushd and pushpub raise their soft limit to the hard one by themselves, other programs may not."
	default:
		return f
	}
	f.FixNow, f.FixForGood = nofileRemedies(want, limit, p, t)
	if nrOpen < want {
		f.FixNow = fmt.Sprintf("sysctl -w fs.nr_open=%d  # first, or EPERM\n", nrOpenWanted(t.perProcess())) + f.FixNow
	}
	return f
}

// nofileRemedies tells apart who may raise the limit: this process, root from outside of it, or only what started the
// container. The hard limit is never lowered with the soft one.
func nofileRemedies(want int64, limit rlimit, p process, t Target) (now, forGood string) {
	value, option := number(want), "-n"
	if limit.hard >= want {
		option = "-Sn"
	}
	forGood = directiveCommands(t.unit(), "LimitNOFILE="+nofileDirective(t, limit))
	if !t.serves() {
		forGood = fmt.Sprintf("echo '* - nofile %s' \\\n  >> /etc/security/limits.d/90-holdfast.conf\n# then log in anew", value)
	}
	switch {
	case t.PID != 0 && limit.hard >= want:
		return fmt.Sprintf("prlimit --pid %d --nofile=%s:", t.PID, value), forGood
	case t.PID != 0 && (p.sysResource || !p.root):
		return "not while it runs: a process keeps what it reckoned at its\nstart; restart it with what is below", forGood
	case limit.hard >= want || p.sysResource:
		return fmt.Sprintf("ulimit %s %d  # then start it from this shell", option, want), forGood
	case p.root: // a process that runs is no better off: root here could not start it with more either
		return fmt.Sprintf("not from in here: root lacks CAP_SYS_RESOURCE; start this\n"+
				"container or session with more, such as\n"+
				"docker run --ulimit nofile=%d:%d", want, want),
			fmt.Sprintf("where the host starts it, set LimitNOFILE=%d,\n"+
				"or the nofile ulimit of the container", want)
	}
	return fmt.Sprintf("# CAP_SYS_RESOURCE is missing here: with the help of root\n"+
		"sudo prlimit --pid $$ --nofile=%d:%d\n"+
		"# then start it from this shell", want, want), forGood
}

// unit is the unit that the remedies name.
func (t Target) unit() string {
	if t.Unit != "" {
		return t.Unit
	}
	return DefaultUnit
}
